// Deletes what has been kept long enough, in pieces that hold nobody up.

import type { Service } from '../platform/service.ts'
import { idempotencyKeptMs } from '../platform/idempotency.ts'
import type { Quota } from '../tenants/quota.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'

const lookMs = 60_000
const deleteCountMax = 5_000
/** Whoever was away for a day reads resources again instead of events. */
export const eventsKeptMs = 24 * 60 * 60_000
const workersKeptMs = 24 * 60 * 60_000

export function createRetention(deps: DutyDependencies & { quota: Quota }): Service {
  const { store, leader, quota, wake, clock, log } = deps
  return createDuty({
    name: 'retention',
    wake,
    clock,
    log,
    async look() {
      if (leader.current() === undefined) return lookMs
      await quota.releaseExpired()
      await store.deleteOldWorkers(workersKeptMs)
      const events = await store.deleteOldEvents(eventsKeptMs, deleteCountMax)
      const keys = await store.deleteOldKeys(idempotencyKeptMs, deleteCountMax)
      return events === deleteCountMax || keys === deleteCountMax ? 1_000 : lookMs
    },
  })
}
