// A worker: takes, keeps its leases, does something for a while and reports it, as worker/task-loop.ts does with processes
// and bytes. What each task does is thrown by dice.

import type { TaskAssignment, TaskDesk, TaskOutcome, TaskOutput } from '../../processing/task.ts'
import type { Faults } from './faults.ts'
import type { Random } from './random.ts'
import type { SimulatedProcess } from './simulated-process.ts'

export interface SimulatedWorkerDependencies {
  process: SimulatedProcess
  desk: TaskDesk
  slots: number
  heartbeatMs: number
  random: Random
  faults: Faults
  seen: () => void
  /** The engine said whether this outcome counts. */
  reported: (task: TaskAssignment, outcome: TaskOutcome, isWritten: boolean) => void
}

export interface SimulatedWorker {
  /** Gives back what it holds, then ends. */
  drain(): Promise<void>
}

const takeWaitMs = 4_000
const retryMs = 500
const reportAttemptsMax = 8
const reportRetryMs = 100
/** Outputs of a task; the fan-out of what follows. */
const outputsCountMax = 5
/** A task that reads more makes fewer, or nested fan-outs would have no end. */
const filesCountMany = 8

export function startSimulatedWorker(deps: SimulatedWorkerDependencies): SimulatedWorker {
  const { process, desk, slots, random, faults } = deps
  const { clock } = process
  const held = new Map<number, { task: TaskAssignment; controller: AbortController }>()
  /** What it would have said of tasks that it has lost. */
  const late = new Map<number, { task: TaskAssignment; outcome: TaskOutcome }>()
  const stopping = new AbortController()
  let freed = Promise.withResolvers<void>()

  const free = (task: TaskAssignment): void => {
    if (held.get(task.taskId)?.task === task) held.delete(task.taskId)
    freed.resolve()
    freed = Promise.withResolvers()
  }

  async function take(): Promise<void> {
    while (!stopping.signal.aborted) {
      if (held.size >= slots) {
        await freed.promise
        continue
      }
      try {
        const tasks = await desk.take({ max: slots - held.size, waitMs: takeWaitMs, signal: stopping.signal })
        for (const task of tasks) begin(task)
      } catch {
        await clock.sleep(retryMs, stopping.signal)
      }
    }
  }

  function begin(task: TaskAssignment): void {
    const controller = new AbortController()
    held.set(task.taskId, { task, controller })
    if (stopping.signal.aborted) controller.abort('shutdown')
    void handle(task, controller.signal)
  }

  async function handle(task: TaskAssignment, signal: AbortSignal): Promise<void> {
    const plan = planTask(task, random, process.isHealing ? undefined : faults)
    await clock.sleep(plan.durationMs, signal)
    if (plan.isPoisonous && !signal.aborted) return process.crash()
    const isLost = signal.aborted && signal.reason === 'lost'
    if (isLost) late.set(task.taskId, { task, outcome: plan.outcome })
    const next = isLost ? undefined : await report(task, outcomeOf(signal, plan.outcome))
    if (next) begin(next)
    free(task)
  }

  /** Of a task that it has lost and got again, it says both at once: what the first attempt came to, and the second. */
  function reportLate(taskId: number): void {
    const stale = late.get(taskId)
    late.delete(taskId)
    if (stale === undefined) return
    desk.report(stale.task, stale.outcome).then(
      (isWritten) => deps.reported(stale.task, stale.outcome, isWritten),
      () => {},
    )
  }

  async function report(task: TaskAssignment, outcome: TaskOutcome): Promise<TaskAssignment | undefined> {
    reportLate(task.taskId)
    for (let attempt = 1; attempt <= reportAttemptsMax; attempt++) {
      try {
        const continues = !stopping.signal.aborted
        const { isWritten, next } = continues
          ? await desk.reportAndContinue(task, outcome)
          : { isWritten: await desk.report(task, outcome), next: undefined }
        deps.reported(task, outcome, isWritten)
        return next
      } catch {
        await clock.sleep(reportRetryMs * 2 ** attempt)
      }
    }
    return undefined
  }

  async function keepLeases(): Promise<void> {
    for (;;) {
      deps.seen()
      await clock.sleep(deps.heartbeatMs)
      try {
        const leases = [...held.values()].map(({ task: { taskId, epoch } }) => ({ taskId, epoch }))
        for (const { taskId, stop } of await desk.heartbeat(leases)) {
          const epoch = leases.find((lease) => lease.taskId === taskId)?.epoch
          const found = held.get(taskId)
          if (found?.task.epoch === epoch) found?.controller.abort(stop)
        }
      } catch {
        // The next one comes soon.
      }
    }
  }

  void take()
  void keepLeases()
  return {
    async drain() {
      stopping.abort()
      for (const { controller } of held.values()) controller.abort('shutdown')
      while (held.size > 0) await freed.promise
    },
  }
}

function outcomeOf(signal: AbortSignal, planned: TaskOutcome): TaskOutcome {
  if (!signal.aborted) return planned
  return signal.reason === 'shutdown' ? { kind: 'release' } : { kind: 'cancelled' }
}

interface TaskPlan {
  durationMs: number
  outcome: TaskOutcome
  isPoisonous: boolean
}

function planTask(task: TaskAssignment, random: Random, faults: Faults | undefined): TaskPlan {
  const durationMs = random.chance(0.1) ? random.between(0, 4_000) : random.between(0, 300)
  const happens = (probability: number | undefined): boolean => random.chance(probability ?? 0)
  // The same task each time, whoever runs it.
  const isPoisonous = (Math.imul(task.taskId, 0x9e3779b1) >>> 0) / 2 ** 32 < (faults?.taskPoisonous ?? 0)
  const plan = (outcome: TaskOutcome): TaskPlan => ({ durationMs, isPoisonous, outcome })
  if (happens(faults?.taskRetries)) {
    const afterMs = random.chance(0.3) ? { afterMs: random.between(0, 3_000) } : {}
    return plan({ kind: 'retry', code: 'processor_crashed', detail: '', durationMs, ...afterMs })
  }
  if (happens(faults?.taskRejects)) return plan({ kind: 'reject', code: 'file_unreadable', detail: '', durationMs })
  if (happens(faults?.taskReleased)) return plan({ kind: 'release' })
  const few = task.ordinal > 3 || task.input.files.length > filesCountMany
  const count = task.input.stage === 'archive' || random.chance(0.3) ? 0 : random.below(few ? 2 : outputsCountMax)
  return plan({
    kind: 'done',
    outputs: Array.from({ length: count }, (_, index) => toOutput(task, index, random)),
    result: markOf(task),
    ...(random.chance(0.5) && { recordsCount: random.below(10) }),
    durationMs,
  })
}

/** By which a result tells whose it is. */
export const markOf = ({ taskId, epoch }: { taskId: number; epoch: number }): string => `${taskId}/${epoch}`

function toOutput(task: TaskAssignment, index: number, random: Random): TaskOutput {
  const isMember = task.file.depth === 0 && random.chance(0.02)
  return {
    as: isMember ? 'file' : 'output',
    name: random.chance(0.5) ? `part-${index}.bin` : `${task.step}-${task.ordinal}-${index}.bin`,
    contentType: 'application/octet-stream',
    object: {
      objectId: `${markOf(task)}/${index}`,
      tenantId: task.tenantId,
      storeKey: '',
      sizeBytes: 100,
      storedBytes: 100,
      sha256: '',
      manifest: {},
      wrappedKey: new Uint8Array(0),
      tenantKeyVersion: 1,
    },
  }
}
