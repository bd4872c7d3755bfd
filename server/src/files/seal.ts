// files/ is the catalogue: files, their versions and metadata, their way out as bytes, and finding them.
// It must not know how bytes arrive (upload/), what is done to them (pipeline/) nor when (processing/).
// Invariants: a file has a version row for each of its versions and points to the newest; every object it points to is
// counted in its tenant's usage; and no byte of a file that is quarantined, rejected or in the trash leaves.

import { writeAudit, writeAudits, type AuditEvent } from '../platform/audit.ts'
import type { Tx } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import type { Principal } from '../platform/principal.ts'
import { invariant, Problem } from '../platform/problem.ts'
import { insertObjects } from '../storage/object.sql.ts'
import type { SealedObject } from '../storage/vault.ts'
import type { MadeBy } from './lineage.sql.ts'
import {
  addUsage,
  advanceFile,
  insertFileOutbox,
  insertFiles,
  insertFileVersion,
  lockFile,
  reserveFileIds,
} from './file.sql.ts'

export interface SealFile {
  tenantId: number
  /** As the owner gave it, 1 to 4,000 characters without NUL. Never a path. */
  name: string
  /** Found from the content. */
  contentType: string
  /** What its sender said that it is. */
  declaredType?: string
  object: SealedObject
  metadata: Record<string, unknown>
  /** Wire id of who did it. */
  createdBy: Principal['actor']
  /** The archive it was a member of. */
  parentFileId?: RowId<'file'>
  /** What took it out of that. */
  made?: MadeBy
  /** How many archives it came out of. */
  depth?: number
  requestId?: string
}

export interface SealedFile {
  fileId: RowId<'file'>
  /** From 1. */
  version: number
}

/**
 * Enters a stored object as a new file, quarantined until its validation has ended: object, file, version 1, usage,
 * the outbox event file.created and the audit event file.create. It stands or falls with the transaction; the caller
 * wakes 'outbox' after its commit. The usage row is changed last and stays locked until then.
 */
export async function sealFile(tx: Tx, file: SealFile): Promise<SealedFile> {
  const [sealed] = await sealFiles(tx, [file])
  invariant(sealed !== undefined, 'a file that does not throw is sealed')
  return sealed
}

/** The same for many of one tenant, answered in their order. */
export async function sealFiles(tx: Tx, files: readonly SealFile[]): Promise<SealedFile[]> {
  const [first] = files
  if (first === undefined) return []
  const ids = await reserveFileIds(tx, files.length)
  // As many ids are reserved as were asked for.
  const entering = files.map((file, index) => ({ ...file, fileId: ids[index]! }))
  await enterFiles(tx, entering)
  const bytes = files.reduce((sum, { object }) => sum + object.sizeBytes, 0)
  await addUsage(tx, { tenantId: first.tenantId, bytes, files: files.length })
  return ids.map((fileId) => ({ fileId, version: 1 }))
}

/**
 * The same for many under ids that were reserved, by a caller who counts the usage himself in the same transaction
 * (Quota.enter) and may have more to audit. It goes with the next statement or the commit.
 */
export async function enterFiles(
  tx: Tx,
  files: readonly (SealFile & { fileId: RowId<'file'> })[],
  alsoAudited: readonly AuditEvent[] = [],
): Promise<void> {
  insertFiles(
    tx,
    files.map((file) => ({ ...file, id: file.fileId, event: eventOf({ ...file, version: 1 }) })),
  )
  const entered = files.map((file) => toAudit({ ...file, version: 1, action: 'file.create' }))
  await writeAudits(tx, [...entered, ...alsoAudited])
}

export interface SealFileVersion extends Omit<SealFile, 'name' | 'parentFileId' | 'made' | 'depth' | 'metadata'> {
  fileId: RowId<'file'>
  /** Left out: the file keeps what it has. */
  name?: string
  metadata?: Record<string, unknown>
}

/**
 * Enters a stored object as the next version of a file, which is quarantined again. Throws Problem('not_found') for a
 * file that is not there or lies in the trash. Versions of one file take turns on its row.
 */
export async function sealFileVersion(
  tx: Tx,
  file: SealFileVersion,
): Promise<SealedFile & Pick<SealFile, 'name' | 'metadata'>> {
  const { fileId, tenantId } = file
  const current = await lockFile(tx, tenantId, fileId)
  if (current === undefined || current.deleted_at !== null) throw new Problem('not_found')
  const number = current.version + 1
  await insertObjects(tx, [file.object])
  await insertFileVersion(tx, { ...file, number })
  await advanceFile(tx, { ...file, version: number })
  await insertFileOutbox(tx, { tenantId, fileId, type: 'file.created', data: eventOf({ ...file, version: number }) })
  await writeAudit(tx, toAudit({ ...file, version: number, action: 'file.add_version' }))
  await addUsage(tx, { tenantId, bytes: file.object.sizeBytes, files: 0 })
  return { fileId, version: number, name: file.name ?? current.name, metadata: file.metadata ?? current.metadata }
}

interface Entered {
  version: number
  contentType: string
  object: SealedObject
  parentFileId?: RowId<'file'>
}

const eventOf = ({ version, object, contentType, parentFileId }: Entered): Record<string, unknown> => ({
  version,
  state: 'quarantined',
  size_bytes: object.sizeBytes,
  content_type: contentType,
  ...(parentFileId !== undefined && { parent_file_id: encodeId('file', parentFileId) }),
})

interface Audited {
  tenantId: number
  fileId: RowId<'file'>
  version: number
  action: 'file.create' | 'file.add_version'
  object: SealedObject
  createdBy: Principal['actor']
  requestId?: string
}

const toAudit = ({ tenantId, fileId, version, action, object, createdBy, requestId }: Audited): AuditEvent => ({
  tenantId,
  actor: createdBy,
  action,
  target: encodeId('file', fileId),
  detail: { version, size_bytes: object.sizeBytes, sha256: object.sha256 },
  ...(requestId !== undefined && { requestId }),
})
