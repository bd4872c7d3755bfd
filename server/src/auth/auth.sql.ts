import type { Role } from '@millrace/contract'
import type { Sql } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'

// Secrets of the installation ---------------------------------------------------------------------------------

export async function insertSecretIfAbsent(sql: Sql, name: string, wrapped: Uint8Array): Promise<void> {
  await sql.query('insert into installation_secret (name, wrapped) values ($1, $2) on conflict (name) do nothing', [
    name,
    wrapped,
  ])
}

export interface SecretRow {
  name: string
  wrapped: Uint8Array
}

/** Oldest first. */
export async function listSecrets(sql: Sql, prefix: string): Promise<SecretRow[]> {
  const { rows } = await sql.query<SecretRow>(
    'select name, wrapped from installation_secret where starts_with(name, $1) order by created_at, name',
    [prefix],
  )
  return rows
}

export async function updateSecret(sql: Sql, name: string, wrapped: Uint8Array): Promise<void> {
  await sql.query('update installation_secret set wrapped = $2 where name = $1', [name, wrapped])
}

// People ------------------------------------------------------------------------------------------------------

export interface AccountRow {
  user_id: RowId<'user'>
  password_hash: string
  disabled: boolean
  /** The oldest membership in an active tenant. */
  tenant_id: RowId<'tenant'> | null
}

export async function findAccount(sql: Sql, email: string): Promise<AccountRow | undefined> {
  const { rows } = await sql.query<AccountRow>(
    `select u.id as user_id, u.password_hash, u.disabled_at is not null as disabled, m.tenant_id
     from user_account u
     left join lateral (
       select m.tenant_id from membership m join tenant t on t.id = m.tenant_id and t.state = 'active'
       where m.user_id = u.id order by m.created_at, m.tenant_id limit 1
     ) m on true
     where u.email = lower($1)`,
    [email],
  )
  return rows[0]
}

export interface SessionStateRow {
  role: Role
  operator: boolean
}

/** What a session may do now; nothing when the user, the membership, the tenant or the session has been ended. */
export async function findSessionState(
  sql: Sql,
  session: { family: string; userId: number; tenantId: number },
): Promise<SessionStateRow | undefined> {
  const { rows } = await sql.query<SessionStateRow>(
    `select m.role, u.operator
     from membership m
     join user_account u on u.id = m.user_id and u.disabled_at is null
     join tenant t on t.id = m.tenant_id and t.state = 'active'
     where m.user_id = $1 and m.tenant_id = $2
       and exists (select from refresh_token r where r.family = $3 and r.user_id = $1 and r.revoked_at is null)`,
    [session.userId, session.tenantId, session.family],
  )
  return rows[0]
}

export interface PrincipalRow {
  tenant_name: string
  email: string | null
}

export async function findPrincipalNames(
  sql: Sql,
  principal: { tenantId: number; userId: number | null },
): Promise<PrincipalRow | undefined> {
  const { rows } = await sql.query<PrincipalRow>(
    `select t.name as tenant_name, (select email from user_account where id = $2) as email from tenant t where t.id = $1`,
    [principal.tenantId, principal.userId],
  )
  return rows[0]
}

// Refresh tokens ----------------------------------------------------------------------------------------------

export interface RefreshTokenRow {
  token_hash: Uint8Array
  family: string
  tenant_id: RowId<'tenant'>
  user_id: RowId<'user'>
  expires_at: Date
}

export async function insertRefreshToken(
  sql: Sql,
  token: { hash: Uint8Array; family: string; tenantId: number; userId: number; lifetimeMs: number },
): Promise<void> {
  await sql.query(
    `insert into refresh_token (token_hash, family, tenant_id, user_id, expires_at)
     values ($1, $2, $3, $4, now() + $5 * interval '1 millisecond')`,
    [token.hash, token.family, token.tenantId, token.userId, token.lifetimeMs],
  )
}

/** A successor lives no longer than the token that it replaces: a session has one end, set when it began. */
export async function insertSuccessor(sql: Sql, hash: Uint8Array, before: RefreshTokenRow): Promise<void> {
  await sql.query(
    `insert into refresh_token (token_hash, family, tenant_id, user_id, expires_at) values ($1, $2, $3, $4, $5)`,
    [hash, before.family, before.tenant_id, before.user_id, before.expires_at],
  )
}

/** Uses the token up; nothing when it is unknown, used, revoked or expired. Of two at once only one gets it. */
export async function useRefreshToken(sql: Sql, hash: Uint8Array): Promise<RefreshTokenRow | undefined> {
  const { rows } = await sql.query<RefreshTokenRow>(
    `update refresh_token set used_at = now()
     where token_hash = $1 and used_at is null and revoked_at is null and expires_at > now()
     returning token_hash, family, tenant_id, user_id, expires_at`,
    [hash],
  )
  return rows[0]
}

export interface SpentTokenRow extends RefreshTokenRow {
  expired: boolean
  revoked: boolean
  used: boolean
  /** Used so lately that the answer may have been lost, and nothing that came after it has been used since. */
  answer_may_be_lost: boolean
}

/** Holds the family's rows until the end of the transaction. */
export async function findSpentToken(sql: Sql, hash: Uint8Array, graceMs: number): Promise<SpentTokenRow | undefined> {
  await sql.query(
    `select from refresh_token where family = (select family from refresh_token where token_hash = $1)
     order by created_at, token_hash for update`,
    [hash],
  )
  const { rows } = await sql.query<SpentTokenRow>(
    `select t.token_hash, t.family, t.tenant_id, t.user_id, t.expires_at,
       t.expires_at <= now() as expired, t.revoked_at is not null as revoked, t.used_at is not null as used,
       t.revoked_at is null and t.used_at is not null and t.used_at > now() - $2 * interval '1 millisecond'
         and not exists (select from refresh_token s where s.family = t.family and s.token_hash <> t.token_hash
           and s.created_at >= t.used_at and s.used_at is not null) as answer_may_be_lost
     from refresh_token t where t.token_hash = $1`,
    [hash, graceMs],
  )
  return rows[0]
}

export async function revokeUnusedTokens(sql: Sql, family: string): Promise<void> {
  await sql.query(
    'update refresh_token set revoked_at = now() where family = $1 and used_at is null and revoked_at is null',
    [family],
  )
}

export async function revokeFamily(sql: Sql, family: string): Promise<void> {
  await sql.query('update refresh_token set revoked_at = now() where family = $1 and revoked_at is null', [family])
}

/** Sessions of the user that ended long ago; nobody can tell their tokens from made-up ones any more. */
export async function deleteEndedTokens(sql: Sql, userId: number): Promise<void> {
  await sql.query(`delete from refresh_token where user_id = $1 and expires_at < now() - interval '1 day'`, [userId])
}

// API keys ----------------------------------------------------------------------------------------------------

export interface ApiKeyRow {
  id: RowId<'api_key'>
  name: string
  prefix: string
  role: Role
  created_at: Date
  expires_at: Date | null
  last_used_at: Date | null
  revoked_at: Date | null
}

const apiKeyColumns = 'id, name, prefix, role, created_at, expires_at, last_used_at, revoked_at'

export interface NewApiKey {
  tenantId: number
  name: string
  prefix: string
  hash: Uint8Array
  role: Role
  operator: boolean
  createdBy: number | null
  expiresAt: Date | null
}

export async function insertApiKey(sql: Sql, key: NewApiKey): Promise<ApiKeyRow> {
  const { rows } = await sql.query<ApiKeyRow>(
    `insert into api_key (tenant_id, name, prefix, secret_hash, role, operator, created_by, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8) returning ${apiKeyColumns}`,
    [key.tenantId, key.name, key.prefix, key.hash, key.role, key.operator, key.createdBy, key.expiresAt],
  )
  // An insert that does not throw returns its row.
  return rows[0]!
}

export async function listApiKeys(
  sql: Sql,
  page: { tenantId: number; before: number | null; limit: number },
): Promise<ApiKeyRow[]> {
  const { rows } = await sql.query<ApiKeyRow>(
    `select ${apiKeyColumns} from api_key where tenant_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3`,
    [page.tenantId, page.before, page.limit],
  )
  return rows
}

export interface VerifiedKeyRow {
  id: RowId<'api_key'>
  tenant_id: RowId<'tenant'>
  role: Role
  operator: boolean
  expires_at: Date | null
}

/** A key that has not been revoked, of an active tenant; whether it has expired is for the caller to see. */
export async function findApiKey(sql: Sql, hash: Uint8Array): Promise<VerifiedKeyRow | undefined> {
  const { rows } = await sql.query<VerifiedKeyRow>(
    `select k.id, k.tenant_id, k.role, k.operator, k.expires_at
     from api_key k join tenant t on t.id = k.tenant_id and t.state = 'active'
     where k.secret_hash = $1 and k.revoked_at is null`,
    [hash],
  )
  return rows[0]
}

/** Returns the key's hash, or nothing when the tenant has no such key. Revoking twice keeps the first time. */
export async function revokeApiKey(sql: Sql, key: { tenantId: number; id: number }): Promise<Uint8Array | undefined> {
  const { rows } = await sql.query<{ secret_hash: Uint8Array }>(
    `update api_key set revoked_at = coalesce(revoked_at, now()) where tenant_id = $1 and id = $2 returning secret_hash`,
    [key.tenantId, key.id],
  )
  return rows[0]?.secret_hash
}

export async function touchApiKey(sql: Sql, id: number, everyMs: number): Promise<void> {
  await sql.query(
    `update api_key set last_used_at = now()
     where id = $1 and (last_used_at is null or last_used_at < now() - $2 * interval '1 millisecond')`,
    [id, everyMs],
  )
}
