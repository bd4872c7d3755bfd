// Small files where much room is left are taken without a reservation, which would cost a transaction of its own. The
// ledger is as exact as ever: the seal enters a file only if there is room for it under the lock of the usage row. What a
// reservation adds is that no byte is stored either that will find no room; here that is held by how little may be under
// way at once in a process, and how much must be left.
//
// For the same reason a tenant's room is looked at once a second and not for each file. The seal goes by the limits as
// they are then; of how long a file and its metadata may be, a change is felt here within that second.

import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import type { TenantLimits } from '../tenants/limits.ts'
import type { Quota, TenantRoom } from '../tenants/quota.ts'

/** The longest form that is taken so. */
export const unreservedFormBytesMax = 256 * 1024
/** Under way in this process. */
const underWayBytesMax = 64 * 1024 ** 2
/** What sixteen processes may have under way. */
export const ampleBytes = 16 * underWayBytesMax
const ampleFiles = 100_000
export const lookAgeMsMax = 1_000
const looksCountMax = 10_000

export interface UnreservedBytes {
  /** Undefined when so many bytes have to be reserved. Throws what Quota.look throws. */
  take(tenantId: number, formBytes: number): Promise<TakenBytes | undefined>
}

export interface TakenBytes {
  limits: TenantLimits
  /** Tells that they are no longer under way. */
  end(): void
}

export function createUnreservedBytes(deps: { database: Database; quota: Quota; clock: Clock }): UnreservedBytes {
  const { database, quota, clock } = deps
  /** In the order of their age, which counts from before the look. */
  const looks = new Map<number, { atMs: number; room: Promise<TenantRoom> }>()
  let underWayBytes = 0

  function look(tenantId: number): Promise<TenantRoom> {
    const nowMs = clock.monotonicMs()
    const known = looks.get(tenantId)
    if (known !== undefined && nowMs - known.atMs < lookAgeMsMax) return known.room
    const entry = { atMs: nowMs, room: quota.look(database.ofTenant(tenantId), tenantId) }
    looks.delete(tenantId)
    looks.set(tenantId, entry)
    entry.room.catch(() => looks.get(tenantId) === entry && looks.delete(tenantId))
    for (const [oldest, { atMs }] of looks) {
      if (looks.size <= looksCountMax && nowMs - atMs < lookAgeMsMax) break
      looks.delete(oldest)
    }
    return entry.room
  }

  return {
    async take(tenantId, formBytes) {
      if (formBytes > unreservedFormBytesMax) return undefined
      const { limits, usersLimited, leftBytes, leftFiles } = await look(tenantId)
      if (usersLimited || leftBytes < ampleBytes || leftFiles < ampleFiles) return undefined
      if (underWayBytes + formBytes > underWayBytesMax) return undefined
      underWayBytes += formBytes
      return { limits, end: () => void (underWayBytes -= formBytes) }
    },
  }
}
