import { Type, type Static } from 'typebox'
import { fileStates } from '../states.ts'
import { ProblemResource } from './problem.ts'
import { Timestamp } from './time.ts'

const Metadata = Type.Record(Type.String(), Type.Unknown(), {
  description:
    'Keys and values as the owner sent them, never renamed. What steps found stands in the steps of the job.',
})

/** A file that a tenant owns, at its newest version. */
export const FileResource = Type.Object(
  {
    file_id: Type.String(),
    name: Type.String(),
    size_bytes: Type.Integer({ minimum: 0 }),
    sha256: Type.String({ description: 'SHA-256 of the content, lower-case hex.' }),
    content_type: Type.String({ description: 'Type found from the content, not from the name.' }),
    state: Type.Enum([...fileStates]),
    verdict: Type.Union([ProblemResource, Type.Null()], { description: 'Why the checks keep the file from leaving.' }),
    metadata: Metadata,
    version: Type.Integer({ minimum: 1 }),
    parent_file_id: Type.Union([Type.String(), Type.Null()], { description: 'The archive this file was a member of.' }),
    latest_job_id: Type.Union([Type.String(), Type.Null()]),
    created_at: Timestamp,
    deleted_at: Type.Union([Timestamp, Type.Null()]),
  },
  { $id: 'File' },
)
export type FileResource = Static<typeof FileResource>

export const FileVersionResource = Type.Object(
  {
    version_id: Type.String(),
    file_id: Type.String(),
    version: Type.Integer({ minimum: 1 }),
    size_bytes: Type.Integer({ minimum: 0 }),
    sha256: Type.String(),
    content_type: Type.String(),
    state: Type.Enum([...fileStates], { description: 'What its checks said; whatever the trash holds.' }),
    verdict: Type.Union([ProblemResource, Type.Null()]),
    created_at: Timestamp,
  },
  { $id: 'FileVersion' },
)
export type FileVersionResource = Static<typeof FileVersionResource>

/** What was made from what, around one file. */
export const LineageResource = Type.Object(
  {
    file_id: Type.String(),
    edges: Type.Array(
      Type.Object({
        from: Type.String({ description: 'Id of a file, a version or an output.' }),
        to: Type.String(),
        kind: Type.Enum(['version', 'output', 'member'], { description: 'What "to" is of "from".' }),
        made_by: Type.Union([
          Type.Object({
            job_id: Type.String(),
            step: Type.String(),
            processor: Type.String(),
            processor_version: Type.Union([Type.Integer(), Type.Null()]),
          }),
          Type.Null(),
        ]),
      }),
    ),
    truncated: Type.Boolean({ description: 'More than 1,000 versions, outputs or members; the first are told.' }),
  },
  { $id: 'Lineage' },
)
export type LineageResource = Static<typeof LineageResource>

/** Answer to an accepted upload: the file is sealed and its job is submitted. */
export const UploadResult = Type.Object(
  {
    job_id: Type.String(),
    status: Type.Literal('queued'),
    estimated_completion: Type.String({
      format: 'date-time',
      description: 'Learned from past tasks of the same steps.',
    }),
    file_id: Type.String(),
    name: Type.String(),
    size_bytes: Type.Integer({ minimum: 0 }),
    sha256: Type.String(),
    content_type: Type.String(),
    pipeline: Type.String(),
  },
  { $id: 'UploadResult' },
)
export type UploadResult = Static<typeof UploadResult>
