// Erases for good what has lain in the trash long enough, and makes the store let go of what was erased.

import type { Service } from '../platform/service.ts'
import type { Erasure } from '../files/erasure.ts'
import { deleteOldLinks } from '../files/download.sql.ts'
import type { Database } from '../platform/database.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'

const lookMs = 60_000
const countMax = 100
/** A link that is over can still be seen in the list for a while. */
const linksKeptMs = 7 * 24 * 60 * 60_000

export function createTrash(deps: DutyDependencies & { database: Database; erasure: Erasure }): Service {
  const { leader, database, erasure, wake, clock, log } = deps
  return createDuty({
    name: 'trash',
    wake,
    clock,
    log,
    async look(signal) {
      if (leader.current() === undefined) return lookMs
      const erased = await erasure.eraseOverdue(countMax, signal)
      if (erased > 0) wake.wake('outbox')
      const removed = await erasure.removeErased(countMax, signal)
      const links = await deleteOldLinks(database, linksKeptMs, countMax)
      return [erased, removed, links].some((count) => count === countMax) ? 0 : lookMs
    },
  })
}
