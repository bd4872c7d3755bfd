// Planted orphans, planted bit rot and planted losses, on a disk store and the real vault.

import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { examine } from '../analytics/doctor.ts'
import { sealFile } from '../files/seal.ts'
import { insertTestTenant } from '../files/testing/catalogue.ts'
import { systemClock } from '../platform/clock.ts'
import { systemIds } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { createMetrics, type Metrics } from '../platform/metrics.ts'
import { openDiskStore } from '../storage/disk.ts'
import { createVault } from '../storage/encrypted-vault.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { insertObjects } from '../storage/object.sql.ts'
import { createMemoryKeyRing } from '../storage/testing/memory-key-ring.ts'
import type { SealedObject, Vault } from '../storage/vault.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { createScrub, type ScrubOptions } from './scrubber.ts'
import { createRowSweep, createSweep } from './sweeper.ts'

let test: TestDatabase
let folder: string
let store: ObjectStore
let vault: Vault
let metrics: Metrics
let tenantId: number
const signal = new AbortController().signal

beforeAll(async () => {
  test = await createTestDatabase()
  folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-care-'))
  store = await openDiskStore({ directory: folder, log: silentLog })
  vault = createVault({ store, keyRing: createMemoryKeyRing(), ids: systemIds, log: silentLog })
})
afterAll(async () => {
  await store.close()
  await test.drop()
  await rm(folder, { recursive: true, force: true })
})
beforeEach(async () => {
  await test.database.script('truncate tenant cascade; truncate outbox, store_finding')
  for (const { key } of await store.list({ prefix: '', limit: 1_000 })) await store.delete(key)
  metrics = createMetrics({ processFigures: false })
  tenantId = await insertTestTenant(test.database)
})

const write = (content = 'content'): Promise<SealedObject> =>
  vault.write({ tenantId, content: Readable.from([Buffer.from(content)]), folder: 'files', sizeBytesMax: 1e9 })

async function addFile(content?: string): Promise<SealedObject> {
  const object = await write(content)
  await test.database.withTenant(tenantId, (tx) =>
    sealFile(tx, { tenantId, name: 'a', contentType: 'text/plain', object, metadata: {}, createdBy: 'system' }),
  )
  return object
}
const pathOf = ({ storeKey }: SealedObject) => path.join(folder, 'objects', ...storeKey.split('/'))
const keys = async () => (await store.list({ prefix: '', limit: 1_000 })).map(({ key }) => key)
const findings = async () =>
  (await examine({ database: test.database, storeProbe: { reports: async () => [] }, parts: {} })).findings.filter(
    ({ code }) => code.startsWith('object_'),
  )

describe('the sweep', () => {
  const days = (count: number) => () => Date.now() + count * 24 * 60 * 60_000

  it('removes what has no row once it is older than a day, and nothing else', async () => {
    const known = await addFile()
    const strays = [await write(), await write()]
    const foreign = 'probe/something'
    await store.put(foreign, Readable.from([Buffer.from('x')]))
    const sweep = (nowMs: () => number) => {
      metrics = createMetrics({ processFigures: false })
      return createSweep({ database: test.database, objectStore: store, metrics }, nowMs)
    }
    expect(await sweep(days(0.9)).step(signal)).toEqual({ removedCount: 0, ended: true })
    expect(await sweep(days(1.1)).step(signal)).toEqual({ removedCount: strays.length, ended: true })
    expect((await keys()).toSorted()).toEqual([known.storeKey, foreign].toSorted())
    expect((await metrics.scrape()).text).toContain('millrace_store_strays_removed_total 2')
  })

  it('leaves parts of an upload that is still being received', async () => {
    const draft = await vault.createDraft({ tenantId, folder: 'files' })
    await vault.writePart(draft, { number: 1, content: Readable.from([Buffer.from('part')]), sizeBytesMax: 100 })
    const stray = await vault.createDraft({ tenantId, folder: 'files' })
    await vault.writePart(stray, { number: 1, content: Readable.from([Buffer.from('part')]), sizeBytesMax: 100 })
    await test.database.query(
      `insert into upload_session (tenant_id, kind, name, object_id, store_key, wrapped_key, tenant_key_version, created_by, expires_at)
       values ($1, 'tus', 'n', $2, $3, '', 1, 'system', now() + interval '1 day')`,
      [tenantId, draft.objectId, draft.storeKey],
    )
    const sweep = createSweep({ database: test.database, objectStore: store, metrics }, days(2))
    expect(await sweep.step(signal)).toMatchObject({ removedCount: 1 })
    expect((await keys()).every((key) => key.startsWith(draft.storeKey))).toBe(true)
  })
})

describe('the sweep of rows', () => {
  const objectIds = async () =>
    (await test.database.query<{ id: string }>('select id from object order by id')).rows.map((row) => row.id)
  const age = (hours: number) =>
    test.database.query(`update object set created_at = now() - $1 * interval '1 hour'`, [hours])

  it('gives up what nothing refers to once it is older than a day, and leaves its bytes to be removed', async () => {
    const version = await addFile('a version')
    const output = await write('an output')
    const planted = [await write('planted'), await write('planted too')]
    await insertObjects(test.database, [output, ...planted])
    await test.database.query(
      `insert into output (tenant_id, job_id, task_id, step, name, content_type, size_bytes, sha256, object_id)
       values ($1, 1, 1, 's', 'n', 'text/plain', 1, $2, $3)`,
      [tenantId, output.sha256, output.objectId],
    )
    const sweep = createRowSweep({ database: test.database, metrics, log: silentLog })
    await age(23)
    expect(await sweep.step(signal)).toEqual({ removedCount: 0, ended: true })
    await age(25)
    expect(await sweep.step(signal)).toEqual({ removedCount: planted.length, ended: true })
    expect(await objectIds()).toEqual([version.objectId, output.objectId].toSorted())
    const { rows } = await test.database.query<{ store_key: string }>('select store_key from erased_object order by 1')
    expect(rows.map((row) => row.store_key)).toEqual(planted.map((object) => object.storeKey).toSorted())
    expect((await metrics.scrape()).text).toContain('millrace_store_unused_rows_removed_total 2')
    expect(await sweep.step(signal)).toEqual({ removedCount: 0, ended: true })
  })
})

describe('the scrub', () => {
  const createTestScrub = (options: ScrubOptions = {}) => {
    metrics = createMetrics({ processFigures: false })
    return createScrub(
      { database: test.database, vault, metrics, clock: systemClock, log: silentLog },
      { settledMs: -1_000, bytesPerSecond: 1e9, ...options },
    )
  }
  const scrub = (options?: ScrubOptions) => createTestScrub(options).step(signal)
  const verifiedAt = async ({ objectId }: SealedObject) =>
    (
      await test.database.query<{ at: Date | null }>('select last_verified_at as at from object where id = $1', [
        objectId,
      ])
    ).rows[0]!.at

  it('reads each object once in its period', async () => {
    const objects = [await addFile(), await addFile()]
    expect(await scrub()).toEqual({ verifiedCount: 2, findingsCount: 0 })
    expect(await scrub()).toEqual({ verifiedCount: 0, findingsCount: 0 })
    expect(await Promise.all(objects.map(verifiedAt))).toEqual([expect.any(Date), expect.any(Date)])
    expect(await findings()).toEqual([])
  })

  it('finds rot and loss, tells everybody once, and takes it back when the object is whole again', async () => {
    await addFile()
    const rotten = await addFile('x'.repeat(100_000))
    const lost = await addFile()
    const whole = await readFile(pathOf(rotten))
    const rot = Buffer.from(whole)
    rot[rot.length - 20_000]! ^= 4
    await writeFile(pathOf(rotten), rot)
    await rm(pathOf(lost))
    expect(await scrub()).toEqual({ verifiedCount: 3, findingsCount: 2 })
    expect(await findings()).toMatchObject([
      { code: 'object_missing', severity: 'error', detail: expect.stringContaining(lost.objectId) },
      { code: 'object_damaged', severity: 'error', detail: expect.stringContaining(rotten.objectId) },
    ])
    const { text } = await metrics.scrape()
    for (const kind of ['damaged', 'missing'])
      expect(text).toContain(`millrace_store_findings_total{kind="${kind}"} 1\n`)
    const events = async () =>
      (await test.database.query(`select data from outbox where type = 'file.damaged' order by data ->> 'kind'`)).rows
    expect(await events()).toEqual([
      { data: { version: 1, kind: 'damaged' } },
      { data: { version: 1, kind: 'missing' } },
    ])
    await scrub({ periodMs: 0 })
    expect(await events()).toHaveLength(2)
    await writeFile(pathOf(rotten), whole)
    await scrub({ periodMs: 0 })
    expect((await findings()).map(({ code }) => code)).toEqual(['object_missing'])
  })

  it('leaves its place when the store does not answer, and finds nothing in that', async () => {
    const object = await addFile()
    const down = {
      ...vault,
      read: () => Promise.reject(Object.assign(new Error('down'), { code: 'storage_unavailable' })),
    }
    const failing = createScrub(
      { database: test.database, vault: down, metrics, clock: systemClock, log: silentLog },
      { settledMs: -1_000 },
    )
    await expect(failing.step(signal)).rejects.toThrow('down')
    expect(await verifiedAt(object)).toBeNull()
    expect(await findings()).toEqual([])
  })

  it('holds its pace', async () => {
    const slept: number[] = []
    const clock = { ...systemClock, monotonicMs: () => 0, sleep: async (ms: number) => void slept.push(ms) }
    await addFile('x'.repeat(500_000))
    await createScrub(
      { database: test.database, vault, metrics, clock, log: silentLog },
      { settledMs: -1_000, bytesPerSecond: 100_000 },
    ).step(signal)
    expect(slept.at(-1)).toBe(5_000)
  })
})

it('leftovers of writers that were killed are removed with the sweep', async () => {
  const temp = path.join(folder, 'temp', '00000000-999999-dead')
  await writeFile(temp, 'half').catch(() => undefined)
  const past = new Date(Date.now() - 48 * 60 * 60_000)
  await utimes(temp, past, past).catch(() => undefined)
  await createSweep({ database: test.database, objectStore: store, metrics }, Date.now).step(signal)
  await expect(readFile(temp)).rejects.toThrow()
})
