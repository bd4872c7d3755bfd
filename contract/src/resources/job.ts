import { Type, type Static } from 'typebox'
import { stageNames } from '../stages.ts'
import { jobStates, lanes, stepStates } from '../states.ts'
import { ProblemResource } from './problem.ts'
import { Timestamp } from './time.ts'

const OrNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()])

/** A file that a task made. */
export const OutputResource = Type.Object(
  {
    output_id: Type.String(),
    name: Type.String(),
    uri: Type.String({ description: 's3://results/<job_id>/<name>; resolved by the content operation of the job.' }),
    size_bytes: Type.Integer({ minimum: 0 }),
    sha256: Type.String(),
    content_type: Type.String(),
    download_url: Type.String(),
    step: Type.String(),
  },
  { $id: 'Output' },
)
export type OutputResource = Static<typeof OutputResource>

/** One step of a job: how many tasks it has and what came of them. */
export const StepResource = Type.Object(
  {
    name: Type.String(),
    stage: Type.Enum([...stageNames]),
    processor: Type.String(),
    state: Type.Enum([...stepStates]),
    needs: Type.Array(Type.String()),
    tasks_total: Type.Integer({ minimum: 0 }),
    tasks_done: Type.Integer({ minimum: 0, description: 'Ended well.' }),
    tasks_failed: Type.Integer({ minimum: 0 }),
    attempts: Type.Integer({
      minimum: 0,
      description: 'Attempts so far; of a fanned-out step, the most that one of its first 200 tasks has needed.',
    }),
    started_at: OrNull(Timestamp),
    finished_at: OrNull(Timestamp),
    result: Type.Unknown({ description: "The processor's JSON result; for a fanned-out step, null." }),
    problem: OrNull(ProblemResource),
  },
  { $id: 'Step' },
)
export type StepResource = Static<typeof StepResource>

export const JobResource = Type.Object(
  {
    job_id: Type.String(),
    file_id: Type.String(),
    file_name: Type.String(),
    pipeline: Type.String(),
    pipeline_version: Type.Integer({ minimum: 1 }),
    parent_job_id: OrNull(Type.String()),
    status: Type.Enum([...jobStates]),
    progress: Type.Number({ minimum: 0, maximum: 100, description: 'Percent; never goes back.' }),
    priority: Type.Enum([...lanes]),
    estimated_completion: OrNull(Timestamp),
    output_files: Type.Array(Type.String(), { description: 'The uri of each output.' }),
    outputs: Type.Array(OutputResource, { description: 'In the order in which they were made, the first 10,000.' }),
    metadata: Type.Object({
      processing_time: OrNull(
        Type.Number({ description: 'Seconds from the start of the first task to the end of the last.' }),
      ),
      file_size_mb: Type.Number({ description: 'Size of the input in megabytes (10^6 bytes).' }),
      records_processed: OrNull(
        Type.Integer({ minimum: 0, description: 'Rows, pages, images or members handled, where a step counts them.' }),
      ),
    }),
    steps: Type.Array(StepResource),
    problem: OrNull(ProblemResource),
    created_at: Timestamp,
    started_at: OrNull(Timestamp),
    finished_at: OrNull(Timestamp),
  },
  { $id: 'Job' },
)
export type JobResource = Static<typeof JobResource>

/** A job in a list: without steps, outputs and results. */
export const JobSummary = Type.Pick(JobResource, [
  'job_id',
  'file_id',
  'file_name',
  'pipeline',
  'pipeline_version',
  'parent_job_id',
  'status',
  'progress',
  'priority',
  'problem',
  'created_at',
  'started_at',
  'finished_at',
])
export type JobSummary = Static<typeof JobSummary>
