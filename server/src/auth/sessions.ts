// Sessions: signing in gives an access token and a refresh token; each refresh token works once and is replaced by a
// successor. One that is used twice has been stolen from somebody, so its whole family ends (RFC 9700, 4.14).
//
//   unused ──use──▶ used ──again, within the grace, while no successor has been used──▶ unused successors are revoked,
//     │                │                                                                 a new one is given
//     │                └──again, later or after a successor's use──▶ the family is revoked
//     └──sign out──▶ revoked ──use──▶ the family is revoked
//
// The grace is for an answer that was lost on its way. A thief who uses it revokes what the owner holds, so that the
// owner's next refresh ends the family.

import { createHash } from 'node:crypto'
import { encodeId, type Ids, type RowId } from '../platform/ids.ts'
import { writeAudit } from '../platform/audit.ts'
import type { Database, Tx } from '../platform/database.ts'
import { Problem } from '../platform/problem.ts'
import type { AccessTokens } from './access-token.ts'
import { hashSecret } from './api-key.ts'
import {
  deleteEndedTokens,
  findAccount,
  findSpentToken,
  insertRefreshToken,
  insertSuccessor,
  revokeFamily,
  revokeUnusedTokens,
  useRefreshToken,
  type AccountRow,
  type RefreshTokenRow,
} from './auth.sql.ts'
import type { Passwords } from './passwords.ts'
import type { RateLimiter, RatePolicy } from './rate-limit.ts'

export interface SessionTokens {
  accessToken: string
  accessLifetimeMs: number
  refreshToken: string
}

export interface Sessions {
  /** Throws Problem invalid_login (whatever was wrong), rate_limited, overloaded, or forbidden without an active tenant. */
  signIn(login: { email: string; password: string; clientAddress: string; requestId: string }): Promise<SessionTokens>
  /** Throws Problem unauthenticated, token_expired or token_reused. */
  refresh(refreshToken: string, requestId: string): Promise<SessionTokens>
  /** Ends the session; an unknown token is no failure. */
  signOut(refreshToken: string, requestId: string): Promise<void>
}

export interface SessionDependencies {
  database: Database
  ids: Ids
  pepper: Uint8Array
  passwords: Passwords
  accessTokens: AccessTokens
  limiter: RateLimiter
  loginRates?: LoginRates
  /** Told when a session ends here, so that its access tokens end at once. */
  onSessionEnded: (family: string) => void
}

export interface LoginRates {
  perAccount: RatePolicy
  perAddress: RatePolicy
}

/** A person mistypes a few times; a machine that guesses gets 8,640 tries a day at one account. */
export const loginRatesDefault: LoginRates = {
  perAccount: { name: 'login-account', perSecond: 0.1, burstCount: 10 },
  perAddress: { name: 'login-address', perSecond: 0.5, burstCount: 60 },
}
const sessionLifetimeMs = 30 * 24 * 3_600_000
const lostAnswerGraceMs = 20_000
const refreshPrefix = 'mr_refresh_'

export function createSessions(deps: SessionDependencies): Sessions {
  const { database, ids, pepper, passwords, accessTokens, limiter } = deps
  const rates = deps.loginRates ?? loginRatesDefault

  const makeRefreshToken = () => refreshPrefix + Buffer.from(ids.randomHex(32), 'hex').toString('base64url')
  const hashOf = (refreshToken: string) => hashSecret(pepper, refreshToken)
  const tokensOf = (
    session: { userId: RowId<'user'>; tenantId: RowId<'tenant'>; family: string },
    refreshToken: string,
  ) => ({
    accessToken: accessTokens.issue({ userId: session.userId, tenantId: session.tenantId, session: session.family }),
    accessLifetimeMs: accessTokens.lifetimeMs,
    refreshToken,
  })

  function limitLogin(email: string, clientAddress: string): void {
    const account = createHash('sha256').update(email.toLowerCase()).digest('hex')
    for (const verdict of [limiter.take(clientAddress, rates.perAddress), limiter.take(account, rates.perAccount)]) {
      if (!verdict.allowed) throw new Problem('rate_limited', { retryAfterSeconds: verdict.retryAfterMs / 1_000 })
    }
  }

  async function succeed(tx: Tx, before: RefreshTokenRow, requestId: string): Promise<SessionTokens> {
    const refreshToken = makeRefreshToken()
    await insertSuccessor(tx, hashOf(refreshToken), before)
    await writeAudit(tx, auditOf('session.refresh', before, requestId))
    return tokensOf({ userId: before.user_id, tenantId: before.tenant_id, family: before.family }, refreshToken)
  }

  /** What becomes of a token that cannot simply be used: new tokens, or the code of the refusal. */
  async function refreshSpent(tx: Tx, hash: Uint8Array, requestId: string) {
    const spent = await findSpentToken(tx, hash, lostAnswerGraceMs)
    if (!spent) return { refused: 'unauthenticated' } as const
    if (spent.answer_may_be_lost) {
      await revokeUnusedTokens(tx, spent.family)
      return { tokens: await succeed(tx, spent, requestId) } as const
    }
    if (!spent.used && !spent.revoked) return { refused: 'token_expired' } as const
    await revokeFamily(tx, spent.family)
    await writeAudit(tx, auditOf('session.reuse', spent, requestId))
    return { refused: 'token_reused', family: spent.family } as const
  }

  return {
    async signIn({ email, password, clientAddress, requestId }) {
      limitLogin(email, clientAddress)
      const account = await findAccount(database, email)
      const matches = await passwords.matches(account?.password_hash, password)
      if (!account || !matches || account.disabled) {
        await database.asSystem((tx) => writeAudit(tx, refusalOf(account, requestId)))
        throw new Problem('invalid_login')
      }
      const { user_id: userId, tenant_id: tenantId } = account
      if (tenantId === null) throw new Problem('forbidden', { detail: 'This account belongs to no active tenant.' })
      const family = uuidOf(ids.randomHex(16))
      const refreshToken = makeRefreshToken()
      await database.asSystem(async (tx) => {
        await deleteEndedTokens(tx, userId)
        await insertRefreshToken(tx, {
          hash: hashOf(refreshToken),
          family,
          tenantId,
          userId,
          lifetimeMs: sessionLifetimeMs,
        })
        await writeAudit(tx, auditOf('session.create', { tenant_id: tenantId, user_id: userId }, requestId))
      })
      return tokensOf({ userId, tenantId, family }, refreshToken)
    },

    async refresh(refreshToken, requestId) {
      const hash = hashOf(refreshToken)
      const outcome = await database.asSystem(async (tx) => {
        const used = await useRefreshToken(tx, hash)
        return used ? { tokens: await succeed(tx, used, requestId) } : refreshSpent(tx, hash, requestId)
      })
      if ('tokens' in outcome) return outcome.tokens
      if (outcome.refused === 'token_reused') deps.onSessionEnded(outcome.family)
      throw new Problem(outcome.refused)
    },

    async signOut(refreshToken, requestId) {
      const family = await database.asSystem(async (tx) => {
        const token = await findSpentToken(tx, hashOf(refreshToken), lostAnswerGraceMs)
        if (!token) return undefined
        await revokeFamily(tx, token.family)
        await writeAudit(tx, auditOf('session.delete', token, requestId))
        return token.family
      })
      if (family !== undefined) deps.onSessionEnded(family)
    },
  }
}

const auditOf = (action: string, owner: Pick<RefreshTokenRow, 'tenant_id' | 'user_id'>, requestId: string) => ({
  tenantId: owner.tenant_id,
  actor: encodeId('user', owner.user_id),
  action,
  requestId,
})

/** A failed attempt at an account of a tenant is that tenant's to see; at no account, the installation's. */
const refusalOf = (account: AccountRow | undefined, requestId: string) => ({
  tenantId: account?.tenant_id ?? null,
  actor: 'system' as const,
  action: 'session.refuse',
  ...(account && { target: encodeId('user', account.user_id) }),
  detail: { reason: account?.disabled ? 'disabled' : 'credentials' },
  requestId,
})

const uuidOf = (hex: string): string => hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
