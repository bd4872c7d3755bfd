// Looks through the store for what nobody points to: objects of uploads and tasks that died between their last byte and
// their commit. What is younger than a day is left alone, because its commit may still come. A page at a time, and a
// pause between pages, so that nobody waits for it; what other duties own (parts of uploads, erased objects) is theirs.

import type { Database } from '../platform/database.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { Service } from '../platform/service.ts'
import type { ObjectInfo, ObjectStore } from '../storage/object-store.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'
import { listUnknownObjects } from './store-care.sql.ts'

export interface SweepDependencies {
  database: Database
  objectStore: ObjectStore
  metrics: Metrics
}

export const strayAgeMsMin = 24 * 60 * 60_000
const pageLimit = 1_000
/** Between two pages: a million objects take some minutes. */
const pageWaitMs = 250
/** Between two passes. */
const passWaitMs = 24 * 60 * 60_000
const followerWaitMs = 10_000

export interface Sweep {
  /** One page; answers how many objects it removed, and whether the pass has ended. */
  step(signal: AbortSignal): Promise<{ removedCount: number; ended: boolean }>
}

export function createSweep({ database, objectStore, metrics }: SweepDependencies, nowMs: () => number): Sweep {
  const removed = metrics.counter({
    name: 'millrace_store_strays_removed_total',
    help: 'Objects that were removed from the store because nothing pointed to them.',
    labels: {},
  })
  let after = ''

  return {
    async step(signal) {
      const page = await objectStore.list({ prefix: '', limit: pageLimit, signal, ...(after !== '' && { after }) })
      const old = page.filter(({ modifiedAt }) => modifiedAt && nowMs() - modifiedAt.getTime() > strayAgeMsMin)
      const byObject = Map.groupBy(old, objectIdOf)
      // Keys without an object's id are not ours to remove: probes, and whatever else shares the bucket.
      byObject.delete(undefined)
      const unknown = await listUnknownObjects(
        database,
        [...byObject.keys()].filter((id) => id !== undefined),
      )
      let removedCount = 0
      for (const [id, infos] of byObject) {
        if (id === undefined || !unknown.has(id)) continue
        for (const { key } of infos) {
          signal.throwIfAborted()
          await objectStore.delete(key, { signal })
          removedCount++
        }
      }
      removed.add({}, removedCount)
      const last = page.at(-1)
      const ended = last === undefined || page.length < pageLimit
      after = ended ? '' : last.key
      if (ended) await objectStore.removeLeftovers?.(signal)
      return { removedCount, ended }
    },
  }
}

/** The object that the key belongs to: as a whole, or as one of its parts. */
const objectIdOf = ({ key }: ObjectInfo): string | undefined =>
  key.split('/').findLast((part) => /^[0-9a-f]{32}$/.test(part))

export function createSweeper(deps: DutyDependencies & SweepDependencies): Service {
  const { leader, wake, clock, log } = deps
  const sweep = createSweep(deps, () => clock.now().getTime())
  let removedInPass = 0
  return createDuty({
    name: 'sweeper',
    wake,
    clock,
    log,
    async look(signal) {
      if (leader.current() === undefined) return followerWaitMs
      const { removedCount, ended } = await sweep.step(signal)
      removedInPass += removedCount
      if (!ended) return pageWaitMs
      if (removedInPass > 0) log.warn('sweeper.strays_removed', { objectsCount: removedInPass })
      removedInPass = 0
      return passWaitMs
    },
  })
}
