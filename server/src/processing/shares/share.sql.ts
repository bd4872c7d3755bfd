import type { PoolShareChange, TenantShareChange } from '@millrace/contract'
import type { Sql } from '../../platform/database.ts'
import type { RowId } from '../../platform/ids.ts'

export interface TenantShareRow {
  tenant_id: RowId<'tenant'>
  weight: number
  running_max: number
  starts_per_second: number | null
  paused: boolean
}

/** Nothing for a tenant that there is not. */
export async function findTenantShare(sql: Sql, tenantId: number): Promise<TenantShareRow | undefined> {
  const { rows } = await sql.query<TenantShareRow>(
    `select t.id as tenant_id, coalesce(s.weight, 1) as weight, coalesce(s.running_max, 1000000) as running_max,
       s.starts_per_second, coalesce(s.paused, false) as paused
     from tenant t left join tenant_schedule s on s.tenant_id = t.id where t.id = $1 and t.state <> 'deleted'`,
    [tenantId],
  )
  return rows[0]
}

/** What is left out stays; a rate that changes begins with what the old one has left. */
export async function changeTenantShare(sql: Sql, tenantId: number, change: TenantShareChange): Promise<void> {
  await sql.query(
    `insert into tenant_schedule as s (tenant_id, weight, running_max, paused, starts_per_second)
     values ($1, coalesce($2, 1), coalesce($3, 1000000), coalesce($4, false), $6)
     on conflict (tenant_id) do update set weight = coalesce($2, s.weight), running_max = coalesce($3, s.running_max),
       paused = coalesce($4, s.paused), starts_per_second = case when $5 then $6 else s.starts_per_second end`,
    [
      tenantId,
      change.weight ?? null,
      change.running_max ?? null,
      change.paused ?? null,
      change.starts_per_second !== undefined,
      change.starts_per_second ?? null,
    ],
  )
}

export interface PoolShareRow {
  pool: number
  starts_per_second: number | null
  paused: boolean
}

export async function findPoolShare(sql: Sql, pool: number): Promise<PoolShareRow> {
  const { rows } = await sql.query<PoolShareRow>(
    'select pool, starts_per_second, paused from pool_schedule where pool = $1',
    [pool],
  )
  return rows[0] ?? { pool, starts_per_second: null, paused: false }
}

export async function changePoolShare(sql: Sql, pool: number, change: PoolShareChange): Promise<void> {
  await sql.query(
    `insert into pool_schedule as p (pool, paused, starts_per_second) values ($1, coalesce($2, false), $4)
     on conflict (pool) do update set paused = coalesce($2, p.paused),
       starts_per_second = case when $3 then $4 else p.starts_per_second end`,
    [pool, change.paused ?? null, change.starts_per_second !== undefined, change.starts_per_second ?? null],
  )
}

/** What was offered and is not begun goes back, of a tenant or of all; no attempt is used. */
export async function takeBackOffered(sql: Sql, of: { pool: number } | { tenantId: number }): Promise<void> {
  const [column, value] = 'pool' in of ? ['pool', of.pool] : ['tenant_id', of.tenantId]
  await sql.query(
    `update task set state = 'queued', lease_until = null where id = any(array(
       select id from task where state = 'dispatched' and ${column} = $1
       for update skip locked))`,
    [value],
  )
}
