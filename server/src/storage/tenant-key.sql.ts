import type { Sql } from '../platform/database.ts'

export interface TenantKeyRow {
  version: number
  /** Null once destroyed. */
  wrapped: Uint8Array | null
}

export async function findTenantKey(
  sql: Sql,
  key: { tenantId: number; version: number },
): Promise<TenantKeyRow | undefined> {
  const { rows } = await sql.query<TenantKeyRow>(
    'select version, wrapped from tenant_key where tenant_id = $1 and version = $2',
    [key.tenantId, key.version],
  )
  return rows[0]
}

export async function findNewestTenantKey(sql: Sql, tenantId: number): Promise<TenantKeyRow | undefined> {
  const { rows } = await sql.query<TenantKeyRow>(
    'select version, wrapped from tenant_key where tenant_id = $1 order by version desc limit 1',
    [tenantId],
  )
  return rows[0]
}

/** Of several that insert the same version at once, the first wins. */
export async function insertTenantKey(
  sql: Sql,
  key: { tenantId: number; version: number; wrapped: Uint8Array },
): Promise<void> {
  await sql.query(
    'insert into tenant_key (tenant_id, version, wrapped) values ($1, $2, $3) on conflict (tenant_id, version) do nothing',
    [key.tenantId, key.version, key.wrapped],
  )
}

export async function destroyTenantKeys(sql: Sql, tenantId: number): Promise<number> {
  const { rowCount } = await sql.query(
    'update tenant_key set wrapped = null, destroyed_at = now() where tenant_id = $1 and wrapped is not null',
    [tenantId],
  )
  return rowCount
}

export interface WrappedTenantKeyRow {
  tenant_id: number
  version: number
  wrapped: Uint8Array
}

/** A page of the keys of all tenants; destroyed ones are left out. */
export async function listTenantKeys(
  sql: Sql,
  after: { tenant_id: number; version: number },
  limit: number,
): Promise<WrappedTenantKeyRow[]> {
  const { rows } = await sql.query<WrappedTenantKeyRow>(
    `select tenant_id, version, wrapped from tenant_key
     where (tenant_id, version) > ($1, $2) and wrapped is not null order by tenant_id, version limit $3`,
    [after.tenant_id, after.version, limit],
  )
  return rows
}

/** Changes a wrapping that is still the one that was read: a key destroyed meanwhile stays destroyed. */
export async function updateTenantKey(
  sql: Sql,
  key: { tenantId: number; version: number; from: Uint8Array; to: Uint8Array },
): Promise<void> {
  await sql.query('update tenant_key set wrapped = $4 where tenant_id = $1 and version = $2 and wrapped = $3', [
    key.tenantId,
    key.version,
    key.from,
    key.to,
  ])
}
