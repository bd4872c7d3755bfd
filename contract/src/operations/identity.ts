// Who asks: logins, keys and the tenant itself.

import { Type } from 'typebox'
import { ApiKeyResource, PrincipalResource, SessionResource } from '../resources/identity.ts'
import { TenantUsage } from '../resources/tenant-usage.ts'
import { Moment } from '../resources/time.ts'
import { roles } from '../states.ts'
import { List, page, type Operation } from './operation.ts'

const id = (name: string) => Type.Object({ [name]: Type.String({ maxLength: 100 }) })
const Credentials = Type.Object({
  email: Type.String({ minLength: 3, maxLength: 320 }),
  password: Type.String({ minLength: 1, maxLength: 1_000 }),
})

export const identityOperations = {
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
  getUsage: {
    method: 'GET',
    path: '/usage',
    tag: 'identity',
    summary: 'What the tenant has used of its quota, and what is left',
    status: 200,
    response: TenantUsage,
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
      expires_at: Type.Optional(Moment),
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
} as const satisfies Record<string, Operation>
