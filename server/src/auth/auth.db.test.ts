import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { systemClock, type Clock } from '../platform/clock.ts'
import { decodeId, systemIds, type RowId } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import type { Principal } from '../platform/principal.ts'
import type { Problem } from '../platform/problem.ts'
import type { RequestContext } from '../platform/routes.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { codeOf } from '../testing/problem-code.ts'
import { isWellFormedApiKey, makeApiKey } from './api-key.ts'
import { authRoutes } from './auth-routes.ts'
import { createAuth, type Auth } from './auth.ts'
import type { SecretWrapping } from './installation-secrets.ts'
import { createRateLimiter } from './rate-limit.ts'

let test: TestDatabase
let nowMs: number
const clock: Clock = { ...systemClock, now: () => new Date(nowMs), monotonicMs: () => nowMs }
const xor = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ 0x5a)
const wrapping: SecretWrapping = { wrap: (_, secret) => xor(secret), unwrap: (_, wrapped) => xor(wrapped) }
const openAuth = (): Promise<Auth> =>
  createAuth({ database: test.database, clock, log: silentLog, wrapping, limiter: createRateLimiter({ clock }) })

let auth: Auth
let tenantId: RowId<'tenant'>
let userId: RowId<'user'>
let serial = 0
const email = (): string => `ann${serial}@example.com`
const clientAddress = '127.0.0.1'
const requestId = 'req_1'
const passAge = (): void => void (nowMs += 5_000)

beforeAll(async () => {
  nowMs = Date.now()
  test = await createTestDatabase()
})
afterAll(() => test.drop())

beforeEach(async () => {
  serial++
  auth = await openAuth()
  const { database } = test
  const tenant = await database.query<{ id: RowId<'tenant'> }>(`insert into tenant (name) values ('t') returning id`)
  tenantId = tenant.rows[0]!.id
  const user = await database.query<{ id: RowId<'user'> }>(
    'insert into user_account (email, password_hash) values ($1, $2) returning id',
    [email(), await auth.passwords.hash('right')],
  )
  userId = user.rows[0]!.id
  await database.query(`insert into membership (tenant_id, user_id, role) values ($1, $2, 'user')`, [tenantId, userId])
})

const signIn = () => auth.sessions.signIn({ email: email(), password: 'right', clientAddress, requestId })
const asBearer = (token: string) => auth.authenticate({ authorization: `Bearer ${token}`, clientAddress })
const auditActions = async (): Promise<string[]> => {
  const { rows } = await test.database.query<{ action: string }>(
    'select action from audit_event where tenant_id = $1 order by id',
    [tenantId],
  )
  return rows.map((row) => row.action)
}

describe('signing in', () => {
  it('gives an access token that stands for the user, with the role of this moment', async () => {
    const { accessToken } = await signIn()
    expect(await asBearer(accessToken)).toMatchObject({ kind: 'user', tenantId, role: 'user', operator: false })
    await test.database.query(`update membership set role = 'read-only' where user_id = $1`, [userId])
    passAge()
    expect(await asBearer(accessToken)).toMatchObject({ role: 'read-only' })
    expect(await auditActions()).toEqual(['session.create'])
  })

  it('takes the address in any case, and stores the password as argon2id', async () => {
    await auth.sessions.signIn({ email: email().toUpperCase(), password: 'right', clientAddress, requestId })
    const hash = await auth.passwords.hash('x')
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  })

  it('refuses a wrong password, an unknown address and a disabled account with one and the same problem', async () => {
    const attempt = (login: { email: string; password: string }) =>
      auth.sessions.signIn({ ...login, clientAddress, requestId }).catch((error: Problem) => [error.code, error.detail])
    const wrong = await attempt({ email: email(), password: 'wrong' })
    const unknown = await attempt({ email: `no-${email()}`, password: 'right' })
    await test.database.query('update user_account set disabled_at = now() where id = $1', [userId])
    const disabled = await attempt({ email: email(), password: 'right' })
    expect([wrong, unknown, disabled]).toEqual(Array.from({ length: 3 }, () => ['invalid_login', undefined]))
    expect(await auditActions()).toEqual(['session.refuse', 'session.refuse'])
  })

  it('compares a password for an unknown address too', async () => {
    let compared = 0
    const { createSessions } = await import('./sessions.ts')
    const sessions = createSessions({
      database: test.database,
      ids: systemIds,
      pepper: Buffer.alloc(32),
      passwords: { hash: async () => '', matches: async () => (compared++, false) },
      accessTokens: { lifetimeMs: 1, issue: () => '', read: () => Promise.reject(new Error('unused')) as never },
      limiter: createRateLimiter({ clock }),
      onSessionEnded: () => {},
    })
    await codeOf(sessions.signIn({ email: `no-${email()}`, password: 'x', clientAddress, requestId }))
    expect(compared).toBe(1)
  })

  it('is limited per account, however many addresses try', async () => {
    const codes: string[] = []
    for (let i = 0; i < 12; i++) {
      const login = { email: email(), password: 'wrong', clientAddress: `10.0.0.${i}`, requestId }
      codes.push(await codeOf(auth.sessions.signIn(login)))
    }
    expect(codes).toEqual([...Array<string>(10).fill('invalid_login'), 'rate_limited', 'rate_limited'])
  })

  it('ends for everyone of a suspended tenant, within the age of what was verified', async () => {
    const { accessToken, refreshToken } = await signIn()
    await asBearer(accessToken)
    await test.database.query(`update tenant set state = 'suspended' where id = $1`, [tenantId])
    passAge()
    expect(await codeOf(asBearer(accessToken))).toBe('unauthenticated')
    expect(await codeOf(signIn())).toBe('forbidden')
    expect(refreshToken).toMatch(/^mr_refresh_/)
  })
})

describe('an access token', () => {
  const parts = (token: string) => token.split('.') as [string, string, string]
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

  it('ends after ten minutes', async () => {
    const { accessToken } = await signIn()
    nowMs += 10 * 60_000
    expect(await codeOf(asBearer(accessToken))).toBe('token_expired')
  })

  it('is good in every process and after a restart', async () => {
    const { accessToken } = await signIn()
    const other = await openAuth()
    expect((await other.authenticate({ authorization: `bearer ${accessToken}`, clientAddress })).tenantId).toBe(
      tenantId,
    )
  })

  it('is refused in every forged form', async () => {
    const { accessToken } = await signIn()
    const [header, payload, signature] = parts(accessToken)
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
    const head = JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, unknown>
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    const signBy = (h: string, p: string) =>
      sign('sha256', Buffer.from(`${h}.${p}`), { key: stranger, dsaEncoding: 'ieee-p1363' }).toString('base64url')
    const none = encode({ ...head, alg: 'none' })
    const hs = encode({ ...head, alg: 'HS256' })
    const forged = [
      `${none}.${payload}.`,
      `${none}.${payload}.${signature}`,
      `${hs}.${payload}.${createHmac('sha256', 'public key').update(`${hs}.${payload}`).digest('base64url')}`,
      `${header}.${encode({ ...claims, tid: 'tenant_0000000000000' })}.${signature}`,
      `${header}.${payload}.${signBy(header, payload)}`,
      `${encode({ ...head, jwk: stranger.export({ format: 'jwk' }) })}.${payload}.${signBy(header, payload)}`,
      `${encode({ ...head, kid: '../../etc/passwd' })}.${payload}.${signature}`,
      `${encode({ ...head, kid: "' or 1=1 --" })}.${payload}.${signature}`,
      `${encode({ ...head, crit: ['x'], x: 1 })}.${payload}.${signature}`,
      `${header}.${payload}.${signature}=`,
      `${header}.${payload}.${signature}A`,
      `${header}.${payload}.${signature.slice(0, -2)}`,
      `${header}.${payload}.${Buffer.alloc(64).toString('base64url')}`,
      `${header}.${payload}.${signature}.${signature}`,
      `${header}.${payload}`,
      `${header}..${signature}`,
      `.${payload}.${signature}`,
      `${header}.${payload} .${signature}`,
      'x'.repeat(100_000),
      '..',
      '{}',
    ]
    for (const token of forged)
      expect([token.slice(0, 40), await codeOf(asBearer(token))]).toEqual([token.slice(0, 40), 'unauthenticated'])
    for (const authorization of [
      undefined,
      '',
      'Bearer',
      `Basic ${accessToken}`,
      accessToken,
      `Bearer ${accessToken} x`,
    ]) {
      expect(await codeOf(auth.authenticate({ authorization, clientAddress }))).toBe('unauthenticated')
    }
    expect((await asBearer(accessToken)).tenantId).toBe(tenantId)
  })
})

describe('a refresh token', () => {
  it('is exchanged once for a pair that works', async () => {
    const first = await signIn()
    const second = await auth.sessions.refresh(first.refreshToken, requestId)
    expect(second.refreshToken).not.toBe(first.refreshToken)
    expect((await asBearer(second.accessToken)).tenantId).toBe(tenantId)
    expect(await auditActions()).toEqual(['session.create', 'session.refresh'])
  })

  it('ends its whole family when it is used again after its successor was', async () => {
    const first = await signIn()
    const second = await auth.sessions.refresh(first.refreshToken, requestId)
    const third = await auth.sessions.refresh(second.refreshToken, requestId)
    await asBearer(third.accessToken)
    expect(await codeOf(auth.sessions.refresh(first.refreshToken, requestId))).toBe('token_reused')
    expect(await codeOf(auth.sessions.refresh(third.refreshToken, requestId))).toBe('token_reused')
    expect(await codeOf(asBearer(third.accessToken))).toBe('unauthenticated')
    expect(await auditActions()).toContain('session.reuse')
  })

  it('may be used again while its answer may have been lost; what that answer held is then void', async () => {
    const first = await signIn()
    const lost = await auth.sessions.refresh(first.refreshToken, requestId)
    const again = await auth.sessions.refresh(first.refreshToken, requestId)
    expect((await asBearer(again.accessToken)).tenantId).toBe(tenantId)
    expect(await codeOf(auth.sessions.refresh(lost.refreshToken, requestId))).toBe('token_reused')
    expect(await codeOf(auth.sessions.refresh(again.refreshToken, requestId))).toBe('token_reused')
  })

  it('may not be used again once the grace is over', async () => {
    const first = await signIn()
    await auth.sessions.refresh(first.refreshToken, requestId)
    await test.database.query(
      `update refresh_token set used_at = used_at - interval '21 s' where user_id = $1 and used_at is not null`,
      [userId],
    )
    expect(await codeOf(auth.sessions.refresh(first.refreshToken, requestId))).toBe('token_reused')
  })

  it('leaves one live successor, whoever of many at once was first', async () => {
    const first = await signIn()
    await Promise.all(Array.from({ length: 20 }, () => auth.sessions.refresh(first.refreshToken, requestId)))
    const { rows } = await test.database.query(
      'select from refresh_token where user_id = $1 and used_at is null and revoked_at is null',
      [userId],
    )
    expect(rows.length).toBe(1)
  })

  it('does not outlive the session that it began with, and an unknown one is nobody’s', async () => {
    const first = await signIn()
    await test.database.query('update refresh_token set expires_at = now() where user_id = $1', [userId])
    expect(await codeOf(auth.sessions.refresh(first.refreshToken, requestId))).toBe('token_expired')
    expect(await codeOf(auth.sessions.refresh('mr_refresh_nonsense', requestId))).toBe('unauthenticated')
  })

  it('is no access token, nor is an access token one', async () => {
    const { accessToken, refreshToken } = await signIn()
    expect(await codeOf(asBearer(refreshToken))).toBe('unauthenticated')
    expect(await codeOf(auth.sessions.refresh(accessToken, requestId))).toBe('unauthenticated')
  })

  it('ends with its access tokens when the user signs out, as often as he likes', async () => {
    const { accessToken, refreshToken } = await signIn()
    await asBearer(accessToken)
    await auth.sessions.signOut(refreshToken, requestId)
    await auth.sessions.signOut(refreshToken, requestId)
    await auth.sessions.signOut('mr_refresh_nonsense', requestId)
    expect(await codeOf(asBearer(accessToken))).toBe('unauthenticated')
    expect(await codeOf(auth.sessions.refresh(refreshToken, requestId))).toBe('token_reused')
  })
})

describe('an API key', () => {
  const create = (over: Partial<Parameters<Auth['createApiKey']>[1]> = {}) =>
    auth.createApiKey(test.database, {
      tenantId,
      name: 'k',
      role: 'user',
      operator: false,
      createdBy: null,
      expiresAt: null,
      ...over,
    })

  it('has the shape mr_live_ + 24 + 6, and every mistyped character is found without the database', async () => {
    const key = makeApiKey(systemIds)
    expect(key).toMatch(/^mr_live_[0-9A-Za-z]{30}$/)
    expect(isWellFormedApiKey(key)).toBe(true)
    for (let i = 0; i < key.length; i++) {
      const other = key[i] === 'a' ? 'b' : 'a'
      expect(isWellFormedApiKey(key.slice(0, i) + other + key.slice(i + 1))).toBe(false)
    }
    expect(isWellFormedApiKey(`${key} `)).toBe(false)
    expect(isWellFormedApiKey(`${key}\n`)).toBe(false)
  })

  it('stands for its tenant and role, and notes when it was used', async () => {
    const { text, row } = await create({ role: 'read-only' })
    expect(await asBearer(text)).toMatchObject({ kind: 'api_key', tenantId, role: 'read-only', operator: false })
    await expect
      .poll(async () => {
        const { rows } = await test.database.query<{ used: boolean }>(
          'select last_used_at is not null as used from api_key where id = $1',
          [row.id],
        )
        return rows[0]?.used
      })
      .toBe(true)
  })

  it('is nowhere in the database', async () => {
    const { text } = await create()
    const { rows } = await test.database.query<{ dump: string }>(
      `select string_agg(k::text, ' ') || encode(string_agg(secret_hash, ''), 'escape') as dump from api_key k`,
    )
    expect(rows[0]?.dump).not.toContain(text.slice(12))
  })

  it('is refused when it is wrong, expired, revoked or of a suspended tenant', async () => {
    expect(await codeOf(asBearer(makeApiKey(systemIds)))).toBe('unauthenticated')
    expect(await codeOf(asBearer('mr_live_short'))).toBe('unauthenticated')
    const expiring = await create({ expiresAt: new Date(nowMs + 1_000) })
    expect(await codeOf(asBearer(expiring.text))).toBe('none')
    nowMs += 1_000
    expect(await codeOf(asBearer(expiring.text))).toBe('token_expired')
    const revoked = await create()
    await asBearer(revoked.text)
    await test.database.query('update api_key set revoked_at = now() where id = $1', [revoked.row.id])
    passAge()
    expect(await codeOf(asBearer(revoked.text))).toBe('unauthenticated')
    const suspended = await create()
    await test.database.query(`update tenant set state = 'suspended' where id = $1`, [tenantId])
    expect(await codeOf(asBearer(suspended.text))).toBe('unauthenticated')
  })

  it('is looked up once for many requests, and unknown ones are limited per address', async () => {
    const { text } = await create()
    let lookups = 0
    const database: typeof test.database = {
      ...test.database,
      query: (...args: Parameters<typeof test.database.query>) => {
        if (args[0].includes('from api_key')) lookups++
        return test.database.query(...args) as never
      },
    }
    const counted = await createAuth({
      database,
      clock,
      log: silentLog,
      wrapping,
      limiter: createRateLimiter({ clock }),
    })
    const ask = (key: string) => counted.authenticate({ authorization: `Bearer ${key}`, clientAddress })
    await Promise.all(Array.from({ length: 50 }, () => ask(text)))
    expect(lookups).toBe(1)
    const codes = new Set<string>()
    for (let i = 0; i < 250; i++) codes.add(await codeOf(ask(makeApiKey(systemIds))))
    expect(codes).toEqual(new Set(['unauthenticated', 'rate_limited']))
    expect(lookups).toBe(200)
  })
})

describe('the routes of API keys', () => {
  const context = (principal: Principal) => ({ principal, requestId, clientAddress }) as RequestContext
  const admin = (): Principal => ({ kind: 'system', tenantId, role: 'admin', operator: false, actor: 'system' })

  it('create a key that works, list it without its secret, revoke it at once', async () => {
    const routes = authRoutes({ auth, database: test.database, clock })
    const none = { params: undefined, query: undefined, body: undefined }
    const body = { name: 'ci', role: 'user' as const, expires_at: new Date(nowMs + 60_000).toISOString() }
    const made = await routes.createApiKey({ ...none, body }, context(admin()))
    if (!('api_key' in made)) throw new Error('answered something else')
    expect(decodeId('api_key', made.api_key_id)).toBeDefined()
    expect((await asBearer(made.api_key)).role).toBe('user')
    const listed = await routes.listApiKeys({ ...none, query: { limit: 1 } }, context(admin()))
    expect(JSON.stringify(listed)).toContain(made.api_key_id)
    expect(JSON.stringify(listed)).not.toContain(made.api_key)
    await routes.revokeApiKey({ ...none, params: { api_key_id: made.api_key_id } }, context(admin()))
    expect(await codeOf(asBearer(made.api_key))).toBe('unauthenticated')
    const again = { ...none, params: { api_key_id: made.api_key_id } }
    const stranger = { ...admin(), tenantId: tenantId + 1 }
    expect(await codeOf(Promise.resolve(routes.revokeApiKey(again, context(stranger))))).toBe('not_found')
    const past = { ...body, expires_at: new Date(nowMs - 1).toISOString() }
    expect(await codeOf(routes.createApiKey({ ...none, body: past }, context(admin())))).toBe('invalid_request')
    expect(await auditActions()).toEqual(['api_key.create', 'api_key.revoke'])
  })

  it('page through many keys without missing or doubling one', async () => {
    const routes = authRoutes({ auth, database: test.database, clock })
    for (let i = 0; i < 5; i++) {
      await auth.createApiKey(test.database, {
        tenantId,
        name: `k${i}`,
        role: 'user',
        operator: false,
        createdBy: null,
        expiresAt: null,
      })
    }
    const names: string[] = []
    let cursor: string | undefined
    do {
      const query = { limit: 2, ...(cursor && { cursor }) }
      const page = await routes.listApiKeys({ params: undefined, query, body: undefined }, context(admin()))
      if (!('items' in page)) throw new Error('answered something else')
      names.push(...page.items.map((item) => item.name))
      cursor = page.next_cursor ?? undefined
    } while (cursor !== undefined)
    expect(names).toEqual(['k4', 'k3', 'k2', 'k1', 'k0'])
  })
})
