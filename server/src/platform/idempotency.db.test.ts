import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import {
  createIdempotency,
  hashRequest,
  idempotencyKeyOf,
  type AnswerSealing,
  type Idempotency,
} from './idempotency.ts'
import { systemIds } from './ids.ts'
import { silentLog } from './log.ts'
import { Problem } from './problem.ts'
import type { Handler, HandlerInput, RequestContext } from './routes.ts'

let test: TestDatabase
let idempotency: Idempotency
let keysCount = 0
const newKey = (): string => `key-${++keysCount}`
beforeAll(async () => {
  test = await createTestDatabase()
  idempotency = createIdempotency({ database: test.database, ids: systemIds })
})
afterAll(() => test.drop())

const age = (key: string, seconds: number, what: 'created_at' | 'in_flight_until' = 'created_at') =>
  test.database.query(`update idempotency_key set ${what} = now() - $2 * interval '1 s' where key = $1`, [key, seconds])

const contextOf = (key: string | undefined, tenantId = 7): RequestContext =>
  ({
    principal: { kind: 'api_key', tenantId, role: 'user', operator: false, actor: 'system' },
    headers: key === undefined ? {} : { 'idempotency-key': key },
    log: silentLog,
  }) as unknown as RequestContext

const inputOf = (name: string): HandlerInput<'createPipeline'> => ({
  params: undefined,
  query: undefined,
  body: { source: name },
})

describe('a wrapped operation', () => {
  const create = vi.fn(async ({ body }: HandlerInput<'createPipeline'>) => ({ name: body.source, made: Math.random() }))
  // A stand-in whose answer the schema does not matter for.
  const handler = create as unknown as Handler<'createPipeline'>
  const call = (key: string | undefined, name: string, tenantId?: number) =>
    idempotency.wrap('createPipeline', handler)(inputOf(name), contextOf(key, tenantId))

  it('acts once and answers alike however often the same request comes', async () => {
    create.mockClear()
    const key = newKey()
    const first = await call(key, 'a')
    expect(await call(key, 'a')).toEqual(first)
    expect(create).toHaveBeenCalledTimes(1)
  })

  it('keeps an answer that tells a secret sealed, and answers alike', async () => {
    const key = newKey()
    const sealing: AnswerSealing = {
      seal: async (tenantId, answer) => ({ tenantId, sealed: Buffer.from(JSON.stringify(answer)).toString('hex') }),
      open: async (tenantId, kept) => {
        const { sealed, ...whose } = kept as { tenantId: number; sealed: string }
        expect(whose).toEqual({ tenantId })
        return JSON.parse(Buffer.from(sealed, 'hex').toString())
      },
    }
    const wrapped = idempotency.wrap('createPipeline', handler, sealing)
    const first = await wrapped(inputOf('canary'), contextOf(key))
    expect(await wrapped(inputOf('canary'), contextOf(key))).toEqual(first)
    const { rows } = await test.database.query('select response::text as text from idempotency_key where key = $1', [
      key,
    ])
    expect(rows).toEqual([{ text: expect.not.stringContaining('canary') }])
  })

  it('acts each time when no key was sent', async () => {
    create.mockClear()
    await call(undefined, 'a')
    await call(undefined, 'a')
    expect(create).toHaveBeenCalledTimes(2)
  })

  it('refuses another request with the same key', async () => {
    const key = newKey()
    await call(key, 'a')
    await expect(call(key, 'b')).rejects.toMatchObject({ code: 'idempotency_key_reused' })
    const other = idempotency.wrap('createJob', handler as unknown as Handler<'createJob'>)
    await expect(other({ ...inputOf('a'), body: { file_id: 'a' } }, contextOf(key))).rejects.toMatchObject({
      code: 'idempotency_key_reused',
    })
  })

  it('keeps the keys of tenants apart', async () => {
    const key = newKey()
    const mine = await call(key, 'a', 7)
    const theirs = await call(key, 'a', 8)
    expect(theirs).not.toEqual(mine)
  })

  it('acts once when a hundred equal requests come at the same time', async () => {
    create.mockClear()
    const key = newKey()
    const results = await Promise.allSettled(Array.from({ length: 100 }, () => call(key, 'a')))
    expect(create).toHaveBeenCalledTimes(1)
    const refusals = results.filter((result) => result.status === 'rejected')
    expect(refusals.every(({ reason }) => (reason as Problem).code === 'idempotency_in_flight')).toBe(true)
    expect(refusals.length).toBeLessThan(100)
  })

  it('may be sent again after it has failed', async () => {
    const key = newKey()
    create.mockRejectedValueOnce(new Problem('pipeline_invalid'))
    await expect(call(key, 'a')).rejects.toMatchObject({ code: 'pipeline_invalid' })
    await expect(call(key, 'better')).resolves.toMatchObject({ name: 'better' })
  })

  it('acts anew after a day', async () => {
    create.mockClear()
    const key = newKey()
    await call(key, 'a')
    await age(key, 25 * 3_600)
    await call(key, 'b')
    expect(create).toHaveBeenCalledTimes(2)
  })
})

describe('a claim', () => {
  it('that its process left behind passes to the next request, and the first can no longer finish', async () => {
    const key = newKey()
    const first = await idempotency.begin({ tenantId: 7, key })
    await age(key, 1, 'in_flight_until')
    const second = await idempotency.begin({ tenantId: 7, key })
    if (first.kind !== 'claimed' || second.kind !== 'claimed') throw new Error('both were to be claimed')
    const finish = (claim: typeof first.claim) =>
      test.database.withTenant(7, (tx) => idempotency.finish(tx, claim, { requestHash: 'h', response: 1 }))
    await expect(finish(first.claim)).rejects.toMatchObject({ code: 'idempotency_in_flight' })
    await idempotency.release(first.claim)
    await finish(second.claim)
    expect(await idempotency.begin({ tenantId: 7, key })).toEqual({
      kind: 'answered',
      requestHash: 'h',
      response: 1,
    })
  })

  it('that is renewed keeps others out', async () => {
    const key = newKey()
    const start = await idempotency.begin({ tenantId: 7, key })
    if (start.kind !== 'claimed') throw new Error('it was to be claimed')
    await age(key, 1, 'in_flight_until')
    await idempotency.renew(start.claim)
    await expect(idempotency.begin({ tenantId: 7, key })).rejects.toMatchObject({ code: 'idempotency_in_flight' })
  })
})

it('the sweep forgets what is older than a day and leaves the rest', async () => {
  const [old, young] = [newKey(), newKey()]
  for (const key of [old, young]) {
    const start = await idempotency.begin({ tenantId: 7, key })
    if (start.kind === 'claimed') {
      await test.database.withTenant(7, (tx) =>
        idempotency.finish(tx, start.claim, { requestHash: 'h', response: null }),
      )
    }
  }
  await age(old, 25 * 3_600)
  expect(await idempotency.sweep()).toBeGreaterThan(0)
  const { rows } = await test.database.query('select key from idempotency_key where key = any($1)', [[old, young]])
  expect(rows).toEqual([{ key: young }])
})

it('a key is visible ASCII of bounded length', () => {
  expect(idempotencyKeyOf(contextOf(undefined))).toBeUndefined()
  expect(idempotencyKeyOf(contextOf('"8e03978e"'))).toBe('"8e03978e"')
  for (const key of ['', 'a b', 'ä', 'x'.repeat(256)]) {
    expect(() => idempotencyKeyOf(contextOf(key))).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  }
})

it('the hash of a request does not depend on the order of keys', () => {
  expect(hashRequest({ a: 1, b: { c: [1, 2], d: 2 } })).toBe(hashRequest({ b: { d: 2, c: [1, 2] }, a: 1 }))
  expect(hashRequest([1, 2])).not.toBe(hashRequest([2, 1]))
})
