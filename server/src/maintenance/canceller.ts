// Finishes what one transaction began and could not end: the cancellation of a job with more tasks than one statement
// should touch, the creation of a large fan-out, and tasks of cancelled jobs whose worker does not answer.

import type { Service } from '../platform/service.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'
import { settleEach } from './rescuer.ts'

const lookMs = 500
/** A worker has this long to stop a task whose job was cancelled; then its lease is void. All effects within 5 seconds. */
export const cancelGraceMs = 4_000
const jobsCountMax = 100
const tasksCountMax = 100

export function createCanceller({ store, leader, engine, wake, clock, log }: DutyDependencies): Service {
  return createDuty({
    name: 'canceller',
    topics: ['cancel'],
    wake,
    clock,
    log,
    async look() {
      if (leader.current() === undefined) return lookMs
      const abandoned = await store.listAbandoned(cancelGraceMs, tasksCountMax)
      if (abandoned.length > 0) {
        await settleEach(
          engine,
          abandoned.map((task) => ({ task, outcome: { kind: 'abandoned' } })),
        )
      }
      const jobs = await store.listUnfinished(jobsCountMax)
      for (const { jobId } of jobs) await engine.continueJob(jobId)
      if (jobs.length > 0 || abandoned.length > 0) {
        wake.wake('backlog')
        wake.wake('outbox')
      }
      // A fan-out goes on at once; a cancellation waits for its workers.
      return jobs.some(({ cancelling }) => !cancelling) ? 0 : lookMs
    },
  })
}
