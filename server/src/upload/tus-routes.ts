// tus 1.0 over upload sessions: the protocol is its header fields; what they do is in upload-sessions.ts. Why this is
// written by hand: docs/decisions/0011-tus-by-hand.md. Location is a reference relative to the request, so it is right
// behind every proxy, whatever path, host or port that has.

import { problems } from '@millrace/contract'
import { encodeId } from '../platform/ids.ts'
import { hashRequest, idempotencyKeyOf, type Idempotency, type IdempotencyClaim } from '../platform/idempotency.ts'
import type { Tx } from '../platform/database.ts'
import { Problem } from '../platform/problem.ts'
import type { RequestContext, RouteGroup, StreamAnswer } from '../platform/routes.ts'
import { declaredTypeOf } from './declared-type.ts'
import { readFields } from './form.ts'
import { requestPieces } from './request-pieces.ts'
import {
  checkTusVersion,
  readBytesField,
  readUploadChecksum,
  readUploadConcat,
  readUploadLength,
  readUploadMetadata,
  tusChecksumAlgorithms,
  tusExtensions,
  tusVersion,
  type UploadConcat,
} from './tus-headers.ts'
import { metadataBytesMaxDefault } from '../tenants/limits.ts'
import { endedProblem } from './session-seal.ts'
import { toUploadResource } from './upload-resource.ts'
import type { SessionRow } from './upload-session.sql.ts'
import type { NewUpload, UploadSessions } from './upload-sessions.ts'

export interface TusRouteDependencies {
  sessions: UploadSessions
  idempotency: Idempotency
}

type TusOperations =
  | 'describeUploads'
  | 'createUpload'
  | 'getUpload'
  | 'appendUpload'
  | 'overrideUpload'
  | 'abortUpload'

export function tusRoutes(deps: TusRouteDependencies): RouteGroup<TusOperations> {
  const { sessions } = deps

  const append = speakTus(async ({ params }: { params: { upload_id: string } }, context) => {
    checkTusVersion(context.headers)
    const offsetBytes = readBytesField(context.headers, 'upload-offset')
    if (offsetBytes === undefined) throw new Problem('invalid_request', { detail: 'Upload-Offset is missing.' })
    const session = await appendBody(deps, params.upload_id, context, offsetBytes)
    return answer(204, { 'upload-offset': String(session.received_bytes), ...expiryOf(session), ...resultOf(session) })
  })

  const lookUp = speakTus(async ({ params }: { params: { upload_id: string } }, { principal }) => {
    const session = await settleGood(sessions, principal.tenantId, params.upload_id)
    return answer(200, { 'cache-control': 'no-store', ...describe(session) })
  })

  const abort = async ({ params }: { params: { upload_id: string } }, context: RequestContext) => {
    if (context.headers['tus-resumable'] !== undefined) checkTusVersion(context.headers)
    await sessions.abort(context.principal, params.upload_id, context.requestId)
    return answer(204, {})
  }

  return {
    describeUploads: async () =>
      answer(204, {
        'tus-version': tusVersion,
        'tus-extension': tusExtensions,
        'tus-checksum-algorithm': tusChecksumAlgorithms.join(','),
      }),

    createUpload: speakTus(async (_, context) => {
      checkTusVersion(context.headers)
      return create(deps, context)
    }),

    getUpload: async (input, context) =>
      context.method === 'HEAD'
        ? lookUp(input, context)
        : toUploadResource(await sessions.get(context.principal.tenantId, input.params.upload_id)),

    appendUpload: append,
    abortUpload: speakTus(abort),

    overrideUpload: speakTus(async (input, context) => {
      const method = context.headers['x-http-method-override']
      if (method === 'PATCH') return append(input, context)
      if (method === 'DELETE') return abort(input, context)
      throw new Problem('method_not_allowed', {
        detail: 'POST here needs X-HTTP-Method-Override: PATCH or DELETE.',
        headers: { allow: 'GET, HEAD, PATCH, DELETE' },
      })
    }),
  }
}

const answer = (status: number, headers: Record<string, string>): StreamAnswer => ({
  kind: 'stream',
  status,
  headers: { 'tus-resumable': tusVersion, ...headers },
  body: undefined,
})

/** Refusals carry the protocol's version too. */
const speakTus =
  <Input>(handle: (input: Input, context: RequestContext) => Promise<StreamAnswer>) =>
  async (input: Input, context: RequestContext): Promise<StreamAnswer> => {
    try {
      return await handle(input, context)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      const { code, detail, errors, retryAfterSeconds } = error
      throw new Problem(code, {
        cause: error,
        headers: { 'tus-resumable': tusVersion, ...error.headers },
        ...(detail !== undefined && { detail }),
        ...(errors !== undefined && { errors }),
        ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
      })
    }
  }

/** As it stands; throws for one that has come to nothing. */
async function settleGood(sessions: UploadSessions, tenantId: number, uploadId: string): Promise<SessionRow> {
  const session = await sessions.settle(tenantId, uploadId)
  if (session.ended_at !== null && session.state !== 'sealed') throw endedProblem(session)
  return session
}

const contentBytesOf = (context: RequestContext): number | undefined => {
  const bytes = readBytesField(context.headers, 'content-length')
  return bytes ?? (context.headers['transfer-encoding'] === undefined ? 0 : undefined)
}

async function appendBody(
  { sessions }: TusRouteDependencies,
  uploadId: string,
  context: RequestContext,
  offsetBytes: number,
): Promise<SessionRow> {
  const { headers, principal, body, log } = context
  const sizeBytes =
    offsetBytes === 0 && context.method === 'POST' ? undefined : readBytesField(headers, 'upload-length')
  const contentBytes = contentBytesOf(context)
  const checksum = readUploadChecksum(headers)
  return sessions.append(principal.tenantId, uploadId, {
    offsetBytes,
    content: requestPieces(body),
    log,
    ...(sizeBytes !== undefined && { sizeBytes }),
    ...(contentBytes !== undefined && { contentBytes }),
    ...(checksum !== undefined && { checksum }),
  })
}

async function create(deps: TusRouteDependencies, context: RequestContext): Promise<StreamAnswer> {
  const { idempotency } = deps
  const concat = readUploadConcat(context.headers)
  const key = idempotencyKeyOf(context)
  if (key === undefined) return createOnce(deps, context, concat)
  const { tenantId } = context.principal
  const requestHash = hashRequest(['tus', ...creationFields.map((name) => context.headers[name] ?? null)])
  const start = await idempotency.begin({ tenantId, key, requestHash })
  if (start.kind === 'answered') return createdBefore(deps, tenantId, start.response as KeptAnswer)
  try {
    return await createOnce(deps, context, concat, { claim: start.claim, requestHash })
  } catch (error) {
    await idempotency
      .release(start.claim)
      .catch((cause: unknown) => context.log.warn('idempotency.release_failed', { error: String(cause) }))
    throw error
  }
}

/** Only which upload it was: how far that is, and what has become of it, is told as it is now. */
interface KeptAnswer {
  location: string
}

/** The bytes of a repeated creation-with-upload are not looked at again: the client goes on from the offset. */
async function createdBefore(
  { sessions }: TusRouteDependencies,
  tenantId: number,
  { location }: KeptAnswer,
): Promise<StreamAnswer> {
  const session = await settleGood(sessions, tenantId, location.split('/').at(-1) ?? '')
  const offset = { 'upload-offset': String(session.received_bytes) }
  return answer(201, { location, ...offset, ...expiryOf(session), ...resultOf(session) })
}

const creationFields = ['upload-length', 'upload-defer-length', 'upload-metadata', 'upload-concat'] as const

async function createOnce(
  deps: TusRouteDependencies,
  context: RequestContext,
  concat: UploadConcat | undefined,
  once?: { claim: IdempotencyClaim; requestHash: string },
): Promise<StreamAnswer> {
  const upload = uploadOf(context)
  const also =
    once &&
    ((tx: Tx, session: SessionRow) =>
      deps.idempotency.finish(tx, once.claim, {
        requestHash: once.requestHash,
        response: { location: locationOf(session) } satisfies KeptAnswer,
      }))
  if (concat?.kind === 'final') {
    const final = { ...upload, ...(also && { also }) }
    const session = await deps.sessions.concatenate(final, concat.uploadIds)
    return answer(201, { location: locationOf(session), ...resultOf(session) })
  }
  const sizeBytes = readUploadLength(context.headers) ?? null
  const begun = await deps.sessions.begin({
    ...upload,
    kind: 'tus',
    sizeBytes,
    ...(concat !== undefined && { concat: 'partial' as const }),
    ...(also && { also }),
  })
  const location = locationOf(begun)
  if (contentBytesOf(context) === 0) return answer(201, { location, 'upload-offset': '0', ...expiryOf(begun) })
  const session = await appendBody(deps, encodeId('upload', begun.id), context, 0).catch((error: unknown) =>
    afterFailedBody(deps, context, begun, error),
  )
  const offset = { 'upload-offset': String(session.received_bytes) }
  return answer(201, { location, ...offset, ...expiryOf(session), ...resultOf(session) })
}

/**
 * The upload is there. Where sending the rest may help, the client learns where it is and how much has arrived; where it
 * would not, or its own bytes were refused, it gets the problem, and an upload that it does not know of is not left open.
 */
async function afterFailedBody(
  { sessions }: TusRouteDependencies,
  { principal, requestId, log }: RequestContext,
  begun: SessionRow,
  error: unknown,
): Promise<SessionRow> {
  const uploadId = encodeId('upload', begun.id)
  if (error instanceof Problem && problems[error.code].retryable && error.code !== 'upload_checksum_mismatch') {
    const session = await sessions.get(principal.tenantId, uploadId)
    if (session.ended_at === null) return session
  }
  await sessions.abort(principal, uploadId, requestId).catch((cause: unknown) => {
    // It has failed by itself, is being sealed, or expires.
    log.info('upload.not_aborted', { uploadId, error: String(cause) })
  })
  throw error
}

type DescribedUpload = Pick<NewUpload, 'principal' | 'requestId' | 'name' | 'fields' | 'fileId' | 'tusMetadata'>

/** What the client says of the file. Uppy and tus-js-client send filename and filetype, some others name and type. */
function uploadOf({ headers, principal, requestId }: RequestContext): DescribedUpload {
  const field = headers['upload-metadata']
  const tusMetadata = Array.isArray(field) ? field.join(',') : field
  const texts = readUploadMetadata(tusMetadata)
  const fileId = texts.get('file_id')
  const declaredType = declaredTypeOf(texts.get('filetype') || texts.get('type'))
  return {
    principal,
    requestId,
    name: texts.get('filename') || texts.get('name') || 'unnamed',
    fields: { ...readFields(texts, metadataBytesMaxDefault), ...(declaredType !== undefined && { declaredType }) },
    ...(fileId !== undefined && { fileId }),
    ...(tusMetadata !== undefined && { tusMetadata }),
  }
}

/** Relative to the URL of the request, which ends in "uploads". */
const locationOf = ({ id }: SessionRow): string => `uploads/${encodeId('upload', id)}`

function describe(session: SessionRow): Record<string, string> {
  const { concat, concat_sources: sources } = session
  const urls = (sources ?? []).map((id) => `uploads/${encodeId('upload', id)}`)
  return {
    'upload-offset': String(session.received_bytes),
    ...(session.size_bytes === null ? { 'upload-defer-length': '1' } : { 'upload-length': String(session.size_bytes) }),
    ...(session.tus_metadata !== null && { 'upload-metadata': session.tus_metadata }),
    ...(concat !== null && { 'upload-concat': concat === 'partial' ? 'partial' : `final;${urls.join(' ')}` }),
    ...expiryOf(session),
    ...resultOf(session),
  }
}

const expiryOf = (session: SessionRow): Record<string, string> =>
  session.state === 'receiving' ? { 'upload-expires': session.expires_at.toUTCString() } : {}

/** What became of it, for whoever wants to follow the job. */
const resultOf = ({ result }: SessionRow): Record<string, string> =>
  result === null ? {} : { 'millrace-file-id': result.file_id, 'millrace-job-id': result.job_id }
