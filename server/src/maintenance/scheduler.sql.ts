import type { Sql } from '../platform/database.ts'
import type { HeldTaskRow } from '../processing/task.sql.ts'
import type { AdmitOrder, Leadership, UnfinishedJob } from './scheduler-store.ts'

/** One statement, on the database's clock: renewed by its owner, taken over when it is over. */
export async function takeLead(
  sql: Sql,
  wanted: { shard: number; owner: string; epoch: number | undefined; leaseMs: number },
): Promise<number | undefined> {
  const { rows } = await sql.query<{ epoch: number }>(
    `insert into scheduler_lease as l (shard, owner, epoch, until)
     values ($1, $2, 1, clock_timestamp() + $4 * interval '1 ms')
     on conflict (shard) do update set owner = excluded.owner, until = excluded.until,
       epoch = case when l.owner = $2 and l.epoch = $3 and l.until > clock_timestamp() then l.epoch else l.epoch + 1 end
     where l.until <= clock_timestamp() or (l.owner = $2 and l.epoch = $3)
     returning epoch`,
    [wanted.shard, wanted.owner, wanted.epoch ?? -1, wanted.leaseMs],
  )
  return rows[0]?.epoch
}

export async function resignLead(sql: Sql, { shard, owner, epoch }: Leadership): Promise<void> {
  await sql.query(
    'update scheduler_lease set until = clock_timestamp() where shard = $1 and owner = $2 and epoch = $3',
    [shard, owner, epoch],
  )
}

export async function countSlots(sql: Sql): Promise<number> {
  const { rows } = await sql.query<{ slots: number }>(
    `select coalesce(sum(slots), 0)::int as slots from worker where last_seen_at > now() - interval '1 minute'`,
  )
  return rows[0]?.slots ?? 0
}

export interface BacklogRow {
  lane: number
  tenant_id: number
  cost_ms: number
  weight: number
  running_max: number
  starts_free: number | null
  pool_starts_free: number | null
}

export async function listBacklog(sql: Sql, pool: number, limit: number): Promise<BacklogRow[]> {
  const { rows } = await sql.query<BacklogRow>(
    `select b.lane, b.tenant_id, b.cost_ms, coalesce(s.weight, 1) as weight, coalesce(s.running_max, 1000000) as running_max,
       start_tokens(s.starts_per_second, s.starts_from) as starts_free,
       start_tokens(p.starts_per_second, p.starts_from) as pool_starts_free
     from list_backlog($1::smallint, $2) b left join tenant_schedule s on s.tenant_id = b.tenant_id
       left join pool_schedule p on p.pool = $1
     where not coalesce(s.paused, false) and not coalesce(p.paused, false)`,
    [pool, limit],
  )
  return rows
}

export async function countInFlight(
  sql: Sql,
  tenantIds: readonly number[],
): Promise<{ tenant_id: number; count: number }[]> {
  const { rows } = await sql.query<{ tenant_id: number; count: number }>(
    `select tenant_id, count(*)::int as count from task_in_flight where tenant_id = any($1::bigint[]) group by tenant_id`,
    [tenantIds],
  )
  return rows
}

export interface AdmittedRow {
  id: number
  tenant_id: number
  lane: number
  lease_epoch: number
  cost_ms: number
  rank: number
  is_part: boolean
}

/** Of a task that came between the beginning of the statement and that of the function it is not seen whether it is a part. */
export async function admitTasks(
  sql: Sql,
  admission: { pool: number; orders: readonly AdmitOrder[]; leaseMs: number; leadership: Leadership },
): Promise<AdmittedRow[]> {
  const { pool, orders, leaseMs, leadership } = admission
  const { rows } = await sql.query<AdmittedRow>(
    `select a.id, a.tenant_id, a.lane, a.lease_epoch, a.cost_ms, a.rank,
       coalesce((select t.ordinal > 0 from task t where t.id = a.id), false) as is_part
     from admit_tasks($1::smallint, $2::smallint[], $3::bigint[], $4::int[], $5::int, $6::smallint, $7::text, $8::bigint) a`,
    [
      pool,
      orders.map(({ lane }) => lane),
      orders.map(({ tenantId }) => tenantId),
      orders.map(({ count }) => count),
      leaseMs,
      leadership.shard,
      leadership.owner,
      leadership.epoch,
    ],
  )
  return rows
}

export async function requeueExpired(sql: Sql, limit: number): Promise<number> {
  const { rows } = await sql.query<{ count: number }>('select requeue_expired($1) as count', [limit])
  return rows[0]?.count ?? 0
}

export async function promoteDelayed(sql: Sql, limit: number): Promise<number> {
  const { rows } = await sql.query<{ count: number }>('select promote_delayed($1) as count', [limit])
  return rows[0]?.count ?? 0
}

/** The states are asked for twice, because a task may be claimed or end between the look and its turn. */
export async function expireLeases(sql: Sql, which: 'dispatched' | 'all'): Promise<number> {
  const { rowCount } = await sql.query(
    `update task set lease_until = now() - interval '1 ms'
     where id = any(array(select id from task_in_flight where state = 'dispatched' or $1))
       and (state = 'dispatched' or (state = 'running' and $1))`,
    [which === 'all'],
  )
  return rowCount
}

export interface EndedTaskRow extends HeldTaskRow {
  lost_count: number
  backoff: { initial_ms: number; max_ms: number }
}

const endedColumns = `t.id, t.lease_epoch, t.tenant_id, t.job_id, t.step, t.ordinal, t.attempt, t.attempts_max, t.lost_count,
  input_of(t) -> 'backoff' as backoff`

export async function listLost(sql: Sql, limit: number): Promise<EndedTaskRow[]> {
  const { rows } = await sql.query<EndedTaskRow>(
    `select ${endedColumns} from task t
     where t.state = 'running' and t.lease_until < now()
     order by t.lease_until limit $1`,
    [limit],
  )
  return rows
}

/**
 * Of jobs that are wound up, those that wait for more than what still runs of them. Each probe selects one row, because an
 * "exists" among alternatives may be answered by hashing a whole table; to be run with plans pinned.
 */
export async function listUnfinished(
  sql: Sql,
  limit: number,
): Promise<{ job_id: number; kind: UnfinishedJob['kind'] }[]> {
  const { rows } = await sql.query<{ job_id: number; kind: UnfinishedJob['kind'] }>(
    `(select j.id as job_id, 'winding' as kind from job j
      where j.cancel_requested_at is not null and j.finished_at is null
        and ((select t.id from task t where t.job_id = j.id and t.state in ('delayed', 'queued') limit 1) is not null
          or (select t.id from task t where t.state = 'dispatched' and t.job_id + 0 = j.id limit 1) is not null
          or (select t.id from task t where t.job_id = j.id and t.state = 'blocked' limit 1) is not null
          or (select s.name from job_step s where s.job_id = j.id and s.expanded_to is not null limit 1) is not null
          or (select s.name from job_step s where s.job_id = j.id and s.tasks_pending > 0 limit 1) is null)
      limit $1)
     union all
     (select id, 'moving' from job where tasks_moving limit $1)
     union all
     (select distinct s.job_id, 'splitting' from job_step s
      where s.expanded_to is not null and (select j.state <> 'paused' and j.cancel_requested_at is null from job j where j.id = s.job_id)
      limit $1)`,
    [limit],
  )
  return rows
}

export async function listAbandoned(sql: Sql, graceMs: number, limit: number): Promise<EndedTaskRow[]> {
  const { rows } = await sql.query<EndedTaskRow>(
    `select ${endedColumns} from job j join task t on t.job_id = j.id
     where j.cancel_requested_at is not null and j.finished_at is null
       and j.cancel_requested_at < now() - $1 * interval '1 ms' and t.state = 'running' limit $2`,
    [graceMs, limit],
  )
  return rows
}

/** Counted up to a bound per tenant: what is beyond it wants more workers than there can be. */
const demandCountMax = 10_000

export async function writeDemand(sql: Sql, pool: number, slots: number): Promise<void> {
  await sql.query(
    `with waiting as (
       select b.tenant_id, b.lane, q.count, q.cost_ms, q.oldest from list_backlog($1::smallint, 10000) b
       cross join lateral (
         select count(*) as count, sum(x.cost_ms) as cost_ms, min(x.run_at) as oldest from
           (select t.cost_ms, t.run_at from task t where t.state = 'queued' and t.pool = $1 and t.lane = b.lane
              and t.tenant_id = b.tenant_id order by t.rank limit ${demandCountMax}) x) q
     ), flying as (
       select tenant_id, count(*) as count, sum(cost_ms) as cost_ms from task_in_flight where pool = $1 group by tenant_id
     ), tenants as (
       select coalesce(w.tenant_id, f.tenant_id) as tenant_id, coalesce(w.count, 0) as waiting, coalesce(f.count, 0) as flying,
         coalesce(w.cost_ms, 0) + coalesce(f.cost_ms, 0) as cost_ms, w.oldest
       from (select tenant_id, sum(count) as count, sum(cost_ms) as cost_ms, min(oldest) as oldest from waiting group by tenant_id) w
         full join flying f on f.tenant_id = w.tenant_id
     )
     insert into pool_demand as d (pool, slots_wanted, backlog_count, drain_seconds, oldest_wait_ms, updated_at)
     select $1,
       coalesce(sum(case when s.paused then t.flying else least(t.waiting + t.flying, coalesce(s.running_max, 1000000)) end), 0)::int,
       coalesce(sum(t.waiting), 0), coalesce(sum(t.cost_ms), 0) / 1000.0 / greatest(1, $2::int),
       coalesce(greatest(0, extract(epoch from now() - min(t.oldest)) * 1000), 0), now()
     from tenants t left join tenant_schedule s on s.tenant_id = t.tenant_id
     on conflict (pool) do update set slots_wanted = excluded.slots_wanted, backlog_count = excluded.backlog_count,
       drain_seconds = excluded.drain_seconds, oldest_wait_ms = excluded.oldest_wait_ms, updated_at = excluded.updated_at`,
    [pool, slots],
  )
}

export async function deleteOldEvents(sql: Sql, keptMs: number, limit: number): Promise<number> {
  const { rowCount } = await sql.query(
    `delete from outbox where id = any(array(
       select id from outbox order by xid, id limit $2)) and at < now() - $1 * interval '1 ms'`,
    [keptMs, limit],
  )
  return rowCount
}

/** Answers how many tasks were taken out, and how many jobs were done with. */
export async function archiveTasks(sql: Sql, endedMs: number, limit: number): Promise<{ tasks: number; jobs: number }> {
  const { rows } = await sql.query<{ tasks: number; jobs: number }>('select tasks, jobs from archive_tasks($1, $2)', [
    endedMs,
    limit,
  ])
  // The function returns one row.
  return rows[0]!
}

export async function deleteOldAttempts(sql: Sql, keptMs: number, limit: number): Promise<number> {
  const { rowCount } = await sql.query(
    `delete from task_attempt where ctid = any(array(
       select ctid from task_attempt where ended_at < now() - $1 * interval '1 ms' order by ended_at limit $2))`,
    [keptMs, limit],
  )
  return rowCount
}

export async function deleteOldWorkers(sql: Sql, keptMs: number): Promise<number> {
  const { rowCount } = await sql.query(`delete from worker where last_seen_at < now() - $1 * interval '1 ms'`, [keptMs])
  return rowCount
}
