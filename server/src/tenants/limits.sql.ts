import type { Sql } from '../platform/database.ts'

export async function findTenantLimits(sql: Sql, tenantId: number): Promise<unknown> {
  const { rows } = await sql.query<{ limits: unknown }>('select limits from tenant where id = $1', [tenantId])
  return rows[0]?.limits
}
