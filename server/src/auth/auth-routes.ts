import type { ApiKeyResource, SessionResource } from '@millrace/contract'
import { writeAudit } from '../platform/audit.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import { decodeId, encodeId, type RowId } from '../platform/ids.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem, invariant } from '../platform/problem.ts'
import type { RouteGroup } from '../platform/routes.ts'
import { findPrincipalNames, listApiKeys, revokeApiKey, type ApiKeyRow } from './auth.sql.ts'
import type { Auth } from './auth.ts'
import type { SessionTokens } from './sessions.ts'

export interface AuthRouteDependencies {
  auth: Auth
  database: Database
  clock: Clock
}

type AuthOperations =
  | 'createSession'
  | 'refreshSession'
  | 'deleteSession'
  | 'getPrincipal'
  | 'listApiKeys'
  | 'createApiKey'
  | 'revokeApiKey'

export function authRoutes({ auth, database, clock }: AuthRouteDependencies): RouteGroup<AuthOperations> {
  return {
    createSession: async ({ body }, { clientAddress, requestId }) =>
      toSessionResource(await auth.sessions.signIn({ ...body, clientAddress, requestId })),

    refreshSession: async ({ body }, { requestId }) =>
      toSessionResource(await auth.sessions.refresh(body.refresh_token, requestId)),

    deleteSession: async ({ body }, { requestId }) => {
      await auth.sessions.signOut(body.refresh_token, requestId)
      return undefined
    },

    getPrincipal: async (_, { principal }) => {
      const userId = userIdOf(principal)
      const names = await findPrincipalNames(database, { tenantId: principal.tenantId, userId })
      invariant(names, 'the tenant of a principal exists')
      return {
        kind: principal.kind === 'user' ? 'user' : 'api_key',
        // Authentication took the id from a row of the tenant.
        tenant_id: encodeId('tenant', principal.tenantId as RowId<'tenant'>),
        tenant_name: names.tenant_name,
        user_id: userId === null ? null : encodeId('user', userId),
        email: names.email,
        role: principal.role,
        operator: principal.operator,
      }
    },

    listApiKeys: async ({ query }, { principal }) => {
      const limit = query.limit ?? 50
      const before = query.cursor === undefined ? null : decodeId('api_key', query.cursor)
      if (before === undefined) throw new Problem('invalid_request', { detail: 'The cursor is not one of ours.' })
      const rows = await database.withTenant(principal.tenantId, (tx) =>
        listApiKeys(tx, { tenantId: principal.tenantId, before, limit: limit + 1 }),
      )
      const items = rows.slice(0, limit)
      const last = rows.length > limit ? items.at(-1) : undefined
      return { items: items.map(toApiKeyResource), next_cursor: last ? encodeId('api_key', last.id) : null }
    },

    createApiKey: async ({ body }, { principal, requestId }) => {
      const expiresAt = body.expires_at === undefined ? null : new Date(body.expires_at)
      if (expiresAt && !(expiresAt > clock.now())) {
        throw new Problem('invalid_request', { detail: '/body/expires_at must lie in the future' })
      }
      const { text, row } = await database.withTenant(principal.tenantId, async (tx) => {
        const made = await auth.createApiKey(tx, {
          tenantId: principal.tenantId,
          name: body.name,
          role: body.role,
          operator: false,
          createdBy: userIdOf(principal),
          expiresAt,
        })
        await writeAudit(tx, {
          tenantId: principal.tenantId,
          actor: principal.actor,
          action: 'api_key.create',
          target: encodeId('api_key', made.row.id),
          detail: { role: body.role },
          requestId,
        })
        return made
      })
      return { api_key: text, ...toApiKeyResource(row) }
    },

    revokeApiKey: async ({ params }, { principal, requestId }) => {
      const id = decodeId('api_key', params['api_key_id'] ?? '')
      if (id === undefined) throw new Problem('not_found')
      const hash = await database.withTenant(principal.tenantId, async (tx) => {
        const revoked = await revokeApiKey(tx, { tenantId: principal.tenantId, id })
        if (!revoked) throw new Problem('not_found')
        const target = encodeId('api_key', id)
        const { tenantId, actor } = principal
        await writeAudit(tx, { tenantId, actor, action: 'api_key.revoke', target, requestId })
        return revoked
      })
      auth.forgetApiKey(hash)
      return undefined
    },
  }
}

const userIdOf = (principal: Principal): RowId<'user'> | null => decodeId('user', principal.actor) ?? null

const toSessionResource = (tokens: SessionTokens): SessionResource => ({
  access_token: tokens.accessToken,
  token_type: 'Bearer',
  expires_in: tokens.accessLifetimeMs / 1_000,
  refresh_token: tokens.refreshToken,
})

const toApiKeyResource = (row: ApiKeyRow): ApiKeyResource => ({
  api_key_id: encodeId('api_key', row.id),
  name: row.name,
  prefix: row.prefix,
  role: row.role,
  created_at: row.created_at.toISOString(),
  expires_at: row.expires_at?.toISOString() ?? null,
  last_used_at: row.last_used_at?.toISOString() ?? null,
  revoked_at: row.revoked_at?.toISOString() ?? null,
})
