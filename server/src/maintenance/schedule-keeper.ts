// Fires schedules, as long as this process leads.

import type { Service } from '../platform/service.ts'
import type { ScheduleRunner } from '../processing/schedules/schedule-runner.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'

const lookMs = 1_000

export function createScheduleKeeper({
  scheduleRunner,
  leader,
  wake,
  clock,
  log,
}: Pick<DutyDependencies, 'leader' | 'wake' | 'clock' | 'log'> & { scheduleRunner: ScheduleRunner }): Service {
  return createDuty({
    name: 'schedules',
    wake,
    clock,
    log,
    async look(signal) {
      if (leader.current() !== undefined) await scheduleRunner.fire(signal)
      return lookMs
    },
  })
}
