// Works off orders over many jobs, as long as this process leads.

import type { Service } from '../platform/service.ts'
import type { ControlRunner } from '../processing/control/control-runner.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'

const idleLookMs = 1_000

export function createControlKeeper({
  controlRunner,
  leader,
  wake,
  clock,
  log,
}: Pick<DutyDependencies, 'leader' | 'wake' | 'clock' | 'log'> & { controlRunner: ControlRunner }): Service {
  return createDuty({
    name: 'control',
    topics: ['batch'],
    wake,
    clock,
    log,
    look: async (signal) =>
      leader.current() !== undefined && (await controlRunner.advance(signal)) > 0 ? 0 : idleLookMs,
  })
}
