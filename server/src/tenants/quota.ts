// The quota ledger: room is reserved before bytes are taken, settled in the transaction that seals them, and given back
// when they never come. Usage plus reservations never pass a limit, not by one byte and not in a race: whoever reserves
// looks at the usage row under its lock. A reservation that is neither settled nor renewed ends by itself.
//
//   reserve ──▶ held ──grow, renew──▶ held ──settle (with the seal)──▶ counted as usage
//                 └──release, or its time passes──▶ gone
//
// What is small, where much room is left, is not reserved: the seal enters it, if there still is room for it then.

import type { Database, Sql, Tx } from '../platform/database.ts'
import { Problem } from '../platform/problem.ts'
import {
  filesCountMaxDefault,
  readTenantLimits,
  storedBytesMaxDefault,
  toTenantLimits,
  userFilesCountMaxDefault,
  userStoredBytesMaxDefault,
  type TenantLimits,
} from './limits.ts'
import {
  deleteExpiredReservations,
  deleteReservation,
  enterUsage,
  findLimitsAndUsage,
  findReservation,
  findUsage,
  findUserUsage,
  giveBackToUser,
  growReservation,
  insertReservation,
  isWithinLimits,
  renewReservation,
  reserveForUser,
  type UsageRow,
} from './quota.sql.ts'

/** Room that is held for one upload. */
export interface Reservation {
  readonly id: number
  readonly tenantId: number
  readonly bytes: number
  readonly files: number
  /** The user or API key in whose limits it is held too; null when those are not limited. */
  readonly actor: string | null
}

export interface Room {
  /** Wanted; what is granted may be less, but not less than bytesMin. */
  bytes: number
  bytesMin?: number
  /** New files, 0 for a version; default 1. */
  files?: number
  /** Wire id of who uploads; held in his limits as well, where the tenant has set some. */
  actor?: string
  /** Default reservationLifetimeMs. */
  lifetimeMs?: number
}

export interface TenantRoom {
  limits: TenantLimits
  /** Whether users have limits of their own; what they enter is then always reserved. */
  usersLimited: boolean
  leftBytes: number
  leftFiles: number
}

export interface Quota {
  /** The limits that hold for a tenant and what is left within them. Throws Problem('not_found') when there is none, and setting_invalid. */
  look(sql: Sql, tenantId: number): Promise<TenantRoom>
  /** Throws Problem('quota_exceeded') that says what is used and what is left. */
  reserve(tx: Tx, tenantId: number, limits: TenantLimits, room: Room): Promise<Reservation>
  /** The reservation with that much more, and a new lifetime. Throws Problem('quota_exceeded'). */
  grow(reservation: Reservation, limits: TenantLimits, room: Omit<Room, 'files' | 'actor'>): Promise<Reservation>
  /** Begins its lifetime anew; one that is gone stays gone, and settling it will look for room again. */
  renew(reservation: Reservation): Promise<void>
  /** The same inside the caller's transaction, for a lifetime of its own. */
  extend(tx: Tx, reservation: Pick<Reservation, 'id' | 'tenantId'>, lifetimeMs: number): Promise<void>
  /** A reservation by its id, as it is now; one that is gone is answered as an empty one, which settle looks for room for. */
  find(tx: Tx, tenantId: number, reservationId: number): Promise<Reservation>
  /**
   * Gives the reservation up for what the same transaction has just counted as usage. When its time had passed, the
   * usage must still be within the limits: else throws Problem('quota_exceeded'), and the transaction must not commit.
   */
  settle(tx: Tx, reservation: Reservation, limits: TenantLimits): Promise<void>
  /**
   * Counts as usage what the same transaction enters without a reservation, within the limits as they are then. Throws
   * Problem('quota_exceeded') when there is no room for it, and the transaction must not commit. The usage row stays
   * locked until then.
   */
  enter(tx: Tx, tenantId: number, entry: { bytes: number; files: number }): Promise<void>
  /** Gives it back; one that is gone already is none of our business. */
  release(reservation: Pick<Reservation, 'id' | 'tenantId'>): Promise<void>
  /** The same inside the caller's transaction. */
  releaseWithin(tx: Tx, reservation: Pick<Reservation, 'id' | 'tenantId'>): Promise<void>
  /** Gives back what has outlived its time; a duty of maintenance. Answers how many there were. */
  releaseExpired(): Promise<number>
}

/** Longer than any pause in an upload that keeps its minimum pace; short enough that what a dead process held returns. */
export const reservationLifetimeMs = 15 * 60_000
/** Releasing in pieces keeps no tenant's usage row locked for long. */
const releaseCountMax = 1_000

export function createQuota({ database }: { database: Database }): Quota {
  return {
    async look(sql, tenantId) {
      const row = await findLimitsAndUsage(sql, tenantId)
      if (row === undefined) throw new Problem('not_found')
      const limits = toTenantLimits(row.limits)
      return {
        limits,
        usersLimited: isUserLimited(limits),
        leftBytes: limits.storedBytesMax - row.stored_bytes - row.reserved_bytes,
        leftFiles: limits.filesCountMax - row.files_count - row.reserved_files,
      }
    },

    async reserve(tx, tenantId, limits, { bytes, bytesMin = bytes, files = 1, ...room }) {
      const actor = room.actor !== undefined && isUserLimited(limits) ? room.actor : null
      const granted = await takeFromUser(tx, { tenantId, actor, limits, bytes, bytesMin, files })
      const { storedBytesMax, filesCountMax } = limits
      const lifetimeMs = room.lifetimeMs ?? reservationLifetimeMs
      const wanted = { tenantId, bytes: granted, bytesMin, files, storedBytesMax, filesCountMax, lifetimeMs, actor }
      const row = await insertReservation(tx, wanted)
      if (row === undefined) throw await exceeded(tx, tenantId, limits)
      if (actor !== null && row.bytes < granted)
        await giveBackToUser(tx, { tenantId, actor, bytes: granted - row.bytes })
      return { ...row, tenantId, files, actor }
    },

    grow: (reservation, limits, { bytes, bytesMin = bytes, lifetimeMs = reservationLifetimeMs }) =>
      database.withTenant(reservation.tenantId, async (tx) => {
        const { id: reservationId, tenantId, actor } = reservation
        const { storedBytesMax } = limits
        const granted = await takeFromUser(tx, { tenantId, actor, limits, bytes, bytesMin, files: 0 })
        const wanted = { tenantId, reservationId, bytes: granted, bytesMin, storedBytesMax, lifetimeMs }
        const row = await growReservation(tx, wanted)
        if (row === undefined) throw await exceeded(tx, tenantId, limits)
        const grownBytes = row.bytes - reservation.bytes
        if (actor !== null && grownBytes < granted)
          await giveBackToUser(tx, { tenantId, actor, bytes: granted - grownBytes })
        return { ...reservation, bytes: row.bytes }
      }),

    async renew({ id: reservationId, tenantId }) {
      await database.withTenant(tenantId, (tx) =>
        renewReservation(tx, { tenantId, reservationId, lifetimeMs: reservationLifetimeMs }),
      )
    },

    async extend(tx, { id: reservationId, tenantId }, lifetimeMs) {
      await renewReservation(tx, { tenantId, reservationId, lifetimeMs })
    },

    async find(tx, tenantId, reservationId) {
      const held = await findReservation(tx, tenantId, reservationId)
      return { ...(held ?? { id: reservationId, bytes: 0, files: 0, actor: null }), tenantId }
    },

    async settle(tx, { id, tenantId }, limits) {
      if (await deleteReservation(tx, tenantId, id)) return
      if (!(await isWithinLimits(tx, { tenantId, ...limits }))) throw await exceeded(tx, tenantId, limits)
    },

    async enter(tx, tenantId, entry) {
      if (!(await enterUsage(tx, { tenantId, ...entry, storedBytesMaxDefault, filesCountMaxDefault })))
        throw await exceeded(tx, tenantId, await readTenantLimits(tx, tenantId))
    },

    async release({ id, tenantId }) {
      await database.withTenant(tenantId, (tx) => deleteReservation(tx, tenantId, id))
    },

    async releaseWithin(tx, { id, tenantId }) {
      await deleteReservation(tx, tenantId, id)
    },

    async releaseExpired() {
      let releasedCount = 0
      for (;;) {
        const count = await database.asSystem((tx) => deleteExpiredReservations(tx, releaseCountMax))
        releasedCount += count
        if (count < releaseCountMax) return releasedCount
      }
    },
  }
}

const isUserLimited = ({ userStoredBytesMax, userFilesCountMax }: TenantLimits): boolean =>
  userStoredBytesMax !== userStoredBytesMaxDefault || userFilesCountMax !== userFilesCountMaxDefault

interface UserRoom {
  tenantId: number
  actor: string | null
  limits: TenantLimits
  bytes: number
  bytesMin: number
  files: number
}

/** How much of it the user's own limits allow. Throws Problem('quota_exceeded'). */
async function takeFromUser(tx: Tx, { actor, limits, ...room }: UserRoom): Promise<number> {
  if (actor === null) return room.bytes
  const { userStoredBytesMax: storedBytesMax, userFilesCountMax: filesCountMax } = limits
  const granted = await reserveForUser(tx, { ...room, actor, storedBytesMax, filesCountMax })
  if (granted !== undefined) return granted
  const usage = await findUserUsage(tx, room.tenantId, actor)
  throw new Problem('quota_exceeded', {
    detail: `Of your own share: ${usage ? describeUsage(usage, { storedBytesMax, filesCountMax }) : 'nothing is left.'}`,
  })
}

async function exceeded(tx: Tx, tenantId: number, limits: TenantLimits): Promise<Problem> {
  const usage = await findUsage(tx, tenantId)
  if (usage === undefined) return new Problem('not_found')
  return new Problem('quota_exceeded', { detail: describeUsage(usage, limits) })
}

/** Of files when there is no room for one more, else of bytes. */
function describeUsage(
  { stored_bytes: bytes, reserved_bytes: bytesReserved, files_count: files, reserved_files: filesReserved }: UsageRow,
  { storedBytesMax, filesCountMax }: Pick<TenantLimits, 'storedBytesMax' | 'filesCountMax'>,
): string {
  return files + filesReserved >= filesCountMax
    ? describeRoom({ used: files, reserved: filesReserved, max: filesCountMax, what: 'files' })
    : describeRoom({ used: bytes, reserved: bytesReserved, max: storedBytesMax, what: 'bytes' })
}

const describeRoom = (room: { used: number; reserved: number; max: number; what: string }): string =>
  `${room.used} of ${room.max} ${room.what} are used and ${room.reserved} are reserved by uploads under way; ` +
  `${Math.max(0, room.max - room.used - room.reserved)} are left.`
