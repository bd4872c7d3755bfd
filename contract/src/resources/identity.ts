import { Type, type Static } from 'typebox'
import { roles } from '../states.ts'
import { Timestamp } from './time.ts'

/** Who is asking: answered by GET /me. */
export const PrincipalResource = Type.Object(
  {
    kind: Type.Enum(['user', 'api_key']),
    tenant_id: Type.String(),
    tenant_name: Type.String(),
    user_id: Type.Union([Type.String(), Type.Null()]),
    email: Type.Union([Type.String(), Type.Null()]),
    role: Type.Enum([...roles]),
    operator: Type.Boolean({ description: 'Runs the installation; may read admin figures, never content.' }),
  },
  { $id: 'Principal' },
)
export type PrincipalResource = Static<typeof PrincipalResource>

export const SessionResource = Type.Object(
  {
    access_token: Type.String({ description: 'JWT (ES256) for Authorization: Bearer.' }),
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({ description: 'Lifetime of the access token in seconds.' }),
    refresh_token: Type.String({ description: 'Single use; exchanged for a new pair.' }),
  },
  { $id: 'Session' },
)
export type SessionResource = Static<typeof SessionResource>

export const ApiKeyResource = Type.Object(
  {
    api_key_id: Type.String(),
    name: Type.String(),
    prefix: Type.String({ description: 'First characters, to recognise the key by.' }),
    role: Type.Enum([...roles]),
    created_at: Timestamp,
    expires_at: Type.Union([Timestamp, Type.Null()]),
    last_used_at: Type.Union([Timestamp, Type.Null()]),
    revoked_at: Type.Union([Timestamp, Type.Null()]),
  },
  { $id: 'ApiKey' },
)
export type ApiKeyResource = Static<typeof ApiKeyResource>
