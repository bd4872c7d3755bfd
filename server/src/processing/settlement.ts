// From what a worker says to the move of its task: a table of decisions without effects.

import { problems } from '@millrace/contract'
import type { Settlement, StoredProblem, TaskFence } from './engine-store.ts'
import type { TaskOutcome } from './task.ts'

/** A worker's outcome, or that its lease ended without one. */
export type EndedOutcome = TaskOutcome | { kind: 'lost'; lostCount: number } | { kind: 'abandoned' }

export interface EndedTask extends TaskFence {
  tenantId: number
  jobId: number
  step: string
  ordinal: number
  /** From 1. */
  attempt: number
  attemptsMax: number
  backoff: { initial_ms: number; max_ms: number }
}

/** A worker that is lost so many times under one task is taken for its victim. */
export const lostCountMax = 3
/** The processor's JSON result; more belongs into an output. */
export const resultBytesMax = 256 * 1024
export const foundTextLengthMax = 1_000_000
/** What all tasks lean on. */
const outages: ReadonlySet<StoredProblem['code']> = new Set([
  'storage_unavailable',
  'storage_full',
  'database_unavailable',
  'overloaded',
  'disk_full',
])
/** The least wait for them, doubled with each attempt: five attempts span half a minute at least. */
const outageDelayMsMin = 2_000
/** A retry waits no longer, whatever it asks for: the job's owner waits with it. */
const retryAfterMsMax = 60 * 60_000

/**
 * The move of a task. While its job is being cancelled or stopped nothing is tried again; a result that came in time
 * counts all the same.
 */
export function toSettlement(
  task: EndedTask,
  outcome: EndedOutcome,
  circumstances: { winding: boolean; random: () => number },
): Settlement {
  const { taskId, epoch } = task
  const fence = { taskId, epoch }
  const { winding } = circumstances
  switch (outcome.kind) {
    case 'done':
      return settleDone(fence, outcome)
    case 'reject':
      return { ...fence, to: 'dead', problem: toProblem(outcome.code, outcome.detail) }
    case 'retry': {
      if (winding) return { ...fence, to: 'cancelled' }
      const problem = toProblem(outcome.code, outcome.detail)
      if (task.attempt >= task.attemptsMax) return { ...fence, to: 'dead', problem }
      return { ...fence, to: 'delayed', delayMs: delayMs(task, outcome, circumstances.random), problem }
    }
    case 'release':
      return winding ? { ...fence, to: 'cancelled' } : { ...fence, to: 'queued', lost: false }
    case 'cancelled':
      // A worker that stops without having been asked to gives the task back.
      return winding ? { ...fence, to: 'cancelled' } : { ...fence, to: 'queued', lost: false }
    case 'abandoned':
      return { ...fence, to: 'cancelled', force: true }
    case 'lost': {
      if (winding) return { ...fence, to: 'cancelled', force: true }
      if (outcome.lostCount + 1 < lostCountMax) return { ...fence, to: 'queued', lost: true }
      const detail = `The worker was lost ${lostCountMax} times while it worked on this step.`
      return { ...fence, to: 'dead', lost: true, problem: toProblem('worker_lost', detail) }
    }
  }
}

function settleDone(fence: TaskFence, outcome: Extract<TaskOutcome, { kind: 'done' }>): Settlement {
  const result = outcome.result ?? null
  const bytes = Buffer.byteLength(JSON.stringify(result))
  if (bytes > resultBytesMax) {
    const detail = `The result is ${bytes} bytes long; at most ${resultBytesMax} are kept.`
    return { ...fence, to: 'dead', problem: toProblem('output_limit_exceeded', detail) }
  }
  return {
    ...fence,
    to: 'succeeded',
    result,
    foundText: outcome.foundText?.slice(0, foundTextLengthMax).replaceAll('\0', '') ?? null,
    recordsCount: outcome.recordsCount === undefined ? null : Math.max(0, Math.round(outcome.recordsCount)),
    durationMs: Math.max(0, Math.round(outcome.durationMs)),
  }
}

/**
 * Full jitter (Brooker 2015): anywhere below the exponential bound, so that a herd spreads out. When a part of the
 * installation is away it is that much on top of a least wait: it comes back in its own time, whatever the task is.
 */
function delayMs(
  task: EndedTask,
  { code, afterMs }: Extract<TaskOutcome, { kind: 'retry' }>,
  random: () => number,
): number {
  if (afterMs !== undefined) return Math.min(retryAfterMsMax, Math.max(0, Math.round(afterMs)))
  const { initial_ms: initialMs, max_ms: maxMs } = task.backoff
  const doubled = 2 ** (task.attempt - 1)
  const leastMs = outages.has(code) ? Math.min(retryAfterMsMax, outageDelayMsMin * doubled) : 0
  return Math.round(leastMs + random() * Math.min(maxMs, initialMs * doubled))
}

const toProblem = (code: StoredProblem['code'], detail: string): StoredProblem => ({
  code: Object.hasOwn(problems, code) ? code : 'internal',
  detail: detail.replaceAll('\0', '').slice(0, 2_000),
})
