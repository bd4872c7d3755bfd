import { lanes } from '@millrace/contract'
import type { Clock } from '../platform/clock.ts'
import { encodeId } from '../platform/ids.ts'
import type { AdvanceDependencies } from './advance.ts'
import { startJob } from './engine.ts'
import type { Pipelines } from './pipelines.ts'
import type { SqlEngineStore } from './sql-store.ts'
import type { JobSubmission } from './submission.ts'

export interface JobSubmissionDependencies extends AdvanceDependencies {
  store: Pick<SqlEngineStore, 'within'>
  pipelines: Pipelines
  clock: Clock
}

/** From the end of one step to the start of the next, when nobody is in the way. */
const hopMs = 10

export function createJobSubmission(deps: JobSubmissionDependencies): JobSubmission {
  const { store, pipelines, clock } = deps
  return {
    choosePipeline: async (tx, choice) => {
      const { name, pipelineVersionId } = await pipelines.choose(tx, choice)
      return { name, pipelineVersionId }
    },
    submitJob: async (tx, job) => {
      const { tenantId, contentType, pipeline, fileId, fileVersion, sizeBytes, sha256, objectId } = job
      const chosen = await pipelines.choose(tx, { tenantId, contentType, ...(pipeline !== undefined && { pipeline }) })
      const { definition, pipelineVersionId } = chosen
      const { jobId, remainingMs } = await startJob(store.within(tx), deps, {
        tenantId,
        fileId,
        fileVersion,
        pipelineVersionId,
        definition,
        parentJobId: job.parentJobId ?? null,
        lane: lanes.indexOf(job.lane),
        createdBy: job.actor,
        file: { name: job.fileName, contentType, sizeBytes, sha256, objectId, depth: 0 },
      })
      const hopsMs = Object.keys(definition.steps).length * hopMs
      const estimatedCompletion = new Date(clock.now().getTime() + remainingMs + hopsMs)
      return { jobRowId: jobId, jobId: encodeId('job', jobId), pipeline: chosen.name, estimatedCompletion }
    },
  }
}
