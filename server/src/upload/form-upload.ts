// One upload by form: reads it, remembers the answer under its Idempotency-Key, and leaves nothing behind when it fails.

import { createHash } from 'node:crypto'
import type { UploadResult } from '@millrace/contract'
import { findFile } from '../files/file.sql.ts'
import type { Database } from '../platform/database.ts'
import { idempotencyKeyOf, type Idempotency, type IdempotencyClaim } from '../platform/idempotency.ts'
import type { RowId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { RequestContext } from '../platform/routes.ts'
import type { TenantLimits } from '../tenants/limits.ts'
import type { Quota } from '../tenants/quota.ts'
import { FormBroken, readUploadForm, type FormFile, type UploadForm } from './form.ts'
import { wholeBody } from './request-pieces.ts'
import type { UnreservedBytes } from './unreserved-bytes.ts'
import { hashUpload, type ReceivedFile, type UploadOrder } from './seal-upload.ts'
import type { Uploads } from './uploads.ts'

export interface FormUploadDependencies {
  database: Database
  quota: Quota
  uploads: Uploads
  unreserved: UnreservedBytes
  idempotency: Idempotency
}

/** Whatever a form may have beside the bytes of its file. */
const formOverheadBytesMax = 512 * 1024

/**
 * Receives a form and seals its file. Throws what readUploadForm, receive and seal throw, not_found for a file that
 * cannot get a version, and the problems of a used Idempotency-Key.
 */
export async function receiveForm(
  deps: FormUploadDependencies,
  context: RequestContext,
  fileId?: RowId<'file'>,
): Promise<UploadResult> {
  const { tenantId } = context.principal
  const sql = deps.database.ofTenant(tenantId)
  if (fileId !== undefined && (await findFile(sql, tenantId, fileId))?.deleted_at !== null)
    throw new Problem('not_found')
  const taken = fileId === undefined ? await takeUnreserved(deps, context) : undefined
  const limits = taken?.limits ?? (await deps.quota.look(sql, tenantId)).limits
  try {
    return await receiveOnce(deps, context, { ...orderOf(context, limits, fileId), unreserved: taken !== undefined })
  } finally {
    taken?.end()
  }
}

async function takeUnreserved({ unreserved }: FormUploadDependencies, { principal, headers }: RequestContext) {
  const { 'content-length': contentLength } = headers
  return contentLength === undefined ? undefined : unreserved.take(principal.tenantId, Number(contentLength))
}

async function receiveOnce(
  deps: FormUploadDependencies,
  context: RequestContext,
  order: UploadOrder,
): Promise<UploadResult> {
  const key = idempotencyKeyOf(context)
  if (key === undefined) return receive(deps, context, order)
  const start = await deps.idempotency.begin({ tenantId: order.principal.tenantId, key })
  if (start.kind === 'answered') return repeat(context, order, start)
  return receiveClaimed(deps, context, { ...order, claim: start.claim })
}

function orderOf(context: RequestContext, limits: TenantLimits, fileId: RowId<'file'> | undefined): UploadOrder {
  const { principal, requestId, signal, log } = context
  const order = { principal, requestId, limits, signal, log, ...(fileId !== undefined && { fileId }) }
  const { 'content-length': contentLength } = context.headers
  if (contentLength === undefined) return order
  const overheadBytesMax = formOverheadBytesMax + 2 * limits.metadataBytesMax
  const sizeBytesMin = Number(contentLength) - overheadBytesMax
  if (sizeBytesMin > limits.fileSizeBytesMax) throw tooLarge(limits)
  return { ...order, sizeBytesMax: Number(contentLength), sizeBytesMin }
}

async function receive(
  { uploads }: FormUploadDependencies,
  context: RequestContext,
  order: UploadOrder,
): Promise<UploadResult> {
  let form: UploadForm<ReceivedFile>
  try {
    form = await read(context, order, (file) => uploads.receive(order, file))
  } catch (error) {
    if (!(error instanceof FormBroken)) throw error
    // It was made from what receive answered.
    await uploads.discard(order, error.file as ReceivedFile)
    throw error.cause
  }
  return uploads.seal(order, form.file, form.fields)
}

async function receiveClaimed(
  deps: FormUploadDependencies,
  context: RequestContext,
  order: UploadOrder & { claim: IdempotencyClaim },
): Promise<UploadResult> {
  try {
    return await receive(deps, context, order)
  } catch (error) {
    await deps.idempotency
      .release(order.claim)
      .catch((cause: unknown) => context.log.warn('idempotency.release_failed', { error: String(cause) }))
    throw error
  }
}

/** The request was answered before: it is read to see that it is the same, stores nothing, and gets the same answer. */
async function repeat(
  context: RequestContext,
  order: UploadOrder,
  answered: { requestHash: string; response: unknown },
): Promise<UploadResult> {
  const hashFile = async ({ name, content }: FormFile): Promise<{ name: string; sha256: string }> => {
    const hash = createHash('sha256')
    let sizeBytes = 0
    for await (const piece of content) {
      sizeBytes += piece.length
      if (sizeBytes > order.limits.fileSizeBytesMax) throw tooLarge(order.limits)
      hash.update(piece)
    }
    return { name, sha256: hash.digest('hex') }
  }
  const form = await read(context, order, hashFile).catch((error: unknown) => {
    throw error instanceof FormBroken ? error.cause : error
  })
  if (hashUpload(order, form.file, form.fields) !== answered.requestHash) throw new Problem('idempotency_key_reused')
  // The hash is that of an upload, so what was kept is the answer to one.
  return answered.response as UploadResult
}

const read = <T>(
  { headers, body }: RequestContext,
  { limits, unreserved }: UploadOrder,
  takeFile: (file: FormFile) => Promise<T>,
): Promise<UploadForm<T>> =>
  readUploadForm({
    contentType: headers['content-type'],
    body: unreserved === true ? wholeBody(body) : body,
    metadataBytesMax: limits.metadataBytesMax,
    takeFile,
  })

const tooLarge = ({ fileSizeBytesMax }: TenantLimits): Problem =>
  new Problem('file_too_large', { detail: `At most ${fileSizeBytesMax} bytes are allowed` })
