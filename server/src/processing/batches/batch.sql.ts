// Statements over batches. Whoever moves items (batch-item.sql.ts) holds the lock of their batch and changes its counters in
// the same transaction, which is why these cannot drift; a CHECK of the table holds the sum.

import type { BatchItemState, BatchState } from '@millrace/contract'
import type { Sql } from '../../platform/database.ts'
import type { RowId } from '../../platform/ids.ts'
import type { StoredProblem } from '../engine-store.ts'
import type { BatchSource } from './batch-source.ts'

export interface BatchRow {
  id: RowId<'batch'>
  tenant_id: number
  name: string
  pipeline: string | null
  lane: number
  source: BatchSource
  state: BatchState
  concurrency: number
  tolerated_failure_percent: number | null
  planned_to: number
  planned_at: Date | null
  round: number
  redrive_states: BatchItemState[] | null
  redriven_to: number
  items_total: number
  items_pending: number
  items_running: number
  items_succeeded: number
  items_failed: number
  items_cancelled: number
  problem: StoredProblem | null
  schedule_id: RowId<'schedule'> | null
  created_by: string
  created_at: Date
  told_at: Date
  finished_at: Date | null
}

export interface NewBatch {
  tenantId: number
  name: string
  pipeline: string | null
  lane: number
  source: BatchSource
  concurrency: number
  toleratedFailurePercent: number | null
  scheduleId: RowId<'schedule'> | null
  createdBy: string
}

export async function insertBatch(sql: Sql, batch: NewBatch): Promise<RowId<'batch'>> {
  const { rows } = await sql.query<{ id: RowId<'batch'> }>(
    `insert into batch (tenant_id, name, pipeline, lane, source, concurrency, tolerated_failure_percent, schedule_id, created_by)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id`,
    [
      batch.tenantId,
      batch.name,
      batch.pipeline,
      batch.lane,
      JSON.stringify(batch.source),
      batch.concurrency,
      batch.toleratedFailurePercent,
      batch.scheduleId,
      batch.createdBy,
    ],
  )
  // An insert that does not throw returns its row.
  return rows[0]!.id
}

export async function findBatch(sql: Sql, tenantId: number, batchId: number): Promise<BatchRow | undefined> {
  const { rows } = await sql.query<BatchRow>('select * from batch where tenant_id = $1 and id = $2', [
    tenantId,
    batchId,
  ])
  return rows[0]
}

/** Holds the row until the transaction ends; nothing when another holds it and `wait` is not asked for. */
export async function lockBatch(
  sql: Sql,
  batch: { tenantId: number; batchId: number; wait: boolean },
): Promise<BatchRow | undefined> {
  const { rows } = await sql.query<BatchRow>(
    `select * from batch where tenant_id = $1 and id = $2 for update ${batch.wait ? '' : 'skip locked'}`,
    [batch.tenantId, batch.batchId],
  )
  return rows[0]
}

export interface BatchFilter {
  tenantId: number
  before?: number
  state?: BatchState
  scheduleId?: number
  limit: number
}

/** Newest first. */
export async function listBatches(sql: Sql, filter: BatchFilter): Promise<BatchRow[]> {
  const values: unknown[] = [filter.tenantId, filter.limit]
  const conditions = ['tenant_id = $1']
  const also = (condition: string, value: unknown): void => {
    if (value !== undefined) conditions.push(`${condition} $${values.push(value)}`)
  }
  also('id <', filter.before)
  also('state =', filter.state)
  also('schedule_id =', filter.scheduleId)
  const { rows } = await sql.query<BatchRow>(
    `select * from batch where ${conditions.join(' and ')} order by id desc limit $2`,
    values,
  )
  return rows
}

export async function countLiveBatches(sql: Sql, tenantId: number): Promise<number> {
  const { rows } = await sql.query<{ count: number }>(
    'select count(*)::int as count from batch where tenant_id = $1 and finished_at is null',
    [tenantId],
  )
  return rows[0]?.count ?? 0
}

/** Of all tenants, in the order of their ids. */
export async function listLiveBatches(
  sql: Sql,
  page: { after: number; limit: number },
): Promise<{ id: RowId<'batch'>; tenant_id: number }[]> {
  const { rows } = await sql.query<{ id: RowId<'batch'>; tenant_id: number }>(
    'select id, tenant_id from batch where finished_at is null and id > $1 order by id limit $2',
    [page.after, page.limit],
  )
  return rows
}

/** What its owner may change of it. */
export async function updateBatch(
  sql: Sql,
  batch: { batchId: number; state: BatchState; concurrency: number; toleratedFailurePercent: number | null },
): Promise<void> {
  await sql.query('update batch set state = $2, concurrency = $3, tolerated_failure_percent = $4 where id = $1', [
    batch.batchId,
    batch.state,
    batch.concurrency,
    batch.toleratedFailurePercent,
  ])
}

export type ItemCounts = Partial<Record<BatchItemState, number>>

/** Adds to the counters what has moved; what became more of all is the total. */
export async function addCounts(sql: Sql, batchId: number, counts: ItemCounts): Promise<void> {
  const { pending = 0, running = 0, succeeded = 0, failed = 0, cancelled = 0 } = counts
  await sql.query(
    `update batch set items_pending = items_pending + $2, items_running = items_running + $3,
       items_succeeded = items_succeeded + $4, items_failed = items_failed + $5, items_cancelled = items_cancelled + $6,
       items_total = items_total + $2::bigint + $3::bigint + $4::bigint + $5::bigint + $6::bigint
     where id = $1`,
    [batchId, pending, running, succeeded, failed, cancelled],
  )
}

export async function setPlanned(sql: Sql, batch: { batchId: number; to: number; ended: boolean }): Promise<void> {
  await sql.query('update batch set planned_to = $2, planned_at = case when $3 then now() end where id = $1', [
    batch.batchId,
    batch.to,
    batch.ended,
  ])
}

export async function setStopping(sql: Sql, batchId: number, problem: StoredProblem): Promise<void> {
  await sql.query(
    `update batch set state = 'stopping', problem = $2, planned_at = coalesce(planned_at, now()), redrive_states = null
     where id = $1`,
    [batchId, JSON.stringify(problem)],
  )
}

export async function endBatch(sql: Sql, batchId: number, state: BatchState): Promise<void> {
  await sql.query('update batch set state = $2, finished_at = now() where id = $1', [batchId, state])
}

export async function reopenBatch(sql: Sql, batchId: number, states: readonly BatchItemState[]): Promise<void> {
  await sql.query(
    `update batch set state = 'running', finished_at = null, problem = null, round = round + 1, redrive_states = $2::text[],
       redriven_to = 0 where id = $1`,
    [batchId, states],
  )
}

export async function setRedriven(sql: Sql, batch: { batchId: number; to: number; ended: boolean }): Promise<void> {
  await sql.query(
    'update batch set redriven_to = $2, redrive_states = case when not $3 then redrive_states end where id = $1',
    [batch.batchId, batch.to, batch.ended],
  )
}

/** At most one event of progress a second; false when there was one just now. */
export async function touchTold(sql: Sql, batchId: number, everyMs: number): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update batch set told_at = now() where id = $1 and told_at < now() - $2 * interval '1 ms'`,
    [batchId, everyMs],
  )
  return rowCount > 0
}

export async function insertBatchEvent(
  sql: Sql,
  event: { tenantId: number; type: 'batch.progress' | 'batch.ended'; data: Record<string, unknown> },
): Promise<void> {
  await sql.query('insert into outbox (tenant_id, type, data) values ($1, $2, $3)', [
    event.tenantId,
    event.type,
    JSON.stringify(event.data),
  ])
}
