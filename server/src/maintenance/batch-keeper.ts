// Takes batches further, as long as this process leads.

import type { Service } from '../platform/service.ts'
import type { BatchRunner } from '../processing/batches/batch-runner.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'

const idleLookMs = 1_000
/** While jobs of a batch run: with 1,000 of them live, room for 20,000 a second. */
const liveLookMs = 50

export function createBatchKeeper({
  batchRunner,
  leader,
  wake,
  clock,
  log,
}: Pick<DutyDependencies, 'leader' | 'wake' | 'clock' | 'log'> & { batchRunner: BatchRunner }): Service {
  return createDuty({
    name: 'batches',
    topics: ['batch'],
    wake,
    clock,
    log,
    async look(signal) {
      if (leader.current() === undefined) return idleLookMs
      const { live, busy } = await batchRunner.advance(signal)
      return busy ? 0 : live > 0 ? liveLookMs : idleLookMs
    },
  })
}
