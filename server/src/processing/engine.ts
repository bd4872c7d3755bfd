// processing/ is WHEN something is done to a file: jobs, steps, tasks and every move between their states (states.ts).
// It must not know what a processor does (pipeline/), how a task is run (worker/), nor who takes turns (maintenance/).
// Invariants: a result is written in the transaction that moves its task, behind the fence of its lease; counters,
// successors and the job's end are written in that same transaction, under the lock of the job; so nothing is lost,
// nothing is done twice, and a job ends once.
//
// This file is the transaction: lock the jobs, move what has ended, see what follows, write it.

import type { JobEndState } from '@millrace/contract'
import { Problem } from '../platform/problem.ts'
import { advanceJobs, findExpansion, placeAfter, type AdvanceDependencies } from './advance.ts'
import type { StepDefinition } from './definition.ts'
import { insertFollowing, type Continuation } from './continuation.ts'
import type { ChangedJob, ClaimedTask, EngineFile, EngineStore, EngineTx, Expansion, JobAudit } from './engine-store.ts'
import { JobGraph, type StepTraits } from './job-graph.ts'
import { toSettlement, type EndedOutcome, type EndedTask } from './settlement.ts'
import { writeResults, type EndedWell } from './task-results.ts'
import { verdictOf } from './verdict.ts'

export interface EngineDependencies extends AdvanceDependencies {
  store: EngineStore
  /** 0 to 1, for backoff. */
  random: () => number
}

export interface Report {
  task: EndedTask
  outcome: EndedOutcome
}

export interface Settled {
  /** Whose fence held. */
  taskIds: Set<number>
  continued: Map<number, ClaimedTask>
}

const noContinuation: Continuation = { worker: '', leaseMs: 0, after: new Set() }

/** Idle tasks that one transaction cancels, holds or lets go; the rest of a huge job follows in others. */
export const cancelChunkCount = 10_000

export interface Engine {
  /**
   * Writes outcomes with all that follows from them, in one transaction; answers whose fence held. Throws when any of
   * them cannot be written, and then none is.
   */
  settle(reports: readonly Report[]): Promise<Set<number>>
  /** The same; answers as well what the worker goes on with, by the task that it follows. */
  settleAndContinue(reports: readonly Report[], continuation: Continuation): Promise<Settled>
  /** Locks a job and does something to it, then lets it go on. Nothing for a job that is not there. */
  changeJob<T>(jobId: number, change: (graph: JobGraph, tx: EngineTx) => Promise<T>): Promise<T | undefined>
  /** The same for many in one transaction: all of them, or none when it throws. Those that are not there are left out. */
  changeJobs(jobIds: readonly number[], change: (graph: JobGraph, tx: EngineTx) => Promise<void>): Promise<void>
  /** Takes jobs that are being wound up, paused or resumed, or whose steps are being split, a chunk further, together. */
  continueJobs(jobIds: readonly number[]): Promise<void>
}

export function createEngine(deps: EngineDependencies): Engine {
  const { store, random } = deps

  const traits = (step: StepDefinition, sizeBytes: number): StepTraits => ({
    // A processor may have left the catalogue; what most of them do is transform.
    stage: deps.catalogue.find(step.uses)?.stage ?? 'transform',
    costMs: deps.estimates.costMs(step.uses, sizeBytes),
  })

  const withJobs = <T>(jobIds: readonly number[], work: (open: OpenJobs) => Promise<T>): Promise<T> =>
    store.transaction(async (tx) => work(await open(tx, jobIds)))

  async function open(tx: EngineTx, jobIds: readonly number[]): Promise<OpenJobs> {
    const { jobs, steps, files } = await tx.openJobs(jobIds)
    const definitions = await tx.findDefinitions([...new Set(jobs.map((job) => job.pipelineVersionId))])
    const stepsByJob = Map.groupBy(steps, (step) => step.jobId)
    const fileByJob = new Map(files.map((file) => [file.jobId as number, file]))
    const graphs = new Map<number, JobGraph>()
    for (const job of jobs) {
      const definition = definitions.get(job.pipelineVersionId)
      if (definition === undefined) throw new Problem('internal', { detail: 'A job has no pipeline.' })
      const sizeBytes = fileByJob.get(job.id)?.sizeBytes ?? 0
      const source = { job, steps: stepsByJob.get(job.id) ?? [], definition }
      graphs.set(job.id, new JobGraph({ ...source, traits: (step) => traits(step, sizeBytes) }))
    }
    return { tx, graphs, files: fileByJob }
  }

  /**
   * Creates the next tasks of a step before it locks the job, whose outcomes would wait for them, and looks then whether
   * that is still what is wanted.
   */
  async function splitFurther(expansion: Expansion): Promise<void> {
    const { jobId, step, afterOutputId } = expansion
    await store
      .transaction(async (tx) => {
        const created = await tx.expandStep(expansion)
        const jobs = await open(tx, [jobId])
        const graph = jobs.graphs.get(jobId)
        if (!canSplit(graph) || graph.step(step).expandedTo !== afterOutputId) throw new Superseded()
        graph.splitUpTo(step, placeAfter(expansion, created))
        await conclude(jobs)
      })
      .catch((error: unknown) => {
        if (!(error instanceof Superseded)) throw error
      })
  }

  /** What follows, written. */
  async function conclude(
    { tx, graphs, files }: OpenJobs,
    succeeded: readonly EndedTask[] = [],
    continuation = noContinuation,
  ): Promise<Map<number, ClaimedTask>> {
    const all = [...graphs.values()]
    await cancelIdle(tx, graphs)
    const tasks = await advanceJobs(tx, all, deps, files)
    const continued = await insertFollowing(tx, tasks, { graphs, files, succeeded, continuation })
    for (const graph of all) {
      await moveIdle(tx, graph)
      graph.conclude()
      if (graph.validationEnded || graph.refusal !== undefined) await applyVerdict(tx, graph, files.get(graph.job.id))
    }
    await write(tx, all)
    return continued
  }

  const settleAndContinue: Engine['settleAndContinue'] = (reports, continuation) =>
    withJobs([...new Set(reports.map(({ task }) => task.jobId))], async (open) => {
      const { tx, graphs, files } = open
      // A job that was erased takes its tasks with it.
      const known = reports.filter(({ task }) => graphs.has(task.jobId))
      const settlements = known.map(({ task, outcome }) => {
        const graph = graphs.get(task.jobId)
        const winding = graph === undefined || !graph.isLive || graph.isStopping
        return toSettlement(task, outcome, { winding, random })
      })
      const settled = await tx.settleTasks(settlements)
      const ended: EndedWell[] = []
      for (const [index, report] of known.entries()) {
        const { task, outcome } = report
        const settlement = settlements[index]
        const graph = graphs.get(task.jobId)
        if (settlement === undefined || graph === undefined || !settled.has(task.taskId)) continue
        if (settlement.to === 'delayed' || settlement.to === 'queued') continue
        if (settlement.to === 'dead' && graph.traitsOf(task.step).stage === 'validate')
          graph.refuse({ ...settlement.problem, step: task.step })
        graph.endTask(task.step, settlement.to, settlement.to === 'dead' ? settlement.problem : undefined)
        if (settlement.to !== 'succeeded' || outcome.kind !== 'done') continue
        if (outcome.recordsCount !== undefined) addRecords(graph, task.step, outcome.recordsCount)
        ended.push({ graph, task, result: settlement.result, outputs: outcome.outputs, file: files.get(task.jobId) })
      }
      await writeResults(tx, ended, deps)
      const succeeded = ended.map(({ task }) => task)
      return { taskIds: settled, continued: await conclude(open, succeeded, continuation) }
    })

  return {
    settle: async (reports) => (await settleAndContinue(reports, noContinuation)).taskIds,
    settleAndContinue,

    changeJob: (jobId, change) =>
      withJobs([jobId], async (open) => {
        const graph = open.graphs.get(jobId)
        if (graph === undefined) return undefined
        const value = await change(graph, open.tx)
        await conclude(open)
        return value
      }),

    changeJobs: (jobIds, change) =>
      withJobs(jobIds, async (open) => {
        for (const graph of open.graphs.values()) await change(graph, open.tx)
        await conclude(open)
      }),

    async continueJobs(jobIds) {
      const expansions = await withJobs(jobIds, async (open) => {
        const found: Expansion[] = []
        for (const graph of open.graphs.values()) {
          if (!canSplit(graph)) continue
          for (const { name, expandedTo } of graph.steps) {
            const expansion = expandedTo === null ? undefined : await findExpansion(open.tx, graph, name, deps)
            if (expansion !== undefined) found.push(expansion)
          }
        }
        await conclude(open)
        return found
      })
      for (const expansion of expansions) await splitFurther(expansion)
    },
  }
}

/** Thrown out of a transaction that has come too late for what it did. */
class Superseded extends Error {}

const canSplit = (graph: JobGraph | undefined): graph is JobGraph =>
  graph !== undefined && graph.isLive && !graph.isPaused && !graph.isStopping

interface OpenJobs {
  tx: EngineTx
  graphs: Map<number, JobGraph>
  files: Map<number, EngineFile>
}

function addRecords(graph: JobGraph, step: string, count: number): void {
  // A step that hands on what another has counted would count it twice: the largest count of a step is the job's.
  const counts = graph.job
  const fansOut = graph.definitionOf(step).each !== undefined
  const all = fansOut ? (counts.recordsCount ?? 0) + count : Math.max(counts.recordsCount ?? 0, count)
  counts.recordsCount = Math.min(all, Number.MAX_SAFE_INTEGER) // What is larger, the column does not take.
}

async function cancelIdle(tx: EngineTx, graphs: ReadonlyMap<number, JobGraph>): Promise<void> {
  const winding = [...graphs.values()].filter((graph) => graph.mustCancelIdle)
  if (winding.length === 0) return
  const jobIds = winding.map(({ job }) => job.id)
  for (const { jobId, step, count } of await tx.cancelIdleTasks(jobIds, cancelChunkCount))
    graphs.get(jobId)?.cancelTasks(step, count)
  for (const graph of winding) {
    for (const step of graph.steps) {
      if (step.expandedTo !== null) graph.dropUncreated(step.name, await tx.countOpenTasks(graph.job.id, step.name))
    }
  }
}

/** A paused job keeps nothing where it could be admitted, also of what has just come; a resumed one gets it back there. */
async function moveIdle(tx: EngineTx, graph: JobGraph): Promise<void> {
  const { job, isPaused } = graph
  if (graph.isWinding) job.tasksMoving = false
  else if (isPaused) job.tasksMoving = await tx.holdTasks(job.id, cancelChunkCount)
  else if (job.tasksMoving) job.tasksMoving = await tx.releaseTasks(job.id, cancelChunkCount)
}

async function applyVerdict(tx: EngineTx, graph: JobGraph, file: EngineFile | undefined): Promise<void> {
  const verdict = file && verdictOf(graph, file)
  if (verdict === undefined) return
  const { fileId, fileVersion: version, tenantId, id: jobId } = graph.job
  if (!(await tx.effects.setFileState({ fileId, version, ...verdict }))) return
  const { state, problem } = verdict
  const data = { state, version, ...(problem !== null && { code: problem.code }) }
  await tx.appendEvents([{ tenantId, type: 'file.state', jobId, fileId, data }])
}

async function write(tx: EngineTx, graphs: readonly JobGraph[]): Promise<void> {
  await tx.updateSteps(graphs.flatMap((graph) => graph.dirtySteps))
  const toChanged = (graph: JobGraph): ChangedJob => ({
    ...graph.job,
    remainingMs: graph.remainingMs(),
    winding: graph.isWinding,
  })
  await tx.updateJobs(graphs.map(toChanged))
  await tx.appendEvents(graphs.flatMap((graph) => graph.events))
  const ends = graphs.flatMap(({ job, ended }) => (ended === undefined ? [] : [toEndAudit(job, ended)]))
  if (ends.length > 0) await tx.appendAudit(...ends)
}

const toEndAudit = (job: JobGraph['job'], state: JobEndState): JobAudit => ({
  tenantId: job.tenantId,
  actor: 'system',
  action: 'job.end',
  jobId: job.id,
  detail: { state, ...(job.problem && { code: job.problem.code, step: job.problem.step }) },
})
