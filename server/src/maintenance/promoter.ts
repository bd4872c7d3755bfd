// Queues delayed tasks when their time has come.

import type { Service } from '../platform/service.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'

const lookMs = 250
const countMax = 1_000

export function createPromoter({ store, leader, wake, clock, log }: DutyDependencies): Service {
  return createDuty({
    name: 'promoter',
    wake,
    clock,
    log,
    async look() {
      if (leader.current() === undefined) return lookMs
      const count = await store.promoteDelayed(countMax)
      if (count > 0) wake.wake('backlog')
      return count === countMax ? 0 : lookMs
    },
  })
}
