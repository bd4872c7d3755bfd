// Starting many jobs of one tenant at once, with as many statements for a thousand of them as for one.

import type { Tx } from '../platform/database.ts'
import { advanceJobs, type AdvanceDependencies } from './advance.ts'
import { toNewGraph, type StartJob } from './engine.ts'
import type { EngineFile } from './engine-store.ts'
import type { JobGraph } from './job-graph.ts'
import { insertJobs, reserveJobIds } from './job.sql.ts'
import type { SqlEngineStore } from './sql-store.ts'

export interface StartJobsDependencies extends AdvanceDependencies {
  store: Pick<SqlEngineStore, 'within'>
}

/** One of many: none of them is another's child, and all are of one tenant. */
export type StartOneJob = Omit<StartJob, 'parentJobId'> & { fileState: EngineFile['state'] }

export interface StartedJob {
  jobId: JobGraph['job']['id']
  remainingMs: number
}

/**
 * Writes jobs with their steps, first tasks and events, and answers in their order. What is written goes with the next
 * statement of the transaction, or with its commit.
 */
export async function startJobs(
  tx: Tx,
  deps: StartJobsDependencies,
  starts: readonly StartOneJob[],
): Promise<StartedJob[]> {
  if (starts.length === 0) return []
  const places = await reservePlaces(tx, starts)
  const files = new Map<number, EngineFile>()
  const graphs = starts.map((start, index) => {
    const { jobId, virtualMs } = places[index]! // One for each start.
    const { file, fileId, fileState: state } = start
    files.set(jobId, { ...file, metadata: file.metadata ?? {}, jobId, fileId, current: true, state, found: {} })
    return toNewGraph(deps, { jobId, virtualMs, start })
  })
  const engine = deps.store.within(tx)
  const tasks = await advanceJobs(engine, graphs, deps, files)
  for (const graph of graphs) graph.conclude()
  const jobs = graphs.map((graph) => ({ ...graph.job, remainingMs: graph.remainingMs(), steps: graph.steps }))
  insertJobs(tx, jobs, tasks)
  return jobs.map(({ id, remainingMs }) => ({ jobId: id, remainingMs }))
}

interface Place {
  jobId: JobGraph['job']['id']
  virtualMs: number
}

/** An id for each, and where its ranks begin: at the tenant's present in its lane. */
async function reservePlaces(tx: Tx, starts: readonly StartOneJob[]): Promise<Place[]> {
  const byLane = new Map<number, Iterator<Place>>()
  const reserving = Map.groupBy(starts, ({ lane }) => lane)
    .entries()
    .map(async ([lane, { length: count, 0: first }]) => {
      const { tenantId } = first! // A group is not empty.
      const { jobIds, presentMs } = await reserveJobIds(tx, { tenantId, lane, count })
      byLane.set(lane, jobIds.map((jobId) => ({ jobId, virtualMs: presentMs })).values())
    })
  await Promise.all(reserving)
  // As many were reserved as there are starts of the lane.
  return starts.map(({ lane }) => byLane.get(lane)!.next().value as Place)
}
