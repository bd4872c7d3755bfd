// Repeats what may be repeated: a request that has no effect, or one that carries an Idempotency-Key, after a cut
// connection or an answer that asks for patience.

import { ApiProblem, type ProblemCode } from '@millrace/contract'
import { Unreachable } from './failure.ts'

export interface Patience {
  /** Resolves after the time; rejects when the signal aborts. */
  sleep: (durationMs: number, signal: AbortSignal) => Promise<void>
  random: () => number
}

const attemptsMaxDefault = 7
const delayFirstMs = 400
const delayMaxMs = 15_000
/** A server that asks for more than this is told of instead of waited for. */
const retryAfterMaxMs = 120_000

const passingCodes: readonly ProblemCode[] = [
  'rate_limited',
  'overloaded',
  'shutting_down',
  'database_unavailable',
  'storage_unavailable',
  'idempotency_in_flight',
  'upload_incomplete',
  'upload_offset_mismatch',
]
/** Answers of a proxy whose server is away. */
const passingStatuses = [429, 502, 503, 504]

/**
 * Tries until it succeeds, the signal aborts or nothing more can be hoped for; then throws the last error.
 * Full jitter, doubling from 0.4 s up to 15 s, but never sooner than the server asked for.
 */
export async function withRetries<T>(
  { sleep, random }: Patience,
  signal: AbortSignal,
  attempt: (number: number) => Promise<T>,
  attemptsMax = attemptsMaxDefault,
): Promise<T> {
  for (let number = 1; ; number++) {
    try {
      return await attempt(number)
    } catch (error) {
      if (signal.aborted) throw signal.reason
      const waitMs = number < attemptsMax ? waitBeforeNext(error, number, random()) : undefined
      if (waitMs === undefined) throw error
      await sleep(waitMs, signal)
    }
  }
}

/** Undefined when another attempt makes no sense. */
function waitBeforeNext(error: unknown, number: number, random: number): number | undefined {
  if (!isPassing(error)) return undefined
  const askedMs = error instanceof ApiProblem ? (error.retryAfterMs ?? 0) : 0
  if (askedMs > retryAfterMaxMs) return undefined
  const backoffMs = Math.min(delayFirstMs * 2 ** (number - 1), delayMaxMs)
  return Math.max(askedMs, backoffMs * random)
}

export function isPassing(error: unknown): boolean {
  if (error instanceof Unreachable) return true
  if (!(error instanceof ApiProblem)) return false
  return passingCodes.includes(error.problem.code) || passingStatuses.includes(error.problem.status)
}
