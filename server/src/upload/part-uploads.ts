// Uploads in parts that come at once and in any order, each to a signed URL of its own. A part may be sent again, and
// the last one that was acknowledged counts. Parts have exactly the length that their number calls for, so that the whole
// can neither have gaps nor be longer than what was reserved.

import type { UploadPartResource, UploadResult } from '@millrace/contract'
import { encodeId } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import { Problem } from '../platform/problem.ts'
import type { StoredPart } from '../storage/vault.ts'
import type { PartUrls } from './part-url.ts'
import { endedProblem } from './session-seal.ts'
import { partsCountMax, sessionIdleMsMax, sessionReservationMs } from './session-writer.ts'
import { partsCountOf } from './upload-resource.ts'
import {
  addReceivedBytes,
  draftOf,
  findSession,
  insertUploadOutbox,
  keyOf,
  listParts,
  lockSession,
  replacePart,
  type SessionPart,
  type SessionRow,
} from './upload-session.sql.ts'
import type { NewUpload, UploadSessionDependencies, UploadSessions } from './upload-sessions.ts'

export interface PartUploadDependencies extends UploadSessionDependencies {
  sessions: UploadSessions
  partUrls: PartUrls
}

export interface PutPart {
  /** As verified from its URL. */
  part: { tenantId: number; uploadId: SessionRow['id']; number: number }
  content: AsyncIterable<Uint8Array>
  contentBytes: number | undefined
  /** SHA-256 that the content must have. */
  sha256?: Buffer
  signal: AbortSignal
  log: Log
}

export interface PartUploads {
  /** Throws what UploadSessions.begin throws, and invalid_request for more parts than there may be. */
  begin(upload: Omit<NewUpload, 'kind'> & { sizeBytes: number }): Promise<SessionRow>
  /** Parts after the given number, with fresh URLs below /api/v1. */
  list(
    session: SessionRow,
    page: { after: number; limit: number; state: UploadPartResource['state'] | undefined },
  ): Promise<UploadPartResource[]>
  /** Throws not_found, upload_ended, upload_part_invalid, checksum_mismatch, upload_incomplete, storage_full, storage_unavailable. */
  put(put: PutPart): Promise<UploadPartResource>
  /** Throws upload_parts_missing, upload_ended, conflict, and what SessionSeal.seal throws. */
  complete(tenantId: number, uploadId: string): Promise<UploadResult>
}

const partSizeBytesDefault = 16 * 1024 * 1024
/** Missing parts that a refusal names. */
const namedPartsMax = 10

export function createPartUploads(deps: PartUploadDependencies): PartUploads {
  const { database, sessions, seal } = deps
  return {
    begin(upload) {
      const least = Math.ceil(upload.sizeBytes / partsCountMax)
      const partSizeBytes = upload.partSizeBytes ?? Math.max(partSizeBytesDefault, roundUp(least))
      if (partSizeBytes < least)
        throw new Problem('invalid_request', {
          detail: `At most ${partsCountMax} parts are allowed: part_size_bytes must be ${least} or more.`,
        })
      return sessions.begin({ ...upload, kind: 'parts', partSizeBytes })
    },

    async list(session, { after, limit, state }) {
      if (session.kind !== 'parts') throw new Problem('conflict', { detail: 'It is no upload in parts.' })
      const key = keyOf(session)
      const stored = await database.withTenant(key.tenantId, (tx) => listParts(tx, key))
      const byNumber = new Map(stored.map((part) => [part.number, part]))
      const items: UploadPartResource[] = []
      const count = partsCountOf(session) ?? 0
      for (let number = after + 1; number <= count && items.length < limit; number++) {
        const part = byNumber.get(number)
        if (state === undefined || state === (part ? 'stored' : 'missing'))
          items.push(toPartResource(deps, session, number, part))
      }
      return items
    },

    put: (put) => putPart(deps, put),

    async complete(tenantId, uploadId) {
      const session = await sessions.get(tenantId, uploadId)
      if (session.kind !== 'parts') throw new Problem('conflict', { detail: 'It is no upload in parts.' })
      if (session.result !== null) return session.result
      if (session.ended_at !== null) throw endedProblem(session)
      if (session.state === 'receiving') await checkWhole(deps, session)
      return seal.seal(tenantId, session.id)
    },
  }
}

const roundUp = (bytes: number): number => Math.ceil(bytes / 65_536) * 65_536

/** What a part has to have; throws not_found for a number that the upload has no part for. */
function sizeOfPart(session: SessionRow, number: number): number {
  const { size_bytes: sizeBytes, part_size_bytes: partSizeBytes } = session
  const count = partsCountOf(session)
  if (sizeBytes === null || partSizeBytes === null || count === null || number < 1 || number > count)
    throw new Problem('not_found', { detail: `The upload has no part ${number}.` })
  return Math.min(partSizeBytes, sizeBytes - (number - 1) * partSizeBytes)
}

const toPartResource = (
  { partUrls }: PartUploadDependencies,
  session: SessionRow,
  number: number,
  stored: SessionPart | undefined,
): UploadPartResource => {
  const { url, expiresAt } = partUrls.sign({ tenantId: session.tenant_id, uploadId: session.id, number })
  return {
    number,
    offset_bytes: (number - 1) * (session.part_size_bytes ?? 0),
    size_bytes: sizeOfPart(session, number),
    state: stored ? 'stored' : 'missing',
    sha256: stored?.sha256 ?? null,
    url,
    url_expires_at: expiresAt.toISOString(),
  }
}

async function putPart(deps: PartUploadDependencies, put: PutPart): Promise<UploadPartResource> {
  const { database, vault } = deps
  const { tenantId, uploadId: id, number } = put.part
  const session = await database.withTenant(tenantId, (tx) => findSession(tx, tenantId, id))
  checkOpen(session)
  const sizeBytes = sizeOfPart(session, number)
  const invalid = new Problem('upload_part_invalid', { detail: `Part ${number} must have ${sizeBytes} bytes.` })
  if (put.contentBytes !== undefined && put.contentBytes !== sizeBytes) throw invalid
  const draft = draftOf(session)
  const { content, signal } = put
  const part = await vault.writePart(draft, { number, content, sizeBytesMax: sizeBytes, signal }).catch((error) => {
    if (error instanceof Problem && error.code === 'file_too_large') throw invalid
    throw signal.aborted ? new Problem('upload_incomplete', { cause: error }) : error
  })
  const others: SessionPart[] = []
  try {
    if (part.sizeBytes !== sizeBytes) throw invalid
    if (put.sha256 !== undefined && !put.sha256.equals(Buffer.from(part.sha256, 'hex')))
      throw new Problem('checksum_mismatch', { detail: `The SHA-256 of the received bytes is ${part.sha256}` })
    const replaced = await count(deps, session, part)
    if (replaced !== undefined) others.push(replaced)
  } catch (error) {
    // A commit that was cut may have happened; then the part belongs to the session.
    if (!(error instanceof Problem && error.code === 'database_unavailable')) others.push(part)
    throw error
  } finally {
    for (const other of others) {
      await vault.removePart(draft, other).catch((error: unknown) => {
        put.log.warn('upload.part_left', { uploadId: encodeId('upload', id), error: String(error) })
      })
    }
  }
  return toPartResource(deps, session, number, part)
}

function checkOpen(session: SessionRow | undefined): asserts session is SessionRow {
  if (session === undefined || session.kind !== 'parts') throw new Problem('not_found')
  if (session.ended_at !== null) throw session.state === 'sealed' ? new Problem('upload_ended') : endedProblem(session)
  if (session.state !== 'receiving') throw new Problem('upload_ended', { detail: 'It is being sealed.' })
}

/** Counts the part in the place of an earlier attempt, which is the answer. */
async function count(
  { database, quota, wake }: PartUploadDependencies,
  session: SessionRow,
  part: StoredPart,
): Promise<SessionPart | undefined> {
  const key = keyOf(session)
  const { tenantId } = key
  const { replaced, told } = await database.withTenant(tenantId, async (tx) => {
    const held = await lockSession(tx, tenantId, key.id)
    checkOpen(held)
    const replaced = await replacePart(tx, key, part)
    const bytes = part.sizeBytes - (replaced?.sizeBytes ?? 0)
    const progress = await addReceivedBytes(tx, { ...key, bytes, lifetimeMs: sessionIdleMsMax })
    if (held.reservation_id !== null)
      await quota.extend(tx, { tenantId, id: held.reservation_id }, sessionReservationMs)
    if (progress !== undefined) {
      const { received_bytes, size_bytes, bytes_per_second } = progress
      const data = { upload_id: encodeId('upload', key.id), received_bytes, size_bytes, bytes_per_second }
      await insertUploadOutbox(tx, { tenantId, type: 'upload.progress', data })
    }
    return { replaced, told: progress !== undefined }
  })
  if (told) wake.wake('outbox')
  return replaced
}

async function checkWhole({ database }: PartUploadDependencies, session: SessionRow): Promise<void> {
  const key = keyOf(session)
  const stored = await database.withTenant(key.tenantId, (tx) => listParts(tx, key))
  const count = partsCountOf(session) ?? 0
  if (stored.length === count) return
  const numbers = new Set(stored.map((part) => part.number))
  const missing: number[] = []
  for (let number = 1; number <= count && missing.length < namedPartsMax; number++)
    if (!numbers.has(number)) missing.push(number)
  const rest = count - stored.length - missing.length
  throw new Problem('upload_parts_missing', {
    detail: `${stored.length} of ${count} parts are here; missing: ${missing.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}.`,
  })
}

const sha256Bytes = 32

/**
 * Content-Digest with SHA-256 (RFC 9530); undefined where there is none, whatever other digests there are. Throws
 * Problem('invalid_request') for a broken one: who sends it believes that it is compared.
 */
export function readContentDigest(field: string | string[] | undefined): Buffer | undefined {
  const given = /(?:^|,)\s*sha-256\s*(?:=([^,]*))?(?:,|$)/i.exec(String(field ?? ''))
  if (given === null) return undefined
  const base64 = /^:([A-Za-z0-9+/]{43}=):\s*$/.exec(given[1] ?? '')?.[1]
  const digest = Buffer.from(base64 ?? '', 'base64')
  if (digest.length !== sha256Bytes)
    throw new Problem('invalid_request', { detail: 'The sha-256 of Content-Digest must be 32 bytes as :base64:.' })
  return digest
}
