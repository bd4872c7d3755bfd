// What waits, pool by pool. The leader keeps the sums (maintenance/demand.ts); tenants are counted here when somebody asks.

import type { Sql } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'

export interface PoolRow {
  pool: number
  slots: number
  slots_wanted: number
  backlog_count: number
  drain_seconds: number
  oldest_wait_ms: number
  updated_at: Date | null
}

/** The first pool is there before a leader has written of it. */
export async function listPools(sql: Sql): Promise<PoolRow[]> {
  const { rows } = await sql.query<PoolRow>(
    `select p.pool, coalesce((select sum(slots) from worker where last_seen_at > now() - interval '1 minute'), 0)::int as slots,
       coalesce(d.slots_wanted, 0) as slots_wanted, coalesce(d.backlog_count, 0)::bigint as backlog_count,
       coalesce(d.drain_seconds, 0) as drain_seconds, coalesce(d.oldest_wait_ms, 0)::bigint as oldest_wait_ms, d.updated_at
     from (select pool from pool_demand union select 0::smallint) p left join pool_demand d on d.pool = p.pool order by p.pool`,
    [],
  )
  return rows
}

/** For the rest of the transaction: the backlog is walked by its index only, whatever the statistics say. */
export async function pinQueuePlans(sql: Sql): Promise<void> {
  await sql.query(`select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)`, [])
}

export interface QueuedTenantRow {
  tenant_id: RowId<'tenant'>
  backlog: number
  in_flight: number
  oldest_wait_seconds: number
  weight: number
  running_max: number
  paused: boolean
}

/** Backlogs are counted so far; who has more is told to have this many. */
const backlogCountMax = 10_000
const backlogsCountMax = 1_000

/** The longest backlog first. */
export async function listQueuedTenants(sql: Sql, pool: number, limit: number): Promise<QueuedTenantRow[]> {
  const { rows } = await sql.query<QueuedTenantRow>(
    `with waiting as (
       select b.tenant_id, sum(q.count) as count, min(q.oldest) as oldest from list_backlog($1::smallint, ${backlogsCountMax}) b
       cross join lateral (select count(*) as count, min(x.run_at) as oldest from
         (select t.run_at from task t where t.state = 'queued' and t.pool = $1 and t.lane = b.lane and t.tenant_id = b.tenant_id
          order by t.rank limit ${backlogCountMax}) x) q
       group by b.tenant_id
     ), flying as (
       select tenant_id, count(*) as count from task_in_flight where pool = $1 group by tenant_id
     )
     select coalesce(w.tenant_id, f.tenant_id) as tenant_id, coalesce(w.count, 0)::int as backlog,
       coalesce(f.count, 0)::int as in_flight,
       coalesce(greatest(0, extract(epoch from now() - w.oldest)), 0)::float8 as oldest_wait_seconds,
       coalesce(s.weight, 1) as weight, coalesce(s.running_max, 1000000) as running_max, coalesce(s.paused, false) as paused
     from waiting w full join flying f on f.tenant_id = w.tenant_id
       left join tenant_schedule s on s.tenant_id = coalesce(w.tenant_id, f.tenant_id)
     order by backlog desc, in_flight desc, tenant_id limit $2`,
    [pool, limit],
  )
  return rows
}
