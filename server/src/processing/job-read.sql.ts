import type { JobState, StepState } from '@millrace/contract'
import type { ValidationState } from '../files/clearance.ts'
import type { Sql } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import type { StepDefinition } from './definition.ts'

/** A job with what people call its file and its pipeline. */
export interface JobRow {
  id: RowId<'job'>
  file_id: RowId<'file'>
  file_name: string
  pipeline: string
  pipeline_version: number
  parent_job_id: RowId<'job'> | null
  state: JobState
  lane: number
  progress_percent: number
  problem: unknown
  created_at: Date
  started_at: Date | null
  finished_at: Date | null
}

const jobColumns = `j.id, j.file_id, coalesce(f.name, '') as file_name, p.name as pipeline, p.number as pipeline_version,
  j.parent_job_id, j.state, j.lane, j.progress_percent, j.problem, j.created_at, j.started_at, j.finished_at`
// The file may have been erased since; its jobs are still told.
const jobTables = `job j join pipeline_version p on p.id = j.pipeline_version_id left join file f on f.id = j.file_id`

/** What the checks said of the version that a job is over. */
const fileState = `case when j.file_version = f.version then f.state else v.state end`

export interface JobDetailRow extends JobRow {
  steps: Record<string, StepDefinition>
  size_bytes: number
  /** Of the version that the job is over. */
  file_state: ValidationState | null
  records_count: number | null
  estimated_end_at: Date | null
}

export async function findJob(sql: Sql, tenantId: number, jobId: number): Promise<JobDetailRow | undefined> {
  const { rows } = await sql.query<JobDetailRow>(
    `select ${jobColumns}, p.definition -> 'steps' as steps, j.records_count, j.estimated_end_at,
       coalesce(v.size_bytes, f.size_bytes, 0) as size_bytes, ${fileState} as file_state
     from ${jobTables} left join file_version v on v.file_id = j.file_id and v.number = j.file_version
     where j.tenant_id = $1 and j.id = $2`,
    [tenantId, jobId],
  )
  return rows[0]
}

export interface JobFilter {
  tenantId: number
  /** Older than this one. */
  before?: number
  state?: JobState
  fileId?: number
  parentJobId?: number
  limit: number
}

/** Newest first. Each set of filters is a statement of its own, so that each gets the plan that fits it. */
export async function listJobs(sql: Sql, filter: JobFilter): Promise<JobRow[]> {
  const values: unknown[] = [filter.tenantId, filter.limit]
  const conditions = ['j.tenant_id = $1']
  const also = (condition: string, value: unknown): void => {
    if (value === undefined) return
    values.push(value)
    conditions.push(`${condition} $${values.length}`)
  }
  also('j.id <', filter.before)
  also('j.state =', filter.state)
  also('j.file_id =', filter.fileId)
  also('j.parent_job_id =', filter.parentJobId)
  const { rows } = await sql.query<JobRow>(
    `select ${jobColumns} from ${jobTables} where ${conditions.join(' and ')} order by j.id desc limit $2`,
    values,
  )
  return rows
}

export interface StepRow {
  name: string
  state: StepState
  tasks_total: number
  tasks_done: number
  tasks_failed: number
  attempts: number
  started_at: Date | null
  finished_at: Date | null
  problem: unknown
  result: unknown
}

/** A step that was fanned out to 100,000 tasks must not make its job's page slow. */
const tasksCountMax = 200

/** In the order of the definition. */
export async function listSteps(sql: Sql, tenantId: number, jobId: number): Promise<StepRow[]> {
  const { rows } = await sql.query<StepRow>(
    `select s.name, s.state, s.tasks_total, s.tasks_failed, s.started_at, s.finished_at, s.problem,
       case when s.state in ('skipped', 'cancelled')
         then (select count(*) from task t where t.job_id = s.job_id and t.step = s.name and t.state = 'succeeded') + s.tasks_archived
         else s.tasks_total - s.tasks_pending - s.tasks_failed end as tasks_done,
       greatest(s.attempts, (select max(t.attempt) from task t
         where t.job_id = s.job_id and t.step = s.name and t.ordinal < ${tasksCountMax})) as attempts,
       case when s.tasks_total = 1
         then (select r.result from task_result r where r.job_id = s.job_id and r.step = s.name limit 1) end as result
     from job_step s where s.tenant_id = $1 and s.job_id = $2 order by s.position, s.name`,
    [tenantId, jobId],
  )
  return rows
}

export interface OutputRow {
  id: RowId<'output'>
  step: string
  name: string
  content_type: string
  size_bytes: number
  sha256: string
}

/** In the order in which they were made. */
export async function listOutputs(
  sql: Sql,
  outputs: { tenantId: number; jobId: number; limit: number },
): Promise<OutputRow[]> {
  const { rows } = await sql.query<OutputRow>(
    `select id, step, name, content_type, size_bytes, sha256 from output
     where tenant_id = $1 and job_id = $2 order by id limit $3`,
    [outputs.tenantId, outputs.jobId, outputs.limit],
  )
  return rows
}

export interface OutputContentRow {
  object_id: string
  name: string
  content_type: string
  sha256: string
  processor: string | null
  file_state: ValidationState | null
}

export async function findOutput(
  sql: Sql,
  output: { tenantId: number; jobId: number; outputId: number },
): Promise<OutputContentRow | undefined> {
  const { rows } = await sql.query<OutputContentRow>(
    `select o.object_id, o.name, o.content_type, o.sha256, o.processor, ${fileState} as file_state
     from output o join job j on j.id = o.job_id left join file f on f.id = j.file_id and f.deleted_at is null
       left join file_version v on v.file_id = f.id and v.number = j.file_version
     where o.tenant_id = $1 and o.job_id = $2 and o.id = $3`,
    [output.tenantId, output.jobId, output.outputId],
  )
  return rows[0]
}

export interface JobInputRow {
  version: number
  name: string
  content_type: string
  size_bytes: number
  sha256: string
  object_id: string
  metadata: Record<string, unknown>
  depth: number
  state: ValidationState
}

/** The newest version of a file, held against changes until the transaction ends; nothing for one in the trash. */
export async function findJobInput(sql: Sql, tenantId: number, fileId: number): Promise<JobInputRow | undefined> {
  const { rows } = await sql.query<JobInputRow>(
    `select version, name, content_type, size_bytes, sha256, object_id, metadata, depth, state from file
     where tenant_id = $1 and id = $2 and deleted_at is null for share`,
    [tenantId, fileId],
  )
  return rows[0]
}
