import type { Sql } from '../platform/database.ts'

export async function tenantExists(sql: Sql, tenantId: number): Promise<boolean> {
  const { rowCount } = await sql.query('select from tenant where id = $1', [tenantId])
  return rowCount > 0
}

/** An empty wrapping is a key that was destroyed. Answers whose object it was. */
export async function destroyObjectKey(sql: Sql, objectId: string): Promise<number | undefined> {
  const { rows } = await sql.query<{ tenant_id: number }>(
    `update object set wrapped_key = '' where id = $1 returning tenant_id`,
    [objectId],
  )
  return rows[0]?.tenant_id
}
