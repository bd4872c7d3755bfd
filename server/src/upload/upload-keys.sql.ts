// Keys that rows of uploads hold: of content that is being received, and of credentials of places that files come from.

import type { Sql } from '../platform/database.ts'
import type { KeyHolder, RewrappedKey, StaleKeyRow } from '../storage/key-holder.ts'

const ofSessions: KeyHolder = {
  async listStale(sql, { tenantId, after, limit }) {
    const { rows } = await sql.query<StaleKeyRow>(
      `select s.id::text as row, s.object_id, s.wrapped_key, s.tenant_key_version from upload_session s
       join tenant_key k on k.tenant_id = s.tenant_id and k.version = s.tenant_key_version and k.wrapped is not null
       where s.tenant_id = $1 and s.id > coalesce(nullif($2, '')::bigint, 0) and s.ended_at is null
         and s.tenant_key_version < (select max(version) from tenant_key where tenant_id = $1)
       order by s.id limit $3`,
      [tenantId, after, limit],
    )
    return rows
  },
  async isUsed(sql, { tenantId, version }) {
    const { rowCount } = await sql.query(
      `select from upload_session where tenant_id = $1 and tenant_key_version = $2 and ended_at is null limit 1`,
      [tenantId, version],
    )
    return rowCount > 0
  },
  async update(sql, tenantId, keys) {
    await sql.query(
      `update upload_session s set wrapped_key = decode(k.wrapped_key, 'hex'), tenant_key_version = k.version
       from unnest($2::bigint[], $3::int[], $4::text[], $5::int[]) as k(id, from_version, wrapped_key, version)
       where s.id = k.id and s.tenant_id = $1 and s.tenant_key_version = k.from_version and s.ended_at is null`,
      [tenantId, ...columnsOf(keys, 'hex')],
    )
  },
}

const secretsOfImports = `select id, tenant_id, source -> 'secret' as secret from upload_session
  where ended_at is null and source -> 'secret' is not null`
const secretsOfSources = 'select id, tenant_id, secret from import_source where secret is not null'

/** Of imports under way: the sealed secret stands in their source. */
const ofImports: KeyHolder = {
  listStale: (sql, page) => listStaleSecrets(sql, page, secretsOfImports),
  isUsed: (sql, key) => isSecretOf(sql, key, secretsOfImports),
  async update(sql, tenantId, keys) {
    await sql.query(
      `update upload_session s
       set source = jsonb_set(s.source, '{secret}', s.source -> 'secret'
         || jsonb_build_object('wrapped_key', k.wrapped_key, 'tenant_key_version', k.version))
       from unnest($2::bigint[], $3::int[], $4::text[], $5::int[]) as k(id, from_version, wrapped_key, version)
       where s.id = k.id and s.tenant_id = $1 and (s.source #>> '{secret,tenant_key_version}')::int = k.from_version`,
      [tenantId, ...columnsOf(keys, 'base64')],
    )
  },
}

const ofImportSources: KeyHolder = {
  listStale: (sql, page) => listStaleSecrets(sql, page, secretsOfSources),
  isUsed: (sql, key) => isSecretOf(sql, key, secretsOfSources),
  async update(sql, tenantId, keys) {
    await sql.query(
      `update import_source s
       set secret = s.secret || jsonb_build_object('wrapped_key', k.wrapped_key, 'tenant_key_version', k.version)
       from unnest($2::bigint[], $3::int[], $4::text[], $5::int[]) as k(id, from_version, wrapped_key, version)
       where s.id = k.id and s.tenant_id = $1 and (s.secret ->> 'tenant_key_version')::int = k.from_version`,
      [tenantId, ...columnsOf(keys, 'base64')],
    )
  },
}

export const uploadKeyHolders: readonly KeyHolder[] = [ofSessions, ofImports, ofImportSources]

/** Sealed secrets (storage/tenant-secret.ts) of rows with an id, a tenant and one of them. */
async function listStaleSecrets(
  sql: Sql,
  { tenantId, after, limit }: Parameters<KeyHolder['listStale']>[1],
  secretsSql: string,
): Promise<StaleKeyRow[]> {
  const { rows } = await sql.query<StaleKeyRow>(
    `select s.id::text as row, s.secret ->> 'id' as object_id, decode(s.secret ->> 'wrapped_key', 'base64') as wrapped_key,
       k.version as tenant_key_version
     from (${secretsSql}) s
     join tenant_key k on k.tenant_id = s.tenant_id and k.version = (s.secret ->> 'tenant_key_version')::int
       and k.wrapped is not null
     where s.tenant_id = $1 and s.id > coalesce(nullif($2, '')::bigint, 0)
       and k.version < (select max(version) from tenant_key where tenant_id = $1)
     order by s.id limit $3`,
    [tenantId, after, limit],
  )
  return rows
}

async function isSecretOf(
  sql: Sql,
  { tenantId, version }: Parameters<KeyHolder['isUsed']>[1],
  secretsSql: string,
): Promise<boolean> {
  const { rowCount } = await sql.query(
    `select from (${secretsSql}) s where s.tenant_id = $1 and (s.secret ->> 'tenant_key_version')::int = $2 limit 1`,
    [tenantId, version],
  )
  return rowCount > 0
}

const columnsOf = (keys: readonly RewrappedKey[], encoding: 'hex' | 'base64'): unknown[][] => [
  keys.map((key) => key.row),
  keys.map((key) => key.from),
  keys.map((key) => Buffer.from(key.wrappedKey).toString(encoding)),
  keys.map((key) => key.tenantKeyVersion),
]
