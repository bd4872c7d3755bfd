import { lanes, type BatchItemResource, type BatchResource, type Lane } from '@millrace/contract'
import { encodeId, type RowId } from '../../platform/ids.ts'
import { toStoredProblem } from '../../platform/problem.ts'
import type { ItemRow } from './batch-item.sql.ts'
import type { BatchRow } from './batch.sql.ts'
import type { BatchSource } from './batch-source.ts'

/** A CHECK keeps the column within the list. */
export const laneOf = (row: Pick<BatchRow, 'lane'>): Lane => lanes[row.lane] ?? 'bulk'

export const toBatchResource = (row: BatchRow): BatchResource => ({
  batch_id: encodeId('batch', row.id),
  name: row.name,
  pipeline: row.pipeline,
  priority: laneOf(row),
  source: toSource(row.source),
  status: row.state,
  progress: progressOf(row),
  concurrency: row.concurrency,
  tolerated_failure_percent: row.tolerated_failure_percent,
  planned: row.planned_at !== null,
  round: row.round,
  items: countsOf(row),
  problem: toStoredProblem(row.problem),
  schedule_id: row.schedule_id === null ? null : encodeId('schedule', row.schedule_id),
  created_at: row.created_at.toISOString(),
  finished_at: row.finished_at?.toISOString() ?? null,
})

/** What an event tells; a batch has no other row there. */
export const toBatchEvent = (row: BatchRow): Record<string, unknown> => ({
  batch_id: encodeId('batch', row.id),
  status: row.state,
  progress: progressOf(row),
  items: countsOf(row),
})

export const toItemResource = (row: ItemRow): BatchItemResource => ({
  ordinal: row.ordinal,
  reference: row.reference,
  file_id: row.file_id === null ? null : encodeId('file', row.file_id),
  file_name: row.file_name,
  job_id: row.job_id === null ? null : encodeId('job', row.job_id),
  state: row.state,
  round: row.round,
  problem: toStoredProblem(row.problem),
  finished_at: row.finished_at?.toISOString() ?? null,
})

const countsOf = (row: BatchRow): BatchResource['items'] => ({
  total: row.items_total,
  pending: row.items_pending,
  running: row.items_running,
  succeeded: row.items_succeeded,
  failed: row.items_failed,
  cancelled: row.items_cancelled,
})

function progressOf(row: BatchRow): number {
  if (row.finished_at !== null) return 100
  if (row.items_total === 0) return 0
  const ended = row.items_total - row.items_pending - row.items_running
  return Math.min(99.9, Math.floor((ended / row.items_total) * 1_000) / 10)
}

function toSource(source: BatchSource): BatchResource['source'] {
  if (source.kind === 'query') return { query: source.query }
  // The column holds the row id of a file.
  const file = source.kind === 'file' && { file_id: encodeId('file', source.fileId as RowId<'file'>) }
  return { manifest: { format: source.format, ...file } }
}
