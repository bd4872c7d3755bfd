import type { Sql } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'

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

interface KeyVersion {
  tenantId: RowId<'tenant'>
  version: number
}

/** Versions that another has replaced so long ago. */
export async function listReplacedKeys(sql: Sql, keptMs: number, limit: number): Promise<KeyVersion[]> {
  const { rows } = await sql.query<KeyVersion>(
    `select k.tenant_id as "tenantId", k.version from tenant_key k
     where k.wrapped is not null and k.retired_at is null and exists (
       select from tenant_key n where n.tenant_id = k.tenant_id and n.version > k.version and n.wrapped is not null
         and n.created_at < now() - $1 * interval '1 ms')
     order by random() limit $2`,
    [keptMs, limit],
  )
  return rows
}

export async function retireKey(sql: Sql, { tenantId, version }: KeyVersion): Promise<void> {
  await sql.query(
    'update tenant_key set retired_at = now() where tenant_id = $1 and version = $2 and retired_at is null',
    [tenantId, version],
  )
}

export async function listRetiredKeys(sql: Sql, keptMs: number, limit: number): Promise<KeyVersion[]> {
  const { rows } = await sql.query<KeyVersion>(
    `select tenant_id as "tenantId", version from tenant_key
     where wrapped is not null and retired_at < now() - $1 * interval '1 ms' order by random() limit $2`,
    [keptMs, limit],
  )
  return rows
}

export async function destroyRetiredKey(sql: Sql, { tenantId, version }: KeyVersion): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update tenant_key set wrapped = null, destroyed_at = now()
     where tenant_id = $1 and version = $2 and wrapped is not null and retired_at is not null`,
    [tenantId, version],
  )
  return rowCount > 0
}
