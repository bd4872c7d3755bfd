// What became of each item, as CSV (RFC 4180) or Parquet: written while it is read from the database page by page, so that
// a report on ten million items takes as much memory as one on ten.

import { Readable } from 'node:stream'
import type { BatchItemState, BatchReportFormat } from '@millrace/contract'
import { toCsvLine } from '../../platform/csv.ts'
import type { Database } from '../../platform/database.ts'
import { writeParquet, type ParquetColumn, type ParquetValue } from '../../platform/parquet.ts'
import { listItems, type ItemRow } from './batch-item.sql.ts'
import { toItemResource } from './batch-resource.ts'

const pageCount = 2_000
/** Pages of a row group: readers like them large, but it is made in one go, while this process does nothing else. */
const groupPagesCount = 5
const columns = [
  { name: 'item', type: 'integer' },
  { name: 'reference', type: 'text', optional: true },
  { name: 'file_id', type: 'text', optional: true },
  { name: 'file_name', type: 'text', optional: true },
  { name: 'state', type: 'text' },
  { name: 'code', type: 'text', optional: true },
  { name: 'detail', type: 'text', optional: true },
  { name: 'job_id', type: 'text', optional: true },
  { name: 'round', type: 'integer' },
  { name: 'finished_at', type: 'time', optional: true },
] as const satisfies readonly ParquetColumn[]

export interface ReportOrder {
  tenantId: number
  batchId: number
  state?: BatchItemState
}

export const reportContentTypes: Record<BatchReportFormat, string> = {
  csv: 'text/csv; charset=utf-8; header=present',
  parquet: 'application/vnd.apache.parquet',
}

/** Pages are read one by one, so items that end meanwhile are told as they are when their page is read. */
export function readReport(database: Database, order: ReportOrder, format: BatchReportFormat = 'csv'): Readable {
  const pages = readPages(database, order)
  return Readable.from(format === 'csv' ? toCsv(pages) : writeParquet(columns, toGroups(pages)), { objectMode: false })
}

async function* readPages(database: Database, order: ReportOrder): AsyncGenerator<ParquetValue[][]> {
  for (let after = 0; ;) {
    const page = { ...order, after, limit: pageCount }
    const items = await database.withTenant(order.tenantId, (tx) => listItems(tx, page))
    yield items.map(cellsOf)
    const last = items.at(-1)
    if (last === undefined || items.length < pageCount) return
    after = last.ordinal
  }
}

/** In the order of the columns. */
function cellsOf(row: ItemRow): ParquetValue[] {
  const { ordinal, reference, file_id, file_name, state, problem, job_id, round } = toItemResource(row)
  const { code = null, detail = null } = problem ?? {}
  return [ordinal, reference, file_id, file_name, state, code, detail, job_id, round, row.finished_at]
}

async function* toCsv(pages: AsyncIterable<ParquetValue[][]>): AsyncGenerator<string> {
  yield toCsvLine(columns.map(({ name }) => name))
  for await (const rows of pages) yield rows.map((cells) => toCsvLine(cells.map(toText))).join('')
}

const toText = (value: ParquetValue): string => (value instanceof Date ? value.toISOString() : String(value ?? ''))

async function* toGroups(pages: AsyncIterable<ParquetValue[][]>): AsyncGenerator<ParquetValue[][]> {
  let group: ParquetValue[][] = []
  for await (const rows of pages) {
    group = group.concat(rows)
    if (group.length < pageCount * groupPagesCount) continue
    yield group
    group = []
  }
  yield group
}
