// Writes a table as CSV, JSON, JSONL or Parquet.
//
// What a spreadsheet opens must not run in it: a text that begins like a formula is neutralised by an apostrophe
// unless the exact text is asked for (OWASP, CSV injection). Numbers are no formulas, so -5 stays -5.

import { Problem } from '../../platform/problem.ts'
import type { OutputFile } from '../processor.ts'
import { identifier, literal, type Duckdb } from './duckdb.ts'
import type { Table, TableColumn } from './table.ts'

export type OutputFormat = 'csv' | 'json' | 'jsonl' | 'parquet'
export type Compression = 'none' | 'gzip' | 'zstd' | 'snappy'

const contentTypes: Record<OutputFormat, string> = {
  csv: 'text/csv',
  json: 'application/json',
  jsonl: 'application/x-ndjson',
  parquet: 'application/vnd.apache.parquet',
}

export interface OutputWish {
  to: OutputFormat
  compression?: Compression | undefined
  output_delimiter: string
}

/** Throws Problem('parameters_invalid') for one that the format does not know. */
export function compressionOf({ to, compression }: OutputWish): Compression {
  if (compression === 'snappy' && to !== 'parquet')
    throw new Problem('parameters_invalid', { detail: 'Compression "snappy" is for Parquet only.' })
  return compression ?? (to === 'parquet' ? 'zstd' : 'none')
}

/** What is written: name, path and content type. */
export function outputFileOf(stem: string, wish: OutputWish): OutputFile {
  const { to, output_delimiter: delimiter } = wish
  const compression = compressionOf(wish)
  const base = `${stem}.${to === 'csv' && delimiter === '\t' ? 'tsv' : to}`
  const plain = to === 'csv' && delimiter === '\t' ? 'text/tab-separated-values' : contentTypes[to]
  if (to === 'parquet' || compression === 'none') return { path: base, name: base, contentType: plain }
  const [extension, contentType] = compression === 'gzip' ? ['gz', 'application/gzip'] : ['zst', 'application/zstd']
  return { path: `${base}.${extension}`, name: `${base}.${extension}`, contentType }
}

export interface CopyOptions {
  database: Duckdb
  table: Pick<Table, 'relation' | 'columns'>
  path: string
  to: OutputFormat
  compression: Compression
  delimiter: string
  exact: boolean
}

/** Writes the rows to `path`, over what is there, and gives their number. */
export async function copyTable({
  database,
  table,
  path,
  to,
  compression,
  delimiter,
  exact,
}: CopyOptions): Promise<number> {
  const isGuarded = to === 'csv' && !exact
  const list = table.columns.map(({ name, type }) => {
    const expression = valueFor(to, { name, type }, isGuarded)
    const outputName = isGuarded ? guardedText(name) : name
    return expression === identifier(name) && outputName === name
      ? expression
      : `${expression} AS ${identifier(outputName)}`
  })
  const options = {
    csv: `FORMAT csv, HEADER true, DELIMITER ${literal(delimiter)}, QUOTE '"', ESCAPE '"'`,
    json: 'FORMAT json, ARRAY true',
    jsonl: 'FORMAT json, ARRAY false',
    parquet: 'FORMAT parquet',
  }[to]
  const packed = compression === 'none' ? 'uncompressed' : compression
  const [row] = await database.rows(
    `COPY (SELECT ${list.join(', ')} FROM ${table.relation}) TO ${literal(path)} (${options}, COMPRESSION ${packed})`,
  )
  return Number(row?.['Count'] ?? 0)
}

const isNested = (type: string): boolean => /[[\](]/u.test(type) && !type.startsWith('DECIMAL')

function valueFor(to: OutputFormat, { name, type }: TableColumn, isGuarded: boolean): string {
  const column = identifier(name)
  if (to === 'parquet') return column
  if (type === 'BLOB') return `base64(${column})`
  if (to === 'csv') {
    if (isNested(type) || type === 'JSON') return guarded(`CAST(to_json(${column}) AS VARCHAR)`, isGuarded)
    return type === 'VARCHAR' ? guarded(column, isGuarded) : column
  }
  // JSON has no word for a number that is none.
  return type === 'DOUBLE' || type === 'FLOAT' ? `CASE WHEN isfinite(${column}) THEN ${column} END` : column
}

/** Beginnings that a spreadsheet takes for a formula, also behind blanks and in full width. */
const formulaStart = String.raw`^[\s\x00]*[=+\-@＝＋－＠]|^[\t\r\n]`
const plainNumber = String.raw`^[-+]?[0-9]+([.,][0-9]+)*([eE][-+]?[0-9]+)?%?$`

/** Most texts begin with a letter or a digit, by which neither pattern has to be tried; texts compare by their bytes. */
const startsPlainly = (expression: string): string =>
  [
    ['0', ':'],
    ['A', '['],
    ['a', '{'],
  ]
    .map(([from, below]) => `(${expression} >= '${from}' AND ${expression} < '${below}')`)
    .join(' OR ')

const guarded = (expression: string, isGuarded: boolean): string =>
  isGuarded
    ? `CASE WHEN ${startsPlainly(expression)} THEN ${expression} WHEN regexp_matches(${expression}, ${literal(formulaStart)}) AND NOT regexp_matches(${expression}, ${literal(plainNumber)}) THEN '''' || ${expression} ELSE ${expression} END`
    : expression

/** The same for the name of a column. */
export const guardedText = (text: string): string =>
  new RegExp(formulaStart, 'u').test(text) && !new RegExp(plainNumber, 'u').test(text) ? `'${text}` : text
