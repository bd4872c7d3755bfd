// What every way in ends in: the received file and its job, written in one transaction.

import { lanes, type UploadResult } from '@millrace/contract'
import { sealFile, sealFileVersion, type SealFile } from '../files/seal.ts'
import { writeAudit } from '../platform/audit.ts'
import type { Tx } from '../platform/database.ts'
import { hashRequest, type Idempotency, type IdempotencyClaim } from '../platform/idempotency.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import type { Principal } from '../platform/principal.ts'
import { invariant } from '../platform/problem.ts'
import type { JobSubmission, SubmitJob, SubmittedJob } from '../processing/submission.ts'
import type { SealedObject } from '../storage/vault.ts'
import type { TenantLimits } from '../tenants/limits.ts'
import type { Quota, Reservation } from '../tenants/quota.ts'
import type { UploadFields } from './form.ts'

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
  declaredType?: string
  object: SealedObject
  /** Undefined where nothing was reserved. */
  reservation: Reservation | undefined
}

/** What is to be sealed. */
export interface UploadToSeal {
  order: UploadOrder
  file: ReceivedFile
  fields: UploadFields
}

export interface SealDependencies {
  quota: Quota
  submission: JobSubmission
  idempotency: Idempotency
}

/** Of a file for which room is reserved. Throws what submitJob, settle and finish throw, and not_found for a version's file. */
export async function sealUpload(
  { submission, quota, idempotency }: SealDependencies,
  tx: Tx,
  upload: UploadToSeal,
): Promise<UploadResult> {
  const { order, file } = upload
  const { principal, requestId, claim } = order
  const { tenantId, actor } = principal
  invariant(file.reservation !== undefined, 'what is sealed by itself has a reservation')
  const sealed = await sealReceived(tx, upload)
  const job = await submission.submitJob(tx, toJob(upload, sealed))
  await writeAudit(tx, { tenantId, actor, action: 'job.create', target: job.jobId, requestId })
  await quota.settle(tx, file.reservation, order.limits)
  const response = toResult(upload, sealed, job)
  if (claim !== undefined) await idempotency.finish(tx, claim, { requestHash: requestHashOf(upload), response })
  return response
}

interface SealedUpload {
  fileId: RowId<'file'>
  version: number
  name: string
  metadata: Record<string, unknown>
}

async function sealReceived(tx: Tx, upload: UploadToSeal): Promise<SealedUpload> {
  const { order, fields } = upload
  if (order.fileId === undefined) {
    const { name, metadata } = toNewFile(upload)
    return { name, metadata, ...(await sealFile(tx, toNewFile(upload))) }
  }
  const { metadata: _, name: __, ...seal } = toNewFile(upload)
  // A version keeps the name of its file, and what was said of it unless something else is.
  return sealFileVersion(tx, {
    ...seal,
    fileId: order.fileId,
    ...(fields.metadata !== undefined && { metadata: fields.metadata }),
  })
}

export const toNewFile = ({ order, file, fields }: UploadToSeal): SealFile => ({
  tenantId: order.principal.tenantId,
  name: file.name,
  contentType: file.contentType,
  ...(file.declaredType !== undefined && { declaredType: file.declaredType }),
  object: file.object,
  metadata: fields.metadata ?? {},
  createdBy: order.principal.actor,
  requestId: order.requestId,
})

export const toJob = ({ order, file, fields }: UploadToSeal, sealed: SealedUpload): SubmitJob => ({
  tenantId: order.principal.tenantId,
  fileId: sealed.fileId,
  fileVersion: sealed.version,
  fileName: sealed.name,
  contentType: file.contentType,
  sizeBytes: file.object.sizeBytes,
  sha256: file.object.sha256,
  objectId: file.object.objectId,
  metadata: sealed.metadata,
  depth: 0, // Whatever comes in from outside lay in no archive.
  ...(fields.pipeline !== undefined && { pipeline: fields.pipeline }),
  lane: fields.lane ?? lanes[1],
  actor: order.principal.actor,
})

export const toResult = ({ file }: UploadToSeal, sealed: SealedUpload, job: SubmittedJob): UploadResult => ({
  job_id: job.jobId,
  status: 'queued',
  estimated_completion: job.estimatedCompletion.toISOString(),
  file_id: encodeId('file', sealed.fileId),
  name: sealed.name,
  size_bytes: file.object.sizeBytes,
  sha256: file.object.sha256,
  content_type: file.contentType,
  pipeline: job.pipeline,
})

export const requestHashOf = ({ order, file, fields }: UploadToSeal): string =>
  hashUpload(order, { name: file.name, sha256: file.object.sha256 }, fields)

/** What makes two uploads the same request. */
export const hashUpload = (
  order: Pick<UploadOrder, 'fileId'>,
  file: { name: string; sha256: string },
  fields: UploadFields,
): string => hashRequest(['upload', order.fileId ?? null, file.name, file.sha256, fields])
