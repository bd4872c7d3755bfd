// CSV and TSV as a table: straight from the file with sampled types, or staged as text with exact ones.

import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Problem } from '../../platform/problem.ts'
import { detectDialect, parseSample, type CsvDialect } from './csv-dialect.ts'
import { csvRecordPlaces, linesAt } from './csv-records.ts'
import { identifier, literal, textOf, type Duckdb } from './duckdb.ts'
import type { BadRecord, Table, TableColumn, TableSource } from './table.ts'
import { refuseWide } from './table.ts'
import { detectEncoding, writeUtf8Copy } from './text-encoding.ts'

const sampleBytes = 1024 * 1024
/** Longer records are no records: an unclosed quote swallows the rest of the file. */
const recordBytesMax = 16 * 1024 ** 2
/** Faulty records that are counted; beyond it the count says "at least". */
const badRecordsCountMax = 100_000
/** Faulty records that are told with their line. */
export const badRecordsToldMax = 20
/** Rows of the sample by which a column with leading zeros is kept as text. */
const sampleRowsCount = 20_480

export interface CsvFile {
  path: string
  encoding: string
  dialect: CsvDialect
  /** The table with types from a sample; throws what DuckDB throws when it cannot say. */
  typed(): Promise<Omit<Table, 'columns' | 'bad'>>
}

/** Finds out encoding and dialect. Problems: file_unreadable, file_too_complex, parameters_invalid. */
export async function openCsv(source: TableSource): Promise<CsvFile> {
  const { file, options, scratchFolder } = source
  const encoding = options.encoding ?? (await detectEncoding(file.path))
  let path = file.path
  if (encoding !== 'utf-8') {
    path = join(scratchFolder, 'utf8.csv')
    await writeUtf8Copy({ path: file.path, encoding, target: path })
  }
  const sample = await readSample(path)
  if (sample.includes('\0\0\0\0'))
    throw new Problem('file_unreadable', { detail: 'The file is not text: it holds binary data.' })
  const delimiter = options.delimiter ?? (file.contentType === 'text/tab-separated-values' ? '\t' : undefined)
  const dialect = detectDialect(sample, { delimiter, hasHeader: options.header })
  if (dialect.names.length === 0)
    throw new Problem('data_invalid', { detail: 'The file holds no record, only blank lines.' })
  refuseWide(dialect.names.length)
  return { path, encoding, dialect, typed: () => typedTable(source, { path, encoding, dialect, sample }) }
}

async function readSample(path: string): Promise<string> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(sampleBytes), 0, sampleBytes, 0)
    const text = buffer
      .subarray(0, bytesRead)
      .toString('utf8')
      .replace(/^\ufeff/u, '')
    return bytesRead < sampleBytes ? `${text}\n` : text
  } finally {
    await file.close()
  }
}

const dialectSql = ({ delimiter, hasHeader }: CsvDialect): string =>
  `delim = ${literal(delimiter)}, quote = '"', escape = '"', header = ${hasHeader}, skip = 0, comment = '', max_line_size = ${recordBytesMax}`

const columnsSql = (columns: readonly TableColumn[]): string =>
  `{${columns.map(({ name, type }) => `${literal(name)}: ${literal(type)}`).join(', ')}}`

const asText = (names: readonly string[]): TableColumn[] => names.map((name) => ({ name, type: 'VARCHAR' }))

/** Keeps an empty text apart from no text. Not for typed reading, where a quoted nothing is no number either. */
const exactly = ', allow_quoted_nulls = false'

/** A relation with given columns and no guessing. */
export const csvRelation = (path: string, dialect: CsvDialect, columns: readonly TableColumn[], more = ''): string =>
  `read_csv(${literal(path)}, auto_detect = false, ${dialectSql(dialect)}, columns = ${columnsSql(columns)}${more})`

async function typedTable(
  source: TableSource,
  { path, encoding, dialect, sample }: { path: string; encoding: string; dialect: CsvDialect; sample: string },
): Promise<Omit<Table, 'columns' | 'bad'>> {
  const facts = {
    format: 'csv' as const,
    encoding,
    delimiter: dialect.delimiter,
    hasHeader: dialect.hasHeader,
    linesOfRows: (rows: readonly number[]) => linesOfRows({ path, dialect, rows, skipped: new Set() }),
  }
  if (source.asText === true) return { ...facts, relation: csvRelation(path, dialect, asText(dialect.names), exactly) }
  // Types are guessed from the sample, but never for a column whose values have leading zeros: post codes, account
  // and telephone numbers would lose them.
  const zeros = leadingZeroColumns(sample, dialect)
  const names = `[${dialect.names.map(literal).join(', ')}]`
  const kept = columnsSql(zeros.map((name) => ({ name, type: 'VARCHAR' })))
  const types = zeros.length === 0 ? '' : `, types = ${kept}`
  return {
    ...facts,
    relation: `read_csv(${literal(path)}, ${dialectSql(dialect)}, names = ${names}${types}, decimal_separator = ${literal(dialect.decimal)}, sample_size = ${sampleRowsCount})`,
  }
}

function leadingZeroColumns(sample: string, { delimiter, hasHeader, names }: CsvDialect): string[] {
  if (!mayHoldLeadingZero(sample, delimiter)) return []
  const records = parseSample(sample, delimiter, sampleRowsCount).slice(hasHeader ? 1 : 0)
  return names.filter((_, column) => records.some((record) => /^[-+]?0\d/u.test(record[column] ?? '')))
}

/** Cheaper than taking the sample apart: in most files no cell begins so, whatever its quotes do. */
function mayHoldLeadingZero(sample: string, delimiter: string): boolean {
  const delimiterCode = (delimiter.codePointAt(0) ?? 0).toString(16)
  return new RegExp(`(?:^|[\\n\\r"\\u{${delimiterCode}}])"*[-+]?"*0"*\\d`, 'u').test(sample)
}

/** Reads everything as text into a table, with the faulty records apart, and finds the types from all values. */
export async function stageCsv(source: TableSource, csv: CsvFile): Promise<Table> {
  const { database } = source
  const { path, dialect, encoding } = csv
  const rejecting = `, store_rejects = true, rejects_limit = ${badRecordsCountMax}${source.asText === true ? exactly : ''}`
  try {
    await database.run('DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans')
    await database.run(
      `CREATE OR REPLACE TEMP TABLE staged AS FROM ${csvRelation(path, dialect, asText(dialect.names), rejecting)}`,
    )
  } catch (cause) {
    throw new Problem('file_unreadable', {
      detail: 'The file cannot be read as CSV: its lines end in different ways, or a quote is never closed.',
      cause,
    })
  }
  const columns = source.asText === true ? asText(dialect.names) : await inferTypes(database, 'staged', dialect.names)
  return {
    format: 'csv',
    relation: `(SELECT ${columns.map(castSql).join(', ')} FROM staged)`,
    columns,
    bad: await badRecords(database, path),
    encoding,
    delimiter: dialect.delimiter,
    hasHeader: dialect.hasHeader,
    linesOfRows: async (rows) => linesOfRows({ path, dialect, rows, skipped: await rejectedOffsets(database) }),
  }
}

const castSql = ({ name, type }: TableColumn): string =>
  type === 'VARCHAR' ? identifier(name) : `CAST(${identifier(name)} AS ${type}) AS ${identifier(name)}`

async function rejectedOffsets(database: Duckdb): Promise<Set<number>> {
  const rows = await database.rows('SELECT DISTINCT line_byte_position - 1 AS bytes FROM reject_errors')
  return new Set(rows.map(({ bytes }) => Number(bytes)))
}

/** Walks the file up to the last row wanted. Rejected records and blank lines are no rows. */
async function linesOfRows(options: {
  path: string
  dialect: CsvDialect
  rows: readonly number[]
  skipped: Set<number>
}): Promise<Map<number, number>> {
  const { path, dialect, skipped } = options
  const wanted = new Set(options.rows)
  const lines = new Map<number, number>()
  let row = dialect.hasHeader ? -1 : 0
  // DuckDB counts the blank lines before a rejected record to it, so that it begins at the first of them.
  let blankFrom: number | undefined
  for await (const { line, offsetBytes, blank } of csvRecordPlaces(path, dialect.delimiter)) {
    if (lines.size === wanted.size) break
    if (blank && dialect.names.length > 1) {
      blankFrom ??= offsetBytes
      continue
    }
    const isSkipped = skipped.has(offsetBytes) || (blankFrom !== undefined && skipped.has(blankFrom))
    blankFrom = undefined
    if (isSkipped) continue
    row += 1
    if (wanted.has(row)) lines.set(row, line)
  }
  return lines
}

async function badRecords(database: Duckdb, path: string): Promise<Table['bad']> {
  const [{ count } = { count: 0 }] = await database.rows(
    'SELECT count(DISTINCT line_byte_position) AS count FROM reject_errors',
  )
  if (Number(count) === 0) return { count: 0, first: [] }
  const rows = await database.rows(
    `SELECT line_byte_position - 1 AS offset, min(error_type::VARCHAR) AS kind, min(error_message) AS message
     FROM reject_errors GROUP BY ALL ORDER BY ALL LIMIT ${badRecordsToldMax}`,
  )
  const lines = await linesAt(
    path,
    rows.map((row) => Number(row['offset'])),
  )
  const first = rows.map((row): BadRecord => ({
    line: lines.get(Number(row['offset'])) ?? 0,
    reason: reasonOf(textOf(row['kind']) ?? '', textOf(row['message']) ?? ''),
  }))
  return { count: Number(count), first }
}

/** DuckDB's kinds of rejected records (its enum csv_rejects error_type), in the owner's words. */
function reasonOf(kind: string, message: string): string {
  const found = /Found: (\d+)/u.exec(message)?.[1]
  const cells = found === undefined ? '' : `: ${found}`
  switch (kind) {
    case 'MISSING COLUMNS':
      return `too few cells${cells}`
    case 'TOO MANY COLUMNS':
      return `too many cells${cells}`
    case 'UNQUOTED VALUE':
      return 'a quote that is not closed, or text after a closing quote'
    case 'LINE SIZE OVER MAXIMUM':
      return `longer than ${recordBytesMax / 1024 ** 2} MiB`
    case 'INVALID ENCODING':
      return 'bytes that are no text in the encoding of the file'
    default:
      return 'not a record of the table'
  }
}

/** Columns looked at in one query; each has seven counters. */
const inferredAtOnceCount = 100

/** The narrowest type that every value of a text column fits; text when there is none. */
async function inferTypes(database: Duckdb, table: string, names: readonly string[]): Promise<TableColumn[]> {
  const columns: TableColumn[] = []
  for (let at = 0; at < names.length; at += inferredAtOnceCount) {
    const part = names.slice(at, at + inferredAtOnceCount)
    const [counts = {}] = await database.rows(`SELECT ${part.map(countersSql).join(', ')} FROM ${table}`)
    part.forEach((name, index) => columns.push({ name, type: typeFrom(counts, index) }))
  }
  return columns
}

function countersSql(name: string, index: number): string {
  const column = identifier(name)
  const fits = (pattern: string, type: string): string =>
    `count(*) FILTER (regexp_matches(${column}, '${pattern}') AND TRY_CAST(${column} AS ${type}) IS NOT NULL)`
  return [
    `count(${column}) AS n${index}`,
    `${fits('^[-+]?(0|[1-9][0-9]*)$', 'BIGINT')} AS i${index}`,
    `${fits(String.raw`^[-+]?(0|[1-9][0-9]*)?([.][0-9]+)?([eE][-+]?[0-9]+)?$`, 'DOUBLE')} AS f${index}`,
    `${fits('^[0-9]{4}-[0-9]{2}-[0-9]{2}$', 'DATE')} AS d${index}`,
    `${fits('^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T].*)?$', 'TIMESTAMP')} AS t${index}`,
    `${fits('^(?i)(true|false)$', 'BOOLEAN')} AS b${index}`,
  ].join(', ')
}

function typeFrom(counts: Record<string, unknown>, index: number): string {
  const count = (letter: string): number => Number(counts[`${letter}${index}`])
  const all = count('n')
  if (all === 0) return 'VARCHAR'
  const fits = (
    [
      ['i', 'BIGINT'],
      ['f', 'DOUBLE'],
      ['d', 'DATE'],
      ['t', 'TIMESTAMP'],
      ['b', 'BOOLEAN'],
    ] as const
  ).find(([letter]) => count(letter) === all)
  return fits?.[1] ?? 'VARCHAR'
}
