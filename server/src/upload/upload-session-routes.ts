import type { OperationId, UploadPartResource } from '@millrace/contract'
import { decodeCursor, encodeCursor } from '../platform/cursor.ts'
import type { Idempotency } from '../platform/idempotency.ts'
import { Problem } from '../platform/problem.ts'
import { referenceFrom } from '../platform/reference.ts'
import type { RouteGroup } from '../platform/routes.ts'
import { aboutFile } from './about-file.ts'
import { readContentDigest, type PartUploads } from './part-uploads.ts'
import type { PartUrls } from './part-url.ts'
import { requestPieces } from './request-pieces.ts'
import { readBytesField } from './tus-headers.ts'
import { toUploadResource } from './upload-resource.ts'
import type { UploadSessions } from './upload-sessions.ts'

export interface UploadSessionRouteDependencies {
  sessions: UploadSessions
  partUploads: PartUploads
  partUrls: PartUrls
  idempotency: Idempotency
}

type UploadSessionOperations =
  | 'listUploads'
  | 'createPartsUpload'
  | 'listUploadParts'
  | 'putUploadPart'
  | 'completeUpload'

const limitDefault = 50

const addressedFrom = (op: OperationId, part: UploadPartResource): UploadPartResource => ({
  ...part,
  url: referenceFrom(op, part.url),
})

/** What is done to sessions beside tus. */
export function uploadSessionRoutes(deps: UploadSessionRouteDependencies): RouteGroup<UploadSessionOperations> {
  const { sessions, partUploads, partUrls, idempotency } = deps
  return {
    listUploads: async ({ query }, { principal }) => {
      const { state, kind, limit = limitDefault } = query
      const question = ['uploads', state ?? null, kind ?? null]
      const before = query.cursor === undefined ? undefined : decodeCursor(query.cursor, question, [0])[0]
      const rows = await sessions.list({ tenantId: principal.tenantId, before, state, kind, limit: limit + 1 })
      const items = rows.slice(0, limit)
      const last = rows.length > limit ? items.at(-1) : undefined
      return { items: items.map(toUploadResource), next_cursor: last ? encodeCursor(question, [last.id]) : null }
    },

    createPartsUpload: idempotency.wrap('createPartsUpload', async ({ body }, { principal, requestId }) => {
      const { name, size_bytes: sizeBytes, part_size_bytes: partSizeBytes } = body
      return toUploadResource(
        await partUploads.begin({
          principal,
          requestId,
          name,
          sizeBytes,
          ...aboutFile(body),
          ...(partSizeBytes !== undefined && { partSizeBytes }),
        }),
      )
    }),

    listUploadParts: async ({ params, query }, { principal }) => {
      const { state, limit = limitDefault } = query
      const question = ['parts', params.upload_id, state ?? null]
      const after = query.cursor === undefined ? 0 : decodeCursor(query.cursor, question, [0])[0]
      const session = await sessions.get(principal.tenantId, params.upload_id)
      const found = await partUploads.list(session, { after, limit: limit + 1, state })
      const items = found.slice(0, limit)
      const last = found.length > limit ? items.at(-1) : undefined
      return {
        items: items.map((part) => addressedFrom('listUploadParts', part)),
        next_cursor: last ? encodeCursor(question, [last.number]) : null,
      }
    },

    putUploadPart: async ({ params, query }, { headers, body, signal, log }) => {
      const part = partUrls.verify({
        ...params,
        tenant: query.tenant,
        expires: query.expires,
        signature: query.signature,
      })
      const sha256 = readContentDigest(headers['content-digest'])
      const contentBytes = readBytesField(headers, 'content-length')
      if (contentBytes === undefined && headers['transfer-encoding'] === undefined)
        throw new Problem('upload_part_invalid', { detail: 'The request has no body.' })
      const stored = await partUploads.put({
        part,
        content: requestPieces(body),
        contentBytes,
        signal,
        log,
        ...(sha256 && { sha256 }),
      })
      return addressedFrom('putUploadPart', stored)
    },

    completeUpload: async ({ params }, { principal }) => partUploads.complete(principal.tenantId, params.upload_id),
  }
}
