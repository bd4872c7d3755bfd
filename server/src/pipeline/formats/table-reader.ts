// Opens a file as a table. CSV, TSV, JSON, JSONL, Parquet and XLSX.
//
// A table is read in two ways. First straight from the file, with types taken from a sample: one pass, and right for
// nearly every file. When that fails, because a later value is of another type or a record is ragged, the file is
// staged: read once more as text into a table of DuckDB, its faulty records named by line, its types taken from all
// values. So a clean file costs one pass, and a faulty one is explained instead of failing with a parser's message.

import { Problem } from '../../platform/problem.ts'
import { openCsv, stageCsv } from './csv-table.ts'
import { literal, textOf } from './duckdb.ts'
import { jsonlLines, refuseDeepJson, stageJson } from './json-table.ts'
import { refuseWide, type Table, type TableSource } from './table.ts'
import { formatOf } from './table-format.ts'
import { xlsxTable } from './xlsx-table.ts'

/**
 * Runs `work` over the table in the file, a second time over the staged table when the first way fails: it must
 * overwrite what it wrote before. Problems: file_unreadable, file_encrypted, file_too_complex, file_type_unsupported.
 */
export async function withTable<T>(source: TableSource, work: (table: Table) => Promise<T>): Promise<T> {
  const format = await formatOf(source.file)
  switch (format) {
    case 'csv': {
      const csv = await openCsv(source)
      return orElse(
        async () => work(await described(source, await csv.typed())),
        async () => work(await stageCsv(source, csv)),
      )
    }
    case 'xlsx':
      return work(await xlsxTable(source))
    case 'json':
    case 'jsonl': {
      await refuseDeepJson(source.file.path, format === 'jsonl')
      const read = `read_json(${literal(source.file.path)}, format = '${format === 'jsonl' ? 'newline_delimited' : 'auto'}', maximum_object_size = ${jsonObjectBytesMax}`
      return orElse(
        async () =>
          work(
            await described(source, {
              format,
              relation: `${read})`,
              ...(format === 'jsonl' ? jsonlLines(source.file.path) : {}),
            }),
          ),
        async () => work(await described(source, await stageJson(source, format, jsonObjectBytesMax))),
      )
    }
    case 'parquet':
      try {
        await refuseHugeParquet(source)
        return await work(await described(source, { format, relation: `read_parquet(${literal(source.file.path)})` }))
      } catch (cause) {
        throw unreadable(cause, 'The file is not a whole Parquet file: its footer or one of its pages cannot be read.')
      }
  }
}

const jsonObjectBytesMax = 64 * 1024 ** 2

/** A few bytes of Parquet can stand for any number of equal rows. */
const parquetRowsCountMax = 500_000_000

async function refuseHugeParquet({ database, file }: TableSource): Promise<void> {
  const [facts] = await database.rows(`SELECT num_rows FROM parquet_file_metadata(${literal(file.path)})`)
  if (Number(facts?.['num_rows']) > parquetRowsCountMax)
    throw new Problem('file_too_complex', {
      detail: `The table has ${Number(facts?.['num_rows'])} rows; at most ${parquetRowsCountMax} are worked with.`,
    })
}

const unreadable = (cause: unknown, detail: string): Problem =>
  cause instanceof Problem ? cause : new Problem('file_unreadable', { detail, cause })

/** The first way, or the second when the first fails for another reason than a Problem, which is a verdict. */
async function orElse<T>(first: () => Promise<T>, second: () => Promise<T>): Promise<T> {
  try {
    return await first()
  } catch (error) {
    if (error instanceof Problem) throw error
    return second()
  }
}

/** Completes a table with its columns, as DuckDB understands them. */
async function described(
  { database }: Pick<TableSource, 'database'>,
  table: Omit<Table, 'columns' | 'bad'> & Partial<Pick<Table, 'bad'>>,
): Promise<Table> {
  const rows = await database.rows(`DESCRIBE SELECT * FROM ${table.relation}`)
  refuseWide(rows.length)
  const columns = rows.map((row) => ({
    name: textOf(row['column_name']) ?? '',
    type: textOf(row['column_type']) ?? '',
  }))
  return { bad: { count: 0, first: [] }, ...table, columns }
}
