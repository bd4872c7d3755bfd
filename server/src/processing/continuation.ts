// Continuation: a worker that has ended a task goes on with what follows it at once. The successor is created as the
// worker's own, admitted and claimed in one, in the transaction that ends the task: it does not see the backlog, the leader
// or the ready queue, and the processes that the tenant has warm on that worker go on being warm.
//
// Fairness is not bent for it. Only the single successor of a task takes its place, so a tenant never has more in flight
// than before; and only while nobody else has a task that waits, queued or offered, and itself none in a more urgent lane.
// As soon as there is one, all that ends goes the long way round, through the backlog, where the turns are taken. A tenant with a rate always does.
// A worker that dies between the commit and the work has a lease like any other, and the rescuer takes the task back.

import type { ClaimedTask, ContinuationWish, EngineFile, EngineTx, NewTask } from './engine-store.ts'
import type { JobGraph } from './job-graph.ts'
import type { EndedTask } from './settlement.ts'

/** What a worker offers to go on with, and what it was given in the end: successors by the task that they follow. */
export interface Continuation {
  worker: string
  leaseMs: number
  /** Tasks after whose success it has a slot for one more. */
  readonly after: ReadonlySet<number>
}

/** Tasks are created in this pool. */
const pool = 0

interface Candidate {
  task: NewTask
  graph: JobGraph
  after: number
}

/** Creates what follows, and answers what the worker goes on with. */
export async function insertFollowing(
  tx: EngineTx,
  tasks: readonly NewTask[],
  open: {
    graphs: ReadonlyMap<number, JobGraph>
    files: ReadonlyMap<number, EngineFile>
    succeeded: readonly EndedTask[]
    continuation: Continuation
  },
): Promise<Map<number, ClaimedTask>> {
  const { continuation } = open
  const candidates = findCandidates(tasks, open)
  const wished = new Set(candidates.map(({ task }) => task))
  // What else has come now waits, too, when it is asked who does.
  await tx.insertTasks(tasks.filter((task) => !wished.has(task)))
  if (candidates.length === 0) return new Map()
  const allowed = await tx.listContinuing(pool, toWishes(candidates))
  const going = candidates.filter(({ task }) => allowed.has(task.tenantId))
  await tx.insertTasks(candidates.filter((each) => !going.includes(each)).map(({ task }) => task))
  if (going.length === 0) return new Map()
  const ids = await tx.insertRunningTasks(
    going.map(({ task }) => task),
    continuation,
  )
  return new Map(
    going.flatMap((each, index) => {
      const claimed = toClaimed(each, ids[index], open.files.get(each.graph.job.id))
      each.graph.beginStep(each.task.step)
      return claimed === undefined ? [] : [[each.after, claimed] as const]
    }),
  )
}

/** Where one task of a job has ended and one task of it has come. */
function findCandidates(
  tasks: readonly NewTask[],
  { graphs, files, succeeded, continuation }: Parameters<typeof insertFollowing>[2],
): Candidate[] {
  const endedByJob = Map.groupBy(succeeded, ({ jobId }) => jobId)
  return [...Map.groupBy(tasks, ({ jobId }) => jobId as number)].flatMap(([jobId, [task, ...others]]) => {
    const [ended, ...alsoEnded] = endedByJob.get(jobId) ?? []
    const graph = graphs.get(jobId)
    if (task === undefined || ended === undefined || graph === undefined || !files.has(jobId)) return []
    if (others.length + alsoEnded.length > 0 || !continuation.after.has(ended.taskId)) return []
    return graph.job.state === 'running' && !graph.isWinding ? [{ task, graph, after: ended.taskId }] : []
  })
}

/** One of each tenant, for its least urgent lane. */
const toWishes = (candidates: readonly Candidate[]): ContinuationWish[] =>
  [...Map.groupBy(candidates, ({ task }) => task.tenantId)].map(([tenantId, same]) => ({
    tenantId,
    lane: Math.max(...same.map(({ task }) => task.lane)),
    count: same.length,
  }))

function toClaimed({ task, graph }: Candidate, taskId?: number, file?: EngineFile): ClaimedTask | undefined {
  if (taskId === undefined || file === undefined) return undefined
  const { tenantId, jobId, step, ordinal, attemptsMax, input } = task
  const { fileId, name, contentType, declaredType, sizeBytes, sha256, metadata, depth } = file
  const said = declaredType !== undefined && { declaredType }
  return {
    taskId,
    epoch: 1,
    tenantId,
    jobId,
    pipelineVersionId: graph.job.pipelineVersionId,
    step,
    ordinal,
    attempt: 1,
    attemptsMax,
    input,
    file: { fileId, name, contentType, ...said, sizeBytes, sha256, metadata, depth },
  }
}
