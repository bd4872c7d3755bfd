import type { Sql, Tx } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import type { SealedObject } from '../storage/vault.ts'
import type { ValidationState } from './clearance.ts'
import type { MadeBy } from './lineage.sql.ts'

interface NewFile {
  tenantId: number
  name: string
  contentType: string
  declaredType?: string
  object: SealedObject
  metadata: Record<string, unknown>
  createdBy: string
  parentFileId?: number
  made?: MadeBy
  depth?: number
}

/** Ids for files that are about to be written, so that what tells of them can be written beside them. */
export async function reserveFileIds(sql: Sql, count: number): Promise<RowId<'file'>[]> {
  const { rows } = await sql.query<{ id: RowId<'file'> }>(
    // A plan for generate_series would be made anew for each count; a sequence that is looked for is so for each row.
    `select nextval('file_id_seq') as id from unnest(array_fill(0, array[$1::int]))`,
    [count],
  )
  return rows.map(({ id }) => id)
}

/** With their objects, their first versions and the events that tell of them. Goes with the next statement or the commit. */
export function insertFiles(
  tx: Pick<Tx, 'send'>,
  files: readonly (NewFile & { id: number; event: Record<string, unknown> })[],
): void {
  tx.send(
    `with given as materialized (
       select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[],
           $8::text[], $9::text[], $10::int[], $11::text[], $12::bigint[], $13::int[], $14::text[], $15::text[], $16::text[],
           $17::text[], $18::text[], $19::text[])
         as f(id, tenant_id, object_id, store_key, size_bytes, stored_bytes, sha256, manifest, wrapped_key,
           tenant_key_version, content_type, parent_file_id, depth, name, metadata, created_by, made, event, declared_type)
     ), stored as (
       insert into object (id, tenant_id, store_key, size_bytes, stored_bytes, sha256, manifest, wrapped_key, tenant_key_version)
       select object_id, tenant_id, store_key, size_bytes, stored_bytes, sha256, manifest::jsonb, decode(wrapped_key, 'hex'),
         tenant_key_version from given
     ), entered as (
       insert into file (id, tenant_id, parent_file_id, depth, name, content_type, size_bytes, sha256, state, metadata,
         object_id, created_by, made)
       select id, tenant_id, parent_file_id, depth, name, content_type, size_bytes, sha256, 'quarantined', metadata::jsonb,
         object_id, created_by, made::jsonb from given
     ), first as (
       insert into file_version (tenant_id, file_id, number, object_id, content_type, size_bytes, sha256, created_by, declared_type)
       select tenant_id, id, 1, object_id, content_type, size_bytes, sha256, created_by, declared_type from given
     )
     insert into outbox (tenant_id, type, file_id, data) select tenant_id, 'file.created', id, event::jsonb from given`,
    [
      files.map(({ id }) => id),
      files.map(({ tenantId }) => tenantId),
      files.map(({ object }) => object.objectId),
      files.map(({ object }) => object.storeKey),
      files.map(({ object }) => object.sizeBytes),
      files.map(({ object }) => object.storedBytes),
      files.map(({ object }) => object.sha256),
      files.map(({ object }) => JSON.stringify(object.manifest)),
      files.map(({ object }) => Buffer.from(object.wrappedKey).toString('hex')),
      files.map(({ object }) => object.tenantKeyVersion),
      files.map(({ contentType }) => contentType),
      files.map(({ parentFileId }) => parentFileId ?? null),
      files.map(({ depth }) => depth ?? 0),
      files.map(({ name }) => name),
      files.map(({ metadata }) => JSON.stringify(metadata)),
      files.map(({ createdBy }) => createdBy),
      files.map(({ made }) => (made === undefined ? null : JSON.stringify(made))),
      files.map(({ event }) => JSON.stringify(event)),
      files.map(({ declaredType }) => declaredType ?? null),
    ],
  )
}

interface NewFileVersion {
  tenantId: number
  fileId: number
  number: number
  contentType: string
  declaredType?: string
  object: SealedObject
  createdBy: string
}

export async function insertFileVersion(sql: Sql, version: NewFileVersion): Promise<void> {
  await sql.query(
    `insert into file_version (tenant_id, file_id, number, object_id, content_type, size_bytes, sha256, created_by, declared_type)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [
      version.tenantId,
      version.fileId,
      version.number,
      version.object.objectId,
      version.contentType,
      version.object.sizeBytes,
      version.object.sha256,
      version.createdBy,
      version.declaredType ?? null,
    ],
  )
}

export interface LockedFileRow {
  name: string
  metadata: Record<string, unknown>
  version: number
  deleted_at: Date | null
}

/** Holds the row against other changes until the transaction ends. */
export async function lockFile(sql: Sql, tenantId: number, fileId: number): Promise<LockedFileRow | undefined> {
  const { rows } = await sql.query<LockedFileRow>(
    'select name, metadata, version, deleted_at from file where tenant_id = $1 and id = $2 for no key update',
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

/** What steps found belongs to the version before, so it goes; what the checks said of that moves into its row. */
export async function advanceFile(sql: Sql, file: AdvancedFile): Promise<void> {
  await sql.query(
    `with before as (
       update file_version v set state = f.state, verdict = f.verdict from file f
       where f.tenant_id = $1 and f.id = $2 and v.file_id = f.id and v.number = f.version
     )
     update file set version = $3, object_id = $4, content_type = $5, size_bytes = $6, sha256 = $7, state = 'quarantined',
       verdict = null, made = null, found = '{}', name = coalesce($8, name), metadata = coalesce($9::jsonb, metadata)
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

/** Gives back what was erased. */
export async function subtractUsage(
  sql: Sql,
  usage: { tenantId: number; bytes: number; files: number },
): Promise<void> {
  await sql.query(
    'update tenant_usage set files_count = files_count - $2, stored_bytes = stored_bytes - $3 where tenant_id = $1',
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

export interface FileRow {
  id: RowId<'file'>
  name: string
  size_bytes: number
  sha256: string
  content_type: string
  state: ValidationState
  /** {code, detail, step} */
  verdict: unknown
  metadata: Record<string, unknown>
  version: number
  parent_file_id: RowId<'file'> | null
  latest_job_id: RowId<'job'> | null
  created_at: Date
  deleted_at: Date | null
}

const fileColumns = `f.id, f.name, f.size_bytes, f.sha256, f.content_type, f.state, f.verdict, f.metadata, f.version,
  f.parent_file_id, f.created_at, f.deleted_at,
  (select j.id from job j where j.file_id = f.id order by j.id desc limit 1) as latest_job_id`

/** One in the trash, too. */
export async function findFile(sql: Sql, tenantId: number, fileId: number): Promise<FileRow | undefined> {
  const { rows } = await sql.query<FileRow>(`select ${fileColumns} from file f where f.tenant_id = $1 and f.id = $2`, [
    tenantId,
    fileId,
  ])
  return rows[0]
}

export interface FileFilter {
  tenantId: number
  /** Older than this one. */
  before?: number
  /** A piece of the name, in any case. */
  name?: string
  /** Exact, or with a wildcard as its second part: image/*. */
  contentType?: string
  parentFileId?: number
  /** Those in the trash, instead of those that are not. */
  inTrash?: boolean
  limit: number
}

/** Newest first, without the trash. Each set of filters is a statement of its own, so that each gets the plan that fits it. */
export async function listFiles(sql: Sql, filter: FileFilter): Promise<FileRow[]> {
  const values: unknown[] = [filter.tenantId, filter.limit]
  const conditions = ['f.tenant_id = $1', filter.inTrash ? 'f.deleted_at is not null' : 'f.deleted_at is null']
  const also = (value: unknown, condition: (parameter: string) => string): void => {
    if (value !== undefined) conditions.push(condition(`$${values.push(value)}`))
  }
  const family = /^([^*]+\/)\*$/.exec(filter.contentType ?? '')?.[1]
  also(filter.before, (parameter) => `f.id < ${parameter}`)
  also(filter.parentFileId, (parameter) => `f.parent_file_id = ${parameter}`)
  also(filter.name, (parameter) => `strpos(lower(f.name), lower(${parameter}::text)) > 0`)
  if (family === undefined) also(filter.contentType, (parameter) => `f.content_type = ${parameter}`)
  else also(family, (parameter) => `starts_with(f.content_type, ${parameter})`)
  const { rows } = await sql.query<FileRow>(
    `select ${fileColumns} from file f where ${conditions.join(' and ')} order by f.id desc limit $2`,
    values,
  )
  return rows
}

export async function renameFile(
  sql: Sql,
  file: { tenantId: number; fileId: number; name: string; metadata: Record<string, unknown> },
): Promise<void> {
  await sql.query('update file set name = $3, metadata = $4 where tenant_id = $1 and id = $2', [
    file.tenantId,
    file.fileId,
    file.name,
    JSON.stringify(file.metadata),
  ])
}

/** Into the trash or out of it; false when it is there already, or nowhere. */
export async function trashFile(sql: Sql, tenantId: number, fileId: number, deleted: boolean): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update file set deleted_at = case when $3 then now() end
     where tenant_id = $1 and id = $2 and (deleted_at is not null) <> $3`,
    [tenantId, fileId, deleted],
  )
  return rowCount > 0
}

export interface FileVersionRow {
  id: RowId<'version'>
  number: number
  size_bytes: number
  sha256: string
  content_type: string
  state: ValidationState
  verdict: unknown
  created_at: Date
}

/** Of the newest version, the file's; of older ones, what was found when they were the newest, or since. */
const versionState = `case when v.number = f.version then f.state else coalesce(v.state, 'quarantined') end as state`

/** Newest first. */
export async function listVersions(
  sql: Sql,
  versions: { tenantId: number; fileId: number; before: number; limit: number },
): Promise<FileVersionRow[]> {
  const { rows } = await sql.query<FileVersionRow>(
    `select v.id, v.number, v.size_bytes, v.sha256, v.content_type, ${versionState},
       case when v.number = f.version then f.verdict else v.verdict end as verdict, v.created_at
     from file f join file_version v on v.file_id = f.id
     where f.tenant_id = $1 and f.id = $2 and v.number < $3 order by v.number desc limit $4`,
    [versions.tenantId, versions.fileId, versions.before, versions.limit],
  )
  return rows
}

export interface FileContentRow {
  name: string
  state: ValidationState
  deleted_at: Date | null
  content_type: string
  object_id: string
  sha256: string
}

/** A version's bytes, the newest where none is named. */
export async function findFileContent(
  sql: Sql,
  content: { tenantId: number; fileId: number; version?: number },
): Promise<FileContentRow | undefined> {
  const { rows } = await sql.query<FileContentRow>(
    `select f.name, ${versionState}, f.deleted_at, v.content_type, v.object_id, v.sha256
     from file f join file_version v on v.file_id = f.id and v.number = coalesce($3::integer, f.version)
     where f.tenant_id = $1 and f.id = $2`,
    [content.tenantId, content.fileId, content.version ?? null],
  )
  return rows[0]
}
