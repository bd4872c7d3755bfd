import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { insertTestTenant, makeObject, usageOf } from '../files/testing/catalogue.ts'
import { systemClock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import { createIdempotency } from '../platform/idempotency.ts'
import { systemIds } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { Problem } from '../platform/problem.ts'
import type { SealedObject } from '../storage/vault.ts'
import { createQuota } from '../tenants/quota.ts'
import { toTenantLimits } from '../tenants/limits.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { createSealTogether } from './seal-together.ts'
import type { UploadOrder, UploadToSeal } from './seal-upload.ts'
import { testSubmission } from './testing/upload-house.ts'

let test: TestDatabase
beforeAll(async () => {
  test = await createTestDatabase()
})
afterAll(() => test.drop())

/** A seal of which the first transaction waits until the gate is opened, so that the next uploads gather. */
function gatedHouse(atTransaction: (count: number) => void = () => {}) {
  const gate = Promise.withResolvers<void>()
  const entered: number[] = []
  const withTenant: Database['withTenant'] = async (tenantId, work, options) => {
    const count = entered.push(tenantId)
    if (count === 1) await gate.promise
    return test.database.withTenant(
      tenantId,
      async (tx) => {
        const value = await work(tx)
        atTransaction(count)
        return value
      },
      options,
    )
  }
  const database = { ...test.database, withTenant }
  // Nobody here waits for the clock, but where a test says that a moment is over.
  const moment = Promise.withResolvers<void>()
  const clock = { ...systemClock, sleep: () => moment.promise }
  const idempotency = createIdempotency({ database: test.database, ids: systemIds })
  const quota = createQuota({ database })
  const { seal, storing } = createSealTogether({ database, clock, quota, submission: testSubmission, idempotency })
  return {
    seal,
    storing,
    idempotency,
    openGate: gate.resolve,
    endMoment: moment.resolve,
    transactionsOf: () => entered,
  }
}

interface Options {
  object?: SealedObject
  pipeline?: string
  claim?: NonNullable<UploadOrder['claim']>
}

function uploadOf(tenantId: number, name: string, { object, pipeline, claim }: Options = {}): UploadToSeal {
  return {
    order: {
      principal: { kind: 'system', tenantId, role: 'user', operator: false, actor: 'system' },
      requestId: `req_${name}`,
      limits: toTenantLimits({}),
      unreserved: true,
      signal: new AbortController().signal,
      log: silentLog,
      ...(claim !== undefined && { claim }),
    },
    file: {
      name,
      contentType: 'text/csv',
      object: object ?? makeObject(tenantId, 1_000),
      reservation: undefined,
    },
    fields: pipeline === undefined ? {} : { pipeline },
  }
}

const codeOf = (settled: PromiseSettledResult<unknown>): string => {
  if (settled.status === 'fulfilled') return 'sealed'
  return settled.reason instanceof Problem ? settled.reason.code : 'failed'
}

/** What was written under each name, in the order of the names. */
async function writtenOf(tenantId: number) {
  const { rows } = await test.database.query<{ name: string }>(
    `select f.name,
       (select count(*)::int from object o where o.id = f.object_id) as objects,
       (select count(*)::int from file_version v where v.file_id = f.id) as versions,
       (select count(*)::int from job j where j.file_id = f.id) as jobs,
       (select count(*)::int from outbox b where b.file_id = f.id and b.type = 'file.created') as events,
       (select count(*)::int from audit_event a where a.tenant_id = f.tenant_id and a.request_id = 'req_' || f.name) as audited
     from file f where f.tenant_id = $1 order by f.name`,
    [tenantId],
  )
  return rows
}

const whole = (name: string) => ({ name, objects: 1, versions: 1, jobs: 1, events: 1, audited: 2 })

describe('an upload that is ready while another is being stored', () => {
  it('waits for that, and is sealed with it', async () => {
    const tenantId = await insertTestTenant(test.database)
    const { seal, storing, openGate, transactionsOf } = gatedHouse()
    openGate()
    const stored = Promise.withResolvers<void>()
    const other = storing(tenantId, () => stored.promise).then(() => seal(uploadOf(tenantId, 'b')))
    const first = seal(uploadOf(tenantId, 'a'))
    stored.resolve()
    await Promise.all([first, other])
    expect(await writtenOf(tenantId)).toEqual(['a', 'b'].map(whole))
    expect(transactionsOf()).toEqual([tenantId])
  })

  it('waits no longer than a moment', async () => {
    const tenantId = await insertTestTenant(test.database)
    const { seal, storing, openGate, endMoment } = gatedHouse()
    openGate()
    void storing(tenantId, () => new Promise<void>(() => {}))
    const first = seal(uploadOf(tenantId, 'a'))
    endMoment()
    await first
    expect(await writtenOf(tenantId)).toEqual([whole('a')])
  })

  it('waits neither for one of another tenant nor for one whose storing has failed', async () => {
    const [tenantId, another] = [await insertTestTenant(test.database), await insertTestTenant(test.database)]
    const { seal, storing, openGate } = gatedHouse()
    openGate()
    void storing(another, () => new Promise<void>(() => {}))
    await expect(storing(tenantId, () => Promise.reject(new Error('full')))).rejects.toThrow('full')
    await seal(uploadOf(tenantId, 'a'))
    expect(await writtenOf(tenantId)).toEqual([whole('a')])
  })
})

describe('uploads that are ready while another is being sealed', () => {
  it('are sealed together, each with all that belongs to it and with its own answer', async () => {
    const tenantId = await insertTestTenant(test.database)
    const { seal, openGate, transactionsOf } = gatedHouse()
    const names = ['a', 'b "quoted", {odd}\r\n', 'c\\', 'NULL', 'é😀']
    const sealing = Promise.all(names.map((name) => seal(uploadOf(tenantId, name))))
    openGate()
    const results = await sealing
    expect(results.map(({ name }) => name)).toEqual(names)
    const written = await writtenOf(tenantId)
    expect(written).toEqual(expect.arrayContaining(names.map(whole)))
    expect(new Set(results.map(({ file_id: id }) => id)).size).toBe(names.length)
    expect(await usageOf(test.database, tenantId)).toMatchObject({ files_count: 5, stored_bytes: 5_000 })
    expect(transactionsOf()).toEqual([tenantId, tenantId])
  })

  it('do not make uploads of another tenant wait', async () => {
    const [mine, theirs] = [await insertTestTenant(test.database), await insertTestTenant(test.database)]
    const { seal, openGate } = gatedHouse()
    const waiting = seal(uploadOf(mine, 'a'))
    await seal(uploadOf(theirs, 'b'))
    expect(await writtenOf(mine)).toEqual([])
    openGate()
    await waiting
    expect(await writtenOf(mine)).toEqual([whole('a')])
  })

  it('fail alone: one that no pipeline takes, and one that the database refuses', async () => {
    const tenantId = await insertTestTenant(test.database)
    const { seal, openGate } = gatedHouse()
    const taken = makeObject(tenantId, 1_000)
    const sealing = Promise.allSettled([
      seal(uploadOf(tenantId, 'a', { object: taken })),
      seal(uploadOf(tenantId, 'b')),
      seal(uploadOf(tenantId, 'c', { pipeline: 'nowhere' })),
      seal(uploadOf(tenantId, 'd', { object: taken })),
      seal(uploadOf(tenantId, 'e')),
    ])
    openGate()
    const settled = await sealing
    expect(settled.map(codeOf)).toEqual(['sealed', 'sealed', 'pipeline_unknown', 'failed', 'sealed'])
    expect(settled[3]).toMatchObject({ reason: { code: '23505' } })
    expect(await writtenOf(tenantId)).toEqual(['a', 'b', 'e'].map(whole))
    expect(await usageOf(test.database, tenantId)).toMatchObject({ files_count: 3, stored_bytes: 3_000 })
  })

  it('fail together, once, when the server is out of time', async () => {
    const tenantId = await insertTestTenant(test.database)
    const { seal, openGate, transactionsOf } = gatedHouse((count) => {
      if (count === 2) throw Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' })
    })
    const sealing = Promise.allSettled(['a', 'b', 'c'].map((name) => seal(uploadOf(tenantId, name))))
    openGate()
    expect((await sealing).map(codeOf)).toEqual(['sealed', 'failed', 'failed'])
    expect(transactionsOf()).toHaveLength(2)
    expect(await writtenOf(tenantId)).toEqual([whole('a')])
  })

  it('take exactly the room that is left, to the byte', async () => {
    const tenantId = await insertTestTenant(test.database, { stored_bytes_max: 4_999 })
    const { seal, openGate } = gatedHouse()
    const sealing = Promise.allSettled(Array.from({ length: 12 }, (_, n) => seal(uploadOf(tenantId, `${n}`))))
    openGate()
    const codes = (await sealing).map(codeOf)
    expect(codes.filter((code) => code === 'sealed')).toHaveLength(4)
    expect(codes.filter((code) => code === 'quota_exceeded')).toHaveLength(8)
    expect(await usageOf(test.database, tenantId)).toMatchObject({ files_count: 4, stored_bytes: 4_000 })
  })

  it('keep their answers under their own Idempotency-Keys, and one whose key was taken over fails alone', async () => {
    const tenantId = await insertTestTenant(test.database)
    const { seal, openGate, idempotency } = gatedHouse()
    const claimOf = async (key: string) => {
      const start = await idempotency.begin({ tenantId, key })
      if (start.kind !== 'claimed') throw new Error('it is new')
      return start.claim
    }
    const claims = { b: await claimOf('b'), c: await claimOf('c'), d: await claimOf('d') }
    await test.database.query(`update idempotency_key set claim = 'another' where tenant_id = $1 and key = 'c'`, [
      tenantId,
    ])
    const sealing = Promise.allSettled([
      seal(uploadOf(tenantId, 'a')),
      ...Object.entries(claims).map(([name, claim]) => seal(uploadOf(tenantId, name, { claim }))),
    ])
    openGate()
    const settled = await sealing
    expect(settled.map(codeOf)).toEqual(['sealed', 'sealed', 'idempotency_in_flight', 'sealed'])
    expect(await writtenOf(tenantId)).toEqual(['a', 'b', 'd'].map(whole))
    for (const [key, index] of [
      ['b', 1],
      ['d', 3],
    ] as const) {
      const again = await idempotency.begin({ tenantId, key })
      expect(again).toMatchObject({ kind: 'answered', response: (settled[index] as { value: unknown }).value })
    }
  })

  it('are there as a whole or not at all when the database goes away before the commit', async () => {
    const tenantId = await insertTestTenant(test.database)
    const { seal, openGate, transactionsOf } = gatedHouse((count) => {
      if (count === 2) throw new Problem('database_unavailable')
    })
    const sealing = Promise.allSettled(['a', 'b', 'c', 'd'].map((name) => seal(uploadOf(tenantId, name))))
    openGate()
    const codes = (await sealing).map(codeOf)
    expect(codes).toEqual(['sealed', ...Array.from({ length: 3 }, () => 'database_unavailable')])
    expect(await writtenOf(tenantId)).toEqual([whole('a')])
    expect(await usageOf(test.database, tenantId)).toMatchObject({ files_count: 1, stored_bytes: 1_000 })
    // Nobody knocks again at a door that is shut.
    expect(transactionsOf()).toHaveLength(2)
    expect(await seal(uploadOf(tenantId, 'e'))).toMatchObject({ name: 'e' })
  })
})
