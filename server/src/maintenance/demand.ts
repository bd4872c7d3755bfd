// Tells autoscalers how many slots there is work for: what waits and what runs, of each tenant at most its cap.

import type { Service } from '../platform/service.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'

/** Also while nothing waits: whoever scales by this must see a burst when it comes. */
const lookMs = 2_000

export function createDemand(deps: DutyDependencies & { pool: number }): Service {
  const { store, leader, pool, wake, clock, log } = deps
  return createDuty({
    name: 'demand',
    wake,
    clock,
    log,
    async look() {
      if (leader.current() === undefined) return lookMs
      const slots = await store.countSlots()
      await store.writeDemand(pool, slots)
      return lookMs
    },
  })
}
