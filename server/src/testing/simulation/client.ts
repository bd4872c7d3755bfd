// A client: submits a job, follows it, perhaps cancels it, and perhaps wants it done once more. It tells the checker what
// it was told.

import type { EngineStore } from '../../processing/engine-store.ts'
import type { createJobControl } from '../../processing/job-control.ts'
import type { createJobSubmission } from '../../processing/job-submission.ts'
import type { MemoryStore } from '../../processing/testing/memory-store.ts'
import type { Tx } from '../../platform/database.ts'
import { Problem } from '../../platform/problem.ts'
import type { RowId } from '../../platform/ids.ts'
import type { WakeTopic } from '../../platform/wake.ts'
import { isJobEnded } from '@millrace/contract'
import type { Checker } from './checker.ts'
import type { Random } from './random.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import type { PlannedJob, Workload } from './workload.ts'

export interface ClientDependencies {
  process: SimulatedProcess
  control: ReturnType<typeof createJobControl>
  submission: ReturnType<typeof createJobSubmission>
  store: EngineStore
  memory: MemoryStore
  wake: (topic: WakeTopic) => void
  workload: Workload
  random: Random
  checker: Checker
  plan: PlannedJob
  fileId: RowId<'file'>
}

export async function runClient(deps: ClientDependencies): Promise<void> {
  const { process, control, random, checker, plan, workload, memory } = deps
  const { tenantId } = plan
  // Whether an answer that was lost meant yes is not known; the job ends in either case.
  const jobId = await submit(deps).catch(() => undefined)
  if (jobId === undefined) return
  checker.acknowledged(jobId)
  if (plan.cancelAfterMs !== undefined) {
    process.after(plan.cancelAfterMs, () => {
      control.cancelJob(tenantId, jobId, 'system').then(
        () => checker.cancelAcknowledged(jobId),
        () => {},
      )
    })
  }
  if (plan.pause !== undefined) {
    const { afterMs, forMs } = plan.pause
    process.after(afterMs, () => void pauseFor(deps, jobId, forMs))
  }
  let { againCount } = plan
  for (;;) {
    await process.clock.sleep(plan.pollMs)
    const job = await process.call('read', async () => memory.tables.jobs.get(jobId)).catch(() => undefined)
    if (job === undefined) continue
    checker.seen(jobId, job.progressPercent)
    if (!isJobEnded(job.state)) continue
    if (againCount === 0 || process.isHealing) return
    againCount -= 1
    const steps = Object.keys(workload.definitions[plan.pipelineVersionId - 1]?.steps ?? {})
    const asked =
      plan.again === 'retry'
        ? control.retryJob(tenantId, jobId, 'system')
        : control.replayStep(tenantId, jobId, 'system', random.pick(steps))
    // It may have nothing to try again, or the answer may be lost.
    await asked.catch(() => {})
  }
}

const resumeRetryMs = 200

/** Whoever pauses a job resumes it, whatever he was answered. */
async function pauseFor({ control, process, checker, plan }: ClientDependencies, jobId: RowId<'job'>, forMs: number) {
  const isDone = (asked: Promise<void>): Promise<boolean> =>
    asked.then(
      () => true,
      (error: unknown) => !(error instanceof Problem) || error.code !== 'database_unavailable',
    )
  await control.pauseJob(plan.tenantId, jobId, 'system').then(
    () => checker.pauseAcknowledged(jobId),
    () => {},
  )
  await process.clock.sleep(forMs)
  while (!(await isDone(control.resumeJob(plan.tenantId, jobId, 'system')))) await process.clock.sleep(resumeRetryMs)
}

async function submit({ submission, store, plan, fileId, wake }: ClientDependencies): Promise<RowId<'job'>> {
  const { tenantId, lane, pipelineVersionId } = plan
  const { jobRowId } = await store.transaction((tx) =>
    // The submission's statements are the engine's own.
    submission.submitJob(tx as unknown as Tx, {
      tenantId,
      fileId,
      fileVersion: 1,
      fileName: 'data.csv',
      contentType: 'text/csv',
      sizeBytes: 100,
      sha256: '',
      objectId: '',
      metadata: {},
      depth: 0,
      pipeline: String(pipelineVersionId),
      lane,
      actor: 'system',
    }),
  )
  wake('backlog')
  return jobRowId
}
