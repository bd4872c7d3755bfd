// A file as a table: its columns, the SQL that reads it, and what every reader of a format answers with.

import { Problem } from '../../platform/problem.ts'
import type { InputFile } from '../processor.ts'
import type { TableOptions } from '../table-input.ts'
import type { Duckdb } from './duckdb.ts'
import type { TableFormat } from './table-format.ts'

export interface TableColumn {
  name: string
  /** DuckDB's name of the type. */
  type: string
}

export interface BadRecord {
  /** From 1, in the file. */
  line: number
  reason: string
}

export interface Table {
  format: TableFormat
  /** What can stand after FROM. */
  relation: string
  columns: TableColumn[]
  /** Records that are no rows: left out of the relation. */
  bad: { count: number; first: BadRecord[] }
  /** Said for text formats. */
  encoding?: string
  delimiter?: string
  hasHeader?: boolean
  /** The sheet that was read, and all there are. */
  sheet?: string
  sheets?: string[]
  /** Lines of the file in which the rows of these numbers (from 1) begin; for text formats. */
  linesOfRows?(rows: readonly number[]): Promise<Map<number, number>>
}

/** Wider tables cost memory in proportion to their width, in every step. */
export const columnsCountMax = 2000

export interface TableSource {
  database: Duckdb
  file: InputFile
  scratchFolder: string
  options: TableOptions
  /** Cells of CSV stay the text that they are; for CSV to CSV, where a type could only lose something. */
  asText?: boolean
}

/** Problems: file_too_complex. */
export function refuseWide(columnsCount: number): void {
  if (columnsCount > columnsCountMax)
    throw new Problem('file_too_complex', {
      detail: `The table has ${columnsCount} columns; at most ${columnsCountMax} are worked with.`,
    })
}

/** Number of rows of a relation. */
export async function countRows(database: Duckdb, relation: string): Promise<number> {
  const [row] = await database.rows(`SELECT count(*) AS rows_count FROM ${relation}`)
  return Number(row?.['rows_count'] ?? 0)
}

/** Throws data_invalid when the table has records that are no rows, naming the first of them. */
export function refuseBadRecords(table: Table): void {
  const { count, first } = table.bad
  if (count === 0) return
  const places = first.slice(0, 3).map(({ line, reason }) => `line ${line}: ${reason}`)
  const rest = count > places.length ? ` and ${count - places.length} more` : ''
  throw new Problem('data_invalid', {
    detail: `${count} ${count === 1 ? 'record is' : 'records are'} not a row of the table: ${places.join('; ')}${rest}.`,
  })
}
