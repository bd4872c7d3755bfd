// Looks through the store for what nobody points to: objects of uploads and tasks that died between their last byte and
// their commit. Then through the rows of objects for what nothing refers to any more: outputs of steps that were replayed.
// What is younger than a day is left alone, because its commit may still come. A page at a time, and a pause between
// pages, so that nobody waits for it; what other duties own (parts of uploads, erased objects) is theirs. A row without
// an object is the scrubber's to find.

import { eraseObjects } from '../files/erase.sql.ts'
import type { Database } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { Service } from '../platform/service.ts'
import type { ObjectInfo, ObjectStore } from '../storage/object-store.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'
import { listObjectUse, listUnknownObjects } from './store-care.sql.ts'

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
  /** One page; answers how many it removed, and whether the pass has ended. */
  step(signal: AbortSignal): Promise<{ removedCount: number; ended: boolean }>
}

/**
 * Rows of objects that nothing refers to, of all tenants. With a row goes the only copy of its key, and its bytes are
 * left to the duty that empties the store of what was erased.
 */
export function createRowSweep({
  database,
  metrics,
  log,
}: Omit<SweepDependencies, 'objectStore'> & { log: Log }): Sweep {
  const removed = metrics.counter({
    name: 'millrace_store_unused_rows_removed_total',
    help: 'Objects that were given up because no file, version or output referred to them any more.',
    labels: {},
  })
  let after = ''

  return {
    async step() {
      const rows = await listObjectUse(database, { after, limit: pageLimit, ageMs: strayAgeMsMin })
      let removedCount = 0
      const unused = Map.groupBy(
        rows.filter((row) => row.unused),
        (row) => row.tenant_id,
      )
      for (const [tenantId, objects] of unused) {
        const ids = objects.map((row) => row.id)
        try {
          removedCount += (await database.withTenant(tenantId, (tx) => eraseObjects(tx, tenantId, ids))).length
        } catch (error) {
          // Somebody refers to one of them in this very moment; the next pass sees which.
          log.warn('sweeper.rows_left', { tenantId, error: String(error) })
        }
      }
      removed.add({}, removedCount)
      const last = rows.at(-1)
      const ended = last === undefined || rows.length < pageLimit
      after = ended ? '' : last.id
      return { removedCount, ended }
    },
  }
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
  const passes = { strays: createSweep(deps, () => clock.now().getTime()), rows: createRowSweep(deps) }
  let pass: keyof typeof passes = 'strays'
  let removedInPass = 0
  return createDuty({
    name: 'sweeper',
    wake,
    clock,
    log,
    async look(signal) {
      if (leader.current() === undefined) return followerWaitMs
      const { removedCount, ended } = await passes[pass].step(signal)
      removedInPass += removedCount
      if (!ended) return pageWaitMs
      if (removedInPass > 0) log.warn('sweeper.removed', { what: pass, objectsCount: removedInPass })
      removedInPass = 0
      pass = pass === 'strays' ? 'rows' : 'strays'
      return pass === 'rows' ? pageWaitMs : passWaitMs
    },
  })
}
