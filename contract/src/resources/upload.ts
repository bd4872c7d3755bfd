import { Type, type Static } from 'typebox'
import { importSourceKinds, uploadKinds, uploadPartStates, uploadStates } from '../states.ts'
import { UploadResult } from './file.ts'
import { Timestamp } from './time.ts'

const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()])

const Fault = Type.Object(
  { code: Type.String(), detail: Type.String(), remedy: Type.String() },
  { description: 'Why it failed, or why its last attempt did.' },
)

/** A file on its way in that takes more than one request. */
export const UploadResource = Type.Object(
  {
    upload_id: Type.String(),
    kind: Type.Enum([...uploadKinds]),
    state: Type.Enum([...uploadStates]),
    name: Type.String(),
    size_bytes: orNull(Type.Integer({ minimum: 0, description: 'Null while it is not known.' })),
    received_bytes: Type.Integer({ minimum: 0, description: 'Stored for good; what follows goes on from here.' }),
    bytes_per_second: orNull(Type.Number({ minimum: 0 })),
    estimated_completion: orNull(Timestamp),
    part_size_bytes: orNull(Type.Integer({ description: 'Of kind parts; the last part may be shorter.' })),
    parts_count: orNull(Type.Integer({ description: 'Of kind parts: how many there will be.' })),
    source: orNull(Type.String({ description: 'Of an import: where it comes from, without what may be secret.' })),
    result: orNull(UploadResult),
    problem: orNull(Fault),
    created_at: Timestamp,
    expires_at: Timestamp,
    ended_at: orNull(Timestamp),
  },
  { $id: 'Upload' },
)
export type UploadResource = Static<typeof UploadResource>

export const UploadPartResource = Type.Object(
  {
    number: Type.Integer({ minimum: 1 }),
    offset_bytes: Type.Integer({ minimum: 0 }),
    size_bytes: Type.Integer({ minimum: 1 }),
    state: Type.Enum([...uploadPartStates]),
    sha256: orNull(Type.String({ description: 'SHA-256 of what was received, lower-case hex.' })),
    url: Type.String({
      description:
        'For PUT without credentials, good until url_expires_at. Relative to the URL of this request, so that it is right behind any proxy.',
    }),
    url_expires_at: Timestamp,
  },
  { $id: 'UploadPart' },
)
export type UploadPartResource = Static<typeof UploadPartResource>

/** A bucket, a server or a folder that is looked through for new files. */
export const ImportSourceResource = Type.Object(
  {
    import_source_id: Type.String(),
    kind: Type.Enum([...importSourceKinds]),
    name: Type.String(),
    state: Type.Enum(['active', 'paused']),
    place: Type.String({ description: 'Where it is, without credentials.' }),
    interval_seconds: orNull(Type.Integer({ description: 'Null: it is looked through once.' })),
    found_count: Type.Integer({ minimum: 0, description: 'Files it has given so far; each is an upload session.' }),
    skipped_count: Type.Integer({
      minimum: 0,
      description:
        'What the last look passed over: lines of an inventory that it could not understand, folders and files that it may not read, names that no file can have.',
    }),
    problem: orNull(Fault),
    created_at: Timestamp,
    last_run_at: orNull(Timestamp),
    next_run_at: orNull(Timestamp),
  },
  { $id: 'ImportSource' },
)
export type ImportSourceResource = Static<typeof ImportSourceResource>
