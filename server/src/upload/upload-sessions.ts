// Upload sessions: files that arrive in more than one request, whatever the protocol. A session is begun with its room
// reserved, takes bytes at its end (append) or part by part (part-uploads.ts), and ends sealed, failed, aborted or
// expired; then neither bytes nor a reservation of it are left but those of the file.
//
//   begin ──▶ receiving ──▶ sealing ──▶ sealed          (session-seal.ts)
//                │   └──▶ failed
//                ├──▶ aborted: the owner wanted it
//                └──▶ expired: nobody sent anything for a day (upload-sweeper.ts)

import type { UploadKind, UploadState } from '@millrace/contract'
import { checkFileName } from '../files/file-name.ts'
import { findFile } from '../files/file.sql.ts'
import { checkMetadata } from '../files/metadata.ts'
import { writeAudit } from '../platform/audit.ts'
import type { Tx } from '../platform/database.ts'
import { decodeId, encodeId, type RowId } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem } from '../platform/problem.ts'
import type { JobSubmission } from '../processing/submission.ts'
import { readTenantLimits, type TenantLimits } from '../tenants/limits.ts'
import type { UploadFields } from './form.ts'
import { endedProblem, type SessionSeal, type SessionSealDependencies } from './session-seal.ts'
import { sessionIdleMsMax, sessionReservationMs, type SessionWriter } from './session-writer.ts'
import {
  advanceSession,
  findLastPartNumber,
  findSession,
  insertSession,
  keyOf,
  listSessions,
  lockSession,
  markConcatenated,
  takeSession,
  turnToSeal,
  type SessionKey,
  type SessionRow,
} from './upload-session.sql.ts'

export interface UploadSessionDependencies extends SessionSealDependencies {
  submission: JobSubmission
  writer: SessionWriter
  seal: SessionSeal
}

export interface NewUpload {
  principal: Principal
  requestId: string
  kind: UploadKind
  name: string
  fields: UploadFields
  /** The file that gets a new version, as its wire id; left out: a new file. */
  fileId?: string
  /** Null: it will be told later. */
  sizeBytes: number | null
  partSizeBytes?: number
  tusMetadata?: string
  concat?: 'partial'
  source?: unknown
  /** Runs in the same transaction. */
  also?: (tx: Tx, session: SessionRow) => Promise<void>
}

export interface Append {
  offsetBytes: number
  /** Told only now, of an upload whose length was not known. */
  sizeBytes?: number
  content: AsyncIterable<Uint8Array>
  contentBytes?: number
  checksum?: { algorithm: string; digest: Buffer }
  log: Log
}

export interface UploadSessions {
  /** Throws file_empty, file_too_large, file_name_invalid, invalid_request, pipeline_unknown, quota_exceeded, uploads_limit_reached, not_found. */
  begin(upload: NewUpload): Promise<SessionRow>
  /** A final upload: the partial ones, in order, become one file. */
  concatenate(
    upload: Omit<NewUpload, 'sizeBytes' | 'kind' | 'concat'>,
    partials: readonly string[],
  ): Promise<SessionRow>
  /** Throws Problem('not_found'). */
  get(tenantId: number, uploadId: string): Promise<SessionRow>
  list(list: {
    tenantId: number
    before: number | undefined
    state: UploadState | undefined
    kind: UploadKind | undefined
    limit: number
  }): Promise<SessionRow[]>
  /**
   * Takes the session from whoever writes to it and stores the content at its end; the last bytes seal it. Throws what
   * SessionWriter.write and SessionSeal.seal throw, upload_offset_mismatch and upload_ended.
   */
  append(tenantId: number, uploadId: string, append: Append): Promise<SessionRow>
  /** Asks a writer of this process to stop where it is, so that the offset is what has arrived. */
  settle(tenantId: number, uploadId: string): Promise<SessionRow>
  /** Throws not_found, upload_ended, conflict (it is being sealed). */
  abort(principal: Principal, uploadId: string, requestId: string): Promise<void>
}

/** A writer that does not stop by then is overtaken instead. */
const stopTimeoutMs = 3_000

export function createUploadSessions(deps: UploadSessionDependencies): UploadSessions {
  const { database, writer, seal } = deps
  const writers = createWriters(deps)

  const find = async (tenantId: number, uploadId: string): Promise<SessionRow> => {
    const id = decodeId('upload', uploadId)
    const found = id && (await database.withTenant(tenantId, (tx) => findSession(tx, tenantId, id)))
    if (!found) throw new Problem('not_found')
    return found
  }

  return {
    get: find,
    list: (list) => database.withTenant(list.tenantId, (tx) => listSessions(tx, list)),
    begin: (upload) => begin(deps, upload),

    async concatenate(upload, partials) {
      const session = await beginFinal(deps, upload, partials)
      await seal.seal(session.tenant_id, session.id)
      return find(session.tenant_id, encodeId('upload', session.id))
    },

    async settle(tenantId, uploadId) {
      const session = await find(tenantId, uploadId)
      return (await writers.stop(session.id)) ? find(tenantId, uploadId) : session
    },

    async append(tenantId, uploadId, append) {
      const { id } = await find(tenantId, uploadId)
      await writers.stop(id)
      const key = { tenantId, id }
      const taken = await database.withTenant(tenantId, (tx) => take(tx, key, append))
      try {
        await writers.run(id, (stop) => writer.write({ ...taken, ...append, stop }))
      } catch (error) {
        // All may have arrived before the connection broke.
        if (await isSealing(deps, key)) seal.seal(tenantId, id).catch(() => {})
        throw error
      }
      const session = await find(tenantId, uploadId)
      if (session.state !== 'sealing') return session
      writer.forget(id)
      await seal.seal(tenantId, id)
      return find(tenantId, uploadId)
    },

    async abort(principal, uploadId, requestId) {
      const session = await find(principal.tenantId, uploadId)
      if (session.ended_at !== null) throw endedProblem(session)
      if (!(await seal.end(keyOf(session), { state: 'aborted' }))) {
        const now = await find(principal.tenantId, uploadId)
        throw now.ended_at === null ? new Problem('conflict', { detail: 'It is being sealed.' }) : endedProblem(now)
      }
      writer.forget(session.id)
      await writers.stop(session.id)
      const { tenantId, actor } = principal
      const event = { tenantId, actor, action: 'upload.abort', target: uploadId, requestId }
      await database.withTenant(tenantId, (tx) => writeAudit(tx, event))
    },
  }
}

async function begin(deps: UploadSessionDependencies, upload: NewUpload): Promise<SessionRow> {
  const { database, vault } = deps
  const { tenantId } = upload.principal
  const checked = await database.withTenant(tenantId, (tx) => check(deps, tx, upload))
  const draft = await vault.createDraft({ tenantId, folder: 'files' })
  return database.withTenant(tenantId, async (tx) => {
    const files = upload.concat === 'partial' || checked.fileId !== null ? 0 : 1
    return insert(deps, tx, upload, { ...checked, draft, files, reservedBytes: upload.sizeBytes ?? 0 })
  })
}

interface CheckedUpload {
  limits: TenantLimits
  fileId: RowId<'file'> | null
}

/** Whatever can be known to be wrong before the first byte. */
async function check(
  { submission }: UploadSessionDependencies,
  tx: Tx,
  upload: Omit<NewUpload, 'kind'>,
): Promise<CheckedUpload> {
  const { tenantId } = upload.principal
  const limits = await readTenantLimits(tx, tenantId)
  checkFileName(upload.name)
  if (upload.fields.metadata !== undefined) checkMetadata(upload.fields.metadata, limits.metadataBytesMax)
  if (upload.sizeBytes === 0 && upload.concat !== 'partial') throw new Problem('file_empty')
  checkSize(upload.sizeBytes ?? 0, limits)
  const { pipeline } = upload.fields
  if (pipeline !== undefined) {
    if (pipeline.includes('\0')) throw new Problem('pipeline_unknown')
    // The type is known only when the bytes are; that the pipeline takes it is checked by the seal.
    await submission
      .choosePipeline(tx, { tenantId, pipeline, contentType: 'application/octet-stream' })
      .catch((error: unknown) => {
        if (!(error instanceof Problem) || error.code !== 'pipeline_not_accepted') throw error
      })
  }
  if (upload.fileId === undefined) return { limits, fileId: null }
  const fileId = decodeId('file', upload.fileId)
  const file = fileId && (await findFile(tx, tenantId, fileId))
  if (!fileId || file?.deleted_at !== null) throw new Problem('not_found', { detail: 'There is no such file.' })
  return { limits, fileId }
}

function checkSize(sizeBytes: number, { fileSizeBytesMax }: TenantLimits): void {
  if (sizeBytes > fileSizeBytesMax)
    throw new Problem('file_too_large', { detail: `At most ${fileSizeBytesMax} bytes are allowed` })
}

interface Insertion extends CheckedUpload {
  draft: Awaited<ReturnType<UploadSessionDependencies['vault']['createDraft']>>
  /** New files that it will make. */
  files: number
  reservedBytes: number
  concatSources?: readonly RowId<'upload'>[]
}

async function insert(
  { quota }: UploadSessionDependencies,
  tx: Tx,
  upload: Omit<NewUpload, 'concat'> & { concat?: 'partial' | 'final' },
  insertion: Insertion,
): Promise<SessionRow> {
  const { principal, requestId } = upload
  const { tenantId, actor } = principal
  const { limits, reservedBytes: bytes, files } = insertion
  const room = { bytes, bytesMin: bytes, files, actor, lifetimeMs: sessionReservationMs }
  const reservation = await quota.reserve(tx, tenantId, limits, room)
  const session = await insertSession(tx, {
    tenantId,
    kind: upload.kind,
    name: upload.name,
    fileId: insertion.fileId,
    fields: upload.fields,
    sizeBytes: upload.sizeBytes,
    partSizeBytes: upload.partSizeBytes ?? null,
    tusMetadata: upload.tusMetadata ?? null,
    concat: upload.concat ?? null,
    concatSources: insertion.concatSources ?? null,
    draft: insertion.draft,
    reservationId: reservation.id,
    source: upload.source,
    requestId,
    createdBy: actor,
    lifetimeMs: sessionIdleMsMax,
    openCountMax: limits.openUploadsCountMax,
  })
  if (session === undefined)
    throw new Problem('uploads_limit_reached', {
      detail: `At most ${limits.openUploadsCountMax} may be under way at once, and so many are.`,
      retryAfterSeconds: 60,
    })
  await writeAudit(tx, { tenantId, actor, action: 'upload.create', target: encodeId('upload', session.id), requestId })
  await upload.also?.(tx, session)
  return session
}

async function beginFinal(
  deps: UploadSessionDependencies,
  upload: Omit<NewUpload, 'sizeBytes' | 'kind' | 'concat'>,
  partials: readonly string[],
): Promise<SessionRow> {
  const { database, vault, quota } = deps
  const { tenantId } = upload.principal
  const ids = partials.map((partial) => decodeId('upload', partial))
  const draft = await vault.createDraft({ tenantId, folder: 'files' })
  return database.withTenant(tenantId, async (tx) => {
    const sources: RowId<'upload'>[] = []
    let sizeBytes = 0
    for (const id of ids) {
      const partial = id && (await lockSession(tx, tenantId, id))
      if (!partial) throw new Problem('not_found', { detail: 'A partial upload does not exist.' })
      checkPartial(partial, sources)
      sources.push(partial.id)
      sizeBytes += partial.received_bytes
      if (partial.reservation_id !== null) await quota.releaseWithin(tx, { tenantId, id: partial.reservation_id })
    }
    const checked = await check(deps, tx, { ...upload, sizeBytes })
    await markConcatenated(tx, tenantId, sources)
    const session = await insert(
      deps,
      tx,
      { ...upload, kind: 'tus', concat: 'final', sizeBytes },
      {
        ...checked,
        draft,
        files: checked.fileId === null ? 1 : 0,
        reservedBytes: sizeBytes,
        concatSources: sources,
      },
    )
    await turnToSeal(tx, keyOf(session))
    return session
  })
}

function checkPartial(partial: SessionRow, before: readonly RowId<'upload'>[]): void {
  const uploadId = encodeId('upload', partial.id)
  if (partial.concat !== 'partial') throw new Problem('conflict', { detail: `${uploadId} is no partial upload.` })
  if (before.includes(partial.id)) throw new Problem('conflict', { detail: `${uploadId} is named twice.` })
  if (partial.state !== 'receiving') throw new Problem('conflict', { detail: `${uploadId} is ${partial.state}.` })
  if (partial.size_bytes !== partial.received_bytes)
    throw new Problem('conflict', { detail: `${uploadId} is not complete.` })
}

/** Takes the session for a write where it stands, and says why it cannot be taken. */
async function take(tx: Tx, key: SessionKey, append: Append) {
  const { tenantId, id } = key
  const found = await lockSession(tx, tenantId, id)
  if (found === undefined) throw new Problem('not_found')
  const limits = await readTenantLimits(tx, tenantId)
  checkAppend(found, append, limits)
  const { offsetBytes, sizeBytes = null } = append
  const session = await takeSession(tx, { ...key, offsetBytes, sizeBytes })
  if (session === undefined) throw new Problem('upload_ended', { detail: 'It has expired.' })
  // Bytes that came before their number was known may have been all of them.
  if (sizeBytes === offsetBytes && append.contentBytes === 0)
    await advanceSession(tx, { ...key, epoch: session.epoch, bytes: 0, lifetimeMs: sessionIdleMsMax })
  const partsCount = await findLastPartNumber(tx, key)
  return { session, limits, partsCount }
}

function checkAppend(session: SessionRow, append: Append, limits: TenantLimits): void {
  const { offsetBytes, sizeBytes, contentBytes = 0 } = append
  if (session.kind !== 'tus') throw new Problem('conflict', { detail: 'It was not begun as an upload of this kind.' })
  if (session.concat === 'final') throw new Problem('forbidden', { detail: 'A final upload takes no bytes.' })
  if (session.ended_at !== null && session.state !== 'sealed') throw endedProblem(session)
  if (session.received_bytes !== offsetBytes)
    throw new Problem('upload_offset_mismatch', {
      detail: `It has ${session.received_bytes} bytes.`,
      headers: { 'upload-offset': String(session.received_bytes) },
    })
  if (session.state !== 'receiving') throw new Problem('upload_ended', { detail: 'All of its bytes are there.' })
  if (sizeBytes !== undefined) {
    if (session.size_bytes !== null && session.size_bytes !== sizeBytes)
      throw new Problem('invalid_request', { detail: `Its length was told before: ${session.size_bytes} bytes.` })
    if (sizeBytes < offsetBytes)
      throw new Problem('invalid_request', { detail: `It has ${offsetBytes} bytes already.` })
    checkSize(sizeBytes, limits)
  }
  const endBytes = session.size_bytes ?? sizeBytes
  if (endBytes !== undefined && offsetBytes + contentBytes > endBytes)
    throw new Problem('upload_too_long', { detail: `The upload was declared to have ${endBytes} bytes.` })
}

async function isSealing({ database }: UploadSessionDependencies, { tenantId, id }: SessionKey): Promise<boolean> {
  try {
    const session = await database.withTenant(tenantId, (tx) => findSession(tx, tenantId, id))
    return session?.state === 'sealing'
  } catch {
    // The sweeper looks for it.
    return false
  }
}

/** Writers of this process, each of which can be asked to stop. Those of other processes are overtaken by the epoch. */
function createWriters({ clock }: UploadSessionDependencies) {
  const running = new Map<RowId<'upload'>, { controller: AbortController; ended: Promise<unknown> }>()
  return {
    async run<T>(id: RowId<'upload'>, write: (stop: AbortSignal) => Promise<T>): Promise<T> {
      const controller = new AbortController()
      const writing = write(controller.signal)
      const entry = { controller, ended: writing.catch(() => {}) }
      running.set(id, entry)
      try {
        return await writing
      } finally {
        if (running.get(id) === entry) running.delete(id)
      }
    },
    /** Whether there was one. */
    async stop(id: RowId<'upload'>): Promise<boolean> {
      const writer = running.get(id)
      if (writer === undefined) return false
      writer.controller.abort()
      const waiting = new AbortController()
      await Promise.race([writer.ended, clock.sleep(stopTimeoutMs, waiting.signal)])
      waiting.abort()
      return true
    },
  }
}
