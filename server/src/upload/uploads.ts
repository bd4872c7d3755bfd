// upload/ is the ways in. Whatever the way, an upload ends in the same seal: bytes are hashed, encrypted and stored in
// one pass, then a single transaction writes the file, its job, the events and the quota's settlement.
// It must not know what pipelines do with a file, nor how a way in is mounted on HTTP (gateway/).
// Invariants: nothing is answered as received before that transaction has committed; after any failure neither a stored
// object nor a reservation stays behind; no tenant takes a byte more than its quota.
//
//   form ──▶ first bytes: type ──▶ reserve ──▶ vault.write ──▶ seal + submit ──▶ 202
//                                     └── any failure: release ◀──┴── remove the object
//
// A small file where much room is left is not reserved for (unreserved-bytes.ts), and sealed with others that are ready at
// the same time (seal-together.ts).

import type { UploadResult } from '@millrace/contract'
import type { Clock } from '../platform/clock.ts'
import { isUniqueViolation, type Database, type Tx } from '../platform/database.ts'
import { claimLifetimeMs, type Idempotency } from '../platform/idempotency.ts'
import { Problem } from '../platform/problem.ts'
import type { WakeBus } from '../platform/wake.ts'
import type { JobSubmission } from '../processing/submission.ts'
import { insertObjects } from '../storage/object.sql.ts'
import type { SealedObject, Vault } from '../storage/vault.ts'
import type { Quota, Reservation } from '../tenants/quota.ts'
import type { FormFile, UploadFields } from './form.ts'
import { meterContent, peekContent } from './received-content.ts'
import { createSealTogether } from './seal-together.ts'
import { sealUpload, type ReceivedFile, type UploadOrder, type UploadToSeal } from './seal-upload.ts'
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

export interface Uploads {
  /**
   * Stores the bytes of a file. Throws Problem file_empty, file_too_large, quota_exceeded, checksum_mismatch,
   * upload_incomplete, pipeline_unknown, pipeline_not_accepted, storage_full, storage_unavailable; nothing is kept then.
   */
  receive(order: UploadOrder, file: FormFile): Promise<ReceivedFile>
  /** Makes a file and a job of it. When it throws, nothing is kept, the bytes neither. */
  seal(order: UploadOrder, file: ReceivedFile, fields: UploadFields): Promise<UploadResult>
  /**
   * The same inside the caller's transaction, for bytes that have a reservation and that the caller keeps when it fails.
   * He wakes 'backlog' and 'outbox' after the commit.
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
  const sealTogether = createSealTogether(deps)
  const sealReceived = (upload: UploadToSeal): Promise<UploadResult> =>
    upload.file.reservation === undefined
      ? sealTogether.seal(upload)
      : deps.database.withTenant(upload.order.principal.tenantId, (tx) => sealUpload(deps, tx, upload))
  return {
    discard,
    sealWithin(tx, order, file, fields) {
      checkSha256(file, fields)
      return sealUpload(deps, tx, { order, file, fields })
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
        const write = () =>
          deps.vault.write({
            tenantId: order.principal.tenantId,
            // What is not reserved for is here already.
            content: order.unreserved === true ? whole : meteredContent(deps, order, whole, meter),
            folder: 'files',
            sizeBytesMax: order.limits.fileSizeBytesMax,
            ...(file.fieldsBefore.sha256 !== undefined && { sha256: file.fieldsBefore.sha256 }),
            signal: order.signal,
          })
        const object = await (order.unreserved === true
          ? sealTogether.storing(order.principal.tenantId, write)
          : write())
        const { name, declaredType } = file
        const received = { name, contentType, object, reservation: meter.reservation }
        return declaredType === undefined ? received : { ...received, declaredType }
      } catch (error) {
        await releaseQuietly(deps, order, meter.reservation)
        throw order.signal.aborted ? new Problem('upload_incomplete', { cause: error }) : error
      }
    },
    async seal(order, file, fields) {
      try {
        checkSha256(file, fields)
        if (order.signal.aborted) throw new Problem('upload_incomplete')
        const result = await sealReceived({ order, file, fields })
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
