// What must hold in every history, looked at with every commit and with every answer that somebody outside was given.
// I1 to I16 are the project's own numbers for what the whole product keeps; here stands what they mean for the engine.
//
//   I2a  a job that was acknowledged is there for ever          I2b  every job ends once faults stop
//   I2c  a run of a job ends once, and tells so once            I2d  its end follows from its steps
//   I3   outputs are those of the attempt whose result counts, none of another
//   I8a  no write without the fence                             I8b  an epoch is claimed once
//   I8c  epochs only grow, by one with each admission           I8d  a task has one result, its holder's
//   I9a  moves are those of states.ts                           I9b  counters equal the children left
//   I9c  a step starts when its needs have ended, and once      I9d  a join sees all that was made before it
//   I9e  a fan-out has one task for each output                 I12  one audit event for each end and each request
//   I15a nothing of a job starts once its cancellation holds    I15b a cancelled job ends within its deadline
//   I15c nothing of a job starts while it is paused             I15d a worker is told when its job is wound up
//   I15e a paused job has no task where it could be admitted, a job that goes on none that is held
//   I16  nobody sees progress go back
//   A1   accounting: jobs created = ended + live; tasks of a step = open + ended
//   C1   no tenant has more in flight than its cap, at admission C2   only the leader admits
//   C3   no tenant has more starts than its rate allows, in any time
//   F2   a worker goes on with a task only while nobody else waits, and within the cap
//   F1   nobody waits while others are served again and again   R1   attempts are counted, none too many
//   R2   nothing is taken from a worker before its lease ends   R3   tasks die for a reason only
//   R4   a retry waits within its bounds                        M1   nothing throws that is not meant to
//   V1   a file is let go when all that decides over it has ended well

import { isJobEnded } from '@millrace/contract'
import type { MemorySchedulerStore } from '../../maintenance/testing/memory-scheduler-store.ts'
import type { ClaimedTask, EngineStep, TaskFence } from '../../processing/engine-store.ts'
import { isJobMove, isStepMove } from '../../processing/states.ts'
import type { MemoryStore } from '../../processing/testing/memory-store.ts'
import type { Change, MemoryFile, MemoryJob, MemoryTask } from '../../processing/testing/memory-tables.ts'
import { createAdmissionChecks } from './admission-checks.ts'
import type { Expect } from './checks.ts'
import { createEngineRows, gateStages, hasFailed, isBroken, isOpen, isStepEnded, stageOf } from './engine-rows.ts'
import type { History } from './history.ts'
import { createJobChecks } from './job-checks.ts'
import { createTaskChecks } from './task-checks.ts'

export interface CheckerDependencies {
  store: MemoryStore
  scheduler: MemorySchedulerStore
  history: History
  /** When nothing goes wrong any more. */
  healedMs: number
}

/** Time for a rescue, a new leader, and all that waits for them. */
const endDeadlineMs = 180_000
const cancelDeadlineMs = 30_000

export type Checker = ReturnType<typeof createChecker>

export function createChecker(deps: CheckerDependencies) {
  const { store, scheduler, history } = deps
  const { tables } = store
  const acknowledged = new Set<number>()
  /** Ends of each job, and how many of them were told. */
  const ends = new Map<number, number>()
  const endsTold = new Map<number, number>()
  const cancelledAtMs = new Map<number, number>()
  const pausedAtMs = new Map<number, number>()
  const claimed = new Set<string>()
  /** Begun anew by the commit that is looked at: such a job, and its steps, may have come to an end again at once. */
  const reopened = new Set<number>()
  const cancelledNow = new Set<number>()
  /** What failed with the commit that is looked at may stand beside what it has just started. */
  const failedNow = new Set<object>()
  const progressSeen = new Map<number, number>()
  let eventsSeen = 0
  let auditsSeen = 0
  const audits = new Map<string, number>()

  const expect: Expect = (holds, invariant, detail) => {
    if (!holds) history.violate(invariant, detail())
  }
  const rows = createEngineRows(store)
  const { stepsOf, definitionOf } = rows
  const { checkTask, settles, reported } = createTaskChecks({ store, rows, expect })
  const { expectedEnd, checkWhole } = createJobChecks({ store, rows, expect })
  const { admits, continues } = createAdmissionChecks({ store, expect }, scheduler)
  const count = (map: Map<number, number>, key: number): void => void map.set(key, (map.get(key) ?? 0) + 1)

  function checkStep(before: EngineStep | undefined, after: EngineStep): void {
    if (before === undefined) return
    const name = (): string => `step ${after.name} of job ${after.jobId}: ${before.state} -> ${after.state}`
    const isReopened = reopened.has(after.jobId)
    const isLegal = isStepMove(before.state, after.state) || (isReopened && isStepMove('waiting', after.state))
    if (before.state !== after.state) expect(isLegal, 'I9a', name)
    if (before.tasksTotal === 0 && after.tasksTotal > 0) {
      const definition = definitionOf(after.jobId)
      const needs = definition?.steps[after.name]?.needs ?? []
      const steps = stepsOf(after.jobId)
      const open = needs.filter((need) => !steps.some((step) => step.name === need && isStepEnded(step)))
      expect(open.length === 0, 'I9c', () => `${name()} although ${open.join()} has not ended`)
      expect(before.state === 'waiting' || isReopened, 'I9c', () => `${name()} starts again`)
      const broken = needs.filter((need) => isBroken(steps, definition, need))
      expect(broken.length === 0, 'I2d', () => `${name()} starts although ${broken.join()} is broken`)
      const failed = steps.filter((step) => hasFailed(step) && !failedNow.has(step))
      const isStopped = definition?.on_failure === 'stop' && failed.length > 0 && !isReopened
      expect(!isStopped, 'I2d', () => `${name()} starts although its job stops`)
    }
    if (before.tasksTotal > 0 && after.tasksTotal > before.tasksTotal && !isReopened)
      expect(false, 'I9c', () => `${name()} gets more tasks`)
  }

  /** A file is let go when the steps that decide over it have ended well. */
  function checkVerdict(before: MemoryFile | undefined, after: MemoryFile): void {
    if (before === undefined || before.state === after.state || after.state !== 'available') return
    const isDecided = [...tables.jobs.rows.values()].some((job) => {
      const { steps = {} } = definitionOf(job.id) ?? {}
      const gates = stepsOf(job.id).filter(({ name }) => gateStages.includes(stageOf(steps[name]?.uses)))
      return job.fileId === after.fileId && gates.every((step) => isStepEnded(step) && !hasFailed(step))
    })
    expect(isDecided, 'V1', () => `file ${after.fileId} is let go too early`)
  }

  function checkJob(before: MemoryJob | undefined, after: MemoryJob): void {
    const name = (): string => `job ${after.id}: ${before?.state} -> ${after.state}`
    if (before === undefined) return isJobEnded(after.state) ? count(ends, after.id) : undefined
    expect(
      after.progressPercent >= before.progressPercent,
      'I16',
      () => `${name()}: ${before.progressPercent} -> ${after.progressPercent} %`,
    )
    const isReopened = reopened.has(after.id) && isJobEnded(before.state)
    if (isReopened) cancelledAtMs.delete(after.id)
    if (before.state === after.state && !isReopened) return
    const isLegal = isJobMove(before.state, after.state) || (isReopened && isJobMove('running', after.state))
    expect(isLegal, 'I9a', name)
    if (after.state === 'cancelling') cancelledAtMs.set(after.id, store.now())
    if (after.state === 'paused') pausedAtMs.set(after.id, store.now())
    else pausedAtMs.delete(after.id)
    if (!isJobEnded(after.state)) return
    count(ends, after.id)
    const expected = expectedEnd(after, before.state === 'cancelling' || cancelledNow.has(after.id))
    expect(after.state === expected, 'I2d', () => `${name()}, but its steps say ${expected}`)
    const cancelledMs = cancelledAtMs.get(after.id)
    cancelledAtMs.delete(after.id)
    if (after.state !== 'cancelled' || cancelledMs === undefined) return
    const tookMs = store.now() - Math.max(cancelledMs, deps.healedMs)
    expect(tookMs <= cancelDeadlineMs, 'I15b', () => `${name()} took ${Math.round(tookMs)} ms`)
  }

  function checkTold(): void {
    reopened.clear()
    cancelledNow.clear()
    for (; eventsSeen < tables.events.length; eventsSeen++) {
      const event = tables.events[eventsSeen]
      if (event?.type !== 'job.ended') continue
      count(endsTold, event.jobId)
      const state = tables.jobs.get(event.jobId)?.state
      expect(
        event.data['status'] === state,
        'I2c',
        () => `job ${event.jobId} is told ${String(event.data['status'])}, is ${state}`,
      )
    }
    for (; auditsSeen < tables.audit.length; auditsSeen++) {
      const audit = tables.audit[auditsSeen]
      if (audit === undefined) continue
      const key = `${audit.action} ${audit.jobId}`
      if (audit.action === 'job.retry' || audit.action === 'job.replay_step') reopened.add(audit.jobId)
      if (audit.action === 'job.cancel') cancelledNow.add(audit.jobId)
      audits.set(key, (audits.get(key) ?? 0) + 1)
    }
  }

  function checkEnds(jobId: number): void {
    const told = endsTold.get(jobId) ?? 0
    const happened = ends.get(jobId) ?? 0
    expect(told === happened, 'I2c', () => `job ${jobId} ended ${happened} times, told ${told} times`)
    const audited = audits.get(`job.end ${jobId}`) ?? 0
    expect(audited === happened, 'I12', () => `job ${jobId} ended ${happened} times, audited ${audited} times`)
  }

  return {
    continues,
    settles,
    admits,
    reported,

    committed(changes: readonly Change[]): void {
      checkTold()
      failedNow.clear()
      for (const { table, before, after } of changes) {
        const isNew = before === undefined || !hasFailed(before as EngineStep)
        if (table === tables.steps && after !== undefined && isNew && hasFailed(after as EngineStep))
          failedNow.add(after)
      }
      const jobIds = new Set<number>()
      for (const { table, before, after } of changes) {
        // Each table has rows of its kind.
        if (table === tables.tasks) {
          checkTask(before as MemoryTask | undefined, after as MemoryTask | undefined)
          jobIds.add(((after ?? before) as MemoryTask).jobId)
        } else if (table === tables.steps && after !== undefined) {
          checkStep(before as EngineStep | undefined, after as EngineStep)
          jobIds.add((after as EngineStep).jobId)
        } else if (table === tables.jobs && after !== undefined) {
          checkJob(before as MemoryJob | undefined, after as MemoryJob)
          jobIds.add((after as MemoryJob).id)
        } else if (table === tables.files && after !== undefined) {
          checkVerdict(before as MemoryFile | undefined, after as MemoryFile)
        } else if (table === tables.results && before !== undefined && after !== undefined) {
          history.violate('I8d', 'A result is written over.')
        }
      }
      for (const jobId of jobIds) {
        checkWhole(jobId)
        checkEnds(jobId)
      }
    },

    /** `sinceMs`: when the statement began. */
    claims(fences: readonly TaskFence[], tasks: readonly ClaimedTask[], sinceMs: number): void {
      for (const { taskId, epoch, jobId } of tasks) {
        const cancelledMs = cancelledAtMs.get(jobId)
        const isLate = cancelledMs !== undefined && cancelledMs < sinceMs
        expect(!isLate, 'I15a', () => `task ${taskId} starts although job ${jobId} was cancelled`)
        const pausedMs = pausedAtMs.get(jobId)
        const isPaused = pausedMs !== undefined && pausedMs < sinceMs
        expect(!isPaused, 'I15c', () => `task ${taskId} starts although job ${jobId} is paused`)
        const isOffered = fences.some((fence) => fence.taskId === taskId && fence.epoch === epoch)
        expect(isOffered, 'I8a', () => `task ${taskId} is claimed at epoch ${epoch} without its hint`)
        const key = `${taskId} ${epoch}`
        expect(!claimed.has(key), 'I8b', () => `task ${taskId} is claimed twice at epoch ${epoch}`)
        claimed.add(key)
      }
    },

    /** In the moment of the statement. */
    extends(answers: readonly { taskId: number; cancelled: boolean }[]): void {
      for (const { taskId, cancelled } of answers) {
        const job = tables.jobs.get(tables.tasks.get(taskId)?.jobId ?? 0)
        if (job === undefined) continue
        const isStopped = definitionOf(job.id)?.on_failure === 'stop' && stepsOf(job.id).some((step) => hasFailed(step))
        const mustStop = isStopped || job.state === 'cancelling' || job.state === 'cancelled'
        expect(cancelled === mustStop, 'I15d', () => `the worker of task ${taskId} is told ${cancelled}`)
      }
    },

    acknowledged: (jobId: number): void => void acknowledged.add(jobId),

    cancelAcknowledged(jobId: number): void {
      const job = tables.jobs.get(jobId)
      const isCancelled =
        job !== undefined && (job.state === 'cancelling' || isJobEnded(job.state) || (ends.get(jobId) ?? 0) > 0)
      expect(isCancelled, 'I15a', () => `job ${jobId} is ${job?.state} after its cancellation`)
      expect(
        (audits.get(`job.cancel ${jobId}`) ?? 0) > 0,
        'I12',
        () => `the cancellation of job ${jobId} is not audited`,
      )
    },

    pauseAcknowledged(jobId: number): void {
      expect((audits.get(`job.pause ${jobId}`) ?? 0) > 0, 'I12', () => `the pause of job ${jobId} is not audited`)
    },

    /** As a client read it. */
    seen(jobId: number, progressPercent: number): void {
      const before = progressSeen.get(jobId) ?? 0
      expect(
        progressPercent >= before,
        'I16',
        () => `a client saw job ${jobId} at ${before}, then at ${progressPercent} %`,
      )
      progressSeen.set(jobId, progressPercent)
    },

    isQuiet: (): boolean => tables.jobs.rows.values().every(({ state }) => isJobEnded(state)),

    /** While time passes after the faults. */
    checkDeadline(): void {
      const now = store.now()
      if (now > deps.healedMs + endDeadlineMs) {
        const left = [...tables.jobs.rows.values()].filter(({ state }) => !isJobEnded(state))
        expect(left.length === 0, 'I2b', () => describeStuck(left))
      }
      for (const [jobId, atMs] of cancelledAtMs) {
        const isLate = now - Math.max(atMs, deps.healedMs) > cancelDeadlineMs
        expect(
          !isLate,
          'I15b',
          () => `job ${jobId} was cancelled at ${Math.round(atMs)} and is ${tables.jobs.get(jobId)?.state}`,
        )
      }
    },

    checkEnd(): void {
      for (const jobId of acknowledged)
        expect(tables.jobs.get(jobId) !== undefined, 'I2a', () => `job ${jobId} is gone`)
      for (const { id, state } of tables.jobs.rows.values()) {
        checkWhole(id)
        checkEnds(id)
        const times = ends.get(id) ?? 0
        expect(!isJobEnded(state) || times > 0, 'I2c', () => `job ${id} is ${state} and never ended`)
      }
      const created = tables.events.filter(({ type }) => type === 'job.created').length
      expect(
        created === tables.jobs.rows.size,
        'A1',
        () => `${created} jobs were told, ${tables.jobs.rows.size} are there`,
      )
    },
  }

  function describeStuck(left: readonly MemoryJob[]): string {
    const [job] = left
    if (job === undefined) return ''
    const steps = stepsOf(job.id).map(({ name, state, tasksPending }) => `${name} ${state} ${tasksPending}`)
    const tasks = [...tables.tasks.ofJob(job.id)].filter(isOpen).map(({ id, state }) => `${id} ${state}`)
    return `${left.length} jobs have not ended; job ${job.id} is ${job.state}: ${steps.join(', ')}; tasks: ${tasks.join(', ')}`
  }
}
