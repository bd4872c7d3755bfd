// Finishes what one transaction began and could not end: the winding up of jobs that were cancelled or stopped, the pause
// of one with more tasks than a statement should touch, the creation of a large fan-out, and tasks of jobs that are wound
// up whose worker does not answer. Jobs that are wound up are taken many at a time: a batch is cancelled with all its live
// jobs in as many transactions as there are hundreds of them.

import type { Service } from '../platform/service.ts'
import type { Engine } from '../processing/engine.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'
import { settleEach } from './rescuer.ts'
import type { UnfinishedJob } from './scheduler-store.ts'

const lookMs = 500
/** Between two pieces of a job that is being paused or resumed, when something of it is just being claimed. */
const movingMs = 50
/**
 * A worker has this long to stop a task whose job is wound up; then its lease is void. It is woken for that at once, and
 * where wakes do not reach it, its next heartbeat tells it. So a cancellation has all its effects within 5 seconds, of a job
 * of 10,000 tasks as well (0.3 s); 10,000 jobs of four steps are 2 s of processor time for the database and the leader,
 * and take longer where they have to wait for processors.
 */
export const cancelGraceMs = 4_000
const jobsCountMax = 2_000
const tasksCountMax = 1_000
/** Jobs that one transaction winds up: some tens of milliseconds, in which their reports wait. */
const togetherCount = 250
/** Transactions at a time: a server has other cores, and the rest of this process must go on. */
const parallelCount = 4

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
      await continueEach(engine, jobs)
      if (jobs.length > 0 || abandoned.length > 0) {
        wake.wake('backlog')
        wake.wake('outbox')
      }
      return abandoned.length === tasksCountMax ? 0 : waitMsAfter(jobs)
    },
  })
}

/** A fan-out goes on at once, and so does what one look could not hold; what is wound up waits for its workers. */
function waitMsAfter(jobs: readonly UnfinishedJob[]): number {
  const countOf = (kind: UnfinishedJob['kind']): number => jobs.filter((job) => job.kind === kind).length
  if (countOf('splitting') > 0 || countOf('winding') === jobsCountMax) return 0
  return countOf('moving') > 0 ? movingMs : lookMs
}

/** Those that are wound up together, all others one by one: each has much to do. What fails must not keep the others. */
async function continueEach(engine: Engine, jobs: readonly UnfinishedJob[]): Promise<void> {
  const winding = jobs.filter(({ kind }) => kind === 'winding').map(({ jobId }) => jobId)
  const pieces = jobs.filter(({ kind }) => kind !== 'winding').map(({ jobId }) => [jobId])
  for (let at = 0; at < winding.length; at += togetherCount) pieces.push(winding.slice(at, at + togetherCount))
  let first: unknown
  const note = (error: unknown): void => void (first ??= error)
  const take = async (jobIds: readonly number[]): Promise<void> => {
    try {
      await engine.continueJobs(jobIds)
    } catch (error) {
      if (jobIds.length === 1) note(error)
      else for (const jobId of jobIds) await engine.continueJobs([jobId]).catch(note)
    }
  }
  for (let at = 0; at < pieces.length; at += parallelCount)
    await Promise.all(pieces.slice(at, at + parallelCount).map(take))
  if (first !== undefined) throw first
}
