// Which process looks after the engine: a row with an epoch and an expiry, on the database's clock. A session lock would
// stay with a leader that is frozen; a row runs out. Whoever admits says under which epoch, and the statement checks it.
//
//   nobody, or expired ──lead──▶ leader(epoch + 1) ──renew every 2 s──▶ leader ──6 s without renewal, or resign──▶ nobody

import type { Clock } from '../platform/clock.ts'
import type { Leadership, SchedulerStore } from './scheduler-store.ts'

export const leaderLeaseMs = 6_000
export const leaderRenewMs = 2_000
/** How often the others try. */
const followerRetryMs = 1_000

export interface Leader {
  /** The lead, while this process has it. */
  current(): Leadership | undefined
  /** Takes or renews the lead when that is due; answers in how many milliseconds it is due again. */
  keep(): Promise<number>
  resign(): Promise<void>
}

export function createLeader(deps: {
  store: SchedulerStore
  clock: Clock
  owner: string
  /** Called once, before anything is done with a lead that was taken. */
  onTaken: (leadership: Leadership) => Promise<void>
}): Leader {
  const { store, clock, owner, onTaken } = deps
  let leadership: Leadership | undefined
  /** By our own clock, from before the renewal was asked for, so never later than the database's. */
  let validUntilMs = 0
  let dueAtMs = 0

  return {
    current: () => (leadership !== undefined && clock.monotonicMs() < validUntilMs ? leadership : undefined),
    async keep() {
      const now = clock.monotonicMs()
      if (now < dueAtMs) return dueAtMs - now
      const before = leadership
      const taken = await store.lead({ shard: 0, owner, epoch: before?.epoch, leaseMs: leaderLeaseMs })
      if (taken !== undefined && taken.epoch !== before?.epoch) await onTaken(taken)
      leadership = taken
      validUntilMs = now + leaderLeaseMs
      const waitMs = taken === undefined ? followerRetryMs : leaderRenewMs
      dueAtMs = now + waitMs
      return waitMs
    },
    async resign() {
      const held = leadership
      leadership = undefined
      if (held !== undefined) await store.resign(held)
    },
  }
}
