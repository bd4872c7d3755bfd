import { Type, type Static } from 'typebox'
import { batchItemStates, batchStates, lanes, manifestFormats } from '../states.ts'
import { FieldError, ProblemResource } from './problem.ts'
import { Moment, Timestamp } from './time.ts'

const OrNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()])

/** Files that are here, by what is known of them; every condition must hold. Only files that have been cleared. */
export const FileQuery = Type.Object(
  {
    name: Type.Optional(
      Type.String({ minLength: 1, maxLength: 500, description: 'A piece of the name, in any case.' }),
    ),
    name_prefix: Type.Optional(Type.String({ minLength: 1, maxLength: 500, description: 'How the name begins.' })),
    content_type: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'image/png, or image/*.' })),
    metadata: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: 'Keys with values that the metadata must contain.' }),
    ),
    text: Type.Optional(Type.String({ minLength: 1, maxLength: 500, description: 'As the search takes it.' })),
    created_after: Type.Optional(Moment),
    created_before: Type.Optional(Moment),
  },
  { additionalProperties: false },
)
export type FileQuery = Static<typeof FileQuery>

/** A list of files, one a line: ids or names, as CSV (a column file_id or name) or as lines of JSON. */
export const Manifest = Type.Object(
  {
    format: Type.Enum([...manifestFormats]),
    content: Type.Optional(
      Type.String({ minLength: 1, description: 'The list itself; a longer one is uploaded as a file first.' }),
    ),
    file_id: Type.Optional(Type.String({ maxLength: 100, description: 'The file that holds the list.' })),
  },
  { additionalProperties: false },
)
export type Manifest = Static<typeof Manifest>

const concurrency = Type.Integer({ minimum: 1, maximum: 10_000, description: 'Jobs of it that may be live at once.' })
const toleratedFailure = OrNull(
  Type.Number({
    minimum: 0,
    maximum: 100,
    description: 'Share of all items that may fail before the rest is not started any more; null: any.',
  }),
)

/** What a batch is made of: exactly one of query and manifest. */
export const BatchOrder = Type.Object(
  {
    name: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    pipeline: Type.Optional(Type.String({ maxLength: 200 })),
    priority: Type.Optional(Type.Enum([...lanes])),
    query: Type.Optional(FileQuery),
    manifest: Type.Optional(Manifest),
    concurrency: Type.Optional(concurrency),
    tolerated_failure_percent: Type.Optional(toleratedFailure),
  },
  { additionalProperties: false },
)
export type BatchOrder = Static<typeof BatchOrder>

export const BatchChange = Type.Object(
  {
    paused: Type.Optional(Type.Boolean()),
    concurrency: Type.Optional(concurrency),
    tolerated_failure_percent: Type.Optional(toleratedFailure),
  },
  { additionalProperties: false },
)
export type BatchChange = Static<typeof BatchChange>

const count = (description: string) => Type.Integer({ minimum: 0, description })

export const BatchRedrive = Type.Object(
  {
    cancelled: Type.Optional(Type.Boolean({ description: 'Also what was cancelled or never started.' })),
    concurrency: Type.Optional(concurrency),
    tolerated_failure_percent: Type.Optional(toleratedFailure),
  },
  { additionalProperties: false },
)
export type BatchRedrive = Static<typeof BatchRedrive>

export const BatchResource = Type.Object(
  {
    batch_id: Type.String(),
    name: Type.String(),
    pipeline: OrNull(Type.String({ description: 'null: the default for the type of each file.' })),
    priority: Type.Enum([...lanes]),
    source: Type.Object({ query: Type.Optional(FileQuery), manifest: Type.Optional(Manifest) }),
    status: Type.Enum([...batchStates]),
    progress: Type.Number({ minimum: 0, maximum: 100, description: 'Ended items of all that are listed, in percent.' }),
    concurrency,
    tolerated_failure_percent: toleratedFailure,
    planned: Type.Boolean({ description: 'Whether all items are listed.' }),
    round: Type.Integer({ minimum: 1, description: 'How often it has been driven.' }),
    items: Type.Object({
      total: count('Listed so far.'),
      pending: count('Not started.'),
      running: count('With a live job.'),
      succeeded: count('Whose job completed.'),
      failed: count('Whose job did not complete without errors, or that could not be started.'),
      cancelled: count('That will not be started, or whose job was cancelled.'),
    }),
    problem: OrNull(ProblemResource),
    schedule_id: OrNull(Type.String()),
    created_at: Timestamp,
    finished_at: OrNull(Timestamp),
  },
  { $id: 'Batch' },
)
export type BatchResource = Static<typeof BatchResource>

/** What was found when the batch was ordered, before anything was started. */
export const BatchPlan = Type.Object({
  items: OrNull(count('Items that it will have; null where only listing them tells.')),
  bad_lines: count('Lines of the manifest that cannot be understood; each is an item that has failed.'),
  errors: Type.Array(FieldError, { description: 'The first 20 of them.' }),
})
export type BatchPlan = Static<typeof BatchPlan>

export const BatchItemResource = Type.Object(
  {
    ordinal: Type.Integer({
      minimum: 1,
      description: 'Line of the manifest, or number within the answer to the query.',
    }),
    reference: OrNull(Type.String({ description: 'What stands in the line.' })),
    file_id: OrNull(Type.String()),
    file_name: OrNull(Type.String()),
    job_id: OrNull(Type.String({ description: 'Of the last round.' })),
    state: Type.Enum([...batchItemStates]),
    round: Type.Integer({ minimum: 1 }),
    problem: OrNull(ProblemResource),
    finished_at: OrNull(Timestamp),
  },
  { $id: 'BatchItem' },
)
export type BatchItemResource = Static<typeof BatchItemResource>
