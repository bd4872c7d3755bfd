import type { Role } from '@millrace/contract'
import type { Sql } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'

export async function insertTenant(sql: Sql, name: string): Promise<RowId<'tenant'>> {
  const { rows } = await sql.query<{ id: RowId<'tenant'> }>('insert into tenant (name) values ($1) returning id', [
    name,
  ])
  // An insert that does not throw returns its row.
  return rows[0]!.id
}

/** The rows that admission and the quota ledger change and therefore expect to find. */
export async function insertTenantLedgers(sql: Sql, tenantId: number, weight: number): Promise<void> {
  await sql.query('insert into tenant_schedule (tenant_id, weight) values ($1, $2)', [tenantId, weight])
  await sql.query('insert into tenant_usage (tenant_id) values ($1)', [tenantId])
}

/** Throws a unique violation when the address is taken. */
export async function insertUser(
  sql: Sql,
  user: { email: string; passwordHash: string; operator: boolean },
): Promise<RowId<'user'>> {
  const { rows } = await sql.query<{ id: RowId<'user'> }>(
    'insert into user_account (email, password_hash, operator) values (lower($1), $2, $3) returning id',
    [user.email, user.passwordHash, user.operator],
  )
  // An insert that does not throw returns its row.
  return rows[0]!.id
}

export async function insertMembership(
  sql: Sql,
  membership: { tenantId: number; userId: number; role: Role },
): Promise<void> {
  await sql.query('insert into membership (tenant_id, user_id, role) values ($1, $2, $3)', [
    membership.tenantId,
    membership.userId,
    membership.role,
  ])
}

export async function countTenants(sql: Sql): Promise<number> {
  const { rows } = await sql.query<{ count: number }>('select count(*)::int as count from tenant')
  return rows[0]?.count ?? 0
}

/** Row ids of all tenants, oldest first. */
export async function listTenantIds(sql: Sql): Promise<number[]> {
  const { rows } = await sql.query<{ id: number }>('select id from tenant order by id')
  return rows.map((row) => row.id)
}
