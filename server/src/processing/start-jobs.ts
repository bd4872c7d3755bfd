// How jobs begin: their graphs while everything waits, their first tasks, and what writes all of it. One job is one statement;
// many of one tenant are as many statements for a thousand of them as for one.

import type { Tx } from '../platform/database.ts'
import { advanceJobs, type AdvanceDependencies } from './advance.ts'
import type { PipelineDefinition } from './definition.ts'
import type { EngineFile, EngineTx } from './engine-store.ts'
import { JobGraph } from './job-graph.ts'
import { insertJobs, reserveJobIds } from './job.sql.ts'
import type { SqlEngineStore } from './sql-store.ts'

export interface StartJob {
  tenantId: number
  fileId: JobGraph['job']['fileId']
  fileVersion: number
  pipelineVersionId: number
  definition: PipelineDefinition
  parentJobId: JobGraph['job']['id'] | null
  lane: number
  createdBy: string
  file: Pick<EngineFile, 'name' | 'contentType' | 'sizeBytes' | 'sha256' | 'objectId' | 'metadata' | 'depth'>
}

/** Writes a job with its first tasks in one statement. */
export async function startJob(
  tx: EngineTx,
  deps: AdvanceDependencies,
  start: StartJob,
): Promise<{ jobId: JobGraph['job']['id']; remainingMs: number }> {
  // The row's id is not known before it is written; the graph gets along with any.
  const jobId = 0 as JobGraph['job']['id']
  const graph = toNewGraph(deps, { jobId, virtualMs: 0, start })
  const files = new Map([[jobId as number, toEngineFile(start, jobId)]])
  const tasks = await advanceJobs(tx, [graph], deps, files)
  graph.conclude()
  const remainingMs = graph.remainingMs()
  const inserted = await tx.insertJob({
    ...graph.job,
    remainingMs,
    parentJobId: start.parentJobId,
    steps: graph.steps,
    tasks,
  })
  return { jobId: inserted, remainingMs }
}

/** As the first steps see it, which ask neither for its state nor for what was found. */
const toEngineFile = (
  { file, fileId }: Pick<StartJob, 'file' | 'fileId'>,
  jobId: JobGraph['job']['id'],
): EngineFile => ({
  ...file,
  jobId,
  fileId,
  current: true,
  state: 'quarantined',
  found: {},
})

/** The graph of a job that is about to be written: everything waits. */
export function toNewGraph(
  deps: AdvanceDependencies,
  job: { jobId: JobGraph['job']['id']; virtualMs: number; start: Omit<StartJob, 'parentJobId'> },
): JobGraph {
  const { jobId, virtualMs } = job
  const { definition, file, tenantId, fileId, fileVersion, pipelineVersionId, lane, createdBy } = job.start
  const names = Object.keys(definition.steps)
  return new JobGraph({
    job: {
      id: jobId,
      tenantId,
      fileId,
      fileVersion,
      pipelineVersionId,
      state: 'queued',
      lane,
      stepsPending: names.length,
      progressPercent: 0,
      recordsCount: null,
      problem: null,
      virtualMs,
      tasksMoving: false,
      createdBy,
    },
    steps: names.map((name, position) => ({
      jobId,
      name,
      position,
      state: 'waiting',
      tasksTotal: 0,
      tasksPending: 0,
      tasksFailed: 0,
      expandedTo: null,
      problem: null,
    })),
    definition,
    traits: (step) => ({
      stage: deps.catalogue.find(step.uses)?.stage ?? 'transform',
      costMs: deps.estimates.costMs(step.uses, file.sizeBytes),
    }),
  })
}

export interface StartJobsDependencies extends AdvanceDependencies {
  store: Pick<SqlEngineStore, 'within'>
}

/** One of many: none of them is another's child, and all are of one tenant. */
export type StartOneJob = Omit<StartJob, 'parentJobId'>

export interface StartedJob {
  jobId: JobGraph['job']['id']
  remainingMs: number
}

/**
 * Writes jobs with their steps, first tasks and events in the places that were reserved for them, and answers in their
 * order. What is written goes with the next statement of the transaction, or with its commit.
 */
export async function startJobs(
  tx: Tx,
  deps: StartJobsDependencies,
  starts: readonly (StartOneJob & { place: JobPlace })[],
): Promise<StartedJob[]> {
  if (starts.length === 0) return []
  const files = new Map<number, EngineFile>()
  const graphs = starts.map((start) => {
    const { jobId, virtualMs } = start.place
    files.set(jobId, toEngineFile(start, jobId))
    return toNewGraph(deps, { jobId, virtualMs, start })
  })
  const engine = deps.store.within(tx)
  const tasks = await advanceJobs(engine, graphs, deps, files)
  for (const graph of graphs) graph.conclude()
  const jobs = graphs.map((graph) => ({ ...graph.job, remainingMs: graph.remainingMs(), steps: graph.steps }))
  insertJobs(tx, jobs, tasks)
  return jobs.map(({ id, remainingMs }) => ({ jobId: id, remainingMs }))
}

export interface JobPlace {
  jobId: JobGraph['job']['id']
  /** Where its ranks begin: at the tenant's present in its lane. */
  virtualMs: number
}

/** For jobs that may be started, in these lanes. A place that stays empty is a number that no job has. */
export async function reserveJobPlaces(
  tx: Tx,
  { tenantId, lanes }: { tenantId: number; lanes: readonly number[] },
): Promise<JobPlace[]> {
  const byLane = new Map<number, Iterator<JobPlace>>()
  const reserving = Map.groupBy(lanes, (lane) => lane)
    .entries()
    .map(async ([lane, { length: count }]) => {
      const { jobIds, presentMs } = await reserveJobIds(tx, { tenantId, lane, count })
      byLane.set(lane, jobIds.map((jobId) => ({ jobId, virtualMs: presentMs })).values())
    })
  await Promise.all(reserving)
  // As many were reserved as were asked for of the lane.
  return lanes.map((lane) => byLane.get(lane)!.next().value as JobPlace)
}
