// How often something may be done: GCRA (the leaky bucket as a meter), one number per key. A key may make a burst at
// once and then a steady rate; the verdict says how long to wait. In-process: each process grants its own share.

import type { Clock } from '../platform/clock.ts'

export interface RatePolicy {
  /** Shown to clients in RateLimit-Policy. */
  readonly name: string
  readonly perSecond: number
  readonly burstCount: number
}

export type RateVerdict = {
  readonly allowed: boolean
  /** How many more would be allowed right now. */
  readonly remainingCount: number
  /** Until one more is allowed; 0 when one is. */
  readonly retryAfterMs: number
  /** Until the whole burst is there again. */
  readonly resetAfterMs: number
}

export interface RateLimiter {
  /** Counts one use when it is allowed; a refused one costs nothing. */
  take(key: string, policy: RatePolicy): RateVerdict
}

/** Keys that are remembered; beyond it those that have recovered are forgotten, then the oldest. */
const keysCountMax = 100_000
/** Forgetting looks at every key, so it makes room for many. */
const keysCountKept = 80_000

export function createRateLimiter(options: { clock: Clock }): RateLimiter {
  /** Theoretical arrival time per key: the moment at which its bucket is empty again. */
  const arrivalMs = new Map<string, number>()

  function forget(nowMs: number): void {
    for (const [key, at] of arrivalMs) if (at <= nowMs) arrivalMs.delete(key)
    // An attacker with 100,000 keys could push others out; those then merely get their burst again.
    for (const key of arrivalMs.keys()) {
      if (arrivalMs.size <= keysCountKept) break
      arrivalMs.delete(key)
    }
  }

  return {
    take(key, policy) {
      const nowMs = options.clock.monotonicMs()
      const spacingMs = 1_000 / policy.perSecond
      const burstMs = spacingMs * policy.burstCount
      const id = `${policy.name}:${key}`
      const before = Math.max(arrivalMs.get(id) ?? 0, nowMs)
      const after = before + spacingMs
      const waitMs = after - burstMs - nowMs
      if (waitMs > 0) return { allowed: false, remainingCount: 0, retryAfterMs: waitMs, resetAfterMs: before - nowMs }
      if (arrivalMs.size >= keysCountMax && !arrivalMs.has(id)) forget(nowMs)
      arrivalMs.set(id, after)
      return {
        allowed: true,
        remainingCount: Math.floor((burstMs - (after - nowMs)) / spacingMs),
        retryAfterMs: 0,
        resetAfterMs: after - nowMs,
      }
    },
  }
}
