// Whether this process should be sent requests: every part that it cannot do without has answered a moment ago.

import type { Clock } from '../platform/clock.ts'
import { Problem } from '../platform/problem.ts'

/** Resolves when the part works; what it throws is the reason. */
export type ReadinessCheck = (signal: AbortSignal) => Promise<unknown>

const checkTimeoutMs = 2_000
/** Probes come from several sides at once; they share an answer for this long. */
const answerAgeMsMax = 1_000

export interface Readiness {
  /** Names of the parts that were found working. Throws the Problem of the first that is not, with all of them in errors. */
  check(): Promise<string[]>
}

export function createReadiness(options: { clock: Clock; checks: Record<string, ReadinessCheck> }): Readiness {
  const { clock, checks } = options
  let last: { atMs: number; answer: Promise<string[]> } | undefined

  async function run(): Promise<string[]> {
    const results = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => ({ name, failure: await failureOf(check) })),
    )
    const failed = results.filter((result) => result.failure !== undefined)
    const first = failed[0]
    if (!first) return results.map((result) => result.name)
    throw new Problem(first.failure instanceof Problem ? first.failure.code : 'overloaded', {
      detail: `Not ready: ${failed.map((result) => result.name).join(', ')}.`,
      errors: failed.map(({ name, failure }) => ({ path: name, message: messageOf(failure) })),
    })
  }

  async function failureOf(check: ReadinessCheck): Promise<unknown> {
    const controller = new AbortController()
    const late = clock
      .sleep(checkTimeoutMs, controller.signal)
      .then(() => new Problem('overloaded', { detail: `No answer within ${checkTimeoutMs} ms.` }))
    try {
      return await Promise.race([check(controller.signal).then(() => undefined), late])
    } catch (error) {
      return error
    } finally {
      controller.abort()
    }
  }

  return {
    check() {
      const nowMs = clock.monotonicMs()
      if (!last || nowMs - last.atMs > answerAgeMsMax) last = { atMs: nowMs, answer: run() }
      return last.answer
    },
  }
}

// A foreign error's text could tell the outside about our insides; a Problem's detail is meant for reading.
const messageOf = (failure: unknown): string =>
  failure instanceof Problem ? (failure.detail ?? failure.message) : 'The check failed.'
