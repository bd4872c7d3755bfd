import type { Sql } from '../platform/database.ts'

export async function findTenantLimits(sql: Sql, tenantId: number): Promise<unknown> {
  const { rows } = await sql.query<{ limits: unknown }>('select limits from tenant where id = $1', [tenantId])
  return rows[0]?.limits
}

/** Undefined where there is no such tenant, or none any more. */
export async function findLiveTenantLimits(sql: Sql, tenantId: number): Promise<unknown> {
  const { rows } = await sql.query<{ limits: unknown }>(
    `select limits from tenant where id = $1 and state <> 'deleted'`,
    [tenantId],
  )
  return rows[0]?.limits
}

/** Answers what stands there then. */
export async function changeTenantLimits(
  sql: Sql,
  tenantId: number,
  set: Readonly<Record<string, number>>,
  unset: readonly string[],
): Promise<unknown> {
  const { rows } = await sql.query<{ limits: unknown }>(
    `update tenant set limits = (limits || $2::jsonb) - $3::text[] where id = $1 and state <> 'deleted' returning limits`,
    [tenantId, JSON.stringify(set), unset],
  )
  return rows[0]?.limits
}
