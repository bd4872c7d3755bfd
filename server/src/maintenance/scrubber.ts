// Reads every object again, some each day, and verifies it: disks and stores lose bits without saying so, and a copy can
// only be fetched from elsewhere while there still is one. What is found is a finding of the doctor, an event for its
// owner, a metric and a line of the log; an object that is whole again forgets it.

import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import { releaseBytes } from '../platform/owned-bytes.ts'
import { Problem } from '../platform/problem.ts'
import type { Service } from '../platform/service.ts'
import type { SealedObject, Vault } from '../storage/vault.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'
import { listUnverified, markWhole, recordFinding, type FindingKind } from './store-care.sql.ts'

export interface ScrubDependencies {
  database: Database
  vault: Vault
  metrics: Metrics
  clock: Clock
  log: Log
}

/** Each object is read once in this time. */
export const scrubPeriodMsDefault = 30 * 24 * 60 * 60_000
/** What a disk that serves others does not feel; 26 TB in thirty days. */
export const scrubBytesPerSecondDefault = 10_000_000
const settledMsDefault = 60 * 60_000
const pageLimit = 100
const idleWaitMs = 60_000
const followerWaitMs = 10_000

export interface ScrubOptions {
  periodMs?: number
  settledMs?: number
  bytesPerSecond?: number
}

export interface Scrub {
  /** Some objects that are due; answers how many it read. Throws Problem('storage_unavailable'). */
  step(signal: AbortSignal): Promise<{ verifiedCount: number; findingsCount: number }>
}

export function createScrub(deps: ScrubDependencies, options: ScrubOptions = {}): Scrub {
  const { database, vault, metrics, clock, log } = deps
  const { periodMs = scrubPeriodMsDefault, settledMs = settledMsDefault } = options
  const { bytesPerSecond = scrubBytesPerSecondDefault } = options
  const scrubbed = metrics.counter({
    name: 'millrace_store_scrubbed_bytes_total',
    help: 'Content of objects that was read again to see whether it is whole.',
    labels: {},
  })
  const findings = metrics.counter({
    name: 'millrace_store_findings_total',
    help: 'Objects that were found to be missing or damaged and were not known to be.',
    labels: { kind: ['missing', 'damaged'] },
  })

  /** Holds the pace by the bytes so far, so that small objects do not each cost a pause. */
  function createPace(): (sizeBytes: number, signal: AbortSignal) => Promise<void> {
    const startedMs = clock.monotonicMs()
    let bytesCount = 0
    return async (sizeBytes, signal) => {
      bytesCount += sizeBytes
      const aheadMs = (bytesCount / bytesPerSecond) * 1_000 - (clock.monotonicMs() - startedMs)
      if (aheadMs > 10) await clock.sleep(aheadMs, signal)
      else await setImmediate()
    }
  }

  async function verify(object: SealedObject, pace: ReturnType<typeof createPace>, signal: AbortSignal) {
    const content = await vault.read(object, { signal })
    for await (const piece of content) {
      const bytes = piece as Buffer // A stream of bytes gives buffers.
      const { length } = bytes
      releaseBytes(bytes)
      scrubbed.add({}, length)
      await pace(length, signal)
    }
  }

  async function report(object: SealedObject, kind: FindingKind, error: Problem): Promise<void> {
    const { objectId, tenantId } = object
    const isNew = await database.asSystem((tx) =>
      recordFinding(tx, { kind, objectId, tenantId, detail: error.message }),
    )
    if (!isNew) return
    findings.add({ kind })
    log.error('store.object_damaged', { objectId, tenantId, kind })
  }

  return {
    async step(signal) {
      const due = await listUnverified(database, { periodMs, settledMs, limit: pageLimit })
      const pace = createPace()
      let findingsCount = 0
      for (const object of due) {
        signal.throwIfAborted()
        try {
          await verify(object, pace, signal)
          await markWhole(database, object.objectId)
        } catch (error) {
          if (!(error instanceof Problem)) throw error
          // It is as it should be.
          if (error.code === 'key_destroyed') await markWhole(database, object.objectId)
          else if (error.code === 'object_damaged') {
            findingsCount++
            await report(object, isAbsent(error) ? 'missing' : 'damaged', error)
          } else throw error
        }
      }
      return { verifiedCount: due.length, findingsCount }
    },
  }
}

const isAbsent = ({ cause }: Problem): boolean => cause instanceof Problem && cause.code === 'not_found'

export function createScrubber(deps: DutyDependencies & ScrubDependencies & { scrub?: ScrubOptions }): Service {
  const { leader, wake, clock, log } = deps
  const scrub = createScrub(deps, deps.scrub)
  return createDuty({
    name: 'scrubber',
    wake,
    clock,
    log,
    async look(signal) {
      if (leader.current() === undefined) return followerWaitMs
      const { verifiedCount } = await scrub.step(signal)
      return verifiedCount === 0 ? idleWaitMs : 0
    },
  })
}
