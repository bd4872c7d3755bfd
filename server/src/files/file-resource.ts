import type { FileResource, FileVersionResource } from '@millrace/contract'
import { encodeId, type RowId } from '../platform/ids.ts'
import { toStoredProblem } from '../platform/problem.ts'
import type { FileRow, FileVersionRow } from './file.sql.ts'

export const toFileResource = (row: FileRow): FileResource => ({
  file_id: encodeId('file', row.id),
  name: row.name,
  size_bytes: row.size_bytes,
  sha256: row.sha256,
  content_type: row.content_type,
  state: row.deleted_at === null ? row.state : 'deleted',
  verdict: toStoredProblem(row.verdict),
  metadata: row.metadata,
  version: row.version,
  parent_file_id: row.parent_file_id === null ? null : encodeId('file', row.parent_file_id),
  latest_job_id: row.latest_job_id === null ? null : encodeId('job', row.latest_job_id),
  created_at: row.created_at.toISOString(),
  deleted_at: row.deleted_at?.toISOString() ?? null,
})

export const toFileVersionResource = (fileId: RowId<'file'>, row: FileVersionRow): FileVersionResource => ({
  version_id: encodeId('version', row.id),
  file_id: encodeId('file', fileId),
  version: row.number,
  size_bytes: row.size_bytes,
  sha256: row.sha256,
  content_type: row.content_type,
  state: row.state,
  verdict: toStoredProblem(row.verdict),
  created_at: row.created_at.toISOString(),
})
