// Takes back tasks whose lease is over: offered and never claimed, or held by a worker that is not heard of any more.

import type { Service } from '../platform/service.ts'
import type { Engine, Report } from '../processing/engine.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'

const lookMs = 1_000
/** Per look, so that a fleet that was lost does not come back as one storm. */
const requeueCountMax = 5_000
const lostCountMax = 100

export function createRescuer({ store, leader, engine, wake, clock, log }: DutyDependencies): Service {
  return createDuty({
    name: 'rescuer',
    wake,
    clock,
    log,
    async look() {
      if (leader.current() === undefined) return lookMs
      const requeued = await store.requeueExpired(requeueCountMax)
      const lost = await store.listLost(lostCountMax)
      if (lost.length > 0) {
        log.warn('task.workers_lost', { tasksCount: lost.length })
        await settleEach(
          engine,
          lost.map(({ lostCount, ...task }) => ({ task, outcome: { kind: 'lost', lostCount } })),
        )
      }
      if (requeued + lost.length === 0) return lookMs
      wake.wake('backlog')
      wake.wake('outbox')
      return lost.length === lostCountMax ? 0 : lookMs
    },
  })
}

/** Together, and one by one when that fails: what cannot be settled must not keep the others. */
export async function settleEach(engine: Engine, reports: readonly Report[]): Promise<void> {
  try {
    await engine.settle(reports)
  } catch (error) {
    if (reports.length === 1) throw error
    let first: unknown
    for (const report of reports) await engine.settle([report]).catch((failure: unknown) => (first ??= failure))
    if (first !== undefined) throw first
  }
}
