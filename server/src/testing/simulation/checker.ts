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

import { isJobEnded, type JobState } from '@millrace/contract'
import type { AdmittedTask, Leadership } from '../../maintenance/scheduler-store.ts'
import type { MemorySchedulerStore } from '../../maintenance/testing/memory-scheduler-store.ts'
import type { PipelineDefinition } from '../../processing/definition.ts'
import type { ClaimedTask, ContinuationWish, EngineStep, Settlement, TaskFence } from '../../processing/engine-store.ts'
import { isJobMove, isStepMove, isTaskMove, taskOpenStates } from '../../processing/states.ts'
import type { MemoryStore } from '../../processing/testing/memory-store.ts'
import type { Change, MemoryFile, MemoryJob, MemoryTask } from '../../processing/testing/memory-tables.ts'
import type { TaskAssignment, TaskOutcome } from '../../processing/task.ts'
import type { History } from './history.ts'
import { markOf } from './simulated-worker.ts'
import { simulatedCatalogue } from './workload.ts'

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
/** From a statement to the commit. */
const transactionMsMax = 2_000
/**
 * What others may be served, in expected worker time by its weight, while a tenant waits with free room: a turn of each of
 * them, by their weights, and what was picked before it came. Twice of what deficit round robin promises here.
 */
const starvedCostMs = 30_000

const isOpen = ({ state }: MemoryTask): boolean => (taskOpenStates as readonly string[]).includes(state)
const isFlying = ({ state }: MemoryTask): boolean => state === 'dispatched' || state === 'running'

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
  const settling = new Map<number, Settlement>()
  const claimed = new Set<string>()
  const settled = new Set<string>()
  const acceptedReports = new Set<string>()
  /** Begun anew by the commit that is looked at: such a job, and its steps, may have come to an end again at once. */
  const reopened = new Set<number>()
  const cancelledNow = new Set<number>()
  /** What failed with the commit that is looked at may stand beside what it has just started. */
  const failedNow = new Set<object>()
  const progressSeen = new Map<number, number>()
  const waitingCostMs = new Map<string, number>()
  /** Moments of the starts of tenants that have a rate. */
  const startsMs = new Map<number, number[]>()
  let eventsSeen = 0
  let auditsSeen = 0
  const audits = new Map<string, number>()

  const expect = (holds: boolean, invariant: string, detail: () => string): void => {
    if (!holds) history.violate(invariant, detail())
  }
  const count = (map: Map<number, number>, key: number): void => void map.set(key, (map.get(key) ?? 0) + 1)

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
    if (after.state === 'dispatched') {
      expect(after.epoch === before.epoch + 1, 'I8c', () => `${name()}, epoch ${before.epoch} -> ${after.epoch}`)
    }
    if (before.state === 'queued' && after.state === 'running') expect(false, 'I9a', name)
    if (before.state === 'dispatched' && after.state === 'queued') {
      expect((before.leaseUntilMs ?? 0) <= now, 'R2', () => `${name()} before its lease was over`)
    }
    if (after.state === 'blocked') {
      const state = tables.jobs.get(after.jobId)?.state
      expect(state === 'paused', 'I15e', () => `${name()} in a job that is ${state}`)
    }
    if (before.state === 'blocked' && after.state === 'queued') {
      expect(before.runAtMs <= now, 'R4', () => `${name()} ${before.runAtMs - now} ms too early`)
    }
    if (before.state === 'delayed' && after.state === 'queued') {
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
    if (settlement === undefined) return history.violate('I8a', `${name()}, settled by nobody`)
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
    const delayed = before.attempt
    expect(after.state !== 'delayed' || after.attempt === delayed, 'R1', () => `${name()} changes its attempts`)
  }

  function checkCancelled(task: MemoryTask): void {
    const job = tables.jobs.get(task.jobId)
    if (job === undefined) return
    const isStopped = stepsOf(task.jobId).some(({ tasksFailed, state }) => tasksFailed > 0 || state === 'failed')
    const isDue = job.state === 'cancelling' || job.state === 'cancelled' || isStopped
    expect(isDue, 'I9a', () => `task ${task.id} is cancelled in a job that is ${job.state}`)
  }

  const stepsOf = (jobId: number): EngineStep[] =>
    [...tables.steps.ofJob(jobId)].toSorted((a, b) => a.position - b.position)

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

  const definitionOf = (jobId: number): PipelineDefinition | undefined => {
    const job = tables.jobs.get(jobId)
    return job && tables.definitions.get(job.pipelineVersionId)
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
    const expected = expectedEnd(after, before.state)
    expect(after.state === expected, 'I2d', () => `${name()}, but its steps say ${expected}`)
    const cancelledMs = cancelledAtMs.get(after.id)
    cancelledAtMs.delete(after.id)
    if (after.state !== 'cancelled' || cancelledMs === undefined) return
    const tookMs = store.now() - Math.max(cancelledMs, deps.healedMs)
    expect(tookMs <= cancelDeadlineMs, 'I15b', () => `${name()} took ${Math.round(tookMs)} ms`)
  }

  function expectedEnd(job: MemoryJob, before: JobState): JobState {
    const definition = definitionOf(job.id)
    const steps = stepsOf(job.id)
    if (before === 'cancelling' || cancelledNow.has(job.id) || definition === undefined) return 'cancelled'
    const failed = steps.filter(({ state }) => state === 'failed')
    if (failed.length === 0) return steps.some(({ state }) => state === 'cancelled') ? 'cancelled' : 'completed'
    if (definition.on_failure === 'stop') return 'failed'
    const work = steps.filter(({ name }) => ['transform', 'analyze'].includes(stageOf(definition.steps[name]?.uses)))
    const isPartial = (step: EngineStep): boolean =>
      step.state === 'failed' && definition.steps[step.name]?.each !== undefined && step.tasksFailed < step.tasksTotal
    const isNothingDone = work.length > 0 && !work.some((step) => step.state === 'succeeded' || isPartial(step))
    const isGateShut = failed.some(({ name }) => gateStages.includes(stageOf(definition.steps[name]?.uses)))
    return isGateShut || isNothingDone ? 'failed' : 'completed_with_errors'
  }

  /** After a commit that changed something of the job. */
  function checkWhole(jobId: number): void {
    const job = tables.jobs.get(jobId)
    if (job === undefined) return
    const tasksByStep = Map.groupBy(tables.tasks.ofJob(jobId), ({ step }) => step)
    const steps = stepsOf(jobId)
    const isOver = isJobEnded(job.state)
    for (const step of steps) {
      const tasks = tasksByStep.get(step.name) ?? []
      const open = tasks.filter(isOpen).length
      const dead = tasks.filter(({ state }) => state === 'dead').length
      const uncreated = step.expandedTo === null ? 0 : step.tasksTotal - tasks.length
      const name = (): string => `job ${jobId}, step ${step.name} (${step.state})`
      expect(
        step.tasksPending === open + uncreated,
        'I9b',
        () => `${name()}: ${step.tasksPending} pending, ${open} + ${uncreated} open`,
      )
      expect(step.tasksFailed === dead, 'I9b', () => `${name()}: ${step.tasksFailed} failed, ${dead} dead`)
      expect(
        step.tasksTotal === tasks.length + uncreated,
        'A1',
        () => `${name()}: ${step.tasksTotal} tasks, ${tasks.length} rows`,
      )
      if (isOver)
        expect(open === 0 && isStepEnded(step), 'I2d', () => `${name()} of a job that is ${job.state}: ${open} open`)
      if (step.state === 'succeeded') {
        const isDone = tasks.every(({ state }) => state === 'succeeded')
        expect(
          isDone,
          'I2d',
          () => `${name()} with tasks that are ${[...new Set(tasks.map(({ state }) => state))].join()}`,
        )
      }
    }
    checkHeld(job, tasksByStep.values().toArray().flat())
    const pending = steps.filter((step) => !isStepEnded(step)).length
    if (job.state !== 'running' || pending === 0) {
      expect(
        job.stepsPending === pending,
        'I9b',
        () => `job ${jobId}: ${job.stepsPending} steps pending, ${pending} are`,
      )
    }
    if (isOver) checkEnded(job, steps, tasksByStep)
  }

  function checkHeld(job: MemoryJob, tasks: readonly MemoryTask[]): void {
    if (job.tasksMoving || job.cancelRequestedMs !== null) return
    const isMisplaced = ({ state }: MemoryTask): boolean =>
      job.state === 'paused' ? ['delayed', 'queued', 'dispatched'].includes(state) : state === 'blocked'
    const task = tasks.find(isMisplaced)
    expect(task === undefined, 'I15e', () => `task ${task?.id} is ${task?.state}, job ${job.id} ${job.state}`)
  }

  function checkEnded(job: MemoryJob, steps: readonly EngineStep[], tasksByStep: Map<string, MemoryTask[]>): void {
    const definition = definitionOf(job.id)
    const isStopped = job.state === 'cancelled' || job.state === 'failed'
    for (const { name, state } of steps) {
      const { each, needs = [], if: condition } = definition?.steps[name] ?? {}
      const tasks = tasksByStep.get(name) ?? []
      if (each !== undefined && state === 'succeeded') {
        const made = [...tables.outputs.ofJob(job.id)].filter(({ from }) => from === each)
        const seen = new Set(tasks.map(({ input }) => input.files[0]?.objectId))
        const isWhole = made.length === tasks.length && made.every(({ objectId }) => seen.has(objectId))
        expect(isWhole, 'I9e', () => `job ${job.id}, step ${name}: ${tasks.length} tasks for ${made.length} outputs`)
      } else if (each === undefined && state === 'succeeded') {
        expect(tasks.length === 1, 'I9c', () => `job ${job.id}, step ${name}: ${tasks.length} tasks`)
        checkJoin(job.id, name, tasks[0])
      }
      if (state !== 'skipped' || isStopped || condition !== undefined) continue
      const isBroken = needs.some((need) => steps.some((step) => step.name === need && isBrokenState(step.state)))
      expect(isBroken, 'I2d', () => `job ${job.id}, step ${name} is skipped for no reason`)
    }
    for (const { taskId, objectId } of tables.outputs.ofJob(job.id)) {
      const result = tables.results.get(taskId)
      const isOfResult = result !== undefined && objectId.startsWith(`${markOf(result)}/`)
      expect(
        isOfResult,
        'I3',
        () => `job ${job.id} has output ${objectId} of task ${taskId}, result of ${result?.epoch}`,
      )
    }
    for (const result of tables.results.ofJob(job.id)) {
      expect(
        result.result === markOf(result),
        'I8d',
        () => `task ${result.taskId} has the result ${String(result.result)}`,
      )
    }
  }

  /** A step that reads what its needs made reads all of it. */
  function checkJoin(jobId: number, name: string, task: MemoryTask | undefined): void {
    const { needs = [] } = definitionOf(jobId)?.steps[name] ?? {}
    if (task === undefined || task.input.stage === 'index') return
    const read = new Set(task.input.files.map(({ objectId }) => objectId))
    for (const { from, objectId } of tables.outputs.ofJob(jobId)) {
      if (needs.includes(from))
        expect(read.has(objectId), 'I9d', () => `job ${jobId}, step ${name} has not read ${objectId}`)
    }
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

    /** In the moment of the statement, by what is committed: of the tasks that end with it, each makes room for one. */
    continues(wishes: readonly ContinuationWish[], allowed: ReadonlySet<number>): void {
      for (const { tenantId } of wishes) {
        if (!allowed.has(tenantId)) continue
        const { runningMax = Infinity, startsPerSecond = null } = tables.tenants.get(tenantId) ?? {}
        const tasks = [...tables.tasks.rows.values()]
        const waiting = tasks.find(
          (task) => task.tenantId !== tenantId && ['queued', 'dispatched'].includes(task.state),
        )
        expect(waiting === undefined, 'F2', () => `tenant ${tenantId} goes on while task ${waiting?.id} waits`)
        const inFlight = tasks.filter((task) => task.tenantId === tenantId && isFlying(task)).length
        const isWithin = inFlight <= runningMax && startsPerSecond === null
        expect(isWithin, 'C1', () => `tenant ${tenantId} goes on with ${inFlight} in flight, at most ${runningMax}`)
      }
    },

    settles: (settlement: Settlement): void => void settling.set(settlement.taskId, settlement),

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

    /** In the moment of the statement. */
    admits(leadership: Leadership, admitted: readonly AdmittedTask[]): void {
      const { lease } = scheduler
      const leads = lease?.epoch === leadership.epoch && lease.owner === leadership.owner && lease.untilMs > store.now()
      expect(admitted.length === 0 || leads, 'C2', () => `epoch ${leadership.epoch} admits, ${lease?.epoch} leads`)
      const flying = new Map<number, number>()
      const queued = new Set<string>()
      for (const task of tables.tasks.rows.values()) {
        if (isFlying(task)) count(flying, task.tenantId)
        if (task.state === 'queued') queued.add(`${task.lane} ${task.tenantId}`)
      }
      for (const tenantId of new Set(admitted.map((task) => task.tenantId))) {
        const { runningMax = Infinity } = tables.tenants.get(tenantId) ?? {}
        const inFlight = flying.get(tenantId) ?? 0
        expect(
          inFlight <= runningMax,
          'C1',
          () => `tenant ${tenantId} has ${inFlight} in flight, at most ${runningMax}`,
        )
      }
      checkRates(admitted)
      checkTurns(admitted, queued, flying)
    },

    reported(task: TaskAssignment, outcome: TaskOutcome, isWritten: boolean): void {
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

  /** From each start to this moment: so many as have come in since, and those that a full bucket holds. */
  function checkRates(admitted: readonly AdmittedTask[]): void {
    for (const [tenantId, tasks] of Map.groupBy(admitted, (task) => task.tenantId)) {
      const { startsPerSecond } = tables.tenants.get(tenantId) ?? {}
      if (typeof startsPerSecond !== 'number') continue
      const starts = startsMs.get(tenantId) ?? []
      startsMs.set(tenantId, [...starts, ...tasks.map(() => store.now())])
      for (const [index, atMs] of [...starts, store.now()].entries()) {
        const count = starts.length + tasks.length - index
        const allowed = Math.max(1, startsPerSecond) + (startsPerSecond * (store.now() - atMs)) / 1_000
        expect(count <= allowed + 1e-3, 'C3', () => `tenant ${tenantId}: ${count} starts, ${allowed} allowed`)
      }
    }
  }

  /** Of those who wait with free room, nobody is passed over again and again. */
  function checkTurns(
    admitted: readonly AdmittedTask[],
    queued: ReadonlySet<string>,
    flying: ReadonlyMap<number, number>,
  ): void {
    const served = new Set(admitted.map(({ lane, tenantId }) => `${lane} ${tenantId}`))
    for (const key of waitingCostMs.keys()) if (!queued.has(key) || served.has(key)) waitingCostMs.delete(key)
    for (const key of queued) {
      if (served.has(key)) continue
      const [lane, tenantId] = key.split(' ').map(Number)
      const { runningMax = Infinity, weight = 1, startsPerSecond = null } = tables.tenants.get(tenantId ?? 0) ?? {}
      // Whether it could have had its turn is then a matter of its rate.
      if ((flying.get(tenantId ?? 0) ?? 0) >= runningMax || startsPerSecond !== null) continue
      const others = admitted.filter((task) => task.lane === lane && task.tenantId !== tenantId)
      const costMs = others.reduce((sum, task) => sum + task.costMs, 0) * weight
      const waitedMs = (waitingCostMs.get(key) ?? 0) + costMs
      waitingCostMs.set(key, waitedMs)
      expect(
        waitedMs <= starvedCostMs,
        'F1',
        () => `tenant ${tenantId} waits in lane ${lane} while others got ${waitedMs} ms`,
      )
    }
  }

  function describeStuck(left: readonly MemoryJob[]): string {
    const [job] = left
    if (job === undefined) return ''
    const steps = stepsOf(job.id).map(({ name, state, tasksPending }) => `${name} ${state} ${tasksPending}`)
    const tasks = [...tables.tasks.ofJob(job.id)].filter(isOpen).map(({ id, state }) => `${id} ${state}`)
    return `${left.length} jobs have not ended; job ${job.id} is ${job.state}: ${steps.join(', ')}; tasks: ${tasks.join(', ')}`
  }
}

const isStepEnded = ({ tasksPending, state }: EngineStep): boolean =>
  tasksPending === 0 && state !== 'waiting' && state !== 'running'

const hasFailed = ({ state, tasksFailed }: EngineStep): boolean => state === 'failed' || tasksFailed > 0
const gateStages: readonly string[] = ['collect', 'validate']
const stageOf = (processor = ''): string => simulatedCatalogue.find(processor)?.stage ?? ''

/** Nothing that needs it can be done. */
function isBroken(steps: readonly EngineStep[], definition: PipelineDefinition | undefined, name: string): boolean {
  const step = steps.find((each) => each.name === name)
  const { each, needs = [] } = definition?.steps[name] ?? {}
  if (step?.state === 'cancelled') return true
  if (step?.state === 'skipped') return needs.some((need) => isBroken(steps, definition, need))
  const isPartial = each !== undefined && definition?.on_failure === 'continue'
  return step?.state === 'failed' && !(isPartial && step.tasksFailed < step.tasksTotal)
}

const isBrokenState = (state: EngineStep['state']): boolean =>
  state === 'failed' || state === 'cancelled' || state === 'skipped'
