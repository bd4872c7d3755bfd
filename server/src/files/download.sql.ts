import type { Sql } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import type { ValidationState } from './clearance.ts'

/** Bytes with what decides whether they may leave, and under which name and type they do. */
export interface DownloadRow {
  name: string
  content_type: string
  object_id: string
  size_bytes: number
  sha256: string
  state: ValidationState
  created_at: Date
  /** What made it; null for what was uploaded. */
  processor: string | null
}

const versionState = `case when v.number = f.version then f.state else coalesce(v.state, 'quarantined') end as state`

/** The newest version of each of these files, in their order; those in the trash are left out. */
export async function listFileDownloads(
  sql: Sql,
  files: { tenantId: number; fileIds: readonly number[] },
): Promise<(DownloadRow & { file_id: RowId<'file'> })[]> {
  const { rows } = await sql.query<DownloadRow & { file_id: RowId<'file'> }>(
    `select f.id as file_id, f.name, f.content_type, f.object_id, f.size_bytes, f.sha256, f.state, f.created_at,
       null as processor
     from unnest($2::bigint[]) with ordinality as w(id, place) join file f on f.id = w.id
     where f.tenant_id = $1 and f.deleted_at is null order by w.place`,
    [files.tenantId, files.fileIds],
  )
  return rows
}

export interface FileTarget {
  tenantId: number
  fileId: number
  /** Left out: the newest. */
  version?: number
}

export async function findFileDownload(
  sql: Sql,
  target: FileTarget,
): Promise<(DownloadRow & { version: number }) | undefined> {
  const { rows } = await sql.query<DownloadRow & { version: number }>(
    `select f.name, v.number as version, v.content_type, v.object_id, v.size_bytes, v.sha256, ${versionState},
       v.created_at, null as processor
     from file f join file_version v on v.file_id = f.id and v.number = coalesce($3::integer, f.version)
     where f.tenant_id = $1 and f.id = $2 and f.deleted_at is null`,
    [target.tenantId, target.fileId, target.version ?? null],
  )
  return rows[0]
}

const outputColumns = `o.name, o.content_type, o.object_id, o.size_bytes, o.sha256, ${versionState}, o.created_at, o.processor`
/** What was made of a file that lies in the trash or was erased is not there either. */
const outputTables = `job j join file f on f.id = j.file_id and f.deleted_at is null
  join file_version v on v.file_id = f.id and v.number = j.file_version`

export interface OutputTarget {
  tenantId: number
  jobId: number
  outputId: number
}

export async function findOutputDownload(sql: Sql, target: OutputTarget): Promise<DownloadRow | undefined> {
  const { rows } = await sql.query<DownloadRow>(
    `select ${outputColumns} from ${outputTables} join output o on o.job_id = j.id
     where o.tenant_id = $1 and o.job_id = $2 and o.id = $3`,
    [target.tenantId, target.jobId, target.outputId],
  )
  return rows[0]
}

/** In the order in which they were made; one row without an output for a job that has none, and none without a job. */
export async function listJobDownloads(
  sql: Sql,
  job: { tenantId: number; jobId: number; limit: number },
): Promise<(DownloadRow & { file_name: string; output_id: number | null })[]> {
  const { rows } = await sql.query<DownloadRow & { file_name: string; output_id: number | null }>(
    `select f.name as file_name, o.id as output_id, ${outputColumns} from ${outputTables} left join output o on o.job_id = j.id
     where j.tenant_id = $1 and j.id = $2 order by o.id limit $3`,
    [job.tenantId, job.jobId, job.limit],
  )
  return rows
}

export interface LinkRow {
  id: RowId<'link'>
  tenant_id: number
  file_id: RowId<'file'> | null
  file_version: number | null
  job_id: RowId<'job'> | null
  output_id: RowId<'output'> | null
  single_use: boolean
  uses_count: number
  last_used_at: Date | null
  created_by: string
  created_at: Date
  expires_at: Date
}

const linkColumns = `id, tenant_id, file_id, file_version, job_id, output_id, single_use, uses_count, last_used_at, created_by,
  created_at, expires_at`

interface NewLink {
  tenantId: number
  fileId: number | null
  fileVersion: number | null
  jobId: number | null
  outputId: number | null
  singleUse: boolean
  lifetimeMs: number
  createdBy: string
}

export async function insertLink(sql: Sql, link: NewLink): Promise<LinkRow> {
  const { rows } = await sql.query<LinkRow>(
    `insert into download_link (tenant_id, file_id, file_version, job_id, output_id, single_use, created_by, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7, date_trunc('milliseconds', now() + $8 * interval '1 ms')) returning ${linkColumns}`,
    [
      link.tenantId,
      link.fileId,
      link.fileVersion,
      link.jobId,
      link.outputId,
      link.singleUse,
      link.createdBy,
      link.lifetimeMs,
    ],
  )
  // An insert that does not throw returns its row.
  return rows[0]!
}

/** Newest first, those that are over included. */
export async function listLinks(
  sql: Sql,
  page: { tenantId: number; before: number; limit: number },
): Promise<LinkRow[]> {
  const { rows } = await sql.query<LinkRow>(
    `select ${linkColumns} from download_link where tenant_id = $1 and id < $2 order by id desc limit $3`,
    [page.tenantId, page.before, page.limit],
  )
  return rows
}

export async function deleteLink(sql: Sql, tenantId: number, linkId: number): Promise<boolean> {
  const { rowCount } = await sql.query('delete from download_link where tenant_id = $1 and id = $2', [tenantId, linkId])
  return rowCount > 0
}

/** Whoever has a link has no tenant, so it is looked for among all; that of a suspended tenant is not there. */
export async function findLink(sql: Sql, linkId: number): Promise<LinkRow | undefined> {
  const { rows } = await sql.query<LinkRow>(
    `select ${linkColumns} from download_link l
     where id = $1 and exists (select from tenant t where t.id = l.tenant_id and t.state = 'active')`,
    [linkId],
  )
  return rows[0]
}

/** Counts a use; false for a link that is over, used up or gone. Of two uses of one that is good once, one is counted. */
export async function takeLinkUse(sql: Sql, linkId: number): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update download_link set uses_count = uses_count + 1, last_used_at = now()
     where id = $1 and expires_at > now() and not (single_use and uses_count > 0)`,
    [linkId],
  )
  return rowCount > 0
}

/** Links that were over so long ago; nobody asks after them any more. */
export async function deleteOldLinks(sql: Sql, keptMs: number, limit: number): Promise<number> {
  const { rowCount } = await sql.query(
    `delete from download_link where id = any(array(
       select id from download_link where expires_at < now() - $1 * interval '1 ms' limit $2))`,
    [keptMs, limit],
  )
  return rowCount
}
