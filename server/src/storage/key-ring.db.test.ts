import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Clock } from '../platform/clock.ts'
import { systemIds } from '../platform/ids.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { cacheAgeMsMax, createKeyRing, type KeyRing } from './key-ring.ts'
import { rewrapTenantKeys } from './key-rotation.ts'
import { loadOrCreateMasterKey } from './master-key-file.ts'
import { createMasterKey, unwrapSecret, wrapSecret, type MasterKey } from './master-key.ts'

let testing: TestDatabase
beforeAll(async () => {
  testing = await createTestDatabase()
})
afterAll(() => testing.drop())

const masterKey = createMasterKey(Buffer.alloc(32, 1))
let nowMs = 0
const clock: Clock = { now: () => new Date(nowMs), monotonicMs: () => nowMs, sleep: async () => {} }
const newRing = (options: { masterKey?: MasterKey } = {}): KeyRing =>
  createKeyRing({ database: testing.database, masterKey, clock, ...options })

const newTenant = async (): Promise<number> => {
  const { rows } = await testing.database.query<{ id: number }>("insert into tenant (name) values ('t') returning id")
  return rows[0]!.id
}
const newPlace = async () => ({ tenantId: await newTenant(), objectId: systemIds.randomHex(16) })

test('an object key comes back in another process, and is stored only wrapped', async () => {
  const place = await newPlace()
  const { objectKey, ...wrapped } = await newRing().createObjectKey(place)
  expect((await newRing().openObjectKey({ ...place, ...wrapped })).equals(objectKey)).toBe(true)
  expect(Buffer.from(wrapped.wrappedKey).includes(objectKey.export())).toBe(false)
})

test('of many processes that make the first key of a tenant at once, all get the same', async () => {
  const place = await newPlace()
  const made = await Promise.all(Array.from({ length: 8 }, () => newRing().createObjectKey(place)))
  for (const { objectKey, ...wrapped } of made) {
    expect(wrapped.tenantKeyVersion).toBe(1)
    expect((await newRing().openObjectKey({ ...place, ...wrapped })).equals(objectKey)).toBe(true)
  }
})

test('a wrapped key fits no other tenant, object or version', async () => {
  const ring = newRing()
  const place = await newPlace()
  const other = await newPlace()
  const { objectKey: _, ...wrapped } = await ring.createObjectKey(place)
  await ring.createObjectKey(other)
  await ring.rotateTenantKey(place.tenantId)
  const damaged = { code: 'object_damaged' }
  await expect(ring.openObjectKey({ ...place, ...wrapped, tenantId: other.tenantId })).rejects.toMatchObject(damaged)
  await expect(ring.openObjectKey({ ...place, ...wrapped, objectId: other.objectId })).rejects.toMatchObject(damaged)
  await expect(ring.openObjectKey({ ...place, ...wrapped, tenantKeyVersion: 2 })).rejects.toMatchObject(damaged)
  await expect(ring.openObjectKey({ ...place, ...wrapped, tenantKeyVersion: 3 })).rejects.toMatchObject(damaged)
})

test('a key that is wrapped under another master key between the look and the opening is looked up again', async () => {
  const place = await newPlace()
  const { objectKey, ...wrapped } = await newRing().createObjectKey(place)
  const newer = Buffer.alloc(32, 2)
  const turn = () =>
    rewrapTenantKeys({
      database: testing.database,
      masterKey: createMasterKey(newer, Buffer.alloc(32, 1)),
    })
  let turned: Promise<unknown> | undefined
  const unwrap: MasterKey['unwrap'] = async (context, bytes) => {
    await (turned ??= turn())
    return createMasterKey(newer).unwrap(context, bytes)
  }
  const ring = newRing({ masterKey: { ...masterKey, unwrap } })
  expect((await ring.openObjectKey({ ...place, ...wrapped })).equals(objectKey)).toBe(true)
  await expect(newRing().openObjectKey({ ...place, ...wrapped })).rejects.toMatchObject({ code: 'setting_invalid' })
  await rewrapTenantKeys({ database: testing.database, masterKey: createMasterKey(Buffer.alloc(32, 1), newer) })
})

test('rotation changes the wrapping of new and rewrapped objects, and old ones stay readable', async () => {
  const ring = newRing()
  const place = await newPlace()
  const { objectKey, ...old } = await ring.createObjectKey(place)
  expect(await ring.rotateTenantKey(place.tenantId)).toBe(2)
  expect((await ring.createObjectKey({ ...place, objectId: systemIds.randomHex(16) })).tenantKeyVersion).toBe(2)
  expect((await ring.openObjectKey({ ...place, ...old })).equals(objectKey)).toBe(true)
  const rewrapped = await ring.rewrapObjectKey({ ...place, ...old })
  expect(rewrapped.tenantKeyVersion).toBe(2)
  expect((await ring.openObjectKey({ ...place, ...rewrapped })).equals(objectKey)).toBe(true)
})

test('destroyed keys are unreadable at once here, and elsewhere when the memory of them has ended', async () => {
  const [here, elsewhere] = [newRing(), newRing()]
  const place = await newPlace()
  const { objectKey: _, ...wrapped } = await here.createObjectKey(place)
  await elsewhere.openObjectKey({ ...place, ...wrapped })
  await here.destroyTenantKeys(place.tenantId)
  const gone = { code: 'key_destroyed' }
  await expect(here.openObjectKey({ ...place, ...wrapped })).rejects.toMatchObject(gone)
  await expect(here.createObjectKey(place)).rejects.toMatchObject(gone)
  nowMs += cacheAgeMsMax
  await expect(elsewhere.openObjectKey({ ...place, ...wrapped })).rejects.toMatchObject(gone)
  const { rows } = await testing.database.query('select from tenant_key where tenant_id = $1 and wrapped is not null', [
    place.tenantId,
  ])
  expect(rows).toEqual([])
})

test('a burst for one tenant asks the database once', async () => {
  let transactionsCount = 0
  const database = {
    ...testing.database,
    withTenant: (...args: Parameters<typeof testing.database.withTenant>) => {
      transactionsCount++
      return testing.database.withTenant(...args)
    },
  } as typeof testing.database
  const ring = createKeyRing({ database, masterKey, clock })
  const place = await newPlace()
  const { objectKey: _, ...wrapped } = await newRing().createObjectKey(place)
  await Promise.all(Array.from({ length: 50 }, () => ring.openObjectKey({ ...place, ...wrapped })))
  expect(transactionsCount).toBe(1)
})

test('another master key opens nothing and says so', async () => {
  const place = await newPlace()
  const { objectKey: _, ...wrapped } = await newRing().createObjectKey(place)
  const wrong = newRing({ masterKey: createMasterKey(Buffer.alloc(32, 2)) })
  await expect(wrong.openObjectKey({ ...place, ...wrapped })).rejects.toMatchObject({ code: 'setting_invalid' })
})

test('a secret of the installation is bound to its name', async () => {
  const wrapped = await wrapSecret(masterKey, 'token-key', Buffer.from('secret'))
  expect(String(await unwrapSecret(masterKey, 'token-key', wrapped))).toBe('secret')
  await expect(unwrapSecret(masterKey, 'pepper', wrapped)).rejects.toMatchObject({ code: 'setting_invalid' })
})

test('the master key file is made once, for its owner only, and is refused when others can read it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-key-'))
  const path = join(folder, 'master.key')
  try {
    const keys = await Promise.all(Array.from({ length: 8 }, () => loadOrCreateMasterKey(path)))
    const wrapped = await wrapSecret(keys[0]!, 'x', Buffer.from('same'))
    for (const key of keys) expect(String(await unwrapSecret(key, 'x', wrapped))).toBe('same')
    expect(await readdir(folder)).toEqual(['master.key'])
    expect(await readFile(path, 'utf8')).toMatch(/^millrace-master-key-1:[0-9a-f]{64}\n$/)
    if (process.platform !== 'win32') {
      expect((await stat(path)).mode & 0o777).toBe(0o600)
      await chmod(path, 0o640)
      await expect(loadOrCreateMasterKey(path)).rejects.toMatchObject({ code: 'setting_invalid' })
      await chmod(path, 0o600)
    }
    await writeFile(path, 'not a key')
    await expect(loadOrCreateMasterKey(path)).rejects.toMatchObject({ code: 'setting_invalid' })
  } finally {
    await rm(folder, { recursive: true })
  }
})
