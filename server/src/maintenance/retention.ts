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
/** Long enough to look at a job that has just ended task by task; the table of tasks is as small as this is short. */
export const tasksKeptMs = 60 * 60_000
/** Failures are looked into within weeks; what became of a job is kept with the job. */
export const attemptsKeptMs = 30 * 24 * 60 * 60_000

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
      const attempts = await store.deleteOldAttempts(attemptsKeptMs, deleteCountMax)
      const archived = await store.archiveTasks(tasksKeptMs, deleteCountMax)
      const isMore = [events, keys, attempts, archived.tasks, archived.jobs].includes(deleteCountMax)
      return isMore ? 1_000 : lookMs
    },
  })
}
