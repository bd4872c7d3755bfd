import type { IdKind } from '@millrace/contract'
import type { Sql } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'

export interface JobsRow {
  inputs: number
  done: number
  failed: number
  quarantined: number
  cancelled: number
  in_flight: number
}

/** Every job in one snapshot. A job whose file its validation set apart counts as quarantined, not as failed. */
export async function countJobs(sql: Sql): Promise<JobsRow> {
  const { rows } = await sql.query<JobsRow>(
    `select count(*)::int as inputs,
       (count(*) filter (where state in ('completed', 'completed_with_errors')))::int as done,
       (count(*) filter (where state = 'failed' and not apart))::int as failed,
       (count(*) filter (where state = 'failed' and apart))::int as quarantined,
       (count(*) filter (where state = 'cancelled'))::int as cancelled,
       (count(*) filter (where state in ('queued', 'running', 'paused', 'cancelling')))::int as in_flight
     from (select j.state, coalesce(f.state in ('infected', 'rejected', 'unscannable'), false) as apart from job j left join file f on f.id = j.file_id) j`,
  )
  // A select of aggregates has one row.
  return rows[0]!
}

/** How many rows are concerned (counted up to a bound), and one of them to look at. */
export interface Finding {
  count: number
  example: string | null
}

const countMax = 1_000

/** The query answers with row ids of the kind, which may be followed by a blank and a step; or with names as they are. */
async function find(sql: Sql, kind: IdKind | undefined, query: string): Promise<Finding> {
  const { rows } = await sql.query<Finding>(
    `select count(*)::int as count, min(example) as example from (${query} limit ${countMax}) found(example)`,
  )
  // A select of aggregates has one row.
  const { count, example } = rows[0]!
  if (example === null || kind === undefined) return { count, example }
  const [rowId = '', step] = example.split(' ')
  // The query selects ids of this kind.
  const id = encodeId(kind, Number(rowId) as RowId<IdKind>)
  return { count, example: step === undefined ? id : `${id}, step ${step}` }
}

export const findUploadsWithoutJob = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'file',
    `select v.file_id::text from file_version v
     where not exists (select from job j where j.file_id = v.file_id and j.file_version = v.number)`,
  )

export const findUnreferencedObjects = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    undefined,
    `select o.id from object o
     where o.created_at < now() - interval '1 hour'
       and not exists (select from file_version v where v.object_id = o.id)
       and not exists (select from file f where f.object_id = o.id)
       and not exists (select from output r where r.object_id = o.id)`,
  )

export const findFilesWithoutVersion = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'file',
    `select f.id::text from file f where not exists
       (select from file_version v where v.file_id = f.id and v.number = f.version and v.object_id = f.object_id)`,
  )

/** What a step gives to all of its tasks is looked at once, and an output cannot be without its object. */
export const findTasksWithoutObject = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'job',
    `with open as (
       select job_id, step, input, output_id from task
       where state in ('blocked', 'delayed', 'queued', 'dispatched', 'running')
     ), given as (
       select job_id, step, input from open where input is not null
       union all
       select s.job_id, s.name, s.input from job_step s
       where (s.job_id, s.name) in (select job_id, step from open where output_id is not null)
     )
     select g.job_id || ' ' || g.step from given g, jsonb_array_elements(coalesce(g.input -> 'files', '[]')) f
     where not exists (select from object o where o.id = f ->> 'objectId')
     union all
     select t.job_id || ' ' || t.step from open t
     where t.output_id is not null and not exists (select from output o where o.id = t.output_id)`,
  )

export const findExpiredLeases = (sql: Sql): Promise<Finding> =>
  find(sql, 'job', `select job_id || ' ' || step from task_in_flight where lease_until < now() - interval '30 seconds'`)

export const findJobsWithoutTasks = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'job',
    `select j.id::text from job j
     where j.finished_at is null and j.state <> 'paused' and j.created_at < now() - interval '1 minute'
       and not exists (select from task t where t.job_id = j.id
         and t.state in ('blocked', 'delayed', 'queued', 'dispatched', 'running'))`,
  )

export const findEndedJobsWithTasks = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'job',
    `select j.id || ' ' || t.step from task t join job j on j.id = t.job_id
     where t.state in ('blocked', 'delayed', 'queued', 'dispatched', 'running') and j.finished_at is not null`,
  )

export const findWrongCounters = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'job',
    `select s.job_id || ' ' || s.name from job j join job_step s on s.job_id = j.id
     where j.finished_at is null and s.state = 'running' and s.expanded_to is null and s.tasks_pending <> (select count(*) from task t
       where t.job_id = s.job_id and t.step = s.name
         and t.state in ('blocked', 'delayed', 'queued', 'dispatched', 'running'))`,
  )

/** Who is kept from getting more, because somebody has said so; asked once, not for each of a million tasks. */
const held = `held_tenant as (
    select s.tenant_id from tenant_schedule s where s.paused or s.starts_per_second is not null
      or s.running_max <= (select count(*) from task_in_flight f where f.tenant_id = s.tenant_id)
  ), held_pool as (select pool from pool_schedule where paused or starts_per_second is not null)`
const isHeld = '(t.tenant_id in (select tenant_id from held_tenant) or t.pool in (select pool from held_pool))'
const waitsLong = `t.state = 'queued' and t.run_at < now() - interval '10 minutes'`
const slotsFree = `(select sum(slots - busy) from worker where last_seen_at > now() - interval '1 minute')`

export const findStuckBacklog = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'job',
    `with ${held} select t.job_id || ' ' || t.step from task t where ${waitsLong} and not ${isHeld} and ${slotsFree} > 0`,
  )

/** Of tenants that may run; where they have to wait for a slot, that is no fault but a lack of workers. */
export const findCrowdedBacklog = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'job',
    `with ${held} select t.job_id || ' ' || t.step from task t where ${waitsLong} and not ${isHeld} and ${slotsFree} <= 0`,
  )

export const findHeldBacklog = (sql: Sql): Promise<Finding> =>
  find(sql, 'job', `with ${held} select t.job_id || ' ' || t.step from task t where ${waitsLong} and ${isHeld}`)

/** Tasks are held while their job is paused, and let go in pieces when it is resumed. */
export const findForgottenHolds = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'job',
    `select t.job_id || ' ' || t.step from task t join job j on j.id = t.job_id
     where t.state = 'blocked' and j.state in ('queued', 'running') and not j.tasks_moving`,
  )

/** There is something to do for it, and it has not moved for minutes. */
export const findStuckBatches = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'batch',
    `select b.id::text from batch b
     where b.finished_at is null and b.told_at < now() - interval '5 minutes' and b.created_at < now() - interval '5 minutes'
       and (b.redrive_states is not null or b.planned_at is null
         or (b.state in ('stopping', 'cancelling') and b.items_pending > 0)
         or (b.state = 'running' and b.items_pending > 0 and b.items_running < b.concurrency)
         or (b.items_pending = 0 and not exists (
           select from batch_item i join job j on j.id = i.job_id
           where i.batch_id = b.id and i.state = 'running' and j.finished_at is null)))`,
  )

export const findLongControlTasks = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'control',
    `select id::text from control_task where finished_at is null and created_at < now() - interval '1 hour'`,
  )

/** One that waits for its batch is no fault. */
export const findOverdueSchedules = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'schedule',
    `select s.id::text from schedule s where s.next_tick_at < now() - interval '5 minutes'
       and not exists (select from batch b where b.schedule_id = s.id and b.finished_at is null)
       and not exists (select from import_source i where i.id = s.import_source_id and i.lease_until > now())`,
  )

export const findFailedSchedules = (sql: Sql): Promise<Finding> =>
  find(sql, 'schedule', `select id::text from schedule where problem is not null and state = 'active'`)

/** A retry whose moment has passed, and nobody has put it back. */
export const findOverdueRetries = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'job',
    `select job_id || ' ' || step from task where state = 'delayed' and run_at < now() - interval '1 minute'`,
  )

/** Running tasks are told within seconds, and taken from their workers when these do not let go. */
export const findStuckCancellations = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'job',
    `select id::text from job where finished_at is null and cancel_requested_at < now() - interval '2 minutes'`,
  )

/** Everything that they need has ended, they have no task, and the job has not moved since. */
export const findForgottenSteps = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'job',
    `select s.job_id || ' ' || s.name from job j
       join pipeline_version p on p.id = j.pipeline_version_id join job_step s on s.job_id = j.id
     where j.finished_at is null and j.state in ('queued', 'running') and s.state = 'waiting' and s.expanded_to is null
       and j.created_at < now() - interval '2 minutes'
       and not exists (select from task t where t.job_id = s.job_id and t.step = s.name)
       and not exists (
         select from jsonb_array_elements_text(coalesce(p.definition -> 'steps' -> s.name -> 'needs', '[]')
           || case when p.definition -> 'steps' -> s.name ? 'each'
              then jsonb_build_array(p.definition -> 'steps' -> s.name -> 'each') else '[]' end) n(name)
         join job_step d on d.job_id = s.job_id and d.name = n.name
         where d.finished_at is null or d.finished_at > now() - interval '2 minutes')`,
  )

export const findPausedJobs = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'job',
    `select id::text from job where state = 'paused' and finished_at is null and created_at < now() - interval '1 hour'`,
  )

/** Seals and imports whose process is gone and that no other has taken on. */
export const findStuckUploads = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'upload',
    `select id::text from upload_session where ended_at is null and lease_until < now() - interval '5 minutes'`,
  )

export const findBacklogWithoutWorkers = (sql: Sql): Promise<Finding> =>
  find(
    sql,
    'job',
    `select t.job_id || ' ' || t.step from task t
     where t.state = 'queued' and t.run_at < now() - interval '1 minute'
       and not exists (select from worker where last_seen_at > now() - interval '1 minute')`,
  )

export const findMissingLeader = (sql: Sql): Promise<Finding> =>
  find(sql, undefined, `select l.shard::text from scheduler_lease l where l.until < now() - interval '30 seconds'`)

export const findDeadLetters = (sql: Sql): Promise<Finding> =>
  find(sql, 'job', `select t.job_id || ' ' || t.step from task t where t.state = 'dead'`)

/** By the scrubber; those of objects that were erased since do not count. */
export const findStoreFindings = (sql: Sql, kind: 'missing' | 'damaged'): Promise<Finding> =>
  find(
    sql,
    undefined,
    `select s.object_id from store_finding s join object o on o.id = s.object_id where s.kind = '${kind}'`,
  )

/** The store has not let go of them for an hour. */
export const findStuckErasures = (sql: Sql): Promise<Finding> =>
  find(sql, undefined, `select e.store_key from erased_object e where e.erased_at < now() - interval '1 hour'`)

export const findForgottenReservations = (sql: Sql): Promise<Finding> =>
  find(sql, undefined, `select r.id::text from quota_reservation r where r.expires_at < now() - interval '5 minutes'`)
