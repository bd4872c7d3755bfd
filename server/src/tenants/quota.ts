// The quota ledger: room is reserved before bytes are taken, settled in the transaction that seals them, and given back
// when they never come. Usage plus reservations never pass a limit, not by one byte and not in a race: whoever reserves
// looks at the usage row under its lock. A reservation that is neither settled nor renewed ends by itself.
//
//   reserve ──▶ held ──grow, renew──▶ held ──settle (with the seal)──▶ counted as usage
//                 └──release, or its time passes──▶ gone

import type { Database, Tx } from '../platform/database.ts'
import { Problem } from '../platform/problem.ts'
import type { TenantLimits } from './limits.ts'
import {
  deleteExpiredReservations,
  deleteReservation,
  findUsage,
  growReservation,
  insertReservation,
  isWithinLimits,
  renewReservation,
} from './quota.sql.ts'

/** Room that is held for one upload. */
export interface Reservation {
  readonly id: number
  readonly tenantId: number
  readonly bytes: number
  readonly files: number
}

export interface Room {
  /** Wanted; what is granted may be less, but not less than bytesMin. */
  bytes: number
  bytesMin?: number
  /** New files, 0 for a version; default 1. */
  files?: number
}

export interface Quota {
  /** Throws Problem('quota_exceeded') that says what is used and what is left. */
  reserve(tx: Tx, tenantId: number, limits: TenantLimits, room: Room): Promise<Reservation>
  /** The reservation with that much more, and a new lifetime. Throws Problem('quota_exceeded'). */
  grow(reservation: Reservation, limits: TenantLimits, room: Omit<Room, 'files'>): Promise<Reservation>
  /** Begins its lifetime anew; one that is gone stays gone, and settling it will look for room again. */
  renew(reservation: Reservation): Promise<void>
  /**
   * Gives the reservation up for what the same transaction has just counted as usage. When its time had passed, the
   * usage must still be within the limits: else throws Problem('quota_exceeded'), and the transaction must not commit.
   */
  settle(tx: Tx, reservation: Reservation, limits: TenantLimits): Promise<void>
  /** Gives it back; one that is gone already is none of our business. */
  release(reservation: Reservation): Promise<void>
  /** Gives back what has outlived its time; a duty of maintenance. Answers how many there were. */
  releaseExpired(): Promise<number>
}

/** Longer than any pause in an upload that keeps its minimum pace; short enough that what a dead process held returns. */
export const reservationLifetimeMs = 15 * 60_000
/** Releasing in pieces keeps no tenant's usage row locked for long. */
const releaseCountMax = 1_000

export function createQuota({ database }: { database: Database }): Quota {
  return {
    async reserve(tx, tenantId, limits, { bytes, bytesMin = bytes, files = 1 }) {
      const { storedBytesMax, filesCountMax } = limits
      const lifetimeMs = reservationLifetimeMs
      const wanted = { tenantId, bytes, bytesMin, files, storedBytesMax, filesCountMax, lifetimeMs }
      const row = await insertReservation(tx, wanted)
      if (row === undefined) throw await exceeded(tx, tenantId, limits)
      return { ...row, tenantId, files }
    },

    grow: (reservation, limits, { bytes, bytesMin = bytes }) =>
      database.withTenant(reservation.tenantId, async (tx) => {
        const { id: reservationId, tenantId } = reservation
        const { storedBytesMax } = limits
        const wanted = { tenantId, reservationId, bytes, bytesMin, storedBytesMax, lifetimeMs: reservationLifetimeMs }
        const row = await growReservation(tx, wanted)
        if (row === undefined) throw await exceeded(tx, tenantId, limits)
        return { ...reservation, bytes: row.bytes }
      }),

    async renew({ id: reservationId, tenantId }) {
      await database.withTenant(tenantId, (tx) =>
        renewReservation(tx, { tenantId, reservationId, lifetimeMs: reservationLifetimeMs }),
      )
    },

    async settle(tx, { id, tenantId }, limits) {
      if (await deleteReservation(tx, tenantId, id)) return
      if (!(await isWithinLimits(tx, { tenantId, ...limits }))) throw await exceeded(tx, tenantId, limits)
    },

    async release({ id, tenantId }) {
      await database.withTenant(tenantId, (tx) => deleteReservation(tx, tenantId, id))
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

async function exceeded(tx: Tx, tenantId: number, limits: TenantLimits): Promise<Problem> {
  const usage = await findUsage(tx, tenantId)
  if (usage === undefined) return new Problem('not_found')
  const filesCount = usage.files_count + usage.reserved_files
  if (filesCount >= limits.filesCountMax) {
    return new Problem('quota_exceeded', { detail: `All ${limits.filesCountMax} files of the quota are used.` })
  }
  const leftBytes = Math.max(0, limits.storedBytesMax - usage.stored_bytes - usage.reserved_bytes)
  return new Problem('quota_exceeded', {
    detail:
      `${usage.stored_bytes} of ${limits.storedBytesMax} bytes are used and ${usage.reserved_bytes} are reserved by ` +
      `uploads under way; ${leftBytes} are left.`,
  })
}
