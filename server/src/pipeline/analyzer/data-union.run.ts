import { dirname, join } from 'node:path'
import { Problem } from '../../platform/problem.ts'
import { identifier, literal, textOf, withDuckdb, type Duckdb } from '../formats/duckdb.ts'
import { refuseBadRecords, refuseWide, type Table, type TableColumn } from '../formats/table.ts'
import { formatOf } from '../formats/table-format.ts'
import { withTable } from '../formats/table-reader.ts'
import { compressionOf, copyTable, outputFileOf } from '../formats/table-writer.ts'
import { defineRun } from '../processor-run.ts'
import { done, type InputFile } from '../processor.ts'
import { tableTypes } from '../table-input.ts'
import { dataUnion } from './data-union.ts'

/** Tables that one statement unites; of more, unions are united. */
const togetherCount = 100

/**
 * Output: united_data.*, its rows in the order of the files. A column that some tables do not have is empty there; one that
 * has several types gets one that holds them all. Files that are no tables and empty ones are left out; without any table
 * there is no output. recordsCount is the number of rows.
 */
export const run = defineRun(dataUnion, async ({ parameters, outputFolder, scratchFolder, files }) => {
  const tables = files.filter((file) => file.sizeBytes > 0 && isTable(file))
  const { to, exact, bad_rows: badRows, output_delimiter: delimiter, source_column: sourceColumn } = parameters
  const compression = compressionOf(parameters)
  if (tables.length === 0) return done([], { kind: 'table-union', tables_count: 0, rows_count: 0 }, { recordsCount: 0 })
  const output = outputFileOf('united_data', parameters)
  const formats = await Promise.all(tables.map(formatOf))
  // Types could only lose something on the way from text to text.
  const asText = to === 'csv' && formats.every((format) => format === 'csv')
  const folders = [...new Set(tables.map(({ path }) => dirname(path))), outputFolder]
  return withDuckdb({ folders, scratchFolder }, async (database) => {
    let skippedCount = 0
    const union = createUnion(database)
    for (const file of tables) {
      await withTable({ database, file, scratchFolder, options: parameters, asText }, async (table) => {
        if (badRows === 'reject') refuseBadRecordsOf(file, table)
        await union.take(selectionOf(table, file, sourceColumn))
        skippedCount += table.bad.count
      })
    }
    const { relation, columns } = await union.close()
    const path = join(outputFolder, output.path)
    const table = { relation, columns }
    const rowsCount = await copyTable({ database, table, path, to, compression, delimiter, exact })
    const result = {
      kind: 'table-union',
      to,
      tables_count: tables.length,
      rows_count: rowsCount,
      columns,
      skipped_rows_count: skippedCount,
    }
    return done([output], result, { recordsCount: rowsCount })
  })
})

const isTable = ({ contentType }: InputFile): boolean => (tableTypes as readonly string[]).includes(contentType)

function refuseBadRecordsOf(file: InputFile, table: Table): void {
  try {
    refuseBadRecords(table)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    throw new Problem(error.code, { detail: `${file.name}: ${error.detail ?? ''}` })
  }
}

function selectionOf({ relation, columns }: Table, file: InputFile, sourceColumn: string | undefined): string {
  if (sourceColumn === undefined) return `SELECT * FROM ${relation}`
  if (columns.some(({ name }) => name.toLowerCase() === sourceColumn.toLowerCase()))
    throw new Problem('parameters_invalid', { detail: `${file.name} has a column "${sourceColumn}" already.` })
  return `SELECT *, ${literal(file.name)} AS ${identifier(sourceColumn)} FROM ${relation}`
}

/** Gathers selections as tables of DuckDB, which spill to the disk, and unites them. */
function createUnion(database: Duckdb) {
  let tablesCount = 0
  let parts: string[] = []
  let unions: string[] = []

  /** Over what an attempt before has left under the same name. */
  async function materialize(selection: string): Promise<string> {
    const table = `part_${tablesCount}`
    await database.run(`CREATE OR REPLACE TEMP TABLE ${table} AS ${selection}`)
    tablesCount += 1
    return table
  }

  async function unite(tables: readonly string[]): Promise<string> {
    const selections = tables.map((table) => `SELECT * FROM ${table}`)
    try {
      const united = await materialize(selections.join(' UNION ALL BY NAME '))
      for (const table of tables) await database.run(`DROP TABLE ${table}`)
      return united
    } catch (cause) {
      throw new Problem('data_invalid', {
        detail:
          'The tables do not fit together: a column of the same name holds values of kinds that no type has in common.',
        cause,
      })
    }
  }

  return {
    async take(selection: string): Promise<void> {
      parts.push(await materialize(selection))
      if (parts.length < togetherCount) return
      unions.push(await unite(parts))
      parts = []
    },
    async close(): Promise<{ relation: string; columns: TableColumn[] }> {
      if (parts.length > 0) unions.push(await unite(parts))
      if (unions.length > 1) unions = [await unite(unions)]
      const relation = unions.join()
      const rows = await database.rows(`DESCRIBE ${relation}`)
      refuseWide(rows.length)
      const columns = rows.map((row) => ({
        name: textOf(row['column_name']) ?? '',
        type: textOf(row['column_type']) ?? '',
      }))
      return { relation, columns }
    },
  }
}
