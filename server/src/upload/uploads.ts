// upload/ is the ways in. Whatever the way, an upload ends in the same seal: bytes are hashed, encrypted and stored in
// one pass, then a single transaction writes the file, its job, the events and the quota's settlement.
// It must not know what pipelines do with a file, nor how a way in is mounted on HTTP (gateway/).
// Invariants: nothing is answered as received before that transaction has committed; after any failure neither a stored
// object nor a reservation stays behind; no tenant takes a byte more than its quota.
//
//   form ──▶ first bytes: type ──▶ reserve ──▶ vault.write ──▶ seal + submit ──▶ 202
//                                     └── any failure: release ◀──┴── remove the object
//
// A small file where much room is left is not reserved for: unreserved-bytes.ts.

import { lanes, type UploadResult } from '@millrace/contract'
import { enterFile, sealFile, sealFileVersion } from '../files/seal.ts'
import { writeAudit } from '../platform/audit.ts'
import type { Clock } from '../platform/clock.ts'
import { isUniqueViolation, type Database, type Tx } from '../platform/database.ts'
import { claimLifetimeMs, hashRequest, type Idempotency, type IdempotencyClaim } from '../platform/idempotency.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem } from '../platform/problem.ts'
import type { WakeBus } from '../platform/wake.ts'
import type { JobSubmission } from '../processing/submission.ts'
import { insertObjects } from '../storage/object.sql.ts'
import type { SealedObject, Vault } from '../storage/vault.ts'
import type { TenantLimits } from '../tenants/limits.ts'
import type { Quota, Reservation } from '../tenants/quota.ts'
import type { FormFile, UploadFields } from './form.ts'
import { meterContent, peekContent } from './received-content.ts'
import { sniffBytes, sniffContentType } from '../pipeline/formats/sniff.ts'

export interface UploadDependencies {
  database: Database
  vault: Vault
  quota: Quota
  submission: JobSubmission
  idempotency: Idempotency
  wake: WakeBus
  clock: Clock
}

/** Who uploads, and what is known before the first byte of the file. */
export interface UploadOrder {
  principal: Principal
  requestId: string
  limits: TenantLimits
  /** The file that gets a new version; left out: a new file. */
  fileId?: RowId<'file'>
  /** At most so many bytes can come, when that is known. */
  sizeBytesMax?: number
  /** At least so many bytes must come, when that is known. */
  sizeBytesMin?: number
  /** A new file for which nothing is reserved; sizeBytesMax is known then. */
  unreserved?: boolean
  claim?: IdempotencyClaim
  signal: AbortSignal
  log: Log
}

/** Bytes that are stored and not yet a file. */
export interface ReceivedFile {
  name: string
  contentType: string
  object: SealedObject
  /** Undefined where nothing was reserved. */
  reservation: Reservation | undefined
}

export interface Uploads {
  /**
   * Stores the bytes of a file. Throws Problem file_empty, file_too_large, quota_exceeded, checksum_mismatch,
   * upload_incomplete, pipeline_unknown, pipeline_not_accepted, storage_full, storage_unavailable; nothing is kept then.
   */
  receive(order: UploadOrder, file: FormFile): Promise<ReceivedFile>
  /** Makes a file and a job of it. When it throws, nothing is kept, the bytes neither. */
  seal(order: UploadOrder, file: ReceivedFile, fields: UploadFields): Promise<UploadResult>
  /**
   * The same inside the caller's transaction, for bytes that the caller keeps when it fails. He wakes 'backlog' and
   * 'outbox' after the commit.
   */
  sealWithin(tx: Tx, order: UploadOrder, file: ReceivedFile, fields: UploadFields): Promise<UploadResult>
  /** Lets go of bytes that will not be sealed. Never throws. */
  discard(order: UploadOrder, file: ReceivedFile): Promise<void>
}

/** What is reserved at first when nobody has said how much will come; each further step takes twice as much. */
const reserveStepBytes = 1024 * 1024
const reserveStepBytesMax = 64 * 1024 * 1024
const keepAliveMs = claimLifetimeMs / 5

export function createUploads(deps: UploadDependencies): Uploads {
  const discard = createDiscard(deps)
  return {
    discard,
    sealWithin(tx, order, file, fields) {
      checkSha256(file, fields)
      return sealUpload(deps, tx, order, file, fields)
    },
    async receive(order, file) {
      const { head, whole } = await peekContent(file.content, sniffBytes)
      if (head.length === 0) throw new Problem('file_empty')
      const contentType = sniffContentType(head, file.name)
      const meter: Metered = {
        reservation:
          order.unreserved === true ? undefined : await reserve(deps, order, file.fieldsBefore.pipeline, contentType),
      }
      try {
        const object = await deps.vault.write({
          tenantId: order.principal.tenantId,
          content: meteredContent(deps, order, whole, meter),
          folder: 'files',
          sizeBytesMax: order.limits.fileSizeBytesMax,
          ...(file.fieldsBefore.sha256 !== undefined && { sha256: file.fieldsBefore.sha256 }),
          signal: order.signal,
        })
        return { name: file.name, contentType, object, reservation: meter.reservation }
      } catch (error) {
        await releaseQuietly(deps, order, meter.reservation)
        throw order.signal.aborted ? new Problem('upload_incomplete', { cause: error }) : error
      }
    },
    async seal(order, file, fields) {
      try {
        checkSha256(file, fields)
        if (order.signal.aborted) throw new Problem('upload_incomplete')
        const { tenantId } = order.principal
        const result = await deps.database.withTenant(tenantId, (tx) => sealUpload(deps, tx, order, file, fields))
        deps.wake.wake('backlog')
        deps.wake.wake('outbox')
        return result
      } catch (error) {
        if (await mayHaveCommitted(deps, order, file.object, error)) throw error
        await discard(order, file)
        throw error
      }
    },
  }
}

/** The pipeline is checked before any byte is taken when the form has named it by then. */
function reserve(
  { database, submission, quota }: UploadDependencies,
  order: UploadOrder,
  pipeline: string | undefined,
  contentType: string,
): Promise<Reservation> {
  const { tenantId } = order.principal
  const atMost = Math.min(order.sizeBytesMax ?? reserveStepBytes, order.limits.fileSizeBytesMax)
  const bytesMin = Math.min(Math.max(1, order.sizeBytesMin ?? 1), atMost)
  return database.withTenant(tenantId, async (tx) => {
    if (pipeline !== undefined) await submission.choosePipeline(tx, { tenantId, pipeline, contentType })
    const files = order.fileId === undefined ? 1 : 0
    return quota.reserve(tx, tenantId, order.limits, { bytes: atMost, bytesMin, files, actor: order.principal.actor })
  })
}

interface Metered {
  reservation: Reservation | undefined
}

/** The content, with the reservation growing before it is needed and renewed as long as bytes come. */
function meteredContent(
  { clock, quota, idempotency }: UploadDependencies,
  { limits, claim }: UploadOrder,
  content: AsyncIterable<Buffer>,
  meter: Metered,
): AsyncIterable<Buffer> {
  const grow = async (reservation: Reservation, sizeBytes: number): Promise<void> => {
    const missingBytes = sizeBytes - reservation.bytes
    const bytes = Math.max(missingBytes, Math.min(reservation.bytes, reserveStepBytesMax))
    meter.reservation = await quota.grow(reservation, limits, { bytes, bytesMin: missingBytes })
  }
  return meterContent(content, {
    clock,
    // Content beyond the limit of a file is the vault's to refuse; no room is looked for it.
    onBytes: (sizeBytes) => {
      const { reservation } = meter
      return reservation !== undefined && sizeBytes > reservation.bytes && sizeBytes <= limits.fileSizeBytesMax
        ? grow(reservation, sizeBytes)
        : undefined
    },
    keepAlive: {
      everyMs: keepAliveMs,
      call: async () => {
        if (meter.reservation !== undefined) await quota.renew(meter.reservation)
        if (claim !== undefined) await idempotency.renew(claim)
      },
    },
  })
}

function checkSha256({ object }: ReceivedFile, { sha256 }: UploadFields): void {
  if (sha256 !== undefined && sha256 !== object.sha256)
    throw new Problem('checksum_mismatch', { detail: `The SHA-256 of the received bytes is ${object.sha256}` })
}

/** What makes two uploads the same request. */
export const hashUpload = (
  order: Pick<UploadOrder, 'fileId'>,
  file: { name: string; sha256: string },
  fields: UploadFields,
): string => hashRequest(['upload', order.fileId ?? null, file.name, file.sha256, fields])

async function sealUpload(
  { submission, quota, idempotency }: UploadDependencies,
  tx: Tx,
  order: UploadOrder,
  received: ReceivedFile,
  fields: UploadFields,
): Promise<UploadResult> {
  const { principal, requestId, claim } = order
  const { contentType, object } = received
  const { tenantId, actor } = principal
  const { reservation } = received
  const sealed = await sealReceived(tx, order, received, fields)
  const { sizeBytes, sha256, objectId } = object
  const entry = { bytes: sizeBytes, files: 1 }
  // Both statements are on their way at once.
  const entered = reservation === undefined ? quota.enter(tx, tenantId, order.limits, entry) : undefined
  const submitted = submission.submitJob(tx, {
    tenantId,
    fileId: sealed.fileId,
    fileVersion: sealed.version,
    fileName: sealed.name,
    contentType,
    sizeBytes,
    sha256,
    objectId,
    ...(fields.pipeline !== undefined && { pipeline: fields.pipeline }),
    lane: fields.lane ?? lanes[1],
    actor,
  })
  const [job] = await Promise.all([submitted, entered])
  await writeAudit(tx, { tenantId, actor, action: 'job.create', target: job.jobId, requestId })
  if (reservation !== undefined) await quota.settle(tx, reservation, order.limits)
  const result: UploadResult = {
    job_id: job.jobId,
    status: 'queued',
    estimated_completion: job.estimatedCompletion.toISOString(),
    file_id: encodeId('file', sealed.fileId),
    name: sealed.name,
    size_bytes: sizeBytes,
    sha256,
    content_type: contentType,
    pipeline: job.pipeline,
  }
  if (claim !== undefined) {
    const requestHash = hashUpload(order, { name: received.name, sha256 }, fields)
    await idempotency.finish(tx, claim, { requestHash, response: result })
  }
  return result
}

async function sealReceived(
  tx: Tx,
  { principal, requestId, fileId }: UploadOrder,
  { name, contentType, object, reservation }: ReceivedFile,
  { metadata }: UploadFields,
): Promise<{ fileId: RowId<'file'>; version: number; name: string }> {
  const seal = { tenantId: principal.tenantId, contentType, object, createdBy: principal.actor, requestId }
  const newFile = { ...seal, name, metadata: metadata ?? {} }
  if (reservation === undefined) return { name, ...(await enterFile(tx, newFile)) }
  if (fileId === undefined) return { name, ...(await sealFile(tx, newFile)) }
  // A version keeps the name of its file.
  return sealFileVersion(tx, { ...seal, fileId, ...(metadata !== undefined && { metadata }) })
}

/**
 * A commit that was cut may have happened. Entering the object again tells: whoever enters it waits for the transaction
 * that may still be under way, and finds the row if it has committed. When the database cannot say, the bytes stay,
 * because an object too many can be swept and one too few cannot be mended.
 */
async function mayHaveCommitted(
  { database }: UploadDependencies,
  { principal, log }: UploadOrder,
  object: SealedObject,
  error: unknown,
): Promise<boolean> {
  if (!(error instanceof Problem) || error.code !== 'database_unavailable') return false
  const notThere = new Error('not there')
  try {
    await database.withTenant(principal.tenantId, async (tx) => {
      await insertObjects(tx, [object])
      throw notThere
    })
  } catch (found) {
    if (found === notThere) return false
    if (!isUniqueViolation(found)) log.warn('upload.object_left', { storeKey: object.storeKey, error: String(found) })
  }
  return true
}

function createDiscard(deps: UploadDependencies): Uploads['discard'] {
  return async (order, { object, reservation }) => {
    try {
      await deps.vault.remove(object)
    } catch (error) {
      order.log.warn('upload.object_left', { storeKey: object.storeKey, error: String(error) })
    }
    await releaseQuietly(deps, order, reservation)
  }
}

/** What cannot be given back now ends with its time. */
async function releaseQuietly(
  { quota }: UploadDependencies,
  { log }: UploadOrder,
  reservation: Reservation | undefined,
): Promise<void> {
  if (reservation === undefined) return
  try {
    await quota.release(reservation)
  } catch (error) {
    log.warn('upload.reservation_left', { error: String(error) })
  }
}
