// Statements over the file of a job: what the engine reads of it, and what steps of the job change about it.

import type { ValidationState } from '../files/clearance.ts'
import type { Sql, Tx } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import type { FileVerdict } from './engine-store.ts'
import type { JobFile } from './task.ts'

/** What a step may know of the file. */
export interface StepFileRow {
  file_id: number
  name: string
  content_type: string
  declared_type: string | null
  size_bytes: number
  sha256: string
  metadata: Record<string, unknown>
  depth: number
}

export const toJobFile = (row: StepFileRow): JobFile => ({
  fileId: row.file_id,
  name: row.name,
  contentType: row.content_type,
  ...(row.declared_type !== null && { declaredType: row.declared_type }),
  sizeBytes: row.size_bytes,
  sha256: row.sha256,
  metadata: row.metadata,
  depth: row.depth,
})

export interface JobFileRow extends StepFileRow {
  job_id: RowId<'job'>
  object_id: string
  found: Record<string, unknown>
  state: ValidationState
  current: boolean
}

/** The file of each job as it was at the job's version; nothing for one that was erased. */
export async function listJobFiles(sql: Sql, jobIds: readonly number[]): Promise<JobFileRow[]> {
  const { rows } = await sql.query<JobFileRow>(
    `select j.id as job_id, f.id as file_id, f.name, v.content_type, v.declared_type, v.size_bytes, v.sha256, v.object_id, f.metadata,
       f.found, f.depth, f.version = j.file_version as current,
       case when f.version = j.file_version then f.state else coalesce(v.state, 'quarantined') end as state
     from job j join file f on f.id = j.file_id
       join file_version v on v.file_id = j.file_id and v.number = j.file_version
     where j.id = any($1::bigint[])`,
    [jobIds],
  )
  return rows
}

export async function setFileState(
  sql: Sql,
  file: FileVerdict & { fileId: number; version: number },
): Promise<boolean> {
  const { rowCount } = await sql.query(
    `with superseded as (
       update file_version v set state = $3, verdict = $4::jsonb from file f
       where f.id = $1 and f.version <> $2 and v.file_id = f.id and v.number = $2
     )
     update file set state = $3, verdict = $4::jsonb where id = $1 and version = $2 and state <> $3`,
    [file.fileId, file.version, file.state, file.problem && JSON.stringify(file.problem)],
  )
  return rowCount > 0
}

/** Whether search must not tell of the file: it is not cleared, or lies in the trash. */
export async function isHidden(sql: Sql, fileId: number): Promise<boolean> {
  const { rows } = await sql.query<{ hidden: boolean }>(
    `select state <> 'available' or deleted_at is not null as hidden from file where id = $1`,
    [fileId],
  )
  return rows[0]?.hidden ?? true
}

export function addFound(
  tx: Pick<Tx, 'send'>,
  file: { fileId: number; version: number; step: string; found: unknown },
): void {
  tx.send(`update file set found = found || jsonb_build_object($3::text, $4::jsonb) where id = $1 and version = $2`, [
    file.fileId,
    file.version,
    file.step,
    JSON.stringify(file.found),
  ])
}

export function setStorageClass(
  tx: Pick<Tx, 'send'>,
  file: { fileId: number; version: number; storageClass: string },
): void {
  tx.send('update file set storage_class = $3 where id = $1 and version = $2', [
    file.fileId,
    file.version,
    file.storageClass,
  ])
}

export interface IndexedFileRow {
  name: string
  content_type: string
  metadata: Record<string, unknown>
  found: Record<string, unknown>
  /** In the trash, or not cleared. */
  hidden: boolean
  body: string
}

/** What is to be found of a file: the text of the job's steps in their order, as much as an index takes. */
export async function findIndexedFile(
  sql: Sql,
  file: { fileId: number; version: number; jobId: number; textLengthMax: number },
): Promise<IndexedFileRow | undefined> {
  const { rows } = await sql.query<IndexedFileRow>(
    `select f.name, f.content_type, f.metadata, f.found, f.deleted_at is not null or f.state <> 'available' as hidden,
       coalesce((select left(string_agg(t.found_text, E'\\n' order by t.before), $4) from (
         select r.found_text, sum(length(r.found_text)) over (order by s.position, r.ordinal) - length(r.found_text) as before
         from task_result r join job_step s on s.job_id = r.job_id and s.name = r.step
         where r.job_id = $3 and r.found_text is not null) t where t.before < $4), '') as body
     from file f where f.id = $1 and f.version = $2`,
    [file.fileId, file.version, file.jobId, file.textLengthMax],
  )
  return rows[0]
}
