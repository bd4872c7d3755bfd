// worker/ takes tasks, feeds the sandbox and reports outcomes. It knows nothing of pipelines or joins (processing/), and
// what is done to a file happens elsewhere: in the sandbox (sandbox/) for everything that opens bytes.
//
// This file: what is taken, and what becomes of it. There are about two slots per CPU, so that one task's inputs are fetched
// and outputs stored while another computes. Nothing is taken for a slot until the engine has the outcome of what was in it,
// because that may bring what follows. Short tasks are taken by the bunch and go through the slots one after the other; and
// for the outcomes of short parts of a fan-out, which bring nothing, nobody waits.
// Invariants: every task that was taken ends in exactly one report, or in none when its lease was lost; whatever was
// stored for a task that did not end well is removed; no process of a task outlives it.

import { endWait, type Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { Service } from '../platform/service.ts'
import type { WakeBus } from '../platform/wake.ts'
import { processors } from '../pipeline/registry.ts'
import { runs } from '../pipeline/runs.ts'
import type { TaskAssignment, TaskDesk, TaskOutcome } from '../processing/task.ts'
import { stageNames, type ProblemCode } from '@millrace/contract'
import type { InputSources } from './inputs.ts'
import type { Sandbox } from './sandbox/sandbox.ts'
import { createSlots, reportsAheadMax, shortMs } from './slots.ts'
import { idsOf, removeObjects, runTask, type StopReason, type TaskRun, type TaskRunDependencies } from './task-run.ts'

export interface TaskLoopDependencies extends InputSources {
  desk: TaskDesk
  /** Resolves when the object store answers; throws while it does not. */
  checkStore: (signal: AbortSignal) => Promise<unknown>
  /** Closed when the loop stops. */
  sandbox: Sandbox
  slotsCount: number
  /** Tells of a cancellation at once. */
  wake: Pick<WakeBus, 'listen'>
  clock: Clock
  log: Log
  metrics: Metrics
  /** A fraction of the lease; the time in which a cancellation is heard of whose wake was lost. */
  heartbeatMs?: number
  /** Those of pipeline/ when left out. */
  processors?: TaskRunDependencies['processors']
  runs?: TaskRunDependencies['runs']
}

export interface TaskLoop extends Service {
  readonly slotsCount: number
  /** Slots that have a task, or whose outcome is on its way. */
  busyCount(): number
}

const heartbeatMsDefault = 3_000
/** Between two heartbeats when wakes come one after the other: each that ends otherwise than well wakes. */
const heartbeatMsMin = 200
const takeWaitMs = 20_000
const takeRetryMs = 1_000
const diskFullPauseMs = 30_000
const storeLookMs = 1_000
const reportAttemptsMax = 8
const reportRetryMs = 250
/** Of the time that stop is given, the part in which tasks are released and children ended. */
const releaseShare = 0.4
const releaseMsMax = 3_000

interface Held {
  task: TaskAssignment
  controller: AbortController
  takenMs: number
  /** Infinity while it waits for a slot. */
  begunMs: number
  /** Nobody waits for its outcome. */
  isAhead: boolean
}

export function createTaskLoop(deps: TaskLoopDependencies): TaskLoop {
  const { desk, sandbox, slotsCount, clock, log } = deps
  const runDeps: TaskRunDependencies = { processors, runs, ...deps }
  const busyCount = (): number => Math.min(slotsCount, held.size)
  const metrics = createLoopMetrics(deps.metrics, { slotsCount, busyCount })
  const slots = createSlots(slotsCount)
  const held = new Map<number, Held>()
  const stopping = new AbortController() // No more tasks are taken.
  const stopped = new AbortController() // Nothing more is done.
  let slotFreed = Promise.withResolvers<void>()
  let woken = new AbortController()
  let pausedUntilMs = 0
  let isStoreAway = false
  let reportsAheadCount = 0
  let background: Promise<unknown> = Promise.resolve()
  let unlisten = (): void => {}
  let stop: Promise<void> | undefined

  /** Wakes whoever waits for a slot; with a new promise each time, because a resolved one would never let anyone wait. */
  const lookAgain = (): void => {
    slotFreed.resolve()
    slotFreed = Promise.withResolvers()
  }
  const free = ({ task, isAhead }: Held): void => {
    held.delete(task.taskId)
    if (isAhead) reportsAheadCount--
    lookAgain()
  }

  const freeCount = (): number => slotsCount - held.size + Math.min(reportsAheadCount, reportsAheadMax)

  const takeTasks = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const pauseMs = pausedUntilMs - clock.monotonicMs()
      if (pauseMs > 0) await clock.sleep(pauseMs, stopping.signal)
      else if (isStoreAway) await lookForStore()
      else if (freeCount() <= 0) await slotFreed.promise
      else await takeSome(freeCount())
    }
  }

  /** Whoever takes tasks without their bytes only uses up their attempts. */
  const lookForStore = async (): Promise<void> => {
    try {
      await deps.checkStore(stopping.signal)
      isStoreAway = false
      log.info('worker.store_back')
    } catch {
      await clock.sleep(storeLookMs, stopping.signal)
    }
  }

  const takeSome = async (max: number): Promise<void> => {
    try {
      const tasks = await desk.take({ max, waitMs: takeWaitMs, signal: stopping.signal })
      for (const task of tasks) begin(task)
    } catch (error) {
      if (stopping.signal.aborted) return
      log.warn('worker.take_failed', { error })
      await clock.sleep(takeRetryMs, stopping.signal)
    }
  }

  const begin = (task: TaskAssignment, next = false): void => {
    const controller = new AbortController()
    const taken: Held = { task, controller, takenMs: clock.monotonicMs(), begunMs: Infinity, isAhead: false }
    held.set(task.taskId, taken)
    // Taken while the way out was already open: given back as it came.
    if (stopping.signal.aborted) abort(controller, 'shutdown')
    void handle(taken, next)
  }

  const handle = async (taken: Held, next: boolean): Promise<void> => {
    const { task, controller } = taken
    const { signal } = controller
    const work = (): Promise<TaskRun> => {
      taken.begunMs = clock.monotonicMs()
      return runTask(runDeps, task, signal)
    }
    try {
      const run = await slots.use(work, { signal, next })
      if (task.ordinal > 0 && clock.monotonicMs() - taken.begunMs <= shortMs) reportAhead(taken)
      const { outcome } = run
      metrics.ended(task, outcome)
      if (outcome?.kind === 'retry') avoid(outcome.code)
      if (outcome === undefined) dropped(task)
      const reported = outcome === undefined ? undefined : report(task, outcome, run)
      const [, following] = await Promise.all([run.release(), reported])
      if (following) begin(following, true)
    } catch (error) {
      log.error('task.handling_failed', { ...idsOf(task), error })
    } finally {
      free(taken)
    }
  }

  const reportAhead = (taken: Held): void => {
    taken.isAhead = true
    reportsAheadCount++
    lookAgain()
  }

  /** Takes no more tasks while what made this one fail would make them fail too. */
  const avoid = (code: ProblemCode): void => {
    if (code === 'disk_full') {
      pausedUntilMs = clock.monotonicMs() + diskFullPauseMs
      log.error('worker.disk_full', { pauseMs: diskFullPauseMs })
    }
    if (code === 'storage_unavailable' && !isStoreAway) {
      isStoreAway = true
      log.warn('worker.store_away')
    }
  }

  const dropped = (task: TaskAssignment): void => log.info('task.lease_lost', idsOf(task))

  /** Until the engine has it, its lease is lost, or there is no time left; the rescuer then gives the task to another. */
  const report = async (
    task: TaskAssignment,
    outcome: TaskOutcome,
    { stored }: TaskRun,
  ): Promise<TaskAssignment | undefined> => {
    for (let attempt = 1; attempt <= reportAttemptsMax && !stopped.signal.aborted; attempt++) {
      try {
        const { isWritten, next } = await tell(task, outcome)
        // A report that failed before may have been written all the same: then its objects belong to its outputs.
        if (!isWritten && attempt === 1) await removeObjects(deps, stored)
        if (!isWritten) dropped(task)
        return next
      } catch (error) {
        log.warn('task.report_failed', { ...idsOf(task), error })
        await clock.sleep(reportRetryMs * 2 ** attempt, stopped.signal)
      }
    }
    return undefined
  }

  /** Goes on with what follows unless no task is to be taken now, or others that are here already wait for its slot. */
  const tell = async (task: TaskAssignment, outcome: TaskOutcome): ReturnType<TaskDesk['reportAndContinue']> => {
    const isFull = held.size - reportsAheadCount > slotsCount
    const takesNone = stopping.signal.aborted || isStoreAway || clock.monotonicMs() < pausedUntilMs
    return isFull || takesNone
      ? { isWritten: await desk.report(task, outcome), next: undefined }
      : desk.reportAndContinue(task, outcome)
  }

  /** What waits for much longer than short tasks take is given back; another worker may have a slot. */
  const giveBackWaiting = (olderThanMs: number): void => {
    for (const { controller, takenMs, begunMs } of held.values())
      if (begunMs === Infinity && clock.monotonicMs() - takenMs >= olderThanMs) abort(controller, 'shutdown')
  }

  const keepLeases = async (): Promise<void> => {
    const { heartbeatMs = heartbeatMsDefault } = deps
    const spacingMs = Math.min(heartbeatMsMin, heartbeatMs)
    while (!stopped.signal.aborted) {
      await clock.sleep(spacingMs, stopped.signal)
      await clock.sleep(heartbeatMs - spacingMs, AbortSignal.any([stopped.signal, woken.signal]))
      // A wake during the heartbeat is of what it may not have seen.
      woken = new AbortController()
      if (held.size === 0 || stopped.signal.aborted) continue
      giveBackWaiting(heartbeatMs)
      try {
        const leases = [...held.values()].map(({ task: { taskId, epoch } }) => ({ taskId, epoch }))
        for (const { taskId, stop } of await desk.heartbeat(leases)) {
          const found = held.get(taskId)
          // Of a task that ended meanwhile, and may have been taken anew, nothing is stopped.
          const epoch = leases.find((lease) => lease.taskId === taskId)?.epoch
          if (found?.task.epoch === epoch && found !== undefined) abort(found.controller, stop)
        }
      } catch (error) {
        log.warn('worker.heartbeat_failed', { error, tasksCount: held.size })
      }
    }
  }

  const drained = async (signal: AbortSignal): Promise<void> => {
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    while (held.size > 0 && !signal.aborted) await Promise.race([slotFreed.promise, aborted])
  }

  /** Waits for the slots to become free, for so long. */
  const drainWithin = async (ms: number): Promise<void> => {
    const enough = new AbortController()
    await Promise.race([drained(enough.signal), clock.sleep(ms, enough.signal)])
    enough.abort()
  }

  const stopLoop = async (deadlineMs: number): Promise<void> => {
    stopping.abort()
    lookAgain()
    giveBackWaiting(0)
    const releaseMs = Math.min(releaseMsMax, deadlineMs * releaseShare)
    await drainWithin(deadlineMs - releaseMs)
    for (const { controller } of held.values()) abort(controller, 'shutdown')
    await drainWithin(releaseMs)
    stopped.abort()
    unlisten()
    await sandbox.close()
    await background
  }

  return {
    name: 'task-loop',
    slotsCount,
    busyCount,
    async start(signal) {
      signal.addEventListener('abort', () => stopping.abort(), { once: true })
      unlisten = deps.wake.listen('cancel', () => endWait(woken))
      background = Promise.all([takeTasks(), keepLeases()])
    },
    stop: (deadlineMs) => (stop ??= stopLoop(deadlineMs)),
  }
}

const abort = (controller: AbortController, reason: StopReason): void => controller.abort(reason)

const outcomeKinds = ['done', 'reject', 'retry', 'release', 'cancelled', 'lost'] as const

function createLoopMetrics(metrics: Metrics, slots: { slotsCount: number; busyCount: () => number }) {
  metrics.gauge({
    name: 'millrace_worker_slots',
    help: 'Tasks this worker can hold at a time.',
    read: () => slots.slotsCount,
  })
  metrics.gauge({ name: 'millrace_worker_busy_slots', help: 'Tasks this worker holds.', read: slots.busyCount })
  const seconds = metrics.histogram({
    name: 'millrace_task_seconds',
    help: 'Time from taking a task to its outcome.',
    labels: { stage: stageNames, outcome: outcomeKinds },
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 1_800],
  })
  return {
    ended(task: TaskAssignment, outcome: TaskOutcome | undefined): void {
      const durationMs = outcome !== undefined && 'durationMs' in outcome ? outcome.durationMs : 0
      seconds.observe({ stage: task.input.stage, outcome: outcome?.kind ?? 'lost' }, durationMs / 1000)
    },
  }
}
