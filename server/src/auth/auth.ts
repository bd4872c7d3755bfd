// auth/ finds out who is asking: passwords, sessions, API keys; it hands a Principal to those above it.
// It must not know what a principal may do (gateway/policy.ts) nor what a file or a job is.
// Invariants: no secret is stored in a form that can be used (argon2id for passwords, a keyed hash for the rest);
// what does not exist and what is wrong take as long and answer alike; a revocation is felt everywhere within 5 s;
// each sign-in, refusal, refresh and change of a key is one audit event in the same transaction.

import { encodeId, systemIds, type Ids } from '../platform/ids.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database, Sql } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem } from '../platform/problem.ts'
import {
  createAccessTokens,
  makeSigningKey,
  readSigningKey,
  type AccessClaims,
  type AccessTokens,
  type SigningKey,
} from './access-token.ts'
import { apiKeyPrefix, hashSecret, isWellFormedApiKey, looksLikeApiKey, makeApiKey } from './api-key.ts'
import {
  findApiKey,
  findSessionState,
  insertApiKey,
  touchApiKey,
  type ApiKeyRow,
  type NewApiKey,
  type SessionStateRow,
  type VerifiedKeyRow,
} from './auth.sql.ts'
import { createInstallationSecrets, type InstallationSecrets, type SecretWrapping } from './installation-secrets.ts'
import { createPasswords, type Passwords } from './passwords.ts'
import type { RateLimiter, RatePolicy } from './rate-limit.ts'
import { createSessions, type LoginRates, type Sessions } from './sessions.ts'
import { createVerifiedCache } from './verified-cache.ts'

export interface AuthOptions {
  database: Database
  clock: Clock
  ids?: Ids
  log: Log
  wrapping: SecretWrapping
  limiter: RateLimiter
  loginRates?: LoginRates
}

export interface Auth {
  /** Throws Problem unauthenticated, token_expired, rate_limited (too many unknown keys) or database_unavailable. */
  authenticate(request: { authorization: string | undefined; clientAddress: string }): Promise<Principal>
  readonly sessions: Sessions
  readonly passwords: Passwords
  /** Makes a key inside the caller's transaction; the text is nowhere else, so whoever gets it keeps it. */
  createApiKey(sql: Sql, key: Omit<NewApiKey, 'hash' | 'prefix'>): Promise<{ text: string; row: ApiKeyRow }>
  /** Lets this process forget a revoked key at once; others do so within 5 s. */
  forgetApiKey(hash: Uint8Array): void
}

/** Keys that this process has not seen lately cost a look into the database. */
const unknownKeyRate: RatePolicy = { name: 'key-lookup', perSecond: 20, burstCount: 200 }
const lastUsedEveryMs = 60_000
const credentialsLengthMax = 2_000
const pepperName = 'secret_pepper'
const signingKeyPrefix = 'token_key.'

/** Makes the installation's secrets at the very first start. Throws Problem('database_unavailable'). */
export async function createAuth(options: AuthOptions): Promise<Auth> {
  const { database, clock, log, limiter, ids = systemIds } = options
  const secrets = createInstallationSecrets(options)
  const pepper = await secrets.getOrMake(pepperName, () => Buffer.from(ids.randomHex(32), 'hex'))
  const accessTokens = createAccessTokens({ clock, keys: await loadSigningKeys(secrets) })
  const passwords = await createPasswords()
  const verifiedKeys = createVerifiedCache<VerifiedKeyRow | undefined>({ clock })
  const verifiedSessions = createVerifiedCache<SessionStateRow | undefined>({ clock })

  async function authenticateKey(key: string, clientAddress: string): Promise<Principal> {
    if (!isWellFormedApiKey(key)) throw new Problem('unauthenticated')
    const hash = hashSecret(pepper, key)
    const row = await verifiedKeys.get(hash.toString('base64'), async () => {
      const verdict = limiter.take(clientAddress, unknownKeyRate)
      if (!verdict.allowed) throw new Problem('rate_limited', { retryAfterSeconds: verdict.retryAfterMs / 1_000 })
      const found = await findApiKey(database, hash)
      if (found) noteUse(found.id)
      return found
    })
    if (!row) throw new Problem('unauthenticated')
    if (row.expires_at && row.expires_at <= clock.now()) {
      throw new Problem('token_expired', { detail: 'The API key has expired.' })
    }
    const { tenant_id: tenantId, role, operator } = row
    return { kind: 'api_key', tenantId, role, operator, actor: encodeId('api_key', row.id) }
  }

  // Not waited for: an answer must not hang on a statistic.
  const noteUse = (id: number): void =>
    void touchApiKey(database, id, lastUsedEveryMs).catch((error: unknown) => log.warn('auth.use_not_noted', { error }))

  async function authenticateSession(token: string, tokens: AccessTokens): Promise<Principal> {
    const { userId, tenantId, session }: AccessClaims = tokens.read(token)
    const state = await verifiedSessions.get(session, () =>
      findSessionState(database, { family: session, userId, tenantId }),
    )
    if (!state) throw new Problem('unauthenticated', { detail: 'The session has ended.' })
    const actor = encodeId('user', userId)
    return { kind: 'user', tenantId, role: state.role, operator: state.operator, actor }
  }

  return {
    passwords,
    sessions: createSessions({
      database,
      ids,
      pepper,
      passwords,
      accessTokens,
      limiter,
      ...(options.loginRates && { loginRates: options.loginRates }),
      onSessionEnded: (family) => verifiedSessions.forget(family),
    }),
    async authenticate({ authorization, clientAddress }) {
      const token = /^bearer +([^\s]+)$/i.exec(authorization?.slice(0, credentialsLengthMax) ?? '')?.[1]
      if (token === undefined) throw new Problem('unauthenticated')
      return looksLikeApiKey(token) ? authenticateKey(token, clientAddress) : authenticateSession(token, accessTokens)
    },
    async createApiKey(sql, key) {
      const text = makeApiKey(ids)
      const row = await insertApiKey(sql, { ...key, prefix: apiKeyPrefix(text), hash: hashSecret(pepper, text) })
      return { text, row }
    },
    forgetApiKey: (hash) => verifiedKeys.forget(Buffer.from(hash).toString('base64')),
  }
}

/** Every key still accepted, the one that signs last. */
async function loadSigningKeys(secrets: InstallationSecrets): Promise<[SigningKey, ...SigningKey[]]> {
  const first = `${signingKeyPrefix}1`
  const made = await secrets.getOrMake(first, makeSigningKey)
  const others = (await secrets.list(signingKeyPrefix)).filter(({ name }) => name !== first)
  return [readSigningKey(first, made), ...others.map(({ name, secret }) => readSigningKey(name, secret))]
}
