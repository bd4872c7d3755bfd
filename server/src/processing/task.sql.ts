// Statements over tasks. A fence is tested by `id = any(ids)` and the epoch that stands at the id's place among them: a join
// is quadratic, or walks the lease index, depending on the statistics. The ids are in order, so that a place is found by
// halves. Beside a fence the state is compared as text: otherwise the indexes of tasks in that state are consulted as well,
// and all of them are walked to find these few.

import type { TaskState } from '@millrace/contract'
import type { Sql, Tx } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import type {
  ClaimedTask,
  ContinuationWish,
  Expansion,
  NewTask,
  ResultLimits,
  Settlement,
  StepResult,
  TaskFence,
} from './engine-store.ts'
import { toJobFile, type StepFileRow } from './job-file.sql.ts'
import { taskOpenStates } from './states.ts'
import type { TaskInput, TaskInputFile } from './task.ts'

/** The place of a row's task among those in $1. */
const placeOf = (alias: string): string => `width_bucket(${alias}.id, $1::bigint[])`
const place = placeOf('t')
const fenceCondition = `t.id = any($1::bigint[]) and t.lease_epoch = ($2::int[])[${place}]`
const quoted = (states: readonly TaskState[]): string => states.map((state) => `'${state}'`).join(', ')

/** As fenced statements expect them; of a task that is named twice the later epoch counts. */
const inOrder = <Fence extends TaskFence>(fences: readonly Fence[]): Fence[] =>
  fences.toSorted((a, b) => a.taskId - b.taskId || a.epoch - b.epoch)

/** Parameters $1 and $2 of a fenced statement. */
const fenceValues = (fences: readonly TaskFence[]): [number[], number[]] => [
  fences.map(({ taskId }) => taskId),
  fences.map(({ epoch }) => epoch),
]

/** A task in the hands of a worker. */
export interface HeldTaskRow {
  id: number
  lease_epoch: number
  tenant_id: number
  job_id: number
  step: string
  ordinal: number
  attempt: number
  attempts_max: number
}

export interface ClaimedTaskRow extends HeldTaskRow, StepFileRow {
  job_id: RowId<'job'>
  lane: number
  rank: number
  cost_ms: number
  /** Null: it has that of its step. */
  input: TaskInput | null
  /** Of its step: there the version of the pipeline, the file and step_input are told, once for all tasks of the step. */
  is_first: boolean
  pipeline_version_id: number
  /** What tasks have that are for an output each, in front of whose files stands that output. */
  step_input: TaskInput | null
  output_name: string
  output_type: string
  output_bytes: number
  output_sha256: string
  output_object: string
  output_step: string
}

const claimedColumns = `t.id, t.lease_epoch, t.tenant_id, t.job_id, t.step, t.ordinal, t.attempt, t.attempts_max, t.lane,
  t.rank, t.cost_ms, t.input, t.output_id`

/** Follows "with claimed as (…)": tells of steps and jobs that start with it, and fetches what the worker needs. */
const beginClaimed = `, started_steps as (
    update job_step s set state = 'running', started_at = coalesce(s.started_at, now())
    from (select distinct job_id, step from claimed) c
    where s.job_id = c.job_id and s.name = c.step and s.state = 'waiting'
    returning s.job_id, s.name, s.tenant_id, s.tasks_total
  ), started_jobs as (
    update job j set state = 'running', started_at = coalesce(j.started_at, now())
    where j.id = any(array(select distinct job_id from claimed)) and j.state = 'queued'
  ), told as (
    insert into outbox (tenant_id, type, job_id, file_id, data)
    select s.tenant_id, 'step.started', s.job_id, j.file_id,
      jsonb_build_object('step', s.name, 'tasks_total', s.tasks_total, 'progress', j.progress_percent)
    from started_steps s join job j on j.id = s.job_id
  )
  select c.*, i.*, coalesce(o.name, '') as output_name, coalesce(o.content_type, '') as output_type,
    coalesce(o.size_bytes, 0) as output_bytes, coalesce(o.sha256, '') as output_sha256,
    coalesce(o.object_id, '') as output_object, coalesce(o.step, '') as output_step
  from (select *, row_number() over (partition by job_id, step) = 1 as is_first from claimed) c
    left join lateral (
      select s.input as step_input, j.pipeline_version_id, j.file_id, coalesce(f.name, '') as name,
        coalesce(v.content_type, f.content_type, 'application/octet-stream') as content_type, v.declared_type,
        coalesce(v.size_bytes, f.size_bytes, 0) as size_bytes, coalesce(v.sha256, f.sha256, '') as sha256,
        coalesce(f.metadata, '{}') as metadata, coalesce(f.depth, 0) as depth
      from job j left join job_step s on s.job_id = j.id and s.name = c.step
        left join file f on f.id = j.file_id
        left join file_version v on v.file_id = j.file_id and v.number = j.file_version
      where c.is_first and j.id = c.job_id limit 1) i on true
    left join output o on o.id = c.output_id`

/** What was offered, in one round trip. */
export async function claimTasks(
  sql: Sql,
  claim: { fences: readonly TaskFence[]; leaseMs: number; worker: string },
): Promise<ClaimedTaskRow[]> {
  const { rows } = await sql.query<ClaimedTaskRow>(
    `with claimed as (
       update task t set state = 'running', attempt = t.attempt + 1, worker = $4, started_at = now(), finished_at = null,
         lease_until = clock_timestamp() + $3 * interval '1 ms'
       where ${fenceCondition} and t.state::text = 'dispatched'
         and (select j.state in ('queued', 'running') and j.cancel_requested_at is null from job j where j.id = t.job_id)
       returning ${claimedColumns}
     )${beginClaimed}`,
    [...fenceValues(inOrder(claim.fences)), claim.leaseMs, claim.worker],
  )
  return rows
}

/**
 * What waits in the backlog, admitted and claimed in one, as admit_tasks admits it. Nothing for whoever does not lead any more.
 * One statement that sees one moment: from within a function, tasks could be seen whose jobs are not.
 */
export async function startTasks(
  sql: Sql,
  start: {
    pool: number
    orders: readonly { lane: number; tenantId: number; count: number }[]
    leaseMs: number
    worker: string
    leadership: { shard: number; owner: string; epoch: number }
  },
): Promise<ClaimedTaskRow[]> {
  const { pool, orders, leaseMs, worker, leadership } = start
  const { rows } = await sql.query<ClaimedTaskRow>(
    `with lead as (
       select 1 as leads from scheduler_lease l
       where l.shard = $7::smallint and l.owner = $8 and l.epoch = $9 and l.until > clock_timestamp() for share
     ), picked as (
       select s.at, s.job_id from unnest($2::smallint[], $3::bigint[], $4::int[]) as w(lane, tenant_id, count) cross join lateral
         (select q.ctid as at, q.job_id from task q
          where q.state = 'queued' and q.pool = $1::smallint and q.lane = w.lane and q.tenant_id = w.tenant_id
          order by q.rank limit w.count for update skip locked) s
       where exists (select from lead)
     ), live as (
       select j.id from job j
       where j.id = any(array(select distinct job_id from picked)) and j.state in ('queued', 'running') and j.cancel_requested_at is null
     ), claimed as (
       update task t set state = 'running', lease_epoch = t.lease_epoch + 1, attempt = t.attempt + 1, worker = $6,
         started_at = now(), finished_at = null, lease_until = clock_timestamp() + $5 * interval '1 ms'
       where t.ctid = any(array(select at from picked where job_id = any(array(select id from live))))
       returning ${claimedColumns}
     ), of_tenants as (
       update tenant_schedule s set
         virtual_ms = array[greatest(s.virtual_ms[1], n.lane_0), greatest(s.virtual_ms[2], n.lane_1),
           greatest(s.virtual_ms[3], n.lane_2)],
         starts_from = coalesce(spend_tokens(s.starts_per_second, s.starts_from, n.count), s.starts_from)
       from (select a.tenant_id, count(*) as count, max(a.rank) filter (where a.lane = 0) as lane_0,
           max(a.rank) filter (where a.lane = 1) as lane_1, max(a.rank) filter (where a.lane = 2) as lane_2
         from claimed a group by a.tenant_id) n
       where s.tenant_id = n.tenant_id
     ), of_pool as (
       update pool_schedule p set starts_from = spend_tokens(p.starts_per_second, p.starts_from, n.count)
       from (select count(*) as count from claimed) n
       where p.pool = $1::smallint and p.starts_per_second is not null and n.count > 0
     )${beginClaimed}`,
    [
      pool,
      orders.map(({ lane }) => lane),
      orders.map(({ tenantId }) => tenantId),
      orders.map(({ count }) => count),
      leaseMs,
      worker,
      leadership.shard,
      leadership.owner,
      leadership.epoch,
    ],
  )
  return rows
}

export function toClaimedTasks(rows: readonly ClaimedTaskRow[]): ClaimedTask[] {
  const stepOf = (row: ClaimedTaskRow): string => `${row.job_id} ${row.step}`
  const ofSteps = new Map(rows.filter((row) => row.is_first).map((row) => [stepOf(row), toOfStep(row)]))
  return rows.map((row) => {
    const { input, ...ofJob } = ofSteps.get(stepOf(row))! // Every step has a first.
    return {
      ...toHeldTask(row),
      jobId: row.job_id,
      input: row.input ?? { ...input!, files: [toOutputFile(row), ...input!.files] }, // The step's was written before it.
      ...ofJob,
    }
  })
}

export const toHeldTask = (row: HeldTaskRow) => ({
  taskId: row.id,
  epoch: row.lease_epoch,
  tenantId: row.tenant_id,
  jobId: row.job_id,
  step: row.step,
  ordinal: row.ordinal,
  attempt: row.attempt,
  attemptsMax: row.attempts_max,
})

const toOfStep = (row: ClaimedTaskRow) => ({
  pipelineVersionId: row.pipeline_version_id,
  file: toJobFile(row),
  input: row.step_input,
})

const toOutputFile = (row: ClaimedTaskRow): TaskInputFile => ({
  name: row.output_name,
  contentType: row.output_type,
  sizeBytes: row.output_bytes,
  sha256: row.output_sha256,
  objectId: row.output_object,
  from: row.output_step,
})

export async function extendLeases(
  sql: Sql,
  fences: readonly TaskFence[],
  leaseMs: number,
): Promise<{ id: number; cancelled: boolean }[]> {
  const { rows } = await sql.query<{ id: number; cancelled: boolean }>(
    `update task t set lease_until = clock_timestamp() + $3 * interval '1 ms'
     where ${fenceCondition} and t.state::text = 'running'
     returning t.id, coalesce((select j.cancel_requested_at is not null from job j where j.id = t.job_id), true) as cancelled`,
    [...fenceValues(inOrder(fences)), leaseMs],
  )
  return rows
}

type SettlementTo<To extends Settlement['to']> = TaskFence & Extract<Settlement, { to: To }>

/** With its result row, which tells of the attempt that made it; answers whose fence held. */
export async function succeedTasks(sql: Sql, settlements: readonly SettlementTo<'succeeded'>[]): Promise<number[]> {
  const settled = inOrder(settlements)
  const { rows } = await sql.query<{ id: number }>(
    `with done as (
       update task t set state = 'succeeded', lease_until = null, problem = null, finished_at = now()
       where ${fenceCondition} and t.state::text = 'running'
       returning t.id, t.tenant_id, t.job_id, t.step, t.ordinal, t.lease_epoch
     ), results as (
       insert into task_result (task_id, tenant_id, job_id, step, ordinal, epoch, result, found_text, records_count, duration_ms)
       select d.id, d.tenant_id, d.job_id, d.step, d.ordinal, d.lease_epoch, ($3::text[])[r.at]::jsonb, ($4::text[])[r.at],
         ($5::bigint[])[r.at], ($6::int[])[r.at]
       from done d cross join lateral (select ${placeOf('d')} as at offset 0) r
     )
     select id from done`,
    [
      ...fenceValues(settled),
      // To find a place in these the server counts from the first.
      valuesOrNone(settled.map(({ result }) => (result === null ? null : JSON.stringify(result)))),
      valuesOrNone(settled.map(({ foundText }) => foundText)),
      valuesOrNone(settled.map(({ recordsCount }) => recordsCount)),
      settled.map(({ durationMs }) => Math.min(durationMs, 2 ** 31 - 1)),
    ],
  )
  return rows.map(({ id }) => id)
}

const valuesOrNone = <Value>(values: (Value | null)[]): (Value | null)[] | null =>
  values.some((value) => value !== null) ? values : null

/** Every other end of an attempt, with a row that tells of it; answers whose fence held. */
export async function failTasks(
  sql: Sql,
  settlements: readonly Exclude<Settlement, { to: 'succeeded' }>[],
): Promise<number[]> {
  const settled = inOrder(settlements)
  const outcomeOf = (each: (typeof settled)[number]): string => {
    if (each.to === 'delayed') return 'retry'
    if (each.to === 'queued') return each.lost ? 'lost' : 'released'
    return each.to
  }
  const isLost = (each: (typeof settled)[number]): boolean => 'lost' in each && each.lost
  const { rows } = await sql.query<{ id: number }>(
    `with ended as (
       update task t set
         state = ($3::text[])[${place}]::task_state,
         attempt = t.attempt - case when ($3::text[])[${place}] = 'queued' then 1 else 0 end,
         lost_count = t.lost_count + case when ($6::boolean[])[${place}] then 1 else 0 end,
         lease_epoch = t.lease_epoch + case when ($7::boolean[])[${place}] then 1 else 0 end,
         run_at = case when ($3::text[])[${place}] = 'delayed' then now() + ($4::int[])[${place}] * interval '1 ms' else t.run_at end,
         problem = ($5::text[])[${place}]::jsonb,
         lease_until = null,
         finished_at = case when ($3::text[])[${place}] in ('dead', 'cancelled') then now() end
       where ${fenceCondition} and t.state::text = 'running' and (not ($6::boolean[])[${place}] or t.lease_until < now())
       returning t.id, t.tenant_id, t.lease_epoch, t.attempt, t.worker, t.problem, t.started_at, t.state
     ), attempts as (
       insert into task_attempt (task_id, tenant_id, epoch, attempt, worker, outcome, problem, started_at)
       select e.id, e.tenant_id, ($9::int[])[${placeOf('e')}],
         e.attempt + case when e.state = 'queued' then 1 else 0 end, e.worker,
         ($8::text[])[${placeOf('e')}], e.problem, e.started_at from ended e
     )
     select id from ended`,
    [
      ...fenceValues(settled),
      settled.map(({ to }) => to),
      settled.map((each) => (each.to === 'delayed' ? each.delayMs : 0)),
      settled.map((each) => ('problem' in each ? JSON.stringify(each.problem) : null)),
      settled.map(isLost),
      settled.map((each) => each.to === 'cancelled' && each.force === true),
      settled.map(outcomeOf),
      settled.map(({ epoch }) => epoch),
    ],
  )
  return rows.map(({ id }) => id)
}

export function insertTasks(tx: Pick<Tx, 'send'>, tasks: readonly NewTask[]): void {
  tx.send(
    `insert into task (tenant_id, job_id, step, ordinal, lane, state, rank, cost_ms, attempts_max, input)
     select tenant_id, job_id, step, ordinal, lane, 'queued', rank, cost_ms, attempts_max, input::jsonb
     from unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::smallint[], $6::bigint[], $7::int[], $8::smallint[], $9::text[])
       as t(tenant_id, job_id, step, ordinal, lane, rank, cost_ms, attempts_max, input)`,
    taskValues(tasks),
  )
}

/** Nine parameters of an insert. */
export const taskValues = (tasks: readonly NewTask[]): unknown[] => [
  tasks.map(({ tenantId }) => tenantId),
  tasks.map(({ jobId }) => jobId),
  tasks.map(({ step }) => step),
  tasks.map(({ ordinal }) => ordinal),
  tasks.map(({ lane }) => lane),
  tasks.map(({ rank }) => rank),
  tasks.map(({ costMs }) => costMs),
  tasks.map(({ attemptsMax }) => attemptsMax),
  tasks.map(({ input }) => JSON.stringify(input)),
]

/** Created, admitted and claimed in one, so with the first epoch and the first attempt. */
export async function insertRunningTasks(
  sql: Sql,
  tasks: readonly NewTask[],
  claim: { leaseMs: number; worker: string },
): Promise<number[]> {
  const { rows } = await sql.query<{ id: number; job_id: number; step: string }>(
    `insert into task (tenant_id, job_id, step, ordinal, lane, state, rank, cost_ms, attempts_max, input, lease_epoch, attempt,
       worker, started_at, lease_until)
     select tenant_id, job_id, step, ordinal, lane, 'running', rank, cost_ms, attempts_max, input::jsonb, 1, 1, $10, now(),
       clock_timestamp() + $11 * interval '1 ms'
     from unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::smallint[], $6::bigint[], $7::int[], $8::smallint[], $9::text[])
       as t(tenant_id, job_id, step, ordinal, lane, rank, cost_ms, attempts_max, input)
     returning id, job_id, step`,
    [...taskValues(tasks), claim.worker, claim.leaseMs],
  )
  const ids = new Map(rows.map(({ id, job_id: jobId, step }) => [`${jobId} ${step}`, id]))
  // One of each step of a job; an insert that does not throw returns every row.
  return tasks.map(({ jobId, step }) => ids.get(`${jobId} ${step}`)!)
}

/** Probes of the backlog's index, of what is offered, and of what is in flight where there is a cap. */
export async function listContinuing(sql: Sql, pool: number, wishes: readonly ContinuationWish[]): Promise<number[]> {
  const { rows } = await sql.query<{ tenant_id: number }>(
    `select w.tenant_id
     from unnest($2::bigint[], $3::smallint[], $4::int[]) as w(tenant_id, lane, count)
       left join tenant_schedule s on s.tenant_id = w.tenant_id
     where not coalesce(s.paused, false) and s.starts_per_second is null
       and not exists (select from pool_schedule p where p.pool = $1 and (p.paused or p.starts_per_second is not null))
       and not exists (select from task q where q.pool = $1 and q.state = 'dispatched'
         and (q.tenant_id <> w.tenant_id or q.lane < w.lane))
       and not exists (select from generate_series(0, 2) as l(lane) cross join lateral (
           (select q.id from task q where q.state = 'queued' and q.pool = $1 and q.lane = l.lane and q.tenant_id < w.tenant_id
            order by q.lane, q.tenant_id limit 1)
           union all
           (select q.id from task q where q.state = 'queued' and q.pool = $1 and q.lane = l.lane and q.tenant_id > w.tenant_id
            order by q.lane, q.tenant_id limit 1)
           union all
           (select q.id from task q where q.state = 'queued' and q.pool = $1 and q.lane = l.lane and q.tenant_id = w.tenant_id
              and l.lane < w.lane order by q.rank limit 1)) waiting)
       and (coalesce(s.running_max, 1000000) >= 1000000 or s.running_max >= w.count + (select count(*) from task_in_flight f
         where f.tenant_id = w.tenant_id))`,
    [pool, wishes.map(({ tenantId }) => tenantId), wishes.map(({ lane }) => lane), wishes.map(({ count }) => count)],
  )
  return rows.map(({ tenant_id: tenantId }) => tenantId)
}

/** A task for each of the next outputs of another step; what they have in common is written with the first of them. */
export async function expandStep(
  sql: Sql,
  expansion: Expansion,
): Promise<{ count: number; last_output_id: number | null }> {
  const { rows } = await sql.query<{ count: number; last_output_id: number | null }>(
    `with first as (
       select coalesce((select max(ordinal) from task where job_id = $2 and step = $3), -1) + 1 as ordinal,
         coalesce((select rank from task where job_id = $2 and step = $3 and ordinal = 0), $6::bigint) as rank,
         coalesce((select cost_ms from task where job_id = $2 and step = $3 and ordinal = 0), $7::int) as cost_ms
     ), shared as (
       update job_step set input = $9::jsonb where job_id = $2 and name = $3 and ($12::boolean or input is null)
     ), source as (
       select o.id, row_number() over (order by o.id) - 1 as place from list_outputs_after($2, $4, $10, $11) as o(id)
     ), created as (
       insert into task (tenant_id, job_id, step, ordinal, lane, state, rank, cost_ms, attempts_max, output_id)
       select $1, $2, $3, f.ordinal + s.place, $5::smallint, 'queued', f.rank + (f.ordinal + s.place) * f.cost_ms, f.cost_ms,
         $8::smallint, s.id
       from source s, first f
     )
     select count(*)::int as count, max(id) as last_output_id from source`,
    [
      expansion.tenantId,
      expansion.jobId,
      expansion.step,
      expansion.each,
      expansion.lane,
      expansion.first?.rank ?? 0,
      expansion.first?.costMs ?? 0,
      expansion.attemptsMax,
      JSON.stringify(expansion.input),
      expansion.afterOutputId,
      expansion.limit,
      expansion.first !== undefined,
    ],
  )
  // A select of aggregates has one row.
  return rows[0]!
}

/** Passes over what a worker is claiming at this moment; whoever cancels comes again. */
export async function cancelIdleTasks(
  sql: Sql,
  jobIds: readonly number[],
  limit: number,
): Promise<{ job_id: number; step: string; count: number }[]> {
  const { rows } = await sql.query<{ job_id: number; step: string; count: number }>(
    'select job_id, step, count from cancel_idle_tasks($1::bigint[], $2)',
    [jobIds, limit],
  )
  return rows
}

/** Passes over what is being admitted or claimed at this moment, and counts it as left. */
export async function holdTasks(sql: Sql, jobId: number, limit: number): Promise<boolean> {
  const { rows } = await sql.query<{ left: boolean }>('select hold_tasks($1, $2) as left', [jobId, limit])
  return rows[0]?.left ?? false
}

export async function releaseTasks(sql: Sql, jobId: number, limit: number): Promise<boolean> {
  const { rows } = await sql.query<{ left: boolean }>('select release_tasks($1, $2) as left', [jobId, limit])
  return rows[0]?.left ?? false
}

export async function countOpenTasks(sql: Sql, jobId: number, step: string): Promise<number> {
  const { rows } = await sql.query<{ count: number }>(
    `select count(*)::int as count from task where job_id = $1 and step = $2 and state in (${quoted(taskOpenStates)})`,
    [jobId, step],
  )
  return rows[0]?.count ?? 0
}

export async function requeueEndedTasks(sql: Sql, jobId: number, step: string): Promise<number> {
  const { rowCount } = await sql.query(
    `update task set state = 'queued', attempt = 0, lost_count = 0, problem = null, run_at = now(), finished_at = null
     where job_id = $1 and step = $2 and state in ('dead', 'cancelled', 'skipped')`,
    [jobId, step],
  )
  return rowCount
}

/** Tasks, archived or not, results and outputs of these steps; objects that belong to nothing any more are swept later. */
export async function deleteStepWork(sql: Sql, jobId: number, steps: readonly string[]): Promise<void> {
  await sql.query(
    `with outputs as (delete from output where job_id = $1 and step = any($2::text[])),
       results as (delete from task_result where job_id = $1 and step = any($2::text[])),
       archived as (update job_step set attempts = 0, tasks_archived = 0 where job_id = $1 and name = any($2::text[]))
     delete from task where job_id = $1 and step = any($2::text[])`,
    [jobId, steps],
  )
}

interface ResultRow {
  job_id: RowId<'job'>
  step: string
  ordinal: number
  result: unknown
}

/** In the order of their ordinals; what is too long is left out. */
export async function listResults(
  sql: Sql,
  of: readonly { jobId: number; step: string }[],
  limits: ResultLimits,
): Promise<StepResult[]> {
  const { rows } = await sql.query<ResultRow>(
    `select r.job_id, r.step, r.ordinal, r.result
     from unnest($1::bigint[], $2::text[]) as w(job_id, step) cross join lateral (
       select r.job_id, r.step, r.ordinal, r.result from task_result r
       where r.job_id = w.job_id and r.step = w.step and pg_column_size(r.result) <= $4
       order by r.ordinal limit $3) r`,
    [of.map(({ jobId }) => jobId), of.map(({ step }) => step), limits.count, limits.bytes],
  )
  return rows.map(({ job_id: jobId, ...row }) => ({ jobId, ...row }))
}
