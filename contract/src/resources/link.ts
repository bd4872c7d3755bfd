import { Type, type Static } from 'typebox'
import { Timestamp } from './time.ts'

const OrNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()])

/** A link that gives one version of a file, or one output, to whoever has it. */
export const LinkResource = Type.Object(
  {
    link_id: Type.String(),
    file_id: OrNull(Type.String()),
    file_version: OrNull(Type.Integer({ minimum: 1 })),
    job_id: OrNull(Type.String()),
    output_id: OrNull(Type.String()),
    single_use: Type.Boolean(),
    uses_count: Type.Integer({ minimum: 0 }),
    last_used_at: OrNull(Timestamp),
    created_by: Type.String(),
    created_at: Timestamp,
    expires_at: Timestamp,
  },
  { $id: 'Link' },
)
export type LinkResource = Static<typeof LinkResource>
