import { Type, type Static } from 'typebox'

export const FieldError = Type.Object({
  path: Type.String({ description: 'Where the fault lies, as a JSON pointer or a key path.' }),
  line: Type.Optional(Type.Integer({ minimum: 1 })),
  column: Type.Optional(Type.Integer({ minimum: 1 })),
  message: Type.String(),
})
export type FieldError = Static<typeof FieldError>

/** application/problem+json (RFC 9457), the body of every answer that is not 2xx. */
export const ProblemResource = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'Stable code from the problem table.' }),
    detail: Type.Optional(Type.String()),
    remedy: Type.String(),
    request_id: Type.Optional(Type.String()),
    errors: Type.Optional(Type.Array(FieldError)),
  },
  { $id: 'Problem' },
)
export type ProblemResource = Static<typeof ProblemResource>
