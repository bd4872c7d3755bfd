import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import { createRateLimiter, type RatePolicy } from './rate-limit.ts'

const at = () => {
  let nowMs = 1_000_000
  const limiter = createRateLimiter({ clock: { ...systemClock, monotonicMs: () => nowMs } })
  return { limiter, pass: (ms: number) => void (nowMs += ms) }
}

describe('a rate', () => {
  it('allows a burst at once, then one at a time, and says how long to wait', () => {
    const { limiter, pass } = at()
    const policy: RatePolicy = { name: 'p', perSecond: 2, burstCount: 3 }
    expect([1, 2, 3].map(() => limiter.take('a', policy).remainingCount)).toEqual([2, 1, 0])
    expect(limiter.take('a', policy)).toMatchObject({ allowed: false, retryAfterMs: 500 })
    expect(limiter.take('b', policy).allowed).toBe(true)
    pass(499)
    expect(limiter.take('a', policy).allowed).toBe(false)
    pass(1)
    expect(limiter.take('a', policy).allowed).toBe(true)
    pass(60_000)
    expect(limiter.take('a', policy)).toMatchObject({ remainingCount: 2, resetAfterMs: 500 })
  })

  it('never lets more through than burst plus rate in any window, and never refuses who waits as told', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 200 }),
        (perSecond, burstCount, gapsMs) => {
          const { limiter, pass } = at()
          const policy = { name: 'p', perSecond, burstCount }
          const allowedAtMs: number[] = []
          let nowMs = 0
          for (const gapMs of gapsMs) {
            pass(gapMs)
            nowMs += gapMs
            const verdict = limiter.take('k', policy)
            if (verdict.allowed) allowedAtMs.push(nowMs)
            else {
              const waitMs = verdict.retryAfterMs + 1e-6
              pass(waitMs)
              nowMs += waitMs
              expect(limiter.take('k', policy).allowed).toBe(true)
              allowedAtMs.push(nowMs)
            }
          }
          allowedAtMs.forEach((from, i) =>
            allowedAtMs.slice(i).forEach((to, count) => {
              expect(count + 1).toBeLessThanOrEqual(burstCount + ((to - from) * perSecond) / 1_000 + 1e-3)
            }),
          )
        },
      ),
    )
  })

  it('forgets keys rather than growing without end', () => {
    const { limiter } = at()
    const policy: RatePolicy = { name: 'p', perSecond: 0.001, burstCount: 1 }
    for (let i = 0; i < 250_000; i++) limiter.take(`k${i}`, policy)
    expect(limiter.take('k249999', policy).allowed).toBe(false)
    expect(limiter.take('k0', policy).allowed).toBe(true)
  })
})
