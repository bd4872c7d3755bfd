// Files, their versions, what was made of them, and ways out.

import { Type } from 'typebox'
import { SearchHit } from '../resources/event.ts'
import { FileResource, FileVersionResource, LineageResource, UploadResult } from '../resources/file.ts'
import { LinkResource } from '../resources/link.ts'
import { List, page, JobParams, OutputParams, type Operation } from './operation.ts'

const FileParams = Type.Object({ file_id: Type.String({ maxLength: 100 }) })
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
  url: Type.String({
    description:
      'Relative to the URL of this request, so that it is right behind any proxy; needs no credentials. It is shown once.',
  }),
})

export const fileOperations = {
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
    query: Type.Object(
      {
        frame: Type.Optional(
          Type.Boolean({
            description: 'A PDF is shown in a frame of a page of this server, as a document that may do nothing.',
          }),
        ),
      },
      // Mail and chat programs add what is their own to the links that people send each other.
      { additionalProperties: true },
    ),
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
} as const satisfies Record<string, Operation>
