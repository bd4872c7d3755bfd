import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { operations, type OperationId, type ProblemDocument } from '@millrace/contract'
import type { InjectOptions } from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createRateLimiter } from '../auth/rate-limit.ts'
import { systemClock } from '../platform/clock.ts'
import { systemIds } from '../platform/ids.ts'
import { silentLog, type Log } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem } from '../platform/problem.ts'
import { createGateway, type Gateway, type GatewayOptions } from './gateway.ts'
import type { Routes } from './operation-routes.ts'

const admin = { kind: 'user', tenantId: 1, role: 'admin', operator: true, actor: 'user_1' } as unknown as Principal

function build(options: Partial<GatewayOptions> = {}): Gateway {
  const gateway = createGateway({
    routes: {},
    authenticator: {
      authenticate: async ({ authorization }) => {
        if (authorization !== 'Bearer good') throw new Problem('unauthenticated')
        return admin
      },
    },
    limiter: createRateLimiter({ clock: systemClock }),
    clock: systemClock,
    ids: systemIds,
    log: silentLog,
    metrics: createMetrics({ processFigures: false }),
    readiness: {},
    host: '127.0.0.1',
    port: 0,
    checkResponses: true,
    ...options,
  })
  onTestFinished(() => gateway.stop(1_000))
  return gateway
}

const bearer = { authorization: 'Bearer good' }
const principalAnswer = {
  kind: 'user' as const,
  tenant_id: 't',
  tenant_name: 'T',
  user_id: null,
  email: null,
  role: 'admin' as const,
  operator: false,
}

async function problemOf(
  gateway: Gateway,
  request: InjectOptions,
): Promise<ProblemDocument & { headers: Record<string, unknown> }> {
  const response = await gateway.app.inject(request)
  expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8')
  const body = response.json<ProblemDocument>()
  expect(body.status).toBe(response.statusCode)
  return { ...body, headers: response.headers }
}

describe('problems', () => {
  it('answers an unknown path with not_found, whatever the method and the body', async () => {
    const gateway = build()
    expect((await problemOf(gateway, { url: '/nowhere' })).code).toBe('not_found')
    const post = { method: 'POST', url: '/api/v1/nowhere', headers: { 'content-type': 'x/y' }, payload: 'z' } as const
    expect((await problemOf(gateway, post)).code).toBe('not_found')
  })

  it('names the allowed methods of a known path', async () => {
    const gateway = build({ routes: { getPrincipal: async () => principalAnswer } })
    const problem = await problemOf(gateway, { method: 'DELETE', url: '/api/v1/me' })
    expect(problem).toMatchObject({ status: 405, code: 'method_not_allowed' })
    expect(problem.headers['allow']).toBe('GET, HEAD')
  })

  it('answers a path that is not a URL, and keeps its headers', async () => {
    const problem = await problemOf(build(), { url: '/api/v1/files/%zz' })
    expect(problem.code).toBe('invalid_request')
    expect(problem.headers['x-content-type-options']).toBe('nosniff')
  })

  it.each([
    ['malformed JSON', '{"email":', 'application/json', 400, 'invalid_request'],
    ['a __proto__ key', '{"__proto__":{"role":"admin"}}', 'application/json', 400, 'invalid_request'],
    ['constructor.prototype', '{"constructor":{"prototype":{}}}', 'application/json', 400, 'invalid_request'],
    ['an empty body', '', 'application/json', 400, 'invalid_request'],
    ['an array', '[]', 'application/json', 400, 'invalid_request'],
    ['a missing field', '{"email":"a@b.c"}', 'application/json', 400, 'invalid_request'],
    ['XML', '<a/>', 'application/xml', 415, 'unsupported_media_type'],
    ['a form', 'x', 'multipart/form-data; boundary=x', 415, 'unsupported_media_type'],
    ['a body over the limit', `"${'a'.repeat(1024 * 1024)}"`, 'application/json', 413, 'request_too_large'],
  ])('refuses %s', async (_, payload, contentType, status, code) => {
    const gateway = build({ routes: { createSession: () => Promise.reject(new Error('must not be called')) } })
    const problem = await problemOf(gateway, {
      method: 'POST',
      url: '/api/v1/sessions',
      headers: { 'content-type': contentType },
      payload,
    })
    expect(problem).toMatchObject({ status, code })
  })

  const wrongTime = 'Must be a time such as 2026-01-31T12:00:00Z.'
  const after = (time: string) => ({ batch: { query: { created_after: time } } })
  it.each<[string, object, string]>([
    ['a field that there is not', { nmae: 'x' }, '/body/nmae: "nmae" is not known here. Did you mean "name"?'],
    ['a wrong word', { missed_ticks: 'al' }, '/body/missed_ticks: Must be one of skip, once, all. Did you mean "all"?'],
    ['NUL', { name: 'a\0b' }, '/body/name: Must not contain NUL or text that is not valid Unicode.'],
    [
      'half a character in a key far inside',
      { batch: { query: { metadata: { a: [{ '\ud800': 1 }] } } } },
      '/body/batch/query/metadata/a/0: Must not contain NUL or text that is not valid Unicode.',
    ],
    ['the year 0', after('0000-01-01T00:00:00Z'), `/body/batch/query/created_after: ${wrongTime}`],
    ['an offset of 16 hours', after('2026-01-01T00:00:00+16:00'), `/body/batch/query/created_after: ${wrongTime}`],
    ['a leap second', after('2026-12-31T23:59:60Z'), `/body/batch/query/created_after: ${wrongTime}`],
    ['a date', after('2026-01-31'), `/body/batch/query/created_after: ${wrongTime}`],
  ])('says of %s what is wrong', async (_, payload, detail) => {
    const gateway = build({ routes: { updateSchedule: () => Promise.reject(new Error('must not be called')) } })
    const request = { method: 'PATCH', url: '/api/v1/schedules/x', headers: bearer, payload } as const
    expect(await problemOf(gateway, request)).toMatchObject({ status: 400, code: 'invalid_request', detail })
  })

  it.each<[string, object, string]>([
    ['a rate of nothing', { starts_per_second: 0 }, '/body/starts_per_second: Must be more than 0 and at most 100000.'],
    ['a rate in words', { starts_per_second: 'many' }, '/body/starts_per_second: Must be a number or null.'],
    ['a fraction', { weight: 1.5 }, '/body/weight: Must be a whole number, not a fraction.'],
    ['too much', { weight: 1_001 }, '/body/weight: Must be from 1 to 1000.'],
  ])('says of %s what it may be', async (_, payload, detail) => {
    const gateway = build({ routes: { updateTenantShare: () => Promise.reject(new Error('must not be called')) } })
    const request = { method: 'PATCH', url: '/api/v1/admin/tenants/x/share', headers: bearer, payload } as const
    expect(await problemOf(gateway, request)).toMatchObject({ code: 'invalid_request', detail })
  })

  it('refuses a body that nests without end', async () => {
    const gateway = build({ routes: { updateSchedule: () => Promise.reject(new Error('must not be called')) } })
    const payload = `{"batch":{"query":{"metadata":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}}}`
    const headers = { ...bearer, 'content-type': 'application/json' }
    const problem = await problemOf(gateway, { method: 'PATCH', url: '/api/v1/schedules/x', headers, payload })
    expect(problem).toMatchObject({ status: 400, detail: expect.stringContaining('Must not nest deeper') })
  })

  it('takes a time with an offset', async () => {
    const gateway = build({ routes: { updateSchedule: () => Promise.reject(new Problem('conflict')) } })
    const payload = after('2026-01-31T12:00:00.5-11:30')
    const request = { method: 'PATCH', url: '/api/v1/schedules/x', headers: bearer, payload } as const
    expect(await problemOf(gateway, request)).toMatchObject({ code: 'conflict' })
  })

  it('names the faulty fields without repeating what was sent', async () => {
    const gateway = build({ routes: { createSession: () => Promise.reject(new Error('must not be called')) } })
    const payload = { email: 'secret@example.com', password: 7 }
    const problem = await problemOf(gateway, { method: 'POST', url: '/api/v1/sessions', payload })
    expect(problem.errors).toEqual([{ path: '/body/password', message: 'Must be text, not a whole number.' }])
    expect(JSON.stringify(problem)).not.toContain('secret')
  })

  it('tells an unknown failure as internal, with nothing of its text, and logs it once with the request id', async () => {
    const lines: [string, Record<string, unknown> | undefined][] = []
    const log: Log = { ...silentLog, error: (event, fields) => void lines.push([event, fields]), with: () => log }
    const gateway = build({ log, routes: { getPrincipal: () => Promise.reject(new Error('password=hunter2')) } })
    const problem = await problemOf(gateway, { url: '/api/v1/me', headers: bearer })
    expect(problem).toMatchObject({ status: 500, code: 'internal' })
    expect(JSON.stringify(problem)).not.toContain('hunter2')
    expect(lines).toEqual([['http.failed', expect.objectContaining({ requestId: problem.request_id })]])
  })

  it('does not take a statusCode on a library error for the client’s fault', async () => {
    const error = Object.assign(new Error('upstream'), { statusCode: 404 })
    const gateway = build({ routes: { getPrincipal: () => Promise.reject(error) } })
    expect((await problemOf(gateway, { url: '/api/v1/me', headers: bearer })).code).toBe('internal')
  })

  it('fails an answer that its schema does not allow, when asked to check', async () => {
    const routes = { getPrincipal: async () => ({ ...principalAnswer, role: 'king' }) } as unknown as Routes
    expect((await problemOf(build({ routes }), { url: '/api/v1/me', headers: bearer })).code).toBe('internal')
    const unchecked = await build({ routes, checkResponses: false }).app.inject({ url: '/api/v1/me', headers: bearer })
    expect(unchecked.statusCode).toBe(200)
  })
})

describe('a request', () => {
  it('is asked for credentials before its body is looked at', async () => {
    const gateway = build({ routes: { createApiKey: () => Promise.reject(new Error('must not be called')) } })
    const problem = await problemOf(gateway, { method: 'POST', url: '/api/v1/api-keys', payload: '{' })
    expect(problem).toMatchObject({ status: 401, code: 'unauthenticated' })
    expect(problem.headers['www-authenticate']).toContain('Bearer')
  })

  it('carries text of the query as the number that the schema asks for, with the default filled in', async () => {
    const seen: unknown[] = []
    const gateway = build({
      routes: { listJobs: async ({ query }) => (seen.push(query), { items: [], next_cursor: null }) },
    })
    await gateway.app.inject({ url: '/api/v1/jobs?limit=7&status=failed', headers: bearer })
    await gateway.app.inject({ url: '/api/v1/jobs', headers: bearer })
    expect(seen).toEqual([{ limit: 7, status: 'failed' }, { limit: 50 }])
    for (const query of ['limit=x', 'limit=0', 'limit=201', 'limit=1&limit=2', 'status=lost', 'limit=1e1000']) {
      expect((await problemOf(gateway, { url: `/api/v1/jobs?${query}`, headers: bearer })).code).toBe('invalid_request')
    }
  })

  it('is refused with a parameter that its operation does not have, unless that is a link that others may add to', async () => {
    const answer = async () => ({ items: [], next_cursor: null })
    const opened: unknown[] = []
    const routes: Routes = {
      listJobs: answer,
      getPrincipal: async () => principalAnswer,
      openLink: async ({ query }) => (
        opened.push(query),
        { kind: 'stream', status: 200, headers: {}, body: undefined }
      ),
    }
    const gateway = build({ routes })
    expect(await problemOf(gateway, { url: '/api/v1/jobs?stat=failed&limit=1', headers: bearer })).toMatchObject({
      code: 'invalid_request',
      detail: '/query/stat: "stat" is not known here. Known here: limit, cursor, status, file_id, parent_job_id.',
    })
    expect(await problemOf(gateway, { url: '/api/v1/me?x=1', headers: bearer })).toMatchObject({
      code: 'invalid_request',
      detail: '/query/x: "x" is not known here.',
    })
    const link = { url: '/api/v1/links/t/content?utm_source=mail&frame=true' }
    expect((await gateway.app.inject(link)).statusCode).toBe(200)
    expect(opened).toMatchObject([{ frame: true }])
  })

  it('finds nothing under an id of impossible length', async () => {
    const gateway = build({ routes: { getFile: () => Promise.reject(new Error('must not be called')) } })
    const long = `/api/v1/files/${'x'.repeat(5_000)}`
    expect((await problemOf(gateway, { url: long, headers: bearer })).code).toBe('not_found')
    expect((await problemOf(gateway, { url: long })).code).toBe('unauthenticated')
  })

  it('has its own id and every security header in the answer', async () => {
    const gateway = build({ routes: { getPrincipal: async () => principalAnswer } })
    const first = await gateway.app.inject({ url: '/api/v1/me', headers: { ...bearer, 'x-request-id': 'mine' } })
    const second = await gateway.app.inject({ url: '/api/v1/me', headers: bearer })
    expect(first.headers['x-request-id']).toMatch(/^req_[0-9a-f]{20}$/)
    expect(first.headers['x-request-id']).not.toBe(second.headers['x-request-id'])
    expect(first.headers['content-security-policy']).toContain("default-src 'none'")
    expect(first.headers['cache-control']).toBe('no-store')
  })

  it('gets as HEAD what it would get as GET, without the body', async () => {
    let destroyed = false
    const body = new Readable({ read() {}, destroy: (_, done) => ((destroyed = true), done(null)) })
    const gateway = build({
      routes: {
        getPrincipal: async () => principalAnswer,
        getFileContent: async () => ({ kind: 'stream', status: 200, headers: { 'content-length': '9' }, body }),
      },
    })
    const get = await gateway.app.inject({ url: '/api/v1/me', headers: bearer })
    const head = await gateway.app.inject({ method: 'HEAD', url: '/api/v1/me', headers: bearer })
    expect([head.statusCode, head.body, head.headers['content-length']]).toEqual([
      200,
      '',
      get.headers['content-length'],
    ])
    const content = await gateway.app.inject({ method: 'HEAD', url: '/api/v1/files/f/content', headers: bearer })
    expect([content.statusCode, content.headers['content-length'], destroyed]).toEqual([200, '9', true])
  })

  it('is refused with Retry-After once its principal has used up the rate, and told the limit before', async () => {
    const gateway = build({
      requestRate: { name: 'requests', perSecond: 0.1, burstCount: 2 },
      routes: { getPrincipal: async () => principalAnswer },
    })
    const first = await gateway.app.inject({ url: '/api/v1/me', headers: bearer })
    expect(first.headers['ratelimit-policy']).toBe('"requests";q=2;w=20')
    expect(first.headers['ratelimit']).toBe('"requests";r=1;t=10')
    await gateway.app.inject({ url: '/api/v1/me', headers: bearer })
    const refused = await problemOf(gateway, { url: '/api/v1/me', headers: bearer })
    expect(refused).toMatchObject({ status: 429, code: 'rate_limited' })
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
  })

  it('says when to come again where the problem knows it', async () => {
    const problems = [new Problem('idempotency_in_flight', { retryAfterSeconds: 0.5 }), new Problem('conflict')]
    const getPrincipal = () => Promise.reject(problems.shift())
    const gateway = build({ routes: { getPrincipal } })
    const retryAfter = async () =>
      (await problemOf(gateway, { url: '/api/v1/me', headers: bearer })).headers['retry-after']
    expect([await retryAfter(), await retryAfter()]).toEqual(['1', undefined])
  })

  it('streams bytes with the headers of the handler', async () => {
    const headers = { 'content-type': 'text/csv', 'content-range': 'bytes 0-1/9', 'content-disposition': 'attachment' }
    const body = Readable.from([Buffer.from('ab')])
    const gateway = build({ routes: { getFileContent: async () => ({ kind: 'stream', status: 206, headers, body }) } })
    const response = await gateway.app.inject({ url: '/api/v1/files/f/content', headers: bearer })
    expect([response.statusCode, response.body]).toEqual([206, 'ab'])
    expect(response.headers).toMatchObject(headers)
    expect(response.headers['content-security-policy']).toContain('sandbox')
  })
})

describe('the installation’s own paths', () => {
  it('say whether the process lives and whether it is ready, and why not', async () => {
    let working = true
    const gateway = build({
      readiness: {
        database: async () => {
          if (!working) throw new Problem('database_unavailable', { detail: 'Gone.' })
        },
        store: async () => {},
      },
      clock: { ...systemClock, monotonicMs: () => (working ? 0 : 10_000) },
    })
    expect((await gateway.app.inject('/healthz')).json()).toEqual({ status: 'ok' })
    expect((await gateway.app.inject('/readyz')).json()).toEqual({ status: 'ready', parts: ['database', 'store'] })
    working = false
    const problem = await problemOf(gateway, { url: '/readyz' })
    expect(problem).toMatchObject({
      status: 503,
      code: 'database_unavailable',
      errors: [{ path: 'database', message: 'Gone.' }],
    })
    expect((await gateway.app.inject('/healthz')).statusCode).toBe(200)
  })

  it('count requests by operation, never by path', async () => {
    const gateway = build({ routes: { getFile: () => Promise.reject(new Problem('not_found')) } })
    await gateway.app.inject({ url: '/api/v1/files/file_secret', headers: bearer })
    const { body } = await gateway.app.inject('/metrics')
    expect(body).toContain('operation="getFile",method="GET",status="4xx"')
    expect(body).not.toContain('secret')
  })

  it('serve the API’s description and pages that load nothing from elsewhere', async () => {
    const gateway = build()
    const document = (await gateway.app.inject('/openapi.json')).json<{ paths: Record<string, object> }>()
    const described = Object.values(document.paths).flatMap((item) => Object.keys(item)).length
    expect(described).toBe(Object.keys(operations).length)
    for (const url of ['/docs', '/docs/problems']) {
      const page = await gateway.app.inject(url)
      expect(page.headers['content-type']).toContain('text/html')
      expect(page.body).not.toMatch(/<script|src=|https?:\/\//)
    }
  })

  it('serve the dashboard under a policy that runs only its own files, and its page for its own paths', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'millrace-gateway-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    await mkdir(path.join(folder, 'assets'))
    await writeFile(path.join(folder, 'index.html'), '<p>page</p>')
    await writeFile(path.join(folder, 'assets', 'app-1.js'), 'run()')
    await writeFile(path.join(folder, '.secret'), 'no')
    const gateway = build({ dashboardFolder: folder })
    const html = { accept: 'text/html' }
    for (const url of ['/', '/jobs/job_1']) {
      const page = await gateway.app.inject({ url, headers: html })
      expect([page.statusCode, page.body]).toEqual([200, '<p>page</p>'])
      expect(page.headers['content-security-policy']).toContain("script-src 'self'")
      expect(page.headers['cache-control']).toBe('no-cache')
    }
    const asset = await gateway.app.inject('/assets/app-1.js')
    expect(asset.headers['cache-control']).toContain('immutable')
    for (const url of ['/api/v1/nowhere', '/.secret', '/../gateway.ts', '/assets/..%2f.secret', '/assets/none.js']) {
      const response = await gateway.app.inject({ url, headers: url === '/.secret' ? {} : { accept: '*/*' } })
      expect([url, response.statusCode]).toEqual([url, 404])
    }
    expect((await problemOf(gateway, { url: '/api/v1/nowhere', headers: html })).code).toBe('not_found')
  })
})

describe('an operation without a rule', () => {
  it('does not start', async () => {
    const { mountOperations } = await import('./operation-routes.ts')
    const { policy } = await import('./policy.ts')
    const { getPrincipal: _, ...rest } = policy
    const deps = { policy: rest } as unknown as Parameters<typeof mountOperations>[2]
    const routes = { getPrincipal: async () => principalAnswer }
    expect(() => mountOperations(build().app, routes, deps)).toThrow('getPrincipal has no rule')
    expect(Object.keys(policy).toSorted()).toEqual((Object.keys(operations) as OperationId[]).toSorted())
  })
})
