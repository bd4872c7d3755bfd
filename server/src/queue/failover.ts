// The ready queue of a cluster: Redis while it answers, the task table while it does not.
//
// Every process finds out for itself. The first call that fails or passes its deadline turns it to the table; after a
// while a probe in the background, which nobody waits for, turns it back. That is safe without agreement, because every
// dispatched task stands in the table whether or not its hint was pushed, and the claim decides who runs it.
//
// What keeps a task from being forgotten between the two:
// - a taker that finds Redis empty looks into the table as well, now and then: hints that were lost, or never pushed
//   because only the leader was cut off, are found long before their leases run out;
// - the depth that admission goes by is the table's, not that of hints which may all be stale;
// - after an outage the queue says once that it is not intact, and the leader admits anew what had no hint.

import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { ReadyQueue, ReadyTask } from './ready-queue.ts'

/** How often an idle taker looks into the table; far below a dispatch lease, and cheap with a thousand of them. */
const sweepMsDefault = 3_000
const probeAfterMsMin = 500
const probeAfterMsMax = 10_000

export interface FailoverQueueDependencies {
  primary: ReadyQueue
  fallback: ReadyQueue
  clock: Clock
  log: Log
  sweepMs?: number
}

export function createFailoverQueue(deps: FailoverQueueDependencies): ReadyQueue {
  const { primary, fallback, clock, log, sweepMs = sweepMsDefault } = deps
  /** Set while the primary is not used. */
  let outage: { since: number; probeAt: number; probeAfterMs: number } | undefined
  let probing = false
  let missedHints = false
  const sweptAt = new Map<number, number>()

  function fail(call: string, error: unknown): void {
    if (outage) return
    const now = clock.monotonicMs()
    outage = { since: now, probeAt: now + probeAfterMsMin, probeAfterMs: probeAfterMsMin }
    missedHints = true
    const reason = error instanceof Error ? error.message : String(error)
    log.warn('queue.failed_over', { from: primary.kind, to: fallback.kind, call, reason })
  }

  async function probe(during: NonNullable<typeof outage>): Promise<void> {
    probing = true
    try {
      await primary.intact()
      outage = undefined
      log.info('queue.returned', { to: primary.kind, durationMs: Math.round(clock.monotonicMs() - during.since) })
    } catch {
      during.probeAfterMs = Math.min(probeAfterMsMax, during.probeAfterMs * 2)
      during.probeAt = clock.monotonicMs() + during.probeAfterMs
    } finally {
      probing = false
    }
  }

  /** Whether calls go to the primary. */
  function usable(): boolean {
    if (outage && !probing && clock.monotonicMs() >= outage.probeAt) void probe(outage)
    return outage === undefined
  }

  /** What the primary has; nothing when it fails. */
  async function takePrimary(pool: number, options: Parameters<ReadyQueue['take']>[1]): Promise<ReadyTask[]> {
    try {
      return await primary.take(pool, options)
    } catch (error) {
      fail('take', error)
      return []
    }
  }

  function isSweepDue(pool: number): boolean {
    const now = clock.monotonicMs()
    if (now - (sweptAt.get(pool) ?? -Infinity) < sweepMs) return false
    sweptAt.set(pool, now)
    return true
  }

  return {
    get kind() {
      return outage ? fallback.kind : primary.kind
    },

    async push(pool, tasks) {
      if (usable()) {
        try {
          return await primary.push(pool, tasks)
        } catch (error) {
          fail('push', error)
        }
      }
      await fallback.push(pool, tasks)
    },

    depth: (pool) => fallback.depth(pool),

    async take(pool, { max, waitMs, signal }) {
      const end = clock.monotonicMs() + waitMs
      for (;;) {
        const partMs = Math.max(0, Math.min(sweepMs, end - clock.monotonicMs()))
        const healthy = usable()
        let taken = healthy ? await takePrimary(pool, { max, waitMs: partMs, signal }) : []
        if (signal.aborted) return taken
        if (taken.length === 0 && !healthy) taken = await fallback.take(pool, { max, waitMs: partMs, signal })
        if (taken.length === 0 && healthy && (outage !== undefined || isSweepDue(pool)))
          taken = await fallback.take(pool, { max, waitMs: 0, signal })
        if (taken.length > 0 || signal.aborted || clock.monotonicMs() >= end) return taken
      }
    },

    async intact() {
      // While the table is used, nothing can be missing.
      if (!usable()) return true
      try {
        const intact = (await primary.intact()) && !missedHints
        missedHints = false
        return intact
      } catch (error) {
        fail('intact', error)
        return true
      }
    },

    async close() {
      await Promise.all([primary.close(), fallback.close()])
    },
  }
}
