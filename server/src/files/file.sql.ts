import type { FileState } from '@millrace/contract'
import type { Sql } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import type { SealedObject } from '../storage/vault.ts'

interface NewFile {
  tenantId: number
  name: string
  contentType: string
  object: SealedObject
  metadata: Record<string, unknown>
  createdBy: string
  parentFileId?: number
  depth?: number
}

export async function insertFile(sql: Sql, file: NewFile): Promise<RowId<'file'>> {
  const { rows } = await sql.query<{ id: RowId<'file'> }>(
    `insert into file (tenant_id, parent_file_id, depth, name, content_type, size_bytes, sha256, state, metadata, object_id, created_by)
     values ($1, $2, $3, $4, $5, $6, $7, 'quarantined', $8, $9, $10) returning id`,
    [
      file.tenantId,
      file.parentFileId ?? null,
      file.depth ?? 0,
      file.name,
      file.contentType,
      file.object.sizeBytes,
      file.object.sha256,
      JSON.stringify(file.metadata),
      file.object.objectId,
      file.createdBy,
    ],
  )
  // An insert that does not throw returns its row.
  return rows[0]!.id
}

interface NewFileVersion {
  tenantId: number
  fileId: number
  number: number
  contentType: string
  object: SealedObject
  createdBy: string
}

export async function insertFileVersion(sql: Sql, version: NewFileVersion): Promise<void> {
  await sql.query(
    `insert into file_version (tenant_id, file_id, number, object_id, content_type, size_bytes, sha256, created_by)
     values ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      version.tenantId,
      version.fileId,
      version.number,
      version.object.objectId,
      version.contentType,
      version.object.sizeBytes,
      version.object.sha256,
      version.createdBy,
    ],
  )
}

/** Holds the row against other changes until the transaction ends. */
export async function lockFile(
  sql: Sql,
  tenantId: number,
  fileId: number,
): Promise<{ name: string; state: FileState; version: number } | undefined> {
  const { rows } = await sql.query<{ name: string; state: FileState; version: number }>(
    'select name, state, version from file where tenant_id = $1 and id = $2 for no key update',
    [tenantId, fileId],
  )
  return rows[0]
}

interface AdvancedFile {
  tenantId: number
  fileId: number
  version: number
  contentType: string
  object: SealedObject
  name?: string
  metadata?: Record<string, unknown>
}

/** What steps found belongs to the version before, so it goes. */
export async function advanceFile(sql: Sql, file: AdvancedFile): Promise<void> {
  await sql.query(
    `update file set version = $3, object_id = $4, content_type = $5, size_bytes = $6, sha256 = $7, state = 'quarantined',
       found = '{}', name = coalesce($8, name), metadata = coalesce($9::jsonb, metadata)
     where tenant_id = $1 and id = $2`,
    [
      file.tenantId,
      file.fileId,
      file.version,
      file.object.objectId,
      file.contentType,
      file.object.sizeBytes,
      file.object.sha256,
      file.name ?? null,
      file.metadata === undefined ? null : JSON.stringify(file.metadata),
    ],
  )
}

/** What the tenant's files take up; the row is there as long as the tenant is. */
export async function addUsage(sql: Sql, usage: { tenantId: number; bytes: number; files: number }): Promise<void> {
  await sql.query(
    `insert into tenant_usage as u (tenant_id, files_count, stored_bytes) values ($1, $2, $3)
     on conflict (tenant_id) do update set files_count = u.files_count + $2, stored_bytes = u.stored_bytes + $3`,
    [usage.tenantId, usage.files, usage.bytes],
  )
}

interface FileEvent {
  tenantId: number
  fileId: number
  type: 'file.created' | 'file.state'
  data: Record<string, unknown>
}

export async function insertFileOutbox(sql: Sql, event: FileEvent): Promise<void> {
  await sql.query('insert into outbox (tenant_id, type, file_id, data) values ($1, $2, $3, $4)', [
    event.tenantId,
    event.type,
    event.fileId,
    JSON.stringify(event.data),
  ])
}

export async function findFileState(sql: Sql, tenantId: number, fileId: number): Promise<FileState | undefined> {
  const { rows } = await sql.query<{ state: FileState }>('select state from file where tenant_id = $1 and id = $2', [
    tenantId,
    fileId,
  ])
  return rows[0]?.state
}
