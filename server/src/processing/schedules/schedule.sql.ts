import type { BatchOrder } from '@millrace/contract'
import type { Sql } from '../../platform/database.ts'
import type { RowId } from '../../platform/ids.ts'
import type { StoredProblem } from '../engine-store.ts'

export interface ScheduleFields {
  name: string
  cron: string
  time_zone: string
  missed_ticks: 'skip' | 'once' | 'all'
  overlap: boolean
  /** What a tick starts: one of these. */
  batch: BatchOrder | null
  import_source_id: RowId<'import_source'> | null
  state: 'active' | 'paused'
  next_tick_at: Date | null
}

export interface ScheduleRow extends ScheduleFields {
  id: RowId<'schedule'>
  tenant_id: number
  problem: StoredProblem | null
  created_by: string
  created_at: Date
  last_tick_at: Date | null
  last_outcome: TickOutcome | null
  last_batch_id: RowId<'batch'> | null
}

export type TickOutcome = 'started' | 'skipped_overlap' | 'skipped_missed' | 'failed'

const columns = `s.*, t.tick_at as last_tick_at, t.outcome as last_outcome, t.batch_id as last_batch_id`
const tables = `schedule s left join lateral
  (select tick_at, outcome, batch_id from schedule_tick where schedule_id = s.id order by tick_at desc limit 1) t on true`

const valuesOf = (fields: ScheduleFields): unknown[] => [
  fields.name,
  fields.cron,
  fields.time_zone,
  fields.missed_ticks,
  fields.overlap,
  fields.batch && JSON.stringify(fields.batch),
  fields.import_source_id,
  fields.state,
  fields.next_tick_at,
]

export async function insertSchedule(
  sql: Sql,
  tenantId: number,
  createdBy: string,
  fields: ScheduleFields,
): Promise<RowId<'schedule'>> {
  const { rows } = await sql.query<{ id: RowId<'schedule'> }>(
    `insert into schedule (tenant_id, created_by, name, cron, time_zone, missed_ticks, overlap, batch, import_source_id, state,
       next_tick_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning id`,
    [tenantId, createdBy, ...valuesOf(fields)],
  )
  // An insert that does not throw returns its row.
  return rows[0]!.id
}

export async function updateSchedule(sql: Sql, id: number, fields: ScheduleFields): Promise<void> {
  await sql.query(
    `update schedule set name = $2, cron = $3, time_zone = $4, missed_ticks = $5, overlap = $6, batch = $7,
       import_source_id = $8, state = $9, next_tick_at = $10, problem = null where id = $1`,
    [id, ...valuesOf(fields)],
  )
}

export async function findSchedule(sql: Sql, tenantId: number, id: number): Promise<ScheduleRow | undefined> {
  const { rows } = await sql.query<ScheduleRow>(
    `select ${columns} from ${tables} where s.tenant_id = $1 and s.id = $2`,
    [tenantId, id],
  )
  return rows[0]
}

/** Held until the transaction ends; nothing when another process holds it. */
export async function lockDueSchedule(sql: Sql, id: number, now: Date): Promise<ScheduleRow | undefined> {
  const { rows } = await sql.query<ScheduleRow>(
    'select * from schedule where id = $1 and next_tick_at <= $2 for update skip locked',
    [id, now],
  )
  return rows[0]
}

/** Newest first. */
export async function listSchedules(
  sql: Sql,
  page: { tenantId: number; before?: number; limit: number },
): Promise<ScheduleRow[]> {
  const { rows } = await sql.query<ScheduleRow>(
    `select ${columns} from ${tables} where s.tenant_id = $1 and ($2::bigint is null or s.id < $2)
     order by s.id desc limit $3`,
    [page.tenantId, page.before ?? null, page.limit],
  )
  return rows
}

export async function countSchedules(sql: Sql, tenantId: number): Promise<number> {
  const { rows } = await sql.query<{ count: number }>(
    'select count(*)::int as count from schedule where tenant_id = $1',
    [tenantId],
  )
  return rows[0]?.count ?? 0
}

export interface DueSchedule {
  id: RowId<'schedule'>
  tenant_id: number
  next_tick_at: Date
}

/** Of all tenants, in the order of their ids. */
export async function listDueSchedules(
  sql: Sql,
  page: { now: Date; after: number; limit: number },
): Promise<DueSchedule[]> {
  const { rows } = await sql.query<DueSchedule>(
    'select id, tenant_id, next_tick_at from schedule where next_tick_at <= $1 and id > $2 order by id limit $3',
    [page.now, page.after, page.limit],
  )
  return rows
}

export async function deleteSchedule(sql: Sql, tenantId: number, id: number): Promise<boolean> {
  const { rowCount } = await sql.query('delete from schedule where tenant_id = $1 and id = $2', [tenantId, id])
  return rowCount > 0
}

export async function hasLiveBatch(sql: Sql, scheduleId: number): Promise<boolean> {
  const { rowCount } = await sql.query('select from batch where schedule_id = $1 and finished_at is null limit 1', [
    scheduleId,
  ])
  return rowCount > 0
}

export async function findImportSource(
  sql: Sql,
  tenantId: number,
  id: number,
): Promise<{ state: 'active' | 'paused'; isBusy: boolean } | undefined> {
  const { rows } = await sql.query<{ state: 'active' | 'paused'; busy: boolean }>(
    `select state, coalesce(lease_until > now(), false) or coalesce(next_run_at <= now(), false) as busy
     from import_source where tenant_id = $1 and id = $2`,
    [tenantId, id],
  )
  const [row] = rows
  return row && { state: row.state, isBusy: row.busy }
}

/** Whoever looks through import sources (upload/import/import-sources.ts) finds that its turn has come. */
export async function startImport(sql: Sql, tenantId: number, id: number): Promise<void> {
  await sql.query('update import_source set next_run_at = now() where tenant_id = $1 and id = $2', [tenantId, id])
}

/** False when the tick was fired before. */
export async function insertTick(sql: Sql, tick: { tenantId: number; scheduleId: number; at: Date }): Promise<boolean> {
  const { rowCount } = await sql.query(
    `insert into schedule_tick (tenant_id, schedule_id, tick_at, outcome) values ($1, $2, $3, 'started')
     on conflict do nothing`,
    [tick.tenantId, tick.scheduleId, tick.at],
  )
  return rowCount > 0
}

export async function endTick(
  sql: Sql,
  tick: { scheduleId: number; at: Date; outcome: TickOutcome; batchId: number | null },
): Promise<void> {
  await sql.query('update schedule_tick set outcome = $3, batch_id = $4 where schedule_id = $1 and tick_at = $2', [
    tick.scheduleId,
    tick.at,
    tick.outcome,
    tick.batchId,
  ])
}

export async function setNextTick(
  sql: Sql,
  next: { scheduleId: number; at: Date | null; problem: StoredProblem | null },
): Promise<void> {
  await sql.query('update schedule set next_tick_at = $2, problem = $3 where id = $1', [
    next.scheduleId,
    next.at,
    next.problem === null ? null : JSON.stringify(next.problem),
  ])
}
