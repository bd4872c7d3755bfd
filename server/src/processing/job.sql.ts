// Statements over jobs, their steps and events.

import type { JobState, StepState } from '@millrace/contract'
import type { Sql, Tx } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import type { PipelineDefinition } from './definition.ts'
import type { ChangedJob, EngineEvent, EngineJob, EngineStep, NewJob, NewTask, StoredProblem } from './engine-store.ts'
import { taskValues } from './task.sql.ts'

/** Statements without an answer go with the next one, or with the commit. */
type Sending = Pick<Tx, 'send'>

/** With its steps, first tasks and the event; ranks begin at the tenant's present in the job's lane. */
export async function insertJob(sql: Sql, job: NewJob): Promise<RowId<'job'>> {
  const { steps, tasks } = job
  const { rows } = await sql.query<{ id: RowId<'job'> }>(
    `with present as (
       select coalesce((select virtual_ms[$5 + 1] from tenant_schedule where tenant_id = $1), 0) as virtual_ms
     ), new_job as (
       insert into job (tenant_id, file_id, file_version, pipeline_version_id, lane, parent_job_id, state, steps_pending,
         progress_percent, problem, estimated_end_at, created_by, virtual_ms, finished_at)
       select $1, $2, $3, $4, $5::smallint, $6, $7, $8, $9, $10::jsonb, now() + $11 * interval '1 ms', $12,
         present.virtual_ms + $13::bigint,
         case when $7 in ('completed', 'completed_with_errors', 'failed', 'cancelled') then now() end
       from present returning id
     ), new_steps as (
       insert into job_step (job_id, name, tenant_id, position, state, tasks_total, tasks_pending, problem, finished_at)
       select new_job.id, s.name, $1, s.position, s.state, s.tasks_total, s.tasks_total, s.problem::jsonb,
         case when s.state not in ('waiting', 'running') then now() end
       from new_job, unnest($14::text[], $15::smallint[], $16::text[], $17::int[], $18::text[])
         as s(name, position, state, tasks_total, problem)
     ), new_tasks as (
       insert into task (tenant_id, job_id, step, ordinal, lane, state, rank, cost_ms, attempts_max, input)
       select $1, new_job.id, t.step, t.ordinal, $5::smallint, 'queued', present.virtual_ms + t.rank, t.cost_ms,
         t.attempts_max, t.input::jsonb
       from new_job, present, unnest($19::text[], $20::int[], $21::bigint[], $22::int[], $23::smallint[], $24::text[])
         as t(step, ordinal, rank, cost_ms, attempts_max, input)
     ), told as (
       insert into outbox (tenant_id, type, job_id, file_id, data)
       select $1, 'job.created', new_job.id, $2, jsonb_build_object('status', $7::text, 'progress', 0) from new_job
     )
     select id from new_job`,
    [
      job.tenantId,
      job.fileId,
      job.fileVersion,
      job.pipelineVersionId,
      job.lane,
      job.parentJobId,
      job.state,
      job.stepsPending,
      job.progressPercent,
      toJson(job.problem),
      job.remainingMs,
      job.createdBy,
      job.virtualMs,
      steps.map(({ name }) => name),
      steps.map(({ position }) => position),
      steps.map(({ state }) => state),
      steps.map(({ tasksTotal }) => tasksTotal),
      steps.map(({ problem }) => toJson(problem)),
      tasks.map(({ step }) => step),
      tasks.map(({ ordinal }) => ordinal),
      tasks.map(({ rank }) => rank),
      tasks.map(({ costMs }) => costMs),
      tasks.map(({ attemptsMax }) => attemptsMax),
      tasks.map(({ input }) => JSON.stringify(input)),
    ],
  )
  // An insert that does not throw returns its row.
  return rows[0]!.id
}

/** Ids for jobs that are about to be written, and where the tenant stands in the virtual time of the lane. */
export async function reserveJobIds(
  sql: Sql,
  wanted: { tenantId: number; lane: number; count: number },
): Promise<{ jobIds: RowId<'job'>[]; presentMs: number }> {
  const { rows } = await sql.query<{ ids: RowId<'job'>[]; present_ms: number }>(
    // A plan for generate_series would be made anew for each count; a sequence that is looked for is so for each row.
    `select array(select nextval('job_id_seq') from unnest(array_fill(0, array[$3::int]))) as ids,
       coalesce((select virtual_ms[$2::int + 1] from tenant_schedule where tenant_id = $1), 0) as present_ms`,
    [wanted.tenantId, wanted.lane, wanted.count],
  )
  // A select without from has one row; drivers may give the elements of an array of bigint as text.
  const [row] = rows
  return { jobIds: (row?.ids ?? []).map((id) => Number(id) as RowId<'job'>), presentMs: row?.present_ms ?? 0 }
}

export type ReservedJob = EngineJob & { remainingMs: number; steps: readonly EngineStep[] }

/** Many jobs whose ids were reserved, with their steps, first tasks and events. */
export function insertJobs(tx: Sending, jobs: readonly ReservedJob[], tasks: readonly NewTask[]): void {
  const steps = jobs.flatMap((job) => job.steps.map((step) => ({ ...step, tenantId: job.tenantId })))
  tx.send(
    `with new_jobs as (
       insert into job (id, tenant_id, file_id, file_version, pipeline_version_id, lane, state, steps_pending,
         progress_percent, problem, estimated_end_at, created_by, virtual_ms, finished_at)
       select id, tenant_id, file_id, file_version, pipeline_version_id, lane, state, steps_pending, progress_percent,
         problem::jsonb, now() + remaining_ms * interval '1 ms', created_by, virtual_ms,
         case when state in ('completed', 'completed_with_errors', 'failed', 'cancelled') then now() end
       from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::bigint[], $6::smallint[], $7::text[], $8::int[],
         $9::real[], $10::text[], $11::float8[], $12::text[], $13::bigint[])
         as j(id, tenant_id, file_id, file_version, pipeline_version_id, lane, state, steps_pending, progress_percent,
           problem, remaining_ms, created_by, virtual_ms)
     ), new_steps as (
       insert into job_step (job_id, name, tenant_id, position, state, tasks_total, tasks_pending, problem, finished_at)
       select job_id, name, tenant_id, position, state, tasks_total, tasks_total, problem::jsonb,
         case when state not in ('waiting', 'running') then now() end
       from unnest($14::bigint[], $15::text[], $16::bigint[], $17::smallint[], $18::text[], $19::int[], $20::text[])
         as s(job_id, name, tenant_id, position, state, tasks_total, problem)
     ), new_tasks as (
       insert into task (tenant_id, job_id, step, ordinal, lane, state, rank, cost_ms, attempts_max, input)
       select tenant_id, job_id, step, ordinal, lane, 'queued', rank, cost_ms, attempts_max, input::jsonb
       from unnest($21::bigint[], $22::bigint[], $23::text[], $24::int[], $25::smallint[], $26::bigint[], $27::int[],
         $28::smallint[], $29::text[])
         as t(tenant_id, job_id, step, ordinal, lane, rank, cost_ms, attempts_max, input)
     )
     insert into outbox (tenant_id, type, job_id, file_id, data)
     select tenant_id, 'job.created', id, file_id, jsonb_build_object('status', state, 'progress', 0)
     from unnest($1::bigint[], $2::bigint[], $3::bigint[], $7::text[]) as j(id, tenant_id, file_id, state)`,
    [
      jobs.map(({ id }) => id),
      jobs.map(({ tenantId }) => tenantId),
      jobs.map(({ fileId }) => fileId),
      jobs.map(({ fileVersion }) => fileVersion),
      jobs.map(({ pipelineVersionId }) => pipelineVersionId),
      jobs.map(({ lane }) => lane),
      jobs.map(({ state }) => state),
      jobs.map(({ stepsPending }) => stepsPending),
      jobs.map(({ progressPercent }) => progressPercent),
      jobs.map(({ problem }) => toJson(problem)),
      jobs.map(({ remainingMs }) => remainingMs),
      jobs.map(({ createdBy }) => createdBy),
      jobs.map(({ virtualMs }) => virtualMs),
      steps.map(({ jobId }) => jobId),
      steps.map(({ name }) => name),
      steps.map(({ tenantId }) => tenantId),
      steps.map(({ position }) => position),
      steps.map(({ state }) => state),
      steps.map(({ tasksTotal }) => tasksTotal),
      steps.map(({ problem }) => toJson(problem)),
      ...taskValues(tasks),
    ],
  )
}

/** Live jobs are being cancelled from here on; the canceller does the rest. Answers how many that concerns. */
export async function requestCancel(sql: Sql, tenantId: number, jobIds: readonly number[]): Promise<number> {
  const { rowCount } = await sql.query(
    `update job set state = 'cancelling', tasks_moving = false, cancel_requested_at = now()
     where id = any(array(select id from job where tenant_id = $1 and id = any($2::bigint[])
       and state in ('queued', 'running', 'paused') order by id for no key update))`,
    [tenantId, jobIds],
  )
  return rowCount
}

const toJson = (problem: StoredProblem | null): string | null => (problem === null ? null : JSON.stringify(problem))

interface JobRow {
  id: RowId<'job'>
  tenant_id: number
  file_id: RowId<'file'>
  file_version: number
  pipeline_version_id: number
  state: JobState
  lane: number
  steps_pending: number
  progress_percent: number
  records_count: number | null
  problem: StoredProblem | null
  virtual_ms: number
  tasks_moving: boolean
  present_ms: number
  created_by: string
}

/** In the order of their ids, so that two who lock several do not wait for each other. */
export async function lockJobs(sql: Sql, jobIds: readonly number[]): Promise<EngineJob[]> {
  const { rows } = await sql.query<JobRow>(
    `select j.id, j.tenant_id, j.file_id, j.file_version, j.pipeline_version_id, j.state, j.lane, j.steps_pending,
       j.progress_percent, j.records_count, j.problem, j.virtual_ms, j.tasks_moving, j.created_by,
       coalesce((select s.virtual_ms[j.lane + 1] from tenant_schedule s where s.tenant_id = j.tenant_id), 0) as present_ms
     from job j where j.id = any($1::bigint[]) order by j.id for no key update of j`,
    [jobIds],
  )
  return rows.map((row) => ({
    id: row.id,
    tenantId: row.tenant_id,
    fileId: row.file_id,
    fileVersion: row.file_version,
    pipelineVersionId: row.pipeline_version_id,
    state: row.state,
    lane: row.lane,
    stepsPending: row.steps_pending,
    progressPercent: row.progress_percent,
    recordsCount: row.records_count,
    problem: row.problem,
    // What it was not served while it had nothing to do is not owed to it.
    virtualMs: Math.max(row.virtual_ms, row.present_ms),
    tasksMoving: row.tasks_moving,
    createdBy: row.created_by,
  }))
}

interface StepRow {
  job_id: RowId<'job'>
  name: string
  position: number
  state: StepState
  tasks_total: number
  tasks_pending: number
  tasks_failed: number
  expanded_to: number | null
  problem: StoredProblem | null
}

export async function listJobSteps(sql: Sql, jobIds: readonly number[]): Promise<EngineStep[]> {
  const { rows } = await sql.query<StepRow>(
    `select job_id, name, position, state, tasks_total, tasks_pending, tasks_failed, expanded_to, problem
     from job_step where job_id = any($1::bigint[])`,
    [jobIds],
  )
  return rows
    .map((row) => ({
      jobId: row.job_id,
      name: row.name,
      position: row.position,
      state: row.state,
      tasksTotal: row.tasks_total,
      tasksPending: row.tasks_pending,
      tasksFailed: row.tasks_failed,
      expandedTo: row.expanded_to,
      problem: row.problem,
    }))
    .toSorted((a, b) => a.jobId - b.jobId || a.position - b.position)
}

/** Whether results up to its end have been deleted: migrations/0015. */
export async function isForgotten(sql: Sql, jobId: number): Promise<boolean> {
  const { rowCount } = await sql.query(
    `select from job j join tenant_schedule s on s.tenant_id = j.tenant_id
     where j.id = $1 and (j.finished_at, j.id) <= (s.results_forgotten_to, s.results_forgotten_job)`,
    [jobId],
  )
  return rowCount > 0
}

/** A step that has ended gets its end, one that has not loses it. */
export function updateSteps(tx: Sending, steps: readonly EngineStep[]): void {
  tx.send(
    `update job_step s set state = w.state, tasks_total = w.tasks_total, tasks_pending = w.tasks_pending,
       tasks_failed = w.tasks_failed, expanded_to = w.expanded_to, problem = w.problem::jsonb,
       started_at = case w.state when 'waiting' then null when 'running' then coalesce(s.started_at, now()) else s.started_at end,
       finished_at = case when w.tasks_pending = 0 and w.state not in ('waiting', 'running') then coalesce(s.finished_at, now()) end
     from unnest($1::bigint[], $2::text[], $3::text[], $4::int[], $5::int[], $6::int[], $7::bigint[], $8::text[])
       as w(job_id, name, state, tasks_total, tasks_pending, tasks_failed, expanded_to, problem)
     where s.job_id = w.job_id and s.name = w.name`,
    [
      steps.map(({ jobId }) => jobId),
      steps.map(({ name }) => name),
      steps.map(({ state }) => state),
      steps.map(({ tasksTotal }) => tasksTotal),
      steps.map(({ tasksPending }) => tasksPending),
      steps.map(({ tasksFailed }) => tasksFailed),
      steps.map(({ expandedTo }) => expandedTo),
      steps.map(({ problem }) => toJson(problem)),
    ],
  )
}

/** Progress only grows, whatever is asked; an ended job gets its end, one that runs again loses it. */
export function updateJobs(tx: Sending, jobs: readonly ChangedJob[]): void {
  tx.send(
    `update job j set state = w.state, steps_pending = w.steps_pending,
       progress_percent = greatest(j.progress_percent, w.progress_percent), records_count = w.records_count,
       problem = w.problem::jsonb, virtual_ms = w.virtual_ms, estimated_end_at = now() + w.remaining_ms * interval '1 ms',
       tasks_moving = w.tasks_moving,
       cancel_requested_at = case when w.winding then coalesce(j.cancel_requested_at, now()) end,
       started_at = case when w.state = 'running' and j.finished_at is not null then now() else j.started_at end,
       finished_at = case when w.state in ('completed', 'completed_with_errors', 'failed', 'cancelled')
         then coalesce(j.finished_at, now()) end
     from unnest($1::bigint[], $2::text[], $3::int[], $4::real[], $5::bigint[], $6::text[], $7::bigint[], $8::float8[],
       $9::boolean[], $10::boolean[])
       as w(id, state, steps_pending, progress_percent, records_count, problem, virtual_ms, remaining_ms, tasks_moving, winding)
     where j.id = w.id`,
    [
      jobs.map(({ id }) => id),
      jobs.map(({ state }) => state),
      jobs.map(({ stepsPending }) => stepsPending),
      jobs.map(({ progressPercent }) => progressPercent),
      jobs.map(({ recordsCount }) => recordsCount),
      jobs.map(({ problem }) => toJson(problem)),
      jobs.map(({ virtualMs }) => virtualMs),
      jobs.map(({ remainingMs }) => remainingMs),
      jobs.map(({ tasksMoving }) => tasksMoving),
      jobs.map(({ winding }) => winding),
    ],
  )
}

export function insertEvents(tx: Sending, events: readonly EngineEvent[]): void {
  tx.send(
    `insert into outbox (tenant_id, type, job_id, file_id, data)
     select tenant_id, type, job_id, file_id, data::jsonb
     from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[]) as e(tenant_id, type, job_id, file_id, data)`,
    [
      events.map(({ tenantId }) => tenantId),
      events.map(({ type }) => type),
      events.map(({ jobId }) => jobId),
      events.map(({ fileId }) => fileId),
      events.map(({ data }) => JSON.stringify(data)),
    ],
  )
}

export async function findDefinitions(
  sql: Sql,
  ids: readonly number[],
): Promise<{ id: number; definition: PipelineDefinition }[]> {
  const { rows } = await sql.query<{ id: number; definition: PipelineDefinition }>(
    'select id, definition from pipeline_version where id = any($1::bigint[])',
    [ids],
  )
  return rows
}

// What a job changes of its file: only while its version is the newest, but for the verdict, which every version has.
