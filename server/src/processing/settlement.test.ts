import { describe, expect, it } from 'vitest'
import { resultBytesMax, toSettlement, type EndedOutcome, type EndedTask } from './settlement.ts'

const task: EndedTask = {
  taskId: 1,
  epoch: 2,
  tenantId: 1,
  jobId: 1,
  step: 'a',
  ordinal: 0,
  attempt: 3,
  attemptsMax: 5,
  backoff: { initial_ms: 100, max_ms: 1_000 },
}
const settle = (
  outcome: EndedOutcome,
  more: { winding?: boolean; random?: number; attempt?: number; attemptsMax?: number } = {},
) =>
  toSettlement(
    { ...task, attempt: more.attempt ?? task.attempt, attemptsMax: more.attemptsMax ?? task.attemptsMax },
    outcome,
    {
      winding: more.winding ?? false,
      random: () => more.random ?? 0.5,
    },
  )
const retry = { kind: 'retry', code: 'processor_crashed', detail: 'no', durationMs: 1 } as const
const done: Extract<EndedOutcome, { kind: 'done' }> = { kind: 'done', outputs: [], result: { a: 1 }, durationMs: 1.4 }

describe('the move of a task', () => {
  it('is success with its result', () => {
    expect(settle(done)).toMatchObject({ to: 'succeeded', result: { a: 1 }, durationMs: 1 })
    expect(settle(done, { winding: true })).toMatchObject({ to: 'succeeded' })
  })

  it('is death for a result too large to keep', () => {
    const result = 'x'.repeat(resultBytesMax)
    expect(settle({ ...done, result })).toMatchObject({ to: 'dead', problem: { code: 'output_limit_exceeded' } })
  })

  it.each([
    [1, 50],
    [3, 200],
    [4, 400],
  ])('waits anywhere below the doubled bound after attempt %i', (attempt, delayMs) => {
    expect(settle(retry, { attempt })).toMatchObject({ to: 'delayed', delayMs })
  })

  it('waits no longer than the policy says, and as long as a processor asks', () => {
    expect(settle({ ...retry, afterMs: 5_000 })).toMatchObject({ delayMs: 5_000 })
    expect(
      toSettlement({ ...task, attempt: 20, attemptsMax: 30 }, retry, { winding: false, random: () => 1 }),
    ).toMatchObject({
      delayMs: 1_000,
    })
  })

  it('waits longer when what all tasks lean on is away', () => {
    const away = { ...retry, code: 'storage_unavailable' } as const
    const delays = [1, 2, 3, 4].map((attempt) => settle(away, { attempt, random: 0 }))
    expect(delays).toMatchObject([2_000, 4_000, 8_000, 16_000].map((delayMs) => ({ to: 'delayed', delayMs })))
    expect(settle({ ...away, afterMs: 10 })).toMatchObject({ delayMs: 10 })
  })

  it('waits no longer than an hour for it, however many attempts there are', () => {
    const away = { ...retry, code: 'storage_unavailable' } as const
    expect(settle(away, { attempt: 19, attemptsMax: 20, random: 0 })).toMatchObject({ delayMs: 3_600_000 })
  })

  it('is death when the attempts are used, or none will help', () => {
    expect(settle(retry, { attempt: 5 })).toMatchObject({ to: 'dead', problem: { code: 'processor_crashed' } })
    expect(settle({ kind: 'reject', code: 'file_unreadable', detail: 'why\0', durationMs: 1 })).toMatchObject({
      to: 'dead',
      problem: { code: 'file_unreadable', detail: 'why' },
    })
  })

  it('goes back to the queue when it was given back or its worker was lost, and dies the third time', () => {
    expect(settle({ kind: 'release' })).toMatchObject({ to: 'queued', lost: false })
    expect(settle({ kind: 'cancelled' })).toMatchObject({ to: 'queued', lost: false })
    expect(settle({ kind: 'lost', lostCount: 1 })).toMatchObject({ to: 'queued', lost: true })
    expect(settle({ kind: 'lost', lostCount: 2 })).toMatchObject({
      to: 'dead',
      lost: true,
      problem: { code: 'worker_lost' },
    })
  })

  it.each([
    retry,
    { kind: 'release' },
    { kind: 'cancelled' },
    { kind: 'lost', lostCount: 0 },
    { kind: 'abandoned' },
  ] as const)('is the end while its job is wound up, after $kind', (outcome) => {
    expect(settle(outcome, { winding: true })).toMatchObject({ to: 'cancelled' })
  })
})
