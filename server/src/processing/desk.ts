// The worker's door to the engine: takes what the ready queue offers and claims it, keeps leases alive, and writes
// outcomes. Outcomes travel in batches; what cannot be written is looked for by halving the batch, so that it fails alone.

import type { Clock } from '../platform/clock.ts'
import { isOutage, sqlState } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import type { WakeBus } from '../platform/wake.ts'
import type { HandOut } from '../queue/hand-out.ts'
import type { ReadyQueue } from '../queue/ready-queue.ts'
import { resultLimits } from './advance.ts'
import type { Engine, Report } from './engine.ts'
import type { ClaimedTask, EngineStore, StepResult } from './engine-store.ts'
import type { Estimates } from './estimates.ts'
import { ancestorsOf } from './job-graph.ts'
import { createMicroBatch } from './micro-batch.ts'
import { RefusedOutcome } from './task-results.ts'
import type { TaskAssignment, TaskDesk, TaskOutcome } from './task.ts'

export interface TaskDeskDependencies {
  store: EngineStore
  engine: Engine
  queue: ReadyQueue | HandOut<ClaimedTask>
  estimates: Estimates
  wake: WakeBus
  clock: Clock
  log: Log
  /** Wire id of the worker. */
  worker: string
  pool?: number
  leaseMs?: number
}

/** A worker that dies is found out within this time and the rescuer's next look; heartbeats come four times as often. */
export const runLeaseMs = 12_000
export const heartbeatMs = runLeaseMs / 4

/** What one statement claims, and one transaction settles and holds the locks of. */
const claimCountMax = 250
const reportCountMax = 1_000
/** Outcomes of one moment go together; those that come while they are written make the next batch without waiting. */
const reportWaitMs = 1
/** Two at once would mostly wait for each other, for the locks of the same jobs; one grows while the other commits. */
const reportParallelMax = 1
/** What a task is shown of the results before it, all steps together. */
const resultsBytesMax = 4 * 1024 * 1024

export function createTaskDesk(deps: TaskDeskDependencies): TaskDesk {
  const { store, queue, estimates, wake, clock, worker, pool = 0, leaseMs = runLeaseMs } = deps
  const settle = createMicroBatch<WorkerReport, Settled | Error>({
    clock,
    countMax: reportCountMax,
    waitMs: reportWaitMs,
    parallelMax: reportParallelMax,
    run: (reports) => settleAll({ ...deps, leaseMs }, reports),
  })

  return {
    async take(wanted) {
      const claimed =
        queue.kind === 'in-process'
          ? await queue.take(pool, { worker, leaseMs, max: wanted.max }, wanted)
          : await claimOffered(queue, wanted)
      if (claimed.length === 0) return []
      wake.wake('outbox')
      const results = await readResults(store, claimed)
      return claimed.map((task) => toAssignment(task, results(task)))
    },

    async heartbeat(held) {
      if (held.length === 0) return []
      const extended = new Map((await store.extendLeases(held, leaseMs)).map((row) => [row.taskId, row]))
      const stops: Awaited<ReturnType<TaskDesk['heartbeat']>> = []
      for (const { taskId } of held) {
        const row = extended.get(taskId)
        if (row === undefined) stops.push({ taskId, stop: 'lost' })
        else if (row.cancelled) stops.push({ taskId, stop: 'cancelled' })
      }
      return stops
    },

    report: async (task, outcome) => (await report(task, outcome, false)).isWritten,

    async reportAndContinue(task, outcome) {
      const { isWritten, next } = await report(task, outcome, true)
      if (next === undefined) return { isWritten, next }
      // Without these it cannot be begun; its lease then runs out like that of a worker that is lost.
      const results = await readResults(store, [next])
      return { isWritten, next: toAssignment(next, results(next)) }
    },
  }

  async function claimOffered(queue: ReadyQueue, wanted: Parameters<TaskDesk['take']>[0]): Promise<ClaimedTask[]> {
    const hints = await queue.take(pool, wanted)
    const claimed: ClaimedTask[] = []
    for (let at = 0; at < hints.length; at += claimCountMax)
      claimed.push(...(await store.claimTasks({ fences: hints.slice(at, at + claimCountMax), leaseMs, worker })))
    if (claimed.length < hints.length) wake.wake('backlog')
    return claimed
  }

  async function report(task: TaskAssignment, outcome: TaskOutcome, continues: boolean): Promise<Settled> {
    const { processor, backoff, files } = task.input
    const settled = await settle({ task: { ...task, backoff }, outcome, continues })
    if (settled instanceof Error) throw settled
    if (settled.isWritten && outcome.kind === 'done') {
      const inputBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
      estimates.learn(processor, inputBytes, outcome.durationMs)
    }
    wake.wake('backlog')
    wake.wake('outbox')
    // Others may have to stop with it.
    if (outcome.kind !== 'done') wake.wake('cancel')
    return settled
  }
}

function toAssignment(task: ClaimedTask, results: Record<string, unknown>): TaskAssignment {
  const { pipelineVersionId: _, ...fields } = task
  return { ...fields, results }
}

type Settling = Pick<TaskDeskDependencies, 'engine' | 'log' | 'worker'> & { leaseMs: number }
type WorkerReport = Report & { continues: boolean }

interface Settled {
  isWritten: boolean
  next: ClaimedTask | undefined
}

/** Whose fence held, report by report, and what follows, or why one could not be written. */
async function settleAll(deps: Settling, reports: readonly WorkerReport[]): Promise<(Settled | Error)[]> {
  try {
    const newest = newestOfEach(reports)
    const going = [...newest.values()].filter(({ continues }) => continues)
    const after = new Set(going.map(({ task }) => task.taskId))
    const continuation = { worker: deps.worker, leaseMs: deps.leaseMs, after }
    const settled = await deps.engine.settleAndContinue([...newest.values()], continuation)
    return reports.map((report) => {
      const { taskId } = report.task
      const isWritten = newest.get(taskId) === report && settled.taskIds.has(taskId)
      return { isWritten, next: isWritten ? settled.continued.get(taskId) : undefined }
    })
  } catch (error) {
    // Nobody's fault among them; halving would only knock at the same door again.
    if (isOutage(error)) throw error
    if (error instanceof RefusedOutcome)
      return settleAll(
        deps,
        reports.map((each) => refuse(each, error)),
      )
    const [only] = reports
    if (reports.length > 1 || only === undefined) {
      const middle = Math.ceil(reports.length / 2)
      return [...(await settleAll(deps, reports.slice(0, middle))), ...(await settleAll(deps, reports.slice(middle)))]
    }
    const { taskId, jobId, tenantId } = only.task
    deps.log.error('task.report_failed', { tenantId, jobId, taskId, error })
    if (only.outcome.kind === 'done' && isDataError(error)) {
      const detail = 'What the step produced cannot be stored.'
      return settleAll(deps, [{ ...only, outcome: { kind: 'reject', code: 'output_invalid', detail, durationMs: 0 } }])
    }
    return [error instanceof Error ? error : new Error(String(error))]
  }
}

/** A worker that has lost a task and got it again may report both at once; only for the later epoch can the fence hold. */
function newestOfEach(reports: readonly WorkerReport[]): Map<number, WorkerReport> {
  const newest = new Map<number, WorkerReport>()
  for (const report of reports) {
    const other = newest.get(report.task.taskId)
    if (other === undefined || other.task.epoch < report.task.epoch) newest.set(report.task.taskId, report)
  }
  return newest
}

const refuse = (report: WorkerReport, refused: RefusedOutcome): WorkerReport =>
  report.task.taskId === refused.taskId
    ? { ...report, outcome: { kind: 'reject', code: refused.code, detail: refused.message, durationMs: 0 } }
    : report

/** Values that the database does not take (22), break a rule (23) or pass a limit of it (54). */
const isDataError = (error: unknown): boolean => /^(?:22|23|54)/.test(sqlState(error) ?? '')

/** Results of the steps before each task, read once for all tasks of a step. */
async function readResults(
  store: EngineStore,
  claimed: readonly ClaimedTask[],
): Promise<(task: ClaimedTask) => Record<string, unknown>> {
  const definitions = await store.findDefinitions([...new Set(claimed.map((task) => task.pipelineVersionId))])
  const keyOf = ({ jobId, step }: { jobId: number; step: string }): string => `${jobId} ${step}`
  const wanted = new Map<string, { jobId: number; step: string }>()
  const before = new Map<string, { step: string; fansOut: boolean }[]>()
  for (const task of claimed) {
    const definition = definitions.get(task.pipelineVersionId)
    if (definition === undefined || before.has(keyOf(task))) continue
    const steps = ancestorsOf(definition, task.step)
    const fansOut = (step: string): boolean => definition.steps[step]?.each !== undefined
    before.set(
      keyOf(task),
      steps.map((step) => ({ step, fansOut: fansOut(step) })),
    )
    for (const step of steps) wanted.set(keyOf({ jobId: task.jobId, step }), { jobId: task.jobId, step })
  }
  const rows = wanted.size === 0 ? [] : await store.listResults([...wanted.values()], resultLimits)
  const byStep = Map.groupBy(rows, keyOf)
  const known = new Map<string, Record<string, unknown>>()
  for (const { jobId, step } of claimed) {
    const key = keyOf({ jobId, step })
    if (known.has(key)) continue
    const steps = (before.get(key) ?? []).map((each) => ({
      ...each,
      rows: byStep.get(keyOf({ jobId, step: each.step })) ?? [],
    }))
    known.set(key, collectResults(steps))
  }
  return (task) => known.get(keyOf(task)) ?? {}
}

function collectResults(steps: { step: string; fansOut: boolean; rows: StepResult[] }[]): Record<string, unknown> {
  let bytesLeft = resultsBytesMax
  const fitting = ({ result }: StepResult): boolean => {
    bytesLeft -= JSON.stringify(result ?? null).length
    return bytesLeft >= 0
  }
  return Object.fromEntries(
    steps.map(({ step, fansOut, rows }) => {
      const results = rows.filter(fitting).map(({ result }) => result)
      return [step, fansOut ? results : (results[0] ?? null)]
    }),
  )
}
