import type { UploadKind, UploadResult, UploadState } from '@millrace/contract'
import type { Sql } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import type { Principal } from '../platform/principal.ts'
import type { ObjectDraft, PartSeal } from '../storage/vault.ts'
import type { UploadFields } from './form.ts'

export interface SessionRow {
  id: RowId<'upload'>
  tenant_id: number
  kind: UploadKind
  state: UploadState
  name: string
  file_id: RowId<'file'> | null
  fields: UploadFields
  size_bytes: number | null
  received_bytes: number
  part_size_bytes: number | null
  tus_metadata: string | null
  concat: 'partial' | 'final' | null
  concat_sources: RowId<'upload'>[] | null
  object_id: string
  store_key: string
  wrapped_key: Uint8Array
  tenant_key_version: number
  reservation_id: number | null
  epoch: number
  lease_until: Date | null
  attempts: number
  source: unknown
  bytes_per_second: number | null
  progress_at: Date | null
  problem: { code: string; detail?: string } | null
  result: UploadResult | null
  request_id: string | null
  created_by: Principal['actor']
  created_at: Date
  expires_at: Date
  ended_at: Date | null
  swept_at: Date | null
}

/** A part that counts. Its sha256 is of the part; where parts come in order, of all content up to its end, if that is known. */
export type SessionPart = PartSeal & { readonly sha256: string | null }

/** A session as statements name it. */
export interface SessionKey {
  tenantId: number
  id: RowId<'upload'>
}

export const keyOf = ({ tenant_id: tenantId, id }: SessionRow): SessionKey => ({ tenantId, id })

export const draftOf = (row: SessionRow): ObjectDraft => ({
  objectId: row.object_id,
  tenantId: row.tenant_id,
  storeKey: row.store_key,
  wrappedKey: row.wrapped_key,
  tenantKeyVersion: row.tenant_key_version,
})

export interface NewSession {
  tenantId: number
  kind: UploadKind
  name: string
  fileId: RowId<'file'> | null
  fields: UploadFields
  sizeBytes: number | null
  partSizeBytes: number | null
  tusMetadata: string | null
  concat: 'partial' | 'final' | null
  concatSources: readonly RowId<'upload'>[] | null
  draft: ObjectDraft
  reservationId: number | null
  source: unknown
  requestId: string
  createdBy: Principal['actor']
  lifetimeMs: number
  openCountMax: number
}

/** Nothing when the tenant has as many open sessions as it may. */
export async function insertSession(sql: Sql, session: NewSession): Promise<SessionRow | undefined> {
  const { rows } = await sql.query<SessionRow>(
    `insert into upload_session (tenant_id, kind, name, file_id, fields, size_bytes, part_size_bytes, tus_metadata, concat,
       concat_sources, object_id, store_key, wrapped_key, tenant_key_version, reservation_id, source, request_id, created_by, expires_at)
     select $1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16::jsonb, $17, $18, now() + $19 * interval '1 ms'
     where (select count(*) from (select from upload_session where tenant_id = $1 and ended_at is null limit $20) open) < $20
     returning *`,
    [
      session.tenantId,
      session.kind,
      session.name,
      session.fileId,
      JSON.stringify(session.fields),
      session.sizeBytes,
      session.partSizeBytes,
      session.tusMetadata,
      session.concat,
      session.concatSources,
      session.draft.objectId,
      session.draft.storeKey,
      session.draft.wrappedKey,
      session.draft.tenantKeyVersion,
      session.reservationId,
      session.source === undefined ? null : JSON.stringify(session.source),
      session.requestId,
      session.createdBy,
      session.lifetimeMs,
      session.openCountMax,
    ],
  )
  return rows[0]
}

export async function findSession(sql: Sql, tenantId: number, id: RowId<'upload'>): Promise<SessionRow | undefined> {
  const { rows } = await sql.query<SessionRow>('select * from upload_session where tenant_id = $1 and id = $2', [
    tenantId,
    id,
  ])
  return rows[0]
}

/** The same, held until the transaction ends. */
export async function lockSession(sql: Sql, tenantId: number, id: RowId<'upload'>): Promise<SessionRow | undefined> {
  const { rows } = await sql.query<SessionRow>(
    'select * from upload_session where tenant_id = $1 and id = $2 for update',
    [tenantId, id],
  )
  return rows[0]
}

export async function listSessions(
  sql: Sql,
  list: {
    tenantId: number
    before: number | undefined
    state: UploadState | undefined
    kind: UploadKind | undefined
    limit: number
  },
): Promise<SessionRow[]> {
  const { rows } = await sql.query<SessionRow>(
    `select * from upload_session
     where tenant_id = $1 and id < coalesce($2::bigint, 9007199254740991) and ($3::text is null or state = $3)
       and ($4::text is null or kind = $4)
     order by id desc limit $5`,
    [list.tenantId, list.before ?? null, list.state ?? null, list.kind ?? null, list.limit],
  )
  return rows
}

/** Takes the session from whoever writes to it, for a write at this offset; nothing when it is not open or stands elsewhere. */
export async function takeSession(
  sql: Sql,
  take: { tenantId: number; id: RowId<'upload'>; offsetBytes: number; sizeBytes: number | null },
): Promise<SessionRow | undefined> {
  const { rows } = await sql.query<SessionRow>(
    `update upload_session set epoch = epoch + 1, size_bytes = coalesce(size_bytes, $4)
     where tenant_id = $1 and id = $2 and state = 'receiving' and received_bytes = $3 and expires_at > now()
     returning *`,
    [take.tenantId, take.id, take.offsetBytes, take.sizeBytes],
  )
  return rows[0]
}

export interface SessionHold extends SessionKey {
  epoch: number
}

/**
 * Counts bytes that are stored; the last ones turn the session over to the seal, so that no crash can come between.
 * False when somebody else has taken the session or it has ended. */
export async function advanceSession(
  sql: Sql,
  advance: SessionHold & { bytes: number; lifetimeMs: number },
): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update upload_session set received_bytes = received_bytes + $4,
       expires_at = least(greatest(expires_at, now() + $5 * interval '1 ms'), created_at + $6 * interval '1 ms'),
       state = case when whole then 'sealing' else state end,
       lease_until = case when whole then now() else lease_until end,
       attempts = case when whole then 0 else attempts end
     from (select id as whole_id, received_bytes + $4 = size_bytes and concat is null as whole from upload_session
       where tenant_id = $1 and id = $2 and epoch = $3 for update) w
     where id = whole_id and state = 'receiving' and epoch = $3`,
    [advance.tenantId, advance.id, advance.epoch, advance.bytes, advance.lifetimeMs, sessionLifetimeMsMax],
  )
  return rowCount > 0
}

/** However often bytes come, a session is over after a week. */
export const sessionLifetimeMsMax = 7 * 24 * 60 * 60_000

/** Notes how fast bytes come; false when somebody else has taken the session or it has ended. */
export async function noteProgress(
  sql: Sql,
  note: SessionHold & { bytesPerSecond: number; leaseMs: number | null },
): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update upload_session set bytes_per_second = $4, progress_at = now(),
       lease_until = case when $5::integer is null then lease_until else now() + $5 * interval '1 ms' end
     where tenant_id = $1 and id = $2 and state = 'receiving' and epoch = $3`,
    [note.tenantId, note.id, note.epoch, note.bytesPerSecond, note.leaseMs],
  )
  return rowCount > 0
}

export async function insertParts(sql: Sql, session: SessionKey, parts: readonly SessionPart[]): Promise<void> {
  await sql.query(
    `insert into upload_part (session_id, tenant_id, number, size_bytes, salt, commitment, sha256)
     select $1, $2, * from unnest($3::int[], $4::bigint[], $5::text[], $6::text[], $7::text[])`,
    [session.id, session.tenantId, ...columnsOf(parts)],
  )
}

/** Puts the part in the place of an earlier attempt, which it answers; nothing when there was none. */
export async function replacePart(sql: Sql, session: SessionKey, part: SessionPart): Promise<SessionPart | undefined> {
  const { rows } = await sql.query<PartRow>(
    'delete from upload_part where session_id = $1 and tenant_id = $2 and number = $3 returning *',
    [session.id, session.tenantId, part.number],
  )
  await insertParts(sql, session, [part])
  return rows[0] && toSessionPart(rows[0])
}

const columnsOf = (parts: readonly SessionPart[]): unknown[][] => [
  parts.map((part) => part.number),
  parts.map((part) => part.sizeBytes),
  parts.map((part) => part.salt),
  parts.map((part) => part.commitment),
  parts.map((part) => part.sha256),
]

interface PartRow {
  number: number
  size_bytes: number
  salt: string
  commitment: string
  sha256: string | null
}

const toSessionPart = (row: PartRow): SessionPart => ({
  number: row.number,
  sizeBytes: row.size_bytes,
  salt: row.salt,
  commitment: row.commitment,
  sha256: row.sha256,
})

/** Stored parts by number, after the given one. */
export async function listParts(
  sql: Sql,
  session: SessionKey,
  page: { after: number; limit: number } = { after: 0, limit: 10_000 },
): Promise<SessionPart[]> {
  const { rows } = await sql.query<PartRow>(
    `select number, size_bytes, salt, commitment, sha256 from upload_part
     where session_id = $1 and tenant_id = $2 and number > $3 order by number limit $4`,
    [session.id, session.tenantId, page.after, page.limit],
  )
  return rows.map(toSessionPart)
}

/** Number of the last part; 0 when there is none. */
export async function findLastPartNumber(sql: Sql, { tenantId, id }: SessionKey): Promise<number> {
  const { rows } = await sql.query<{ number: number }>(
    'select number from upload_part where session_id = $1 and tenant_id = $2 order by number desc limit 1',
    [id, tenantId],
  )
  return rows[0]?.number ?? 0
}

/**
 * Counts a part of a session in parts; meant for a transaction that holds the session. Answers how far it is when that
 * is to be told, at most twice a second.
 */
export async function addReceivedBytes(
  sql: Sql,
  add: SessionKey & { bytes: number; lifetimeMs: number },
): Promise<{ received_bytes: number; size_bytes: number; bytes_per_second: number } | undefined> {
  const { rows } = await sql.query<{
    received_bytes: number
    size_bytes: number
    bytes_per_second: number
    told: boolean
  }>(
    `update upload_session s set received_bytes = s.received_bytes + $3,
       expires_at = least(greatest(s.expires_at, now() + $4 * interval '1 ms'), s.created_at + $5 * interval '1 ms'),
       bytes_per_second = (s.received_bytes + $3) / greatest(extract(epoch from clock_timestamp() - s.created_at), 0.001),
       progress_at = case when due then now() else progress_at end
     from (select coalesce(progress_at, created_at) < now() - interval '500 ms' as due from upload_session
       where tenant_id = $1 and id = $2) d
     where tenant_id = $1 and id = $2 returning s.received_bytes, s.size_bytes, s.bytes_per_second, due as told`,
    [add.tenantId, add.id, add.bytes, add.lifetimeMs, sessionLifetimeMsMax],
  )
  return rows[0]?.told === true ? rows[0] : undefined
}

/** Takes an open session, or one whose seal was given up, for its seal; nothing when somebody is at it or it has ended. */
export async function claimSeal(
  sql: Sql,
  claim: { tenantId: number; id: RowId<'upload'>; leaseMs: number },
): Promise<SessionRow | undefined> {
  const { rows } = await sql.query<SessionRow>(
    `update upload_session set state = 'sealing', epoch = epoch + 1, attempts = attempts + 1,
       lease_until = now() + $3 * interval '1 ms'
     where tenant_id = $1 and id = $2
       and (state = 'receiving' or (state = 'sealing' and (lease_until is null or lease_until <= now())))
     returning *`,
    [claim.tenantId, claim.id, claim.leaseMs],
  )
  return rows[0]
}

export async function renewSeal(sql: Sql, hold: SessionHold & { leaseMs: number }): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update upload_session set lease_until = now() + $4 * interval '1 ms'
     where tenant_id = $1 and id = $2 and epoch = $3 and state = 'sealing'`,
    [hold.tenantId, hold.id, hold.epoch, hold.leaseMs],
  )
  return rowCount > 0
}

/** Lets go of a seal that did not succeed this time; others may try again after the pause. */
export async function pauseSeal(
  sql: Sql,
  hold: SessionHold & { pauseMs: number; problem: { code: string; detail?: string } },
): Promise<void> {
  await sql.query(
    `update upload_session set lease_until = now() + $4 * interval '1 ms', problem = $5::jsonb
     where tenant_id = $1 and id = $2 and epoch = $3 and state = 'sealing'`,
    [hold.tenantId, hold.id, hold.epoch, hold.pauseMs, JSON.stringify(hold.problem)],
  )
}

/** The object has the key from here on: a second copy would outlive its erasure. */
export async function endSealed(
  sql: Sql,
  end: SessionHold & { result: UploadResult; sizeBytes: number },
): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update upload_session set state = 'sealed', result = $4::jsonb, size_bytes = $5, received_bytes = $5, problem = null,
       lease_until = null, source = source - 'secret', wrapped_key = '', ended_at = now()
     where tenant_id = $1 and id = $2 and epoch = $3 and state = 'sealing'`,
    [end.tenantId, end.id, end.epoch, JSON.stringify(end.result), end.sizeBytes],
  )
  return rowCount > 0
}

/** Partial uploads that now belong to a final one: they take no more bytes, have no reservation and do not expire. */
export async function markConcatenated(sql: Sql, tenantId: number, ids: readonly RowId<'upload'>[]): Promise<void> {
  await sql.query(
    `update upload_session set state = 'sealing', epoch = epoch + 1, reservation_id = null
     where tenant_id = $1 and id = any($2)`,
    [tenantId, ids],
  )
}

/** A final upload has all of its bytes from the beginning. */
export async function turnToSeal(sql: Sql, { tenantId, id }: SessionKey): Promise<void> {
  await sql.query(
    `update upload_session set state = 'sealing', received_bytes = size_bytes, lease_until = now()
     where tenant_id = $1 and id = $2`,
    [tenantId, id],
  )
}

/** Ends the partial uploads that a final one was to be made of, with it: their bytes are of no more use. */
export async function endPartials(
  sql: Sql,
  end: { tenantId: number; ids: readonly RowId<'upload'>[]; state: 'sealed' | 'failed' | 'aborted' | 'expired' },
): Promise<void> {
  await sql.query(
    `update upload_session set state = $3, epoch = epoch + 1, wrapped_key = '', ended_at = now()
     where tenant_id = $1 and id = any($2) and concat = 'partial' and ended_at is null`,
    [end.tenantId, end.ids, end.state],
  )
}

export interface EndSession extends SessionKey {
  state: 'failed' | 'aborted' | 'expired'
  problem: { code: string; detail?: string } | null
}

/** Ends a session that has not; the answer is what it was, nothing when it had ended. A seal under way goes first unless it is its own. */
export async function endSession(
  sql: Sql,
  end: EndSession & { epoch: number | undefined },
): Promise<SessionRow | undefined> {
  const { rows } = await sql.query<SessionRow>(
    `update upload_session set state = $3, problem = coalesce($4::jsonb, problem), epoch = epoch + 1, lease_until = null,
       source = source - 'secret', wrapped_key = '', ended_at = now()
     where tenant_id = $1 and id = $2 and ended_at is null
       and (state = 'receiving' or epoch = $5 or lease_until is null or lease_until < now())
       and ($5::integer is null or epoch = $5)
     returning *`,
    [end.tenantId, end.id, end.state, end.problem && JSON.stringify(end.problem), end.epoch ?? null],
  )
  return rows[0]
}

export async function insertUploadOutbox(
  sql: Sql,
  event: { tenantId: number; type: 'upload.progress' | 'upload.ended'; fileId?: RowId<'file'>; data: object },
): Promise<void> {
  await sql.query('insert into outbox (tenant_id, type, file_id, data) values ($1, $2, $3, $4)', [
    event.tenantId,
    event.type,
    event.fileId ?? null,
    JSON.stringify(event.data),
  ])
}

/** Sessions that somebody has to look after, oldest first. Run as the installation. */
export async function listExpired(sql: Sql, limit: number): Promise<SessionRow[]> {
  const { rows } = await sql.query<SessionRow>(
    `select * from upload_session where state = 'receiving' and expires_at < now() order by expires_at limit $1`,
    [limit],
  )
  return rows
}

/** Seals that were given up by a process that died, or that are to be tried again. */
export async function listAbandonedSeals(sql: Sql, limit: number): Promise<SessionRow[]> {
  const { rows } = await sql.query<SessionRow>(
    `select * from upload_session where ended_at is null and state = 'sealing' and lease_until < now() order by lease_until limit $1`,
    [limit],
  )
  return rows
}

/** Ended so long ago that no writer can still be at them, and not looked through since. */
export async function listUnswept(sql: Sql, options: { afterMs: number; limit: number }): Promise<SessionRow[]> {
  const { rows } = await sql.query<SessionRow>(
    `select * from upload_session where swept_at is null and ended_at is not null and ended_at < now() - $1 * interval '1 ms'
     order by ended_at limit $2`,
    [options.afterMs, options.limit],
  )
  return rows
}

export async function markSwept(sql: Sql, tenantId: number, id: RowId<'upload'>): Promise<void> {
  await sql.query('update upload_session set swept_at = now() where tenant_id = $1 and id = $2', [tenantId, id])
}

/** Forgets sessions that have been swept for so long; their parts go with them. Answers how many there were. */
export async function deleteOldSessions(sql: Sql, options: { keptMs: number; limit: number }): Promise<number> {
  const { rowCount } = await sql.query(
    `delete from upload_session where id in
       (select id from upload_session where swept_at < now() - $1 * interval '1 ms' order by swept_at limit $2)`,
    [options.keptMs, options.limit],
  )
  return rowCount
}
