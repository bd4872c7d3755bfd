// One row per operation of the HTTP API. Routes, their validation, the OpenAPI document, the policy table
// and the typed client all derive from these rows; an operation that is not here does not exist.

import { Type, type Static, type TSchema } from 'typebox'
import { AdminMetrics, DoctorReport, QueueResource, WorkerResource } from './resources/admin.ts'
import { BatchChange, BatchItemResource, BatchOrder, BatchPlan, BatchResource } from './resources/batch.ts'
import {
  ControlTaskResource,
  DeadLetterExplanation,
  DeadLetterFilter,
  DeadLetterResource,
  JobFilter,
} from './resources/control.ts'
import { EventResource, SearchHit } from './resources/event.ts'
import { FileResource, FileVersionResource, LineageResource, UploadResult } from './resources/file.ts'
import { ApiKeyResource, PrincipalResource, SessionResource } from './resources/identity.ts'
import { JobResource, JobSummary } from './resources/job.ts'
import { LinkResource } from './resources/link.ts'
import { PipelineResource, ProcessorResource } from './resources/pipeline.ts'
import { FieldError } from './resources/problem.ts'
import { ScheduleChange, ScheduleOrder, ScheduleResource } from './resources/schedule.ts'
import { TenantLimits, TenantLimitsChange } from './resources/tenant-limits.ts'
import { PoolShare, PoolShareChange, TenantShare, TenantShareChange } from './resources/share.ts'
import { ImportSourceResource, UploadPartResource, UploadResource } from './resources/upload.ts'
import {
  batchItemStates,
  batchReportFormats,
  batchStates,
  jobStates,
  lanes,
  roles,
  uploadKinds,
  uploadPartStates,
  uploadStates,
} from './states.ts'

export interface Operation {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS'
  /** Below /api/v1, with {name} for path parameters. */
  readonly path: string
  readonly tag: string
  readonly summary: string
  readonly params?: TSchema
  readonly query?: TSchema
  readonly body?: TSchema
  /** Set when the body is not JSON: a form, a piece of an upload (tus, which may be left out), or bytes of any type. */
  readonly bodyType?: 'multipart/form-data' | 'application/offset+octet-stream' | '*/*'
  /** Status of success. */
  readonly status: number
  readonly response?: TSchema
  /** Set when the answer is not JSON. */
  readonly responseType?: 'application/octet-stream' | 'text/event-stream'
}

/** Items of a list and the cursor of the next page, null on the last one. */
const List = <Item extends TSchema>(item: Item) =>
  Type.Object({ items: Type.Array(item), next_cursor: Type.Union([Type.String(), Type.Null()]) })

const listItemsMaxDefault = 50
const page = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: listItemsMaxDefault })),
  cursor: Type.Optional(Type.String({ maxLength: 500 })),
}
const id = (name: string) => Type.Object({ [name]: Type.String({ maxLength: 100 }) })
const FileParams = Type.Object({ file_id: Type.String({ maxLength: 100 }) })
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
const TenantParams = Type.Object({ tenant_id: Type.String({ maxLength: 100 }) })
const PoolParams = Type.Object({ pool: Type.String({ maxLength: 100 }) })
const JobParams = Type.Object({ job_id: Type.String({ maxLength: 100 }) })
const OutputParams = Type.Object({
  job_id: Type.String({ maxLength: 100 }),
  output_id: Type.String({ maxLength: 100 }),
})
/** A week: a link is for handing on, not for publishing. */
const linkLifetimeSecondsMax = 7 * 24 * 3_600
const NewLink = {
  expires_in: Type.Optional(
    Type.Integer({ minimum: 1, maximum: linkLifetimeSecondsMax, default: 3_600, description: 'Seconds.' }),
  ),
  single_use: Type.Optional(Type.Boolean({ description: 'Good for one download.' })),
}
const MadeLink = Type.Object({
  ...LinkResource.properties,
  url: Type.String({ description: 'Server path; needs no credentials. It is shown once.' }),
})
const BatchParams = Type.Object({ batch_id: Type.String({ maxLength: 100 }) })
const Credentials = Type.Object({
  email: Type.String({ minLength: 3, maxLength: 320 }),
  password: Type.String({ minLength: 1, maxLength: 1_000 }),
})

export const operations = {
  // Identity
  createSession: {
    method: 'POST',
    path: '/sessions',
    tag: 'identity',
    summary: 'Sign in with e-mail and password',
    body: Credentials,
    status: 201,
    response: SessionResource,
  },
  refreshSession: {
    method: 'POST',
    path: '/sessions/refresh',
    tag: 'identity',
    summary: 'Exchange a refresh token for a new pair',
    body: Type.Object({ refresh_token: Type.String({ maxLength: 500 }) }),
    status: 200,
    response: SessionResource,
  },
  deleteSession: {
    method: 'DELETE',
    path: '/sessions',
    tag: 'identity',
    summary: 'Sign out: end the session of a refresh token',
    body: Type.Object({ refresh_token: Type.String({ maxLength: 500 }) }),
    status: 204,
  },
  getPrincipal: {
    method: 'GET',
    path: '/me',
    tag: 'identity',
    summary: 'Who the credentials stand for',
    status: 200,
    response: PrincipalResource,
  },
  listApiKeys: {
    method: 'GET',
    path: '/api-keys',
    tag: 'identity',
    summary: 'API keys of the tenant',
    query: Type.Object(page),
    status: 200,
    response: List(ApiKeyResource),
  },
  createApiKey: {
    method: 'POST',
    path: '/api-keys',
    tag: 'identity',
    summary: 'Create an API key; the secret is shown once',
    body: Type.Object({
      name: Type.String({ minLength: 1, maxLength: 200 }),
      role: Type.Enum([...roles]),
      expires_at: Type.Optional(Type.String({ format: 'date-time' })),
    }),
    status: 201,
    response: Type.Object({
      api_key: Type.String({ description: 'The secret; store it now.' }),
      ...ApiKeyResource.properties,
    }),
  },
  revokeApiKey: {
    method: 'DELETE',
    path: '/api-keys/{api_key_id}',
    tag: 'identity',
    summary: 'Revoke an API key',
    params: id('api_key_id'),
    status: 204,
  },

  // Files
  uploadFile: {
    method: 'POST',
    path: '/files',
    tag: 'files',
    summary: 'Upload a file as a form: part "file", optional parts pipeline, metadata (JSON), priority before it',
    bodyType: 'multipart/form-data',
    status: 202,
    response: UploadResult,
  },
  listFiles: {
    method: 'GET',
    path: '/files',
    tag: 'files',
    summary: 'Files of the tenant, newest first',
    query: Type.Object({
      ...page,
      name: Type.Optional(Type.String({ maxLength: 500 })),
      content_type: Type.Optional(Type.String({ maxLength: 200 })),
      parent_file_id: Type.Optional(Type.String({ maxLength: 100 })),
      trash: Type.Optional(Type.Boolean({ description: 'Those in the trash instead.' })),
    }),
    status: 200,
    response: List(FileResource),
  },
  getFile: {
    method: 'GET',
    path: '/files/{file_id}',
    tag: 'files',
    summary: 'One file',
    params: FileParams,
    status: 200,
    response: FileResource,
  },
  updateFile: {
    method: 'PATCH',
    path: '/files/{file_id}',
    tag: 'files',
    summary: 'Rename a file or replace its metadata',
    params: FileParams,
    body: Type.Object({
      name: Type.Optional(Type.String({ minLength: 1, maxLength: 4_000 })),
      metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    }),
    status: 200,
    response: FileResource,
  },
  deleteFile: {
    method: 'DELETE',
    path: '/files/{file_id}',
    tag: 'files',
    summary: 'Move a file to the trash, or erase it for good with all that was made and found of it',
    params: FileParams,
    query: Type.Object({
      permanent: Type.Optional(Type.Boolean({ description: 'Erase it; there is no way back.' })),
      members: Type.Optional(
        Type.Boolean({ description: 'With permanent: the files that came out of it as an archive, too.' }),
      ),
    }),
    status: 204,
  },
  restoreFile: {
    method: 'POST',
    path: '/files/{file_id}/restore',
    tag: 'files',
    summary: 'Take a file back from the trash',
    params: FileParams,
    status: 200,
    response: FileResource,
  },
  getFileContent: {
    method: 'GET',
    path: '/files/{file_id}/content',
    tag: 'files',
    summary: 'The bytes of a file; Range is honoured',
    params: FileParams,
    query: Type.Object({ version: Type.Optional(Type.Integer({ minimum: 1 })) }),
    status: 200,
    responseType: 'application/octet-stream',
  },
  getFileLineage: {
    method: 'GET',
    path: '/files/{file_id}/lineage',
    tag: 'files',
    summary: 'What the file was made from and what was made from it, and by which processors',
    params: FileParams,
    status: 200,
    response: LineageResource,
  },
  listFileVersions: {
    method: 'GET',
    path: '/files/{file_id}/versions',
    tag: 'files',
    summary: 'Versions of a file, newest first',
    params: FileParams,
    query: Type.Object(page),
    status: 200,
    response: List(FileVersionResource),
  },
  uploadFileVersion: {
    method: 'POST',
    path: '/files/{file_id}/versions',
    tag: 'files',
    summary: 'Upload a new version of a file as a form',
    params: FileParams,
    bodyType: 'multipart/form-data',
    status: 202,
    response: UploadResult,
  },
  createFilesZip: {
    method: 'POST',
    path: '/files/zip',
    tag: 'downloads',
    summary: 'Several files at their newest versions, as one zip',
    body: Type.Object({
      file_ids: Type.Array(Type.String({ maxLength: 100 }), { minItems: 1, maxItems: 1_000 }),
    }),
    status: 200,
    responseType: 'application/octet-stream',
  },
  getJobZip: {
    method: 'GET',
    path: '/jobs/{job_id}/zip',
    tag: 'downloads',
    summary: 'All outputs of a job, up to 10,000, as one zip',
    params: JobParams,
    status: 200,
    responseType: 'application/octet-stream',
  },
  createFileLink: {
    method: 'POST',
    path: '/files/{file_id}/links',
    tag: 'downloads',
    summary: 'Make a link that gives one version of a file to whoever has it, for a while',
    params: FileParams,
    body: Type.Object({ ...NewLink, version: Type.Optional(Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })) }),
    status: 201,
    response: MadeLink,
  },
  createOutputLink: {
    method: 'POST',
    path: '/jobs/{job_id}/outputs/{output_id}/links',
    tag: 'downloads',
    summary: 'Make a link that gives one output to whoever has it, for a while',
    params: OutputParams,
    body: Type.Object(NewLink),
    status: 201,
    response: MadeLink,
  },
  listLinks: {
    method: 'GET',
    path: '/links',
    tag: 'downloads',
    summary: 'Links of the tenant, newest first',
    query: Type.Object(page),
    status: 200,
    response: List(LinkResource),
  },
  deleteLink: {
    method: 'DELETE',
    path: '/links/{link_id}',
    tag: 'downloads',
    summary: 'End a link at once',
    params: Type.Object({ link_id: Type.String({ maxLength: 100 }) }),
    status: 204,
  },
  openLink: {
    method: 'GET',
    path: '/links/{token}/content',
    tag: 'downloads',
    summary: 'What a link gives; the token stands in for credentials, and Range is honoured',
    params: Type.Object({ token: Type.String() }),
    query: Type.Object({
      frame: Type.Optional(
        Type.Boolean({
          description: 'A PDF is shown in a frame of a page of this server, as a document that may do nothing.',
        }),
      ),
    }),
    status: 200,
    responseType: 'application/octet-stream',
  },
  search: {
    method: 'GET',
    path: '/search',
    tag: 'files',
    summary: 'Search names, metadata and extracted text',
    query: Type.Object({
      q: Type.String({ minLength: 1, maxLength: 500 }),
      content_type: Type.Optional(Type.String({ maxLength: 200 })),
      limit: page.limit,
      cursor: page.cursor,
    }),
    status: 200,
    response: List(SearchHit),
  },

  // Uploads that take more than one request
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

  // Jobs
  createJob: {
    method: 'POST',
    path: '/jobs',
    tag: 'jobs',
    summary: 'Run a pipeline over a file that is already here',
    body: Type.Object({
      file_id: Type.String({ maxLength: 100 }),
      pipeline: Type.Optional(Type.String({ maxLength: 200 })),
      priority: Type.Optional(Type.Enum([...lanes])),
    }),
    status: 202,
    response: UploadResult,
  },
  listJobs: {
    method: 'GET',
    path: '/jobs',
    tag: 'jobs',
    summary: 'Jobs of the tenant, newest first',
    query: Type.Object({
      ...page,
      status: Type.Optional(Type.Enum([...jobStates])),
      file_id: Type.Optional(Type.String({ maxLength: 100 })),
      parent_job_id: Type.Optional(Type.String({ maxLength: 100 })),
    }),
    status: 200,
    response: List(JobSummary),
  },
  getJob: {
    method: 'GET',
    path: '/jobs/{job_id}',
    tag: 'jobs',
    summary: 'One job with its steps and outputs',
    params: JobParams,
    status: 200,
    response: JobResource,
  },
  cancelJob: {
    method: 'POST',
    path: '/jobs/{job_id}/cancel',
    tag: 'jobs',
    summary: 'Cancel a job',
    params: JobParams,
    status: 202,
    response: JobResource,
  },
  pauseJob: {
    method: 'POST',
    path: '/jobs/{job_id}/pause',
    tag: 'jobs',
    summary: 'Pause a job: what runs ends, nothing else of it starts',
    params: JobParams,
    status: 202,
    response: JobResource,
  },
  resumeJob: {
    method: 'POST',
    path: '/jobs/{job_id}/resume',
    tag: 'jobs',
    summary: 'Let a paused job go on',
    params: JobParams,
    status: 202,
    response: JobResource,
  },
  retryJob: {
    method: 'POST',
    path: '/jobs/{job_id}/retry',
    tag: 'jobs',
    summary: 'Run the failed, skipped and cancelled steps of an ended job again',
    params: JobParams,
    status: 202,
    response: JobResource,
  },
  replayStep: {
    method: 'POST',
    path: '/jobs/{job_id}/steps/{step}/replay',
    tag: 'jobs',
    summary: 'Run one step of an ended job, and what follows it, again',
    params: Type.Object({ job_id: Type.String({ maxLength: 100 }), step: Type.String({ maxLength: 100 }) }),
    status: 202,
    response: JobResource,
  },
  getOutputContent: {
    method: 'GET',
    path: '/jobs/{job_id}/outputs/{output_id}/content',
    tag: 'jobs',
    summary: 'The bytes of an output; Range is honoured',
    params: OutputParams,
    status: 200,
    responseType: 'application/octet-stream',
  },
  jobEvents: {
    method: 'GET',
    path: '/jobs/{job_id}/events',
    tag: 'events',
    summary: 'Events of one job (SSE), resumable by Last-Event-ID',
    params: JobParams,
    status: 200,
    response: EventResource,
    responseType: 'text/event-stream',
  },
  tenantEvents: {
    method: 'GET',
    path: '/events',
    tag: 'events',
    summary: 'Events of the tenant (SSE), resumable by Last-Event-ID',
    status: 200,
    response: EventResource,
    responseType: 'text/event-stream',
  },

  // Batches
  createBatch: {
    method: 'POST',
    path: '/batches',
    tag: 'batches',
    summary: 'Run a pipeline over many files: those that a query finds, or those that a manifest lists',
    body: BatchOrder,
    status: 202,
    response: Type.Object({ ...BatchResource.properties, plan: BatchPlan }),
  },
  listBatches: {
    method: 'GET',
    path: '/batches',
    tag: 'batches',
    summary: 'Batches of the tenant, newest first',
    query: Type.Object({
      ...page,
      status: Type.Optional(Type.Enum([...batchStates])),
      schedule_id: Type.Optional(Type.String({ maxLength: 100 })),
    }),
    status: 200,
    response: List(BatchResource),
  },
  getBatch: {
    method: 'GET',
    path: '/batches/{batch_id}',
    tag: 'batches',
    summary: 'One batch with its counts',
    params: BatchParams,
    status: 200,
    response: BatchResource,
  },
  updateBatch: {
    method: 'PATCH',
    path: '/batches/{batch_id}',
    tag: 'batches',
    summary: 'Pause or resume a batch, or change its concurrency and what failures it tolerates, while it runs',
    params: BatchParams,
    body: BatchChange,
    status: 200,
    response: BatchResource,
  },
  cancelBatch: {
    method: 'POST',
    path: '/batches/{batch_id}/cancel',
    tag: 'batches',
    summary: 'Cancel a batch and its live jobs',
    params: BatchParams,
    status: 202,
    response: BatchResource,
  },
  redriveBatch: {
    method: 'POST',
    path: '/batches/{batch_id}/redrive',
    tag: 'batches',
    summary: 'Run what failed of an ended batch again, and what was cancelled where that is asked for',
    params: BatchParams,
    body: Type.Object({
      cancelled: Type.Optional(Type.Boolean({ description: 'Also what was cancelled or never started.' })),
    }),
    status: 202,
    response: BatchResource,
  },
  listBatchItems: {
    method: 'GET',
    path: '/batches/{batch_id}/items',
    tag: 'batches',
    summary: 'Items of a batch in their order',
    params: BatchParams,
    query: Type.Object({ ...page, state: Type.Optional(Type.Enum([...batchItemStates])) }),
    status: 200,
    response: List(BatchItemResource),
  },
  getBatchReport: {
    method: 'GET',
    path: '/batches/{batch_id}/report',
    tag: 'batches',
    summary: 'What became of each item, as CSV or Parquet',
    params: BatchParams,
    query: Type.Object({
      state: Type.Optional(Type.Enum([...batchItemStates])),
      format: Type.Optional(Type.Enum([...batchReportFormats], { description: 'csv when left out.' })),
    }),
    status: 200,
    responseType: 'application/octet-stream',
  },

  // Dead letters, and orders over many jobs
  listDeadLetters: {
    method: 'GET',
    path: '/dead-letters',
    tag: 'jobs',
    summary: 'Tasks that no further attempt will help, newest first',
    query: Type.Object({ ...page, ...DeadLetterFilter.properties }),
    status: 200,
    response: List(DeadLetterResource),
  },
  getDeadLetter: {
    method: 'GET',
    path: '/dead-letters/{task_id}',
    tag: 'jobs',
    summary: 'Why a task is a dead letter: its problem and what was tried',
    params: Type.Object({ task_id: Type.String({ maxLength: 100 }) }),
    status: 200,
    response: DeadLetterExplanation,
  },
  replayDeadLetters: {
    method: 'POST',
    path: '/dead-letters/replay',
    tag: 'jobs',
    summary: 'Run the jobs of all dead letters that match again, in the background',
    body: DeadLetterFilter,
    status: 202,
    response: ControlTaskResource,
  },
  cancelJobs: {
    method: 'POST',
    path: '/jobs/cancel',
    tag: 'jobs',
    summary: 'Cancel all live jobs that match, in the background',
    body: JobFilter,
    status: 202,
    response: ControlTaskResource,
  },
  listControlTasks: {
    method: 'GET',
    path: '/control-tasks',
    tag: 'jobs',
    summary: 'What was asked of many at once, newest first',
    query: Type.Object(page),
    status: 200,
    response: List(ControlTaskResource),
  },
  getControlTask: {
    method: 'GET',
    path: '/control-tasks/{control_task_id}',
    tag: 'jobs',
    summary: 'How far it has come',
    params: Type.Object({ control_task_id: Type.String({ maxLength: 100 }) }),
    status: 200,
    response: ControlTaskResource,
  },
  cancelControlTask: {
    method: 'POST',
    path: '/control-tasks/{control_task_id}/cancel',
    tag: 'jobs',
    summary: 'Go no further; what is done stays done',
    params: Type.Object({ control_task_id: Type.String({ maxLength: 100 }) }),
    status: 200,
    response: ControlTaskResource,
  },

  // Schedules
  createSchedule: {
    method: 'POST',
    path: '/schedules',
    tag: 'schedules',
    summary: 'Start a batch over a query again and again',
    body: ScheduleOrder,
    status: 201,
    response: ScheduleResource,
  },
  listSchedules: {
    method: 'GET',
    path: '/schedules',
    tag: 'schedules',
    summary: 'Schedules of the tenant, newest first',
    query: Type.Object(page),
    status: 200,
    response: List(ScheduleResource),
  },
  getSchedule: {
    method: 'GET',
    path: '/schedules/{schedule_id}',
    tag: 'schedules',
    summary: 'One schedule with its last and next run',
    params: Type.Object({ schedule_id: Type.String({ maxLength: 100 }) }),
    status: 200,
    response: ScheduleResource,
  },
  updateSchedule: {
    method: 'PATCH',
    path: '/schedules/{schedule_id}',
    tag: 'schedules',
    summary: 'Change, pause or resume a schedule',
    params: Type.Object({ schedule_id: Type.String({ maxLength: 100 }) }),
    body: ScheduleChange,
    status: 200,
    response: ScheduleResource,
  },
  deleteSchedule: {
    method: 'DELETE',
    path: '/schedules/{schedule_id}',
    tag: 'schedules',
    summary: 'Delete a schedule; batches that it started go on',
    params: Type.Object({ schedule_id: Type.String({ maxLength: 100 }) }),
    status: 204,
  },

  // Pipelines
  listPipelines: {
    method: 'GET',
    path: '/pipelines',
    tag: 'pipelines',
    summary: 'Newest version of each pipeline',
    query: Type.Object(page),
    status: 200,
    response: List(PipelineResource),
  },
  getPipeline: {
    method: 'GET',
    path: '/pipelines/{name}',
    tag: 'pipelines',
    summary: 'A pipeline, at its newest or a given version',
    params: Type.Object({
      name: Type.String({ maxLength: 120, description: 'Its name; name@version for a version of it.' }),
    }),
    query: Type.Object({ version: Type.Optional(Type.Integer({ minimum: 1 })) }),
    status: 200,
    response: PipelineResource,
  },
  createPipeline: {
    method: 'POST',
    path: '/pipelines',
    tag: 'pipelines',
    summary: 'Create a pipeline or a new version of one, from YAML or JSON',
    body: Type.Object({ source: Type.String({ minLength: 1, maxLength: 200_000 }) }),
    status: 201,
    response: PipelineResource,
  },
  validatePipeline: {
    method: 'POST',
    path: '/pipelines/validate',
    tag: 'pipelines',
    summary: 'Check a definition without storing it',
    body: Type.Object({ source: Type.String({ minLength: 1, maxLength: 200_000 }) }),
    status: 200,
    response: Type.Object({ valid: Type.Boolean(), errors: Type.Array(FieldError) }),
  },
  listProcessors: {
    method: 'GET',
    path: '/processors',
    tag: 'pipelines',
    summary: 'The processor catalogue',
    status: 200,
    response: List(ProcessorResource),
  },

  // The installation
  getAdminMetrics: {
    method: 'GET',
    path: '/admin/metrics',
    tag: 'admin',
    summary: 'Figures of the installation',
    status: 200,
    response: AdminMetrics,
  },
  listWorkers: {
    method: 'GET',
    path: '/admin/workers',
    tag: 'admin',
    summary: 'Workers seen in the last minute',
    status: 200,
    response: List(WorkerResource),
  },
  listQueues: {
    method: 'GET',
    path: '/admin/queues',
    tag: 'admin',
    summary: 'Demand of each pool, and the backlog of its tenants',
    status: 200,
    response: List(QueueResource),
  },
  getPoolShare: {
    method: 'GET',
    path: '/admin/queues/{pool}/share',
    tag: 'admin',
    summary: 'Rate of starts and pause of a pool',
    params: PoolParams,
    status: 200,
    response: PoolShare,
  },
  updatePoolShare: {
    method: 'PATCH',
    path: '/admin/queues/{pool}/share',
    tag: 'admin',
    summary: 'Pause or resume a pool, or set how many tasks start each second',
    params: PoolParams,
    body: PoolShareChange,
    status: 200,
    response: PoolShare,
  },
  getTenantShare: {
    method: 'GET',
    path: '/admin/tenants/{tenant_id}/share',
    tag: 'admin',
    summary: 'Weight, cap, rate of starts and pause of a tenant',
    params: TenantParams,
    status: 200,
    response: TenantShare,
  },
  updateTenantShare: {
    method: 'PATCH',
    path: '/admin/tenants/{tenant_id}/share',
    tag: 'admin',
    summary: 'Pause or resume a tenant, or set its weight, its cap or how many of its tasks start each second',
    params: TenantParams,
    body: TenantShareChange,
    status: 200,
    response: TenantShare,
  },
  getTenantLimits: {
    method: 'GET',
    path: '/admin/tenants/{tenant_id}/limits',
    tag: 'admin',
    summary: 'What a tenant may store and for how long things of it are kept',
    params: TenantParams,
    status: 200,
    response: TenantLimits,
  },
  updateTenantLimits: {
    method: 'PATCH',
    path: '/admin/tenants/{tenant_id}/limits',
    tag: 'admin',
    summary: 'Set limits of a tenant, or take the defaults again',
    params: TenantParams,
    body: TenantLimitsChange,
    status: 200,
    response: TenantLimits,
  },
  shredTenantKeys: {
    method: 'POST',
    path: '/admin/tenants/{tenant_id}/shred',
    tag: 'admin',
    summary: "Destroy a tenant's keys: all its bytes, in every copy, are unreadable from then on",
    params: TenantParams,
    body: Type.Object({ confirm: Type.String({ maxLength: 100, description: 'The id of the tenant, once more.' }) }),
    status: 204,
  },
  getDoctorReport: {
    method: 'GET',
    path: '/admin/doctor',
    tag: 'admin',
    summary: 'The accounting identity, and stuck or orphaned work',
    status: 200,
    response: DoctorReport,
  },
} as const satisfies Record<string, Operation>

export type OperationId = keyof typeof operations

type Part<O, Key extends string> = O extends { readonly [K in Key]: infer S extends TSchema } ? Static<S> : undefined
export type ParamsOf<Op extends OperationId> = Part<(typeof operations)[Op], 'params'>
export type QueryOf<Op extends OperationId> = Part<(typeof operations)[Op], 'query'>
export type BodyOf<Op extends OperationId> = Part<(typeof operations)[Op], 'body'>
export type ResponseOf<Op extends OperationId> = Part<(typeof operations)[Op], 'response'>

export const apiPrefix = '/api/v1'
