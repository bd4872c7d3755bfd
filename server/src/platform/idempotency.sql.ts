import type { Sql } from './database.ts'

export interface KeyClaim {
  tenantId: number
  key: string
  requestHash: string
  claim: string
  lifetimeMs: number
  keptMs: number
}

/** Takes a key that is new, too old to count, or left behind by a process that died; false when somebody has it. */
export async function claimKey(sql: Sql, wanted: KeyClaim): Promise<boolean> {
  const { rows } = await sql.query(
    `insert into idempotency_key as k (tenant_id, key, request_hash, claim, in_flight_until)
     values ($1, $2, $3, $4, now() + $5 * interval '1 ms')
     on conflict (tenant_id, key) do update set request_hash = excluded.request_hash, claim = excluded.claim,
       in_flight_until = excluded.in_flight_until, response = null, created_at = now()
     where k.in_flight_until < now()
       or k.in_flight_until is null and k.created_at < now() - $6 * interval '1 ms'
     returning true`,
    [wanted.tenantId, wanted.key, wanted.requestHash, wanted.claim, wanted.lifetimeMs, wanted.keptMs],
  )
  return rows.length > 0
}

export interface KeyRow {
  request_hash: string
  in_flight: boolean
  response: unknown
}

export async function findKey(sql: Sql, tenantId: number, key: string): Promise<KeyRow | undefined> {
  const { rows } = await sql.query<KeyRow>(
    `select request_hash, in_flight_until is not null as in_flight, response from idempotency_key
     where tenant_id = $1 and key = $2`,
    [tenantId, key],
  )
  return rows[0]
}

interface HeldKey {
  tenantId: number
  key: string
  claim: string
}

/** False when another has taken over. */
export async function renewKey(sql: Sql, held: HeldKey & { lifetimeMs: number }): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update idempotency_key set in_flight_until = now() + $4 * interval '1 ms'
     where tenant_id = $1 and key = $2 and claim = $3 and in_flight_until is not null`,
    [held.tenantId, held.key, held.claim, held.lifetimeMs],
  )
  return rowCount > 0
}

/** False when another has taken one of them over. */
export async function answerKeys(
  sql: Sql,
  held: readonly (HeldKey & { requestHash: string; response: unknown })[],
): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update idempotency_key k set in_flight_until = null, request_hash = h.request_hash, response = h.response::jsonb
     from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])
       as h(tenant_id, key, claim, request_hash, response)
     where k.tenant_id = h.tenant_id and k.key = h.key and k.claim = h.claim and k.in_flight_until is not null`,
    [
      held.map(({ tenantId }) => tenantId),
      held.map(({ key }) => key),
      held.map(({ claim }) => claim),
      held.map(({ requestHash }) => requestHash),
      held.map(({ response }) => JSON.stringify(response ?? null)),
    ],
  )
  return rowCount === held.length
}

export async function releaseKey(sql: Sql, held: HeldKey): Promise<void> {
  await sql.query(
    'delete from idempotency_key where tenant_id = $1 and key = $2 and claim = $3 and in_flight_until is not null',
    [held.tenantId, held.key, held.claim],
  )
}

/** Of every tenant; answers how many there were. */
export async function deleteOldKeys(sql: Sql, options: { keptMs: number; limit: number }): Promise<number> {
  const { rowCount } = await sql.query(
    `delete from idempotency_key where (tenant_id, key) in
       (select tenant_id, key from idempotency_key where created_at < now() - $1 * interval '1 ms'
          and (in_flight_until is null or in_flight_until < now()) limit $2)`,
    [options.keptMs, options.limit],
  )
  return rowCount
}
