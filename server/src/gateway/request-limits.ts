// The general limit on requests, per principal or, where there is none, per address; told in the RateLimit fields
// (draft-ietf-httpapi-ratelimit-headers).

import type { FastifyReply } from 'fastify'
import type { RateLimiter, RatePolicy } from '../auth/rate-limit.ts'
import { Problem } from '../platform/problem.ts'

/** Generous: it is there for runaway loops. Work is shared out by admission, not by this. */
export const requestRateDefault: RatePolicy = { name: 'requests', perSecond: 200, burstCount: 1_000 }

export interface RequestLimits {
  /** Sets the RateLimit fields; throws Problem('rate_limited') with the time to wait. */
  take(key: string, reply: FastifyReply): void
}

export function createRequestLimits(options: { limiter: RateLimiter; rate?: RatePolicy }): RequestLimits {
  const { limiter, rate = requestRateDefault } = options
  const policyField = `"${rate.name}";q=${rate.burstCount};w=${Math.ceil(rate.burstCount / rate.perSecond)}`
  return {
    take(key, reply) {
      const verdict = limiter.take(key, rate)
      reply.header('ratelimit-policy', policyField)
      reply.header(
        'ratelimit',
        `"${rate.name}";r=${verdict.remainingCount};t=${Math.ceil(verdict.resetAfterMs / 1_000)}`,
      )
      if (!verdict.allowed) throw new Problem('rate_limited', { retryAfterSeconds: verdict.retryAfterMs / 1_000 })
    },
  }
}
