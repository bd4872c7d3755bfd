// What became of each item, as CSV (RFC 4180): written while it is read from the database page by page, so that a report on
// ten million items takes as much memory as one on ten.

import { Readable } from 'node:stream'
import type { BatchItemState } from '@millrace/contract'
import type { Database } from '../../platform/database.ts'
import { listItems } from './batch.sql.ts'
import { toItemResource } from './batch-resource.ts'

const pageCount = 2_000
const columns = [
  'item',
  'reference',
  'file_id',
  'file_name',
  'state',
  'code',
  'detail',
  'job_id',
  'round',
  'finished_at',
]

export interface ReportOrder {
  tenantId: number
  batchId: number
  state?: BatchItemState
}

/** Pages are read one by one, so items that end meanwhile are told as they are when their page is read. */
export const readReport = (database: Database, order: ReportOrder): Readable => Readable.from(rows(database, order))

async function* rows(database: Database, order: ReportOrder): AsyncGenerator<string> {
  yield toLine(columns)
  for (let after = 0; ;) {
    const page = { ...order, after, limit: pageCount }
    const items = await database.withTenant(order.tenantId, (tx) => listItems(tx, page))
    yield items.map((row) => toLine(cellsOf(row))).join('')
    const last = items.at(-1)
    if (last === undefined || items.length < pageCount) return
    after = last.ordinal
  }
}

function cellsOf(row: Parameters<typeof toItemResource>[0]): string[] {
  const item = toItemResource(row)
  return [
    String(item.ordinal),
    item.reference ?? '',
    item.file_id ?? '',
    item.file_name ?? '',
    item.state,
    item.problem?.code ?? '',
    item.problem?.detail ?? '',
    item.job_id ?? '',
    String(item.round),
    item.finished_at ?? '',
  ]
}

const toLine = (cells: readonly string[]): string =>
  `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\r\n`
