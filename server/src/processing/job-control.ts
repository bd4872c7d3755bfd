// What a person asks of a job. Each is one transaction under the job's lock, with its audit event.

import { isJobEnded } from '@millrace/contract'
import type { RowId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { WakeBus } from '../platform/wake.ts'
import type { Engine } from './engine.ts'
import type { EngineTx } from './engine-store.ts'
import { ancestorsOf, followersOf, type JobGraph } from './job-graph.ts'
import type { JobControl } from './job-routes.ts'

export interface JobControlDependencies {
  engine: Engine
  wake: WakeBus
}

interface Request {
  tenantId: number
  jobRowId: RowId<'job'>
  actor: string
  action: string
  detail?: object
}

export function createJobControl({ engine, wake }: JobControlDependencies): JobControl {
  async function change(request: Request, apply: (graph: JobGraph, tx: EngineTx) => Promise<void>): Promise<void> {
    const { tenantId, jobRowId: jobId, actor, action, detail = {} } = request
    const found = await engine.changeJob(jobId, async (graph, tx) => {
      if (graph.job.tenantId !== tenantId) throw new Problem('not_found')
      await apply(graph, tx)
      await tx.appendAudit({ tenantId, actor, action, jobId, detail })
      return true
    })
    if (found === undefined) throw new Problem('not_found')
    wake.wake('backlog')
    wake.wake('outbox')
  }

  return {
    async cancelJob(tenantId, jobRowId, actor) {
      await change({ tenantId, jobRowId, actor, action: 'job.cancel' }, async (graph) => {
        if (isJobEnded(graph.job.state)) throw new Problem('job_ended')
        graph.cancel()
      })
      wake.wake('cancel')
    },
    async pauseJob(tenantId, jobRowId, actor) {
      await change({ tenantId, jobRowId, actor, action: 'job.pause' }, async (graph) => {
        requireLive(graph)
        graph.pause()
      })
      wake.wake('cancel')
    },
    async resumeJob(tenantId, jobRowId, actor) {
      await change({ tenantId, jobRowId, actor, action: 'job.resume' }, async (graph) => {
        requireLive(graph)
        graph.resume()
      })
      wake.wake('cancel')
    },
    retryJob: (tenantId, jobRowId, actor) =>
      change({ tenantId, jobRowId, actor, action: 'job.retry' }, async (graph, tx) => {
        if (!isJobEnded(graph.job.state)) throw new Problem('job_not_ended')
        await retryBroken(graph, tx)
      }),
    replayStep: (tenantId, jobRowId, actor, step) =>
      change({ tenantId, jobRowId, actor, action: 'job.replay_step', detail: { step } }, async (graph, tx) => {
        if (!Object.hasOwn(graph.definition.steps, step)) throw new Problem('not_found')
        if (!isJobEnded(graph.job.state)) throw new Problem('job_not_ended')
        const again = followersOf(graph.definition, step)
        requireCause(graph, again)
        const steps = [...new Set([...again, ...notBegun(graph)])]
        await requireResults(graph, tx, steps)
        await tx.deleteStepWork(jobRowId, steps)
        graph.reopen(steps, new Map())
      }),
  }
}

/** Beside a step that has failed, a pipeline that stops would run nothing: what the steps made would be gone for nothing. */
function requireCause({ definition, steps }: JobGraph, again: readonly string[]): void {
  const failed = steps.find(({ name, state }) => state === 'failed' && !again.includes(name))
  if (definition.on_failure !== 'stop' || failed === undefined) return
  const detail = `The job stopped for its step ${failed.name}. Run that again first, or all that failed.`
  throw new Problem('conflict', { detail })
}

/** What did not begin because the job stopped is looked at anew: what it stopped for may end well now. */
const notBegun = ({ definition, steps }: JobGraph): string[] =>
  definition.on_failure === 'stop' ? steps.filter(({ state }) => state === 'skipped').map(({ name }) => name) : []

function requireLive({ job }: JobGraph): void {
  if (isJobEnded(job.state)) throw new Problem('job_ended')
  if (job.state === 'cancelling') throw new Problem('conflict', { detail: 'The job is being cancelled.' })
}

/** Steps must not run on what is not there any more; unless all of them run, what others made is needed. */
async function requireResults(graph: JobGraph, tx: EngineTx, again: readonly string[]): Promise<void> {
  if (again.length === graph.steps.length || !(await tx.isForgotten(graph.job.id))) return
  const detail = 'What its other steps made is not kept any longer. Start a new job over the file.'
  throw new Problem('conflict', { detail })
}

/**
 * What failed, was cancelled or was skipped runs again, and everything after what failed. Of a step whose needs stand,
 * only the tasks that did not succeed; any other forgets what it did, because its inputs will be others.
 */
export async function retryBroken(graph: JobGraph, tx: EngineTx): Promise<void> {
  const { job, definition } = graph
  const broken = graph.steps.filter(({ state }) => state === 'failed' || state === 'cancelled')
  if (broken.length === 0) throw new Problem('conflict', { detail: 'No step of the job failed.' })
  const skipped = graph.steps.filter(({ state }) => state === 'skipped')
  const again = new Set([...broken, ...skipped].flatMap(({ name }) => followersOf(definition, name)))
  await requireResults(graph, tx, [...again]) // Before anything is changed: callers may go on.
  const requeued = new Map<string, number>()
  const made = new Map((await tx.countOutputs([job.id])).map(({ step, count }) => [step, count]))
  for (const { name, tasksTotal } of broken) {
    const { each } = graph.definitionOf(name)
    // Cancelled before all of its tasks had been created, it begins anew: nobody knows any more which are missing.
    if (each !== undefined && tasksTotal !== made.get(each)) continue
    if (tasksTotal === 0 || ancestorsOf(definition, name).some((ancestor) => again.has(ancestor))) continue
    const count = await tx.requeueEndedTasks(job.id, name)
    if (count > 0) requeued.set(name, count)
  }
  const forgotten = [...again].filter((name) => !requeued.has(name))
  await tx.deleteStepWork(job.id, forgotten)
  graph.reopen(forgotten, requeued)
}
