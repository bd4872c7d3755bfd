import type { Sql } from '../platform/database.ts'
import type { KeyHolder, StaleKeyRow } from './key-holder.ts'
import type { SealedObject } from './vault.ts'

export interface ObjectRow {
  id: string
  tenant_id: number
  store_key: string
  size_bytes: number
  stored_bytes: number
  sha256: string
  manifest: unknown
  wrapped_key: Uint8Array
  tenant_key_version: number
}

export const toSealedObject = (row: ObjectRow): SealedObject => ({
  objectId: row.id,
  tenantId: row.tenant_id,
  storeKey: row.store_key,
  sizeBytes: row.size_bytes,
  storedBytes: row.stored_bytes,
  sha256: row.sha256,
  manifest: row.manifest,
  wrappedKey: row.wrapped_key,
  tenantKeyVersion: row.tenant_key_version,
})

export async function insertObjects(sql: Sql, objects: readonly SealedObject[]): Promise<void> {
  if (objects.length === 0) return
  await sql.query(
    `insert into object (id, tenant_id, store_key, size_bytes, stored_bytes, sha256, manifest, wrapped_key, tenant_key_version)
     select id, tenant_id, store_key, size_bytes, stored_bytes, sha256, manifest::jsonb, decode(wrapped_key, 'hex'), tenant_key_version
     from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::int[])
       as o(id, tenant_id, store_key, size_bytes, stored_bytes, sha256, manifest, wrapped_key, tenant_key_version)`,
    [
      objects.map((object) => object.objectId),
      objects.map((object) => object.tenantId),
      objects.map((object) => object.storeKey),
      objects.map((object) => object.sizeBytes),
      objects.map((object) => object.storedBytes),
      objects.map((object) => object.sha256),
      objects.map((object) => JSON.stringify(object.manifest)),
      objects.map((object) => Buffer.from(object.wrappedKey).toString('hex')),
      objects.map((object) => object.tenantKeyVersion),
    ],
  )
}

export async function findObject(sql: Sql, objectId: string): Promise<SealedObject | undefined> {
  const { rows } = await sql.query<ObjectRow>('select * from object where id = $1', [objectId])
  return rows[0] && toSealedObject(rows[0])
}

/** Has the scrub read it before others. */
export async function makeVerificationDue(sql: Sql, objectId: string): Promise<void> {
  await sql.query('update object set last_verified_at = null where id = $1 and last_verified_at is not null', [
    objectId,
  ])
}

/** Keys of objects, as a rotation finds and changes them. */
export const objectKeyHolder: KeyHolder = {
  async listStale(sql, { tenantId, after, limit }) {
    const { rows } = await sql.query<StaleKeyRow>(
      // A page of each older version, of which there are few, and of these the first ones.
      `select s.* from tenant_key k cross join lateral (
         select o.id as row, o.id as object_id, o.wrapped_key, o.tenant_key_version from object o
         where o.tenant_id = $1 and o.tenant_key_version = k.version and o.id > $2 and length(o.wrapped_key) > 0
         order by o.id limit $3) s
       where k.tenant_id = $1 and k.wrapped is not null
         and k.version < (select max(version) from tenant_key where tenant_id = $1)
       order by s.row limit $3`,
      [tenantId, after, limit],
    )
    return rows
  },
  async isUsed(sql, { tenantId, version }) {
    const { rowCount } = await sql.query(
      'select from object where tenant_id = $1 and tenant_key_version = $2 and length(wrapped_key) > 0 limit 1',
      [tenantId, version],
    )
    return rowCount > 0
  },
  async update(sql, tenantId, keys) {
    await sql.query(
      `update object o set wrapped_key = decode(k.wrapped_key, 'hex'), tenant_key_version = k.version
       from unnest($2::text[], $3::int[], $4::text[], $5::int[]) as k(id, from_version, wrapped_key, version)
       where o.id = k.id and o.tenant_id = $1 and o.tenant_key_version = k.from_version and length(o.wrapped_key) > 0`,
      [
        tenantId,
        keys.map((key) => key.row),
        keys.map((key) => key.from),
        keys.map((key) => Buffer.from(key.wrappedKey).toString('hex')),
        keys.map((key) => key.tenantKeyVersion),
      ],
    )
  },
}
