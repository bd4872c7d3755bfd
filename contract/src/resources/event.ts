import { Type, type Static } from 'typebox'
import { Timestamp } from './time.ts'

/** One event of a tenant's stream (SSE data field). The SSE id is the cursor for Last-Event-ID. */
export const EventResource = Type.Object(
  {
    type: Type.Enum([
      'file.created',
      'file.state',
      'file.damaged',
      'job.created',
      'job.progress',
      'job.paused',
      'job.resumed',
      'job.ended',
      'step.started',
      'step.ended',
      'batch.progress',
      'batch.ended',
      'upload.progress',
      'upload.ended',
    ]),
    at: Timestamp,
    job_id: Type.Optional(Type.String()),
    file_id: Type.Optional(Type.String()),
    data: Type.Record(Type.String(), Type.Unknown()),
  },
  { $id: 'Event' },
)
export type EventResource = Static<typeof EventResource>

export const SearchHit = Type.Object(
  {
    file_id: Type.String(),
    name: Type.String(),
    content_type: Type.String(),
    score: Type.Number(),
    snippet: Type.Union([Type.String(), Type.Null()], { description: 'Found words stand between « and ».' }),
    metadata: Type.Record(Type.String(), Type.Unknown()),
  },
  { $id: 'SearchHit' },
)
export type SearchHit = Static<typeof SearchHit>
