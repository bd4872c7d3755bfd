// Small files where much room is left are taken without a reservation, which would cost a transaction of its own. The
// ledger is as exact as ever: the seal enters a file only if there is room for it under the lock of the usage row. What a
// reservation adds is that no byte is stored either that will find no room; here that is held by how little may be under
// way at once in a process, and how much must be left.

import type { TenantRoom } from '../tenants/quota.ts'

/** The longest form that is taken so. */
export const unreservedFormBytesMax = 256 * 1024
/** Under way in this process. */
const underWayBytesMax = 64 * 1024 ** 2
/** What sixteen processes may have under way. */
export const ampleBytes = 16 * underWayBytesMax
const ampleFiles = 100_000

export interface UnreservedBytes {
  /** Undefined when so many bytes have to be reserved; else the way to tell that they are no longer under way. */
  take(formBytes: number, room: TenantRoom): (() => void) | undefined
}

export function createUnreservedBytes(): UnreservedBytes {
  let underWayBytes = 0
  return {
    take(formBytes, { usersLimited, leftBytes, leftFiles }) {
      if (usersLimited || formBytes > unreservedFormBytesMax || underWayBytes + formBytes > underWayBytesMax)
        return undefined
      if (leftBytes < ampleBytes || leftFiles < ampleFiles) return undefined
      underWayBytes += formBytes
      return () => void (underWayBytes -= formBytes)
    },
  }
}
