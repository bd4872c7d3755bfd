// Ways in that take more than one request: tus, signed parts, imports.

import { Type } from 'typebox'
import { UploadResult } from '../resources/file.ts'
import { ImportSourceResource, UploadPartResource, UploadResource } from '../resources/upload.ts'
import { lanes, uploadKinds, uploadPartStates, uploadStates } from '../states.ts'
import { List, listItemsMaxDefault, page, type Operation } from './operation.ts'

const UploadParams = Type.Object({ upload_id: Type.String({ maxLength: 100 }) })
const ImportSourceParams = Type.Object({ import_source_id: Type.String({ maxLength: 100 }) })
/** What an uploader says of a file, whatever the way in. */
const about = {
  pipeline: Type.Optional(Type.String({ maxLength: 200 })),
  metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  priority: Type.Optional(Type.Enum([...lanes])),
  sha256: Type.Optional(Type.String({ pattern: '^[0-9a-fA-F]{64}$', description: 'What the whole must have.' })),
  file_id: Type.Optional(Type.String({ maxLength: 100, description: 'The file that gets a new version.' })),
}
const declaredType = (description: string) => Type.Optional(Type.String({ maxLength: 200, description }))

export const uploadOperations = {
  describeUploads: {
    method: 'OPTIONS',
    path: '/uploads',
    tag: 'uploads',
    summary: 'What of the tus protocol is spoken here: versions, extensions, checksums',
    status: 204,
  },
  createUpload: {
    method: 'POST',
    path: '/uploads',
    tag: 'uploads',
    summary: 'tus 1.0: begin a resumable upload, with its first bytes if you like; Location names it',
    bodyType: 'application/offset+octet-stream',
    status: 201,
  },
  listUploads: {
    method: 'GET',
    path: '/uploads',
    tag: 'uploads',
    summary: 'Upload sessions of the tenant, newest first',
    query: Type.Object({
      ...page,
      state: Type.Optional(Type.Enum([...uploadStates])),
      kind: Type.Optional(Type.Enum([...uploadKinds])),
    }),
    status: 200,
    response: List(UploadResource),
  },
  getUpload: {
    method: 'GET',
    path: '/uploads/{upload_id}',
    tag: 'uploads',
    summary: 'One upload session; HEAD answers its offset in the headers of tus',
    params: UploadParams,
    status: 200,
    response: UploadResource,
  },
  appendUpload: {
    method: 'PATCH',
    path: '/uploads/{upload_id}',
    tag: 'uploads',
    summary: 'tus 1.0: send the bytes from Upload-Offset on; the last ones make the file',
    params: UploadParams,
    bodyType: 'application/offset+octet-stream',
    status: 204,
  },
  overrideUpload: {
    method: 'POST',
    path: '/uploads/{upload_id}',
    tag: 'uploads',
    summary: 'tus 1.0: PATCH or DELETE for clients that cannot send it, named by X-HTTP-Method-Override',
    params: UploadParams,
    bodyType: 'application/offset+octet-stream',
    status: 204,
  },
  abortUpload: {
    method: 'DELETE',
    path: '/uploads/{upload_id}',
    tag: 'uploads',
    summary: 'Abort an upload or an import: its bytes and its reservation go',
    params: UploadParams,
    status: 204,
  },
  createPartsUpload: {
    method: 'POST',
    path: '/uploads/parts',
    tag: 'uploads',
    summary: 'Begin an upload in parts that may be sent at once and in any order; list its parts for their URLs',
    body: Type.Object({
      name: Type.String({ minLength: 1, maxLength: 4_000 }),
      size_bytes: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
      part_size_bytes: Type.Optional(Type.Integer({ minimum: 65_536, maximum: 5 * 1024 ** 3 })),
      content_type: declaredType('What it is said to be; the check of the file compares it.'),
      ...about,
    }),
    status: 201,
    response: UploadResource,
  },
  listUploadParts: {
    method: 'GET',
    path: '/uploads/{upload_id}/parts',
    tag: 'uploads',
    summary: 'Parts of an upload, each with a short-lived URL to send it to',
    params: UploadParams,
    query: Type.Object({
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: listItemsMaxDefault })),
      cursor: page.cursor,
      state: Type.Optional(Type.Enum([...uploadPartStates])),
    }),
    status: 200,
    response: List(UploadPartResource),
  },
  putUploadPart: {
    method: 'PUT',
    path: '/uploads/{upload_id}/parts/{number}',
    tag: 'uploads',
    summary: 'Send one part, or send it again; the signature stands in for credentials',
    params: Type.Object({ upload_id: Type.String(), number: Type.String() }),
    query: Type.Object({
      tenant: Type.Optional(Type.String()),
      expires: Type.Optional(Type.String()),
      signature: Type.Optional(Type.String()),
    }),
    bodyType: '*/*',
    status: 200,
    response: UploadPartResource,
  },
  completeUpload: {
    method: 'POST',
    path: '/uploads/{upload_id}/complete',
    tag: 'uploads',
    summary: 'Make the file of an upload in parts',
    params: UploadParams,
    status: 202,
    response: UploadResult,
  },
  createImport: {
    method: 'POST',
    path: '/imports',
    tag: 'uploads',
    summary: 'Fetch a file from a URL in the background; the upload session tells how far it is',
    body: Type.Object({
      url: Type.String({ minLength: 1, maxLength: 8_000 }),
      name: Type.Optional(Type.String({ minLength: 1, maxLength: 4_000 })),
      headers: Type.Optional(
        Type.Record(Type.String({ maxLength: 100 }), Type.String({ maxLength: 4_000 }), {
          description: 'Sent to the host of the URL only; kept encrypted until the import has ended.',
        }),
      ),
      content_type: declaredType(
        'What it is said to be; the check of the file compares it. Left out: what the server says that sends it.',
      ),
      ...about,
    }),
    status: 202,
    response: UploadResource,
  },
  createImportSource: {
    method: 'POST',
    path: '/import-sources',
    tag: 'uploads',
    summary: 'Take files from a bucket, an SFTP server or a folder of the server, once or at intervals; each file once',
    body: Type.Object({
      name: Type.String({ minLength: 1, maxLength: 200 }),
      interval_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 31_536_000 })),
      pipeline: about.pipeline,
      metadata: about.metadata,
      priority: about.priority,
      s3: Type.Optional(
        Type.Object({
          endpoint: Type.Optional(Type.String({ maxLength: 500, description: 'Left out: AWS.' })),
          region: Type.Optional(Type.String({ maxLength: 50 })),
          bucket: Type.String({ minLength: 3, maxLength: 63 }),
          prefix: Type.Optional(Type.String({ maxLength: 1_024 })),
          inventory: Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: 1_024,
              description:
                'Key of the manifest.json of an S3 Inventory kept as CSV, to be read instead of a listing; or the folder, with / at its end, to which inventories come: the newest is read.',
            }),
          ),
          inventory_bucket: Type.Optional(
            Type.String({
              minLength: 3,
              maxLength: 63,
              description: 'Left out: the inventory lies in the bucket itself.',
            }),
          ),
          access_key_id: Type.String({ minLength: 1, maxLength: 200 }),
          secret_access_key: Type.String({ minLength: 1, maxLength: 200 }),
        }),
      ),
      sftp: Type.Optional(
        Type.Object({
          host: Type.String({ minLength: 1, maxLength: 253 }),
          port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
          host_key: Type.String({ maxLength: 100, description: 'SHA256:… as ssh-keygen -lf says it.' }),
          user: Type.String({ minLength: 1, maxLength: 200 }),
          password: Type.Optional(Type.String({ maxLength: 1_000 })),
          private_key: Type.Optional(Type.String({ maxLength: 8_000 })),
          folder: Type.Optional(Type.String({ maxLength: 1_000 })),
        }),
      ),
      folder: Type.Optional(Type.String({ maxLength: 1_000, description: 'On the server; for its operator.' })),
    }),
    status: 201,
    response: ImportSourceResource,
  },
  listImportSources: {
    method: 'GET',
    path: '/import-sources',
    tag: 'uploads',
    summary: 'Import sources of the tenant, newest first',
    query: Type.Object(page),
    status: 200,
    response: List(ImportSourceResource),
  },
  getImportSource: {
    method: 'GET',
    path: '/import-sources/{import_source_id}',
    tag: 'uploads',
    summary: 'One import source',
    params: ImportSourceParams,
    status: 200,
    response: ImportSourceResource,
  },
  updateImportSource: {
    method: 'PATCH',
    path: '/import-sources/{import_source_id}',
    tag: 'uploads',
    summary: 'Pause or resume an import source, or change its interval; an active one is looked through at once',
    params: ImportSourceParams,
    body: Type.Object({
      state: Type.Optional(Type.Enum(['active', 'paused'])),
      interval_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 31_536_000 })),
    }),
    status: 200,
    response: ImportSourceResource,
  },
  deleteImportSource: {
    method: 'DELETE',
    path: '/import-sources/{import_source_id}',
    tag: 'uploads',
    summary: 'Forget an import source and its credentials; what it has found stays',
    params: ImportSourceParams,
    status: 204,
  },
} as const satisfies Record<string, Operation>
