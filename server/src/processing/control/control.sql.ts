// Statements over dead letters, and over what is asked of many of them or of many jobs at once.

import type { DeadLetterFilter, JobFilter } from '@millrace/contract'
import type { Sql } from '../../platform/database.ts'
import type { RowId } from '../../platform/ids.ts'
import type { StoredProblem } from '../engine-store.ts'

export type ControlKind = 'replay_dead_letters' | 'cancel_jobs'

export interface DeadLetterRow {
  id: RowId<'task'>
  job_id: RowId<'job'>
  file_id: RowId<'file'>
  file_name: string
  pipeline: string
  step: string
  ordinal: number
  processor: string
  attempt: number
  attempts_max: number
  lost_count: number
  parameters: unknown
  problem: StoredProblem | null
  finished_at: Date | null
}

const deadTables = `task t join job j on j.id = t.job_id join pipeline_version p on p.id = j.pipeline_version_id
  left join file f on f.id = j.file_id`
const deadColumns = `t.id, t.job_id, j.file_id, coalesce(f.name, '') as file_name, p.name as pipeline, t.step, t.ordinal,
  input_of(t) ->> 'processor' as processor, t.attempt, t.attempts_max, t.lost_count, input_of(t) -> 'parameters' as parameters,
  t.problem, t.finished_at`

type Place = (value: unknown) => string

const contains = (column: string, value: string, $: Place): string =>
  `strpos(lower(${column}), lower(${$(value)}::text)) > 0`

function deadConditions(filter: DeadLetterFilter, $: Place): string[] {
  const conditions = [`t.state = 'dead'`]
  if (filter.pipeline !== undefined) conditions.push(`p.name = ${$(filter.pipeline)}`)
  if (filter.processor !== undefined) conditions.push(`input_of(t) ->> 'processor' = ${$(filter.processor)}`)
  if (filter.code !== undefined) conditions.push(`t.problem ->> 'code' = ${$(filter.code)}`)
  if (filter.file_name !== undefined) conditions.push(contains('f.name', filter.file_name, $))
  if (filter.died_after !== undefined) conditions.push(`t.finished_at >= ${$(filter.died_after)}::timestamptz`)
  if (filter.died_before !== undefined) conditions.push(`t.finished_at < ${$(filter.died_before)}::timestamptz`)
  return conditions
}

function jobConditions(filter: JobFilter, $: Place): string[] {
  const conditions = [
    filter.status === undefined ? `j.state in ('queued', 'running', 'paused')` : `j.state = ${$(filter.status)}`,
  ]
  if (filter.pipeline !== undefined) conditions.push(`p.name = ${$(filter.pipeline)}`)
  if (filter.file_name !== undefined) conditions.push(contains('f.name', filter.file_name, $))
  if (filter.created_after !== undefined) conditions.push(`j.created_at >= ${$(filter.created_after)}::timestamptz`)
  if (filter.created_before !== undefined) conditions.push(`j.created_at < ${$(filter.created_before)}::timestamptz`)
  return conditions
}

export interface DeadPage {
  tenantId: number
  filter: DeadLetterFilter
  /** Older than this one. */
  before?: number
  limit: number
}

/** Newest first. */
export async function listDeadLetters(sql: Sql, page: DeadPage): Promise<DeadLetterRow[]> {
  const values: unknown[] = []
  const $ = (value: unknown): string => `$${values.push(value)}`
  const conditions = [`t.tenant_id = ${$(page.tenantId)}`, ...deadConditions(page.filter, $)]
  if (page.before !== undefined) conditions.push(`t.id < ${$(page.before)}`)
  const { rows } = await sql.query<DeadLetterRow>(
    `select ${deadColumns} from ${deadTables} where ${conditions.join(' and ')} order by t.id desc limit ${$(page.limit)}`,
    values,
  )
  return rows
}

export async function findDeadLetter(sql: Sql, tenantId: number, taskId: number): Promise<DeadLetterRow | undefined> {
  const { rows } = await sql.query<DeadLetterRow>(
    `select ${deadColumns} from ${deadTables} where t.tenant_id = $1 and t.id = $2 and t.state = 'dead'`,
    [tenantId, taskId],
  )
  return rows[0]
}

export interface AttemptRow {
  attempt: number
  outcome: string
  worker: string | null
  problem: StoredProblem | null
  started_at: Date | null
  ended_at: Date
}

/** The last ones, in their order. */
export async function listAttempts(sql: Sql, taskId: number, limit: number): Promise<AttemptRow[]> {
  const { rows } = await sql.query<AttemptRow>(
    `select attempt, outcome, worker, problem, started_at, ended_at from task_attempt where task_id = $1
     order by epoch desc limit $2`,
    [taskId, limit],
  )
  return rows.toReversed()
}

export interface ControlTaskRow {
  id: RowId<'control'>
  tenant_id: number
  kind: ControlKind
  filter: DeadLetterFilter & JobFilter
  state: 'running' | 'completed' | 'cancelled'
  upto_id: number
  cursor_id: number
  matched_count: number
  seen_count: number
  done_count: number
  skipped_count: number
  created_by: string
  created_at: Date
  finished_at: Date | null
}

/** Counts what is meant, up to a bound, and writes it down with where it begins. */
export async function insertControlTask(
  sql: Sql,
  control: {
    tenantId: number
    kind: ControlKind
    filter: DeadLetterFilter | JobFilter
    actor: string
    countMax: number
  },
): Promise<ControlTaskRow> {
  const values: unknown[] = []
  const $ = (value: unknown): string => `$${values.push(value)}`
  const dead = control.kind === 'replay_dead_letters'
  const tables = dead ? deadTables : jobTables
  const id = dead ? 't.id' : 'j.id'
  const conditions = dead ? deadConditions(control.filter, $) : jobConditions(control.filter, $)
  const { rows } = await sql.query<ControlTaskRow>(
    `with matched as (
       select ${id} from ${tables} where ${dead ? 't' : 'j'}.tenant_id = ${$(control.tenantId)}
         and ${conditions.join(' and ')} limit ${$(control.countMax)}
     )
     insert into control_task (tenant_id, kind, filter, matched_count, upto_id, cursor_id, created_by)
     select ${$(control.tenantId)}, ${$(control.kind)}, ${$(JSON.stringify(control.filter))}::jsonb, (select count(*) from matched),
       newest.id, newest.id + 1, ${$(control.actor)}
     from (select coalesce(max(id), 0) as id from ${dead ? 'task' : 'job'} where tenant_id = ${$(control.tenantId)}) newest
     returning *`,
    values,
  )
  // An insert that does not throw returns its row.
  return rows[0]!
}

const jobTables = `job j join pipeline_version p on p.id = j.pipeline_version_id left join file f on f.id = j.file_id`

/** The next jobs that are meant, from the newest on. */
export async function listMeantJobs(
  sql: Sql,
  page: { tenantId: number; filter: JobFilter; before: number; limit: number },
): Promise<number[]> {
  const values: unknown[] = []
  const $ = (value: unknown): string => `$${values.push(value)}`
  const { rows } = await sql.query<{ id: number }>(
    `select j.id from ${jobTables} where j.tenant_id = ${$(page.tenantId)} and j.id < ${$(page.before)}
       and ${jobConditions(page.filter, $).join(' and ')} order by j.id desc limit ${$(page.limit)}`,
    values,
  )
  return rows.map(({ id }) => id)
}

export async function findControlTask(sql: Sql, tenantId: number, id: number): Promise<ControlTaskRow | undefined> {
  const { rows } = await sql.query<ControlTaskRow>('select * from control_task where tenant_id = $1 and id = $2', [
    tenantId,
    id,
  ])
  return rows[0]
}

/** Newest first. */
export async function listControlTasks(
  sql: Sql,
  page: { tenantId: number; before?: number; limit: number },
): Promise<ControlTaskRow[]> {
  const { rows } = await sql.query<ControlTaskRow>(
    'select * from control_task where tenant_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3',
    [page.tenantId, page.before ?? null, page.limit],
  )
  return rows
}

/** Of all tenants. */
export async function listLiveControlTasks(sql: Sql, limit: number): Promise<ControlTaskRow[]> {
  const { rows } = await sql.query<ControlTaskRow>(
    'select * from control_task where finished_at is null order by id limit $1',
    [limit],
  )
  return rows
}

/** Writes how far it has come; nothing when somebody else has taken it further meanwhile. */
export async function moveControlTask(
  sql: Sql,
  moved: { id: number; from: number; to: number; done: number; skipped: number; ended: boolean },
): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update control_task set cursor_id = $3, seen_count = seen_count + $4::bigint + $5::bigint, done_count = done_count + $4::bigint,
       skipped_count = skipped_count + $5::bigint, state = case when $6 then 'completed' else state end,
       finished_at = case when $6 then now() end
     where id = $1 and cursor_id = $2 and state = 'running'`,
    [moved.id, moved.from, moved.to, moved.done, moved.skipped, moved.ended],
  )
  return rowCount > 0
}

/** False when it has ended. */
export async function cancelControlTask(sql: Sql, tenantId: number, id: number): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update control_task set state = 'cancelled', finished_at = now() where tenant_id = $1 and id = $2 and state = 'running'`,
    [tenantId, id],
  )
  return rowCount > 0
}
