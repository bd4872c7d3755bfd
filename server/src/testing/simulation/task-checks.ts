// The moves of a task, each looked at with its commit, and the reports that made them.

import { isJobEnded } from '@millrace/contract'
import type { Settlement } from '../../processing/engine-store.ts'
import { isTaskMove } from '../../processing/states.ts'
import type { MemoryTask } from '../../processing/testing/memory-tables.ts'
import type { TaskAssignment, TaskOutcome } from '../../processing/task.ts'
import type { CheckDependencies } from './checks.ts'
import { hasFailed } from './engine-rows.ts'

/** From a statement to the commit. */
const transactionMsMax = 2_000

export function createTaskChecks({ store, rows, expect }: CheckDependencies) {
  const { tables } = store
  const settling = new Map<number, Settlement>()
  const settled = new Set<string>()
  const acceptedReports = new Set<string>()

  function checkTask(before: MemoryTask | undefined, after: MemoryTask | undefined): void {
    if (after === undefined) return
    const settledTo = before?.state === 'running' && after.state === 'blocked' && settling.get(after.id)?.to
    // Given back in a paused job, and held in the same moment: two moves of one transaction.
    if (settledTo) {
      checkTask(before, { ...after, state: settledTo })
      return checkTask({ ...after, state: settledTo }, after)
    }
    const name = (): string => `task ${after.id} of ${after.step}: ${before?.state} -> ${after.state}`
    if (before === undefined) {
      const isHeld = after.state === 'blocked' && tables.jobs.get(after.jobId)?.state === 'paused'
      const isContinued = after.state === 'running' && after.epoch === 1 && after.attempt === 1
      expect(after.state === 'queued' || isHeld || isContinued, 'I9a', name)
      if (!isContinued) return
      const job = tables.jobs.get(after.jobId)
      const isLive = job?.state === 'running' && job.cancelRequestedMs === null
      expect(isLive, 'I15a', () => `task ${after.id} goes on in a job that is ${job?.state}`)
      expect(after.leaseUntilMs !== null, 'I8a', () => `task ${after.id} goes on without a lease`)
      return
    }
    expect(after.epoch >= before.epoch, 'I8c', () => `${name()}, epoch ${before.epoch} -> ${after.epoch}`)
    if (before.state === after.state) return
    expect(isTaskMove(before.state, after.state), 'I9a', name)
    const now = store.now()
    if (before.state === 'queued' && (after.state === 'dispatched' || after.state === 'running')) {
      expect(after.epoch === before.epoch + 1, 'I8c', () => `${name()}, epoch ${before.epoch} -> ${after.epoch}`)
    }
    if (before.state === 'dispatched' && after.state === 'queued') {
      expect((before.leaseUntilMs ?? 0) <= now, 'R2', () => `${name()} before its lease was over`)
    }
    if (after.state === 'blocked') {
      const state = tables.jobs.get(after.jobId)?.state
      expect(state === 'paused', 'I15e', () => `${name()} in a job that is ${state}`)
    }
    if (after.state === 'queued' && (before.state === 'blocked' || before.state === 'delayed')) {
      expect(before.runAtMs <= now, 'R4', () => `${name()} ${before.runAtMs - now} ms too early`)
    }
    if (after.state === 'running') checkClaim(before, after)
    if (before.state === 'running') checkSettled(before, after, name)
    if (after.state === 'cancelled') checkCancelled(after)
    if (after.state === 'dead' || after.state === 'succeeded') {
      expect(after.leaseUntilMs === null, 'I9a', () => `${name()} keeps its lease`)
    }
  }

  function checkClaim(before: MemoryTask, after: MemoryTask): void {
    expect(after.attempt === before.attempt + 1, 'R1', () => `task ${after.id}: claimed, attempt ${after.attempt}`)
    expect(
      after.attempt <= after.attemptsMax,
      'R1',
      () => `task ${after.id}: attempt ${after.attempt} of ${after.attemptsMax}`,
    )
    const job = tables.jobs.get(after.jobId)
    const state = job?.state
    const isEnded = state === undefined || isJobEnded(state)
    expect(!isEnded, 'I15a', () => `task ${after.id} starts in a job that is ${state}`)
  }

  function checkSettled(before: MemoryTask, after: MemoryTask, name: () => string): void {
    const settlement = settling.get(after.id)
    settling.delete(after.id)
    if (settlement === undefined) return expect(false, 'I8a', () => `${name()}, settled by nobody`)
    expect(settlement.epoch === before.epoch, 'I8a', () => `${name()}, by epoch ${settlement.epoch} of ${before.epoch}`)
    settled.add(`${after.id} ${settlement.epoch}`)
    const now = store.now()
    const isLost = 'lost' in settlement && settlement.lost
    if (isLost) {
      expect((before.leaseUntilMs ?? 0) <= now, 'R2', () => `${name()} although its worker has its lease`)
      expect(after.lostCount === before.lostCount + 1, 'R1', () => `${name()}: lost ${after.lostCount} times`)
    }
    const result = tables.results.get(after.id)
    expect(
      (after.state === 'succeeded') === (result !== undefined),
      'I8d',
      () => `${name()}, with result ${result?.epoch}`,
    )
    if (after.state === 'queued') expect(after.attempt === before.attempt - 1, 'R1', () => `${name()} uses an attempt`)
    if (after.state === 'delayed') {
      expect(before.attempt < before.attemptsMax, 'R1', () => `${name()} after attempt ${before.attempt}`)
      expect(after.attempt === before.attempt, 'R1', () => `${name()} changes its attempts`)
      const waitMs = after.runAtMs - now
      expect(waitMs >= -transactionMsMax && waitMs <= 60_000, 'R4', () => `${name()} for ${waitMs} ms`)
    }
    if (after.state === 'dead' && settlement.to === 'dead') {
      const { code } = settlement.problem
      const isJustified =
        code === 'processor_crashed'
          ? before.attempt >= before.attemptsMax
          : code === 'worker_lost'
            ? isLost && after.lostCount >= 3
            : true
      expect(
        isJustified,
        'R3',
        () => `${name()} of ${code} in attempt ${before.attempt}, lost ${after.lostCount} times`,
      )
    }
    if (isLost && after.state === 'queued')
      expect(after.lostCount < 3, 'R3', () => `${name()}, lost ${after.lostCount} times`)
  }

  function checkCancelled(task: MemoryTask): void {
    const job = tables.jobs.get(task.jobId)
    if (job === undefined) return
    const isStopped = rows.stepsOf(task.jobId).some((step) => hasFailed(step))
    const isDue = job.state === 'cancelling' || job.state === 'cancelled' || isStopped
    expect(isDue, 'I9a', () => `task ${task.id} is cancelled in a job that is ${job.state}`)
  }

  return {
    checkTask,

    settles: (settlement: Settlement): void => void settling.set(settlement.taskId, settlement),

    reported: (task: TaskAssignment, outcome: TaskOutcome, isWritten: boolean): void => {
      if (!isWritten) return
      const key = `${task.taskId} ${task.epoch}`
      expect(!acceptedReports.has(key), 'I8d', () => `two reports of task ${task.taskId}, epoch ${task.epoch} count`)
      acceptedReports.add(key)
      expect(
        settled.has(key),
        'I8d',
        () => `task ${task.taskId}: a report of ${task.epoch} counts that nobody has written`,
      )
      const row = tables.tasks.get(task.taskId)
      if (outcome.kind !== 'done' || row === undefined) return
      const result = tables.results.get(task.taskId)
      const counts = result === undefined || result.epoch <= task.epoch
      expect(counts, 'I8d', () => `task ${task.taskId}: report of ${task.epoch} counts, result is of ${result?.epoch}`)
      if (result?.epoch !== task.epoch) return
      const made = outcome.outputs.filter((output) => output.as === 'output').length
      const kept = [...tables.outputs.ofJob(task.jobId)].filter(({ taskId }) => taskId === task.taskId).length
      expect(made === kept, 'I3', () => `task ${task.taskId} made ${made} outputs, ${kept} are kept`)
    },
  }
}
