import type { Sql, Tx } from '../platform/database.ts'

export interface ReservationRow {
  id: number
  bytes: number
}

export interface ReserveRoom {
  tenantId: number
  /** Taken if there is as much, else what is left. */
  bytes: number
  /** Taken at least, or nothing is. */
  bytesMin: number
  files: number
  storedBytesMax: number
  filesCountMax: number
  lifetimeMs: number
  /** Whose room at the tenant it is taken from as well, when that is limited. */
  actor: string | null
}

// The room is looked at under the lock of the usage row, so that whoever comes second sees what the first one took.
const room = `room as (
    select tenant_id, least($2::bigint, $4::bigint - stored_bytes - reserved_bytes) as bytes from tenant_usage
    where tenant_id = $1 and $4::bigint - stored_bytes - reserved_bytes >= $3::bigint
      and files_count + reserved_files + $5::bigint <= $6::bigint
    for update
  ), taken as (
    update tenant_usage u set reserved_bytes = u.reserved_bytes + room.bytes, reserved_files = u.reserved_files + $5::bigint
    from room where u.tenant_id = room.tenant_id returning room.bytes
  )`

/** Nothing when there is no room. */
export async function insertReservation(sql: Sql, reserve: ReserveRoom): Promise<ReservationRow | undefined> {
  const { rows } = await sql.query<ReservationRow>(
    `with ${room}
     insert into quota_reservation (tenant_id, bytes, files, expires_at, actor)
     select $1, bytes, $5, now() + $7 * interval '1 ms', $8 from taken returning id, bytes`,
    [
      reserve.tenantId,
      reserve.bytes,
      reserve.bytesMin,
      reserve.storedBytesMax,
      reserve.files,
      reserve.filesCountMax,
      reserve.lifetimeMs,
      reserve.actor,
    ],
  )
  return rows[0]
}

/** Adds bytes to a reservation and answers what it has then; nothing when there is no room or it has been released. */
export async function growReservation(
  sql: Sql,
  grow: Omit<ReserveRoom, 'files' | 'filesCountMax' | 'actor'> & { reservationId: number },
): Promise<ReservationRow | undefined> {
  const { rows } = await sql.query<ReservationRow>(
    `with held as (
       select from quota_reservation where tenant_id = $1 and id = $6 for update
     ), room as (
       select tenant_id, least($2::bigint, $4::bigint - stored_bytes - reserved_bytes) as bytes from tenant_usage
       where tenant_id = $1 and $4::bigint - stored_bytes - reserved_bytes >= $3::bigint and exists (select from held)
       for update
     ), taken as (
       update tenant_usage u set reserved_bytes = u.reserved_bytes + room.bytes
       from room where u.tenant_id = room.tenant_id returning room.bytes
     )
     update quota_reservation r set bytes = r.bytes + taken.bytes, expires_at = now() + $5 * interval '1 ms'
     from taken where r.tenant_id = $1 and r.id = $6 returning r.id, r.bytes`,
    [grow.tenantId, grow.bytes, grow.bytesMin, grow.storedBytesMax, grow.lifetimeMs, grow.reservationId],
  )
  return rows[0]
}

/** False when it has been released. */
export async function renewReservation(
  sql: Sql,
  renew: { tenantId: number; reservationId: number; lifetimeMs: number },
): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update quota_reservation set expires_at = now() + $3 * interval '1 ms' where tenant_id = $1 and id = $2`,
    [renew.tenantId, renew.reservationId, renew.lifetimeMs],
  )
  return rowCount > 0
}

// Rows of users are locked before those of tenants, here as in a seal; counting them makes the statement do so.
const givenBackToUsers = `users as (
    update user_usage u set reserved_bytes = u.reserved_bytes - g.bytes, reserved_files = u.reserved_files - g.files
    from (select tenant_id, actor, sum(bytes)::bigint as bytes, sum(files)::bigint as files from gone where actor is not null
      group by 1, 2) g
    where u.tenant_id = g.tenant_id and u.actor = g.actor returning 1
  ), users_first as (select count(*) from users)`

export interface ReserveUserRoom {
  tenantId: number
  actor: string
  bytes: number
  bytesMin: number
  files: number
  storedBytesMax: number
  filesCountMax: number
}

/** Bytes that were granted; nothing when there is no room. */
export async function reserveForUser(sql: Sql, reserve: ReserveUserRoom): Promise<number | undefined> {
  await sql.query('insert into user_usage (tenant_id, actor) values ($1, $2) on conflict do nothing', [
    reserve.tenantId,
    reserve.actor,
  ])
  const { rows } = await sql.query<{ bytes: number }>(
    `with room as (
       select least($3::bigint, $5::bigint - stored_bytes - reserved_bytes) as bytes from user_usage
       where tenant_id = $1 and actor = $2 and $5::bigint - stored_bytes - reserved_bytes >= $4::bigint
         and files_count + reserved_files + $6::bigint <= $7::bigint
       for update
     )
     update user_usage u set reserved_bytes = u.reserved_bytes + room.bytes, reserved_files = u.reserved_files + $6::bigint
     from room where u.tenant_id = $1 and u.actor = $2 returning room.bytes`,
    [
      reserve.tenantId,
      reserve.actor,
      reserve.bytes,
      reserve.bytesMin,
      reserve.storedBytesMax,
      reserve.files,
      reserve.filesCountMax,
    ],
  )
  return rows[0]?.bytes
}

/** What the user was granted and the tenant had not. */
export async function giveBackToUser(
  sql: Sql,
  back: { tenantId: number; actor: string; bytes: number },
): Promise<void> {
  await sql.query('update user_usage set reserved_bytes = reserved_bytes - $3 where tenant_id = $1 and actor = $2', [
    back.tenantId,
    back.actor,
    back.bytes,
  ])
}

/**
 * False when it was gone already. It is locked by a statement of its own: whoever has just made it grow has changed the
 * usage row before, and PostgreSQL holds a check against the row as it was when the statement began, too.
 */
export async function deleteReservation(tx: Tx, tenantId: number, reservationId: number): Promise<boolean> {
  tx.send('select from quota_reservation where tenant_id = $1 and id = $2 for update', [tenantId, reservationId])
  const { rowCount } = await tx.query(
    `with gone as (
       delete from quota_reservation where tenant_id = $1 and id = $2 returning tenant_id, bytes, files, actor
     ), ${givenBackToUsers}
     update tenant_usage u set reserved_bytes = u.reserved_bytes - gone.bytes, reserved_files = u.reserved_files - gone.files
     from gone, users_first where u.tenant_id = gone.tenant_id`,
    [tenantId, reservationId],
  )
  return rowCount > 0
}

/** Gives back what has outlived its time, at most so many at once; answers how many there were. */
export async function deleteExpiredReservations(sql: Sql, limit: number): Promise<number> {
  const { rows } = await sql.query<{ count: number }>(
    `with gone as (
       delete from quota_reservation where id in
         (select id from quota_reservation where expires_at < now() order by expires_at limit $1 for update skip locked)
       returning tenant_id, bytes, files, actor
     ), ${givenBackToUsers}, sums as (
       select tenant_id, sum(bytes)::bigint as bytes, sum(files)::bigint as files from gone, users_first group by tenant_id
     ), given_back as (
       update tenant_usage u set reserved_bytes = u.reserved_bytes - s.bytes, reserved_files = u.reserved_files - s.files
       from sums s where u.tenant_id = s.tenant_id
     )
     select count(*)::int as count from gone`,
    [limit],
  )
  return rows[0]?.count ?? 0
}

export interface UsageRow {
  files_count: number
  stored_bytes: number
  reserved_bytes: number
  reserved_files: number
}

export async function findUsage(sql: Sql, tenantId: number): Promise<UsageRow | undefined> {
  const { rows } = await sql.query<UsageRow>(
    'select files_count, stored_bytes, reserved_bytes, reserved_files from tenant_usage where tenant_id = $1',
    [tenantId],
  )
  return rows[0]
}

/** With what the tenant's limits are made from. */
export async function findLimitsAndUsage(
  sql: Sql,
  tenantId: number,
): Promise<(UsageRow & { limits: unknown }) | undefined> {
  const { rows } = await sql.query<UsageRow & { limits: unknown }>(
    `select t.limits, u.files_count, u.stored_bytes, u.reserved_bytes, u.reserved_files
     from tenant t join tenant_usage u on u.tenant_id = t.id where t.id = $1`,
    [tenantId],
  )
  return rows[0]
}

export async function findUserUsage(sql: Sql, tenantId: number, actor: string): Promise<UsageRow | undefined> {
  const { rows } = await sql.query<UsageRow>(
    'select files_count, stored_bytes, reserved_bytes, reserved_files from user_usage where tenant_id = $1 and actor = $2',
    [tenantId, actor],
  )
  return rows[0]
}

export interface HeldReservation {
  id: number
  bytes: number
  files: number
  actor: string | null
}

export async function findReservation(
  sql: Sql,
  tenantId: number,
  reservationId: number,
): Promise<HeldReservation | undefined> {
  const { rows } = await sql.query<HeldReservation>(
    'select id, bytes, files, actor from quota_reservation where tenant_id = $1 and id = $2',
    [tenantId, reservationId],
  )
  return rows[0]
}

/** Adds to the usage what there is room for within the tenant's limits; false when there is none. */
export async function enterUsage(
  sql: Sql,
  entry: {
    tenantId: number
    bytes: number
    files: number
    storedBytesMaxDefault: number
    filesCountMaxDefault: number
  },
): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update tenant_usage u set stored_bytes = u.stored_bytes + $2::bigint, files_count = u.files_count + $3::bigint
     from tenant t where u.tenant_id = $1 and t.id = u.tenant_id
       and u.stored_bytes + u.reserved_bytes + $2::bigint <= coalesce((t.limits->>'stored_bytes_max')::bigint, $4::bigint)
       and u.files_count + u.reserved_files + $3::bigint <= coalesce((t.limits->>'files_count_max')::bigint, $5::bigint)`,
    [entry.tenantId, entry.bytes, entry.files, entry.storedBytesMaxDefault, entry.filesCountMaxDefault],
  )
  return rowCount > 0
}

/** Whether usage and reservations are within the limits; meant for a transaction that has changed the row and so holds it. */
export async function isWithinLimits(
  sql: Sql,
  limits: { tenantId: number; storedBytesMax: number; filesCountMax: number },
): Promise<boolean> {
  const { rows } = await sql.query(
    `select true from tenant_usage where tenant_id = $1 and stored_bytes + reserved_bytes <= $2::bigint
       and files_count + reserved_files <= $3::bigint`,
    [limits.tenantId, limits.storedBytesMax, limits.filesCountMax],
  )
  return rows.length > 0
}
