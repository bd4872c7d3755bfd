// A job as clients see it: three statements at most, whatever the size of the job.

import {
  apiPrefix,
  isJobEnded,
  lanes,
  type JobId,
  type JobResource,
  type JobSummary,
  type OutputResource,
  type StepResource,
} from '@millrace/contract'
import type { Sql } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import { Problem, toStoredProblem } from '../platform/problem.ts'
import type { Catalogue } from './catalogue.ts'
import type { StepDefinition } from './definition.ts'
import {
  findJob,
  listOutputs,
  listSteps,
  type JobDetailRow,
  type JobRow,
  type OutputRow,
  type StepRow,
} from './job-read.sql.ts'

/** A job with more outputs tells the first of them; all can be downloaded. */
export const outputsCountMax = 10_000

/** Throws Problem('not_found') for a job that the tenant does not have. */
export async function readJob(
  sql: Sql,
  job: { tenantId: number; jobRowId: RowId<'job'> },
  catalogue: Catalogue,
): Promise<JobResource> {
  const { tenantId, jobRowId: jobId } = job
  const row = await findJob(sql, tenantId, jobId)
  if (!row) throw new Problem('not_found')
  const steps = await listSteps(sql, tenantId, jobId)
  const outputs = await listOutputs(sql, { tenantId, jobId, limit: outputsCountMax })
  return toJobResource({ row, steps, outputs }, catalogue)
}

interface JobRows {
  row: JobDetailRow
  steps: StepRow[]
  outputs: OutputRow[]
}

export function toJobResource({ row, steps, outputs }: JobRows, catalogue: Catalogue): JobResource {
  const summary = toJobSummary(row)
  const outputResources = outputs.map((output) => toOutputResource(output, encodeId('job', row.id)))
  return {
    ...summary,
    // Nobody knows when a paused job goes on.
    estimated_completion:
      isJobEnded(row.state) || row.state === 'paused' ? null : (row.estimated_end_at?.toISOString() ?? null),
    output_files: outputResources.map((output) => output.uri),
    outputs: outputResources,
    metadata: {
      processing_time: row.started_at && row.finished_at ? secondsBetween(row.started_at, row.finished_at) : null,
      file_size_mb: row.size_bytes / 1e6,
      records_processed: row.records_count,
    },
    steps: steps.map((step) =>
      toStepResource(step, row.steps[step.name], { catalogue, cleared: row.file_state === 'available' }),
    ),
  }
}

export const toJobSummary = (row: JobRow): JobSummary => ({
  job_id: encodeId('job', row.id),
  file_id: encodeId('file', row.file_id),
  file_name: row.file_name,
  pipeline: row.pipeline,
  pipeline_version: row.pipeline_version,
  parent_job_id: row.parent_job_id === null ? null : encodeId('job', row.parent_job_id),
  status: row.state,
  progress: Math.min(100, Math.max(0, Math.round(row.progress_percent * 10) / 10)),
  // A CHECK keeps the column within the list.
  priority: lanes[row.lane] ?? 'normal',
  problem: toStoredProblem(row.problem),
  created_at: row.created_at.toISOString(),
  started_at: row.started_at?.toISOString() ?? null,
  finished_at: row.finished_at?.toISOString() ?? null,
})

const toOutputResource = (row: OutputRow, jobId: JobId): OutputResource => {
  const outputId = encodeId('output', row.id)
  return {
    output_id: outputId,
    name: row.name,
    uri: `s3://results/${jobId}/${row.name}`,
    size_bytes: row.size_bytes,
    sha256: row.sha256,
    content_type: row.content_type,
    download_url: `${apiPrefix}/jobs/${jobId}/outputs/${outputId}/content`,
    step: row.step,
  }
}

interface StepView {
  catalogue: Catalogue
  /** What steps found in a file that is not cleared stays with it. */
  cleared: boolean
}

const toStepResource = (
  row: StepRow,
  step: StepDefinition | undefined,
  { catalogue, cleared }: StepView,
): StepResource => ({
  name: row.name,
  // A processor may have been removed from the catalogue since the job ran; what most of them do is transform.
  stage: catalogue.find(step?.uses ?? '')?.stage ?? 'transform',
  processor: step?.uses ?? '',
  state: row.state,
  needs: step?.needs ?? [],
  tasks_total: row.tasks_total,
  tasks_done: Math.max(0, row.tasks_done),
  tasks_failed: row.tasks_failed,
  attempts: row.attempts,
  started_at: row.started_at?.toISOString() ?? null,
  finished_at: row.finished_at?.toISOString() ?? null,
  result: cleared && step?.each === undefined ? row.result : null,
  problem: toStoredProblem(row.problem),
})

const secondsBetween = (from: Date, to: Date): number => Math.max(0, to.getTime() - from.getTime()) / 1_000
