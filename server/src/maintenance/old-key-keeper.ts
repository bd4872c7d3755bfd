// Has what rotations of tenant keys leave behind destroyed.

import type { Service } from '../platform/service.ts'
import type { OldKeys } from '../storage/old-keys.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'

const lookMs = 15 * 60_000

export function createOldKeyKeeper(
  deps: Pick<DutyDependencies, 'leader' | 'wake' | 'clock' | 'log'> & { oldKeys: OldKeys },
): Service {
  const { leader, oldKeys, wake, clock, log } = deps
  return createDuty({
    name: 'old-keys',
    wake,
    clock,
    log,
    async look(signal) {
      if (leader.current() === undefined) return lookMs
      const count = await oldKeys.destroySome(signal)
      if (count > 0) log.info('tenant_keys.destroyed', { count })
      return lookMs
    },
  })
}
