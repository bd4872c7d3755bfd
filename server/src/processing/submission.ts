// Submitting a job is part of somebody else's transaction: the seal of an upload, a retry, a batch.

import type { JobId, Lane } from '@millrace/contract'
import type { Tx } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import type { Problem } from '../platform/problem.ts'

export interface SubmitJob {
  tenantId: number
  fileId: RowId<'file'>
  fileVersion: number
  fileName: string
  contentType: string
  sizeBytes: number
  sha256: string
  objectId: string
  /** What the owner said of the file, and in how many archives it lay: conditions of the first steps may ask. */
  metadata: Record<string, unknown>
  depth: number
  /** Name of a pipeline of the tenant; left out: the default for the content type. */
  pipeline?: string
  lane: Lane
  actor: string
}

export interface SubmittedJob {
  jobRowId: RowId<'job'>
  jobId: JobId
  pipeline: string
  estimatedCompletion: Date
}

export interface JobSubmission {
  /** Finds and checks the pipeline before any byte is taken: Problem pipeline_unknown, pipeline_not_accepted. */
  choosePipeline(
    tx: Tx,
    choice: { tenantId: number; pipeline?: string; contentType: string },
  ): Promise<{ name: string; pipelineVersionId: number }>
  /** Writes job, steps and first tasks. The caller wakes 'backlog' and 'outbox' after its commit. */
  submitJob(tx: Tx, job: SubmitJob): Promise<SubmittedJob>
  /**
   * The same for many of one tenant, with as many statements as for one; answered in their order. What no pipeline takes is
   * answered with the problem, and the others go on.
   */
  submitJobs(tx: Tx, jobs: readonly SubmitJob[]): Promise<(SubmittedJob | Problem)[]>
}
