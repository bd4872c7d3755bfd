import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import { systemIds } from '../platform/ids.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { createKeyRing } from './key-ring.ts'
import { rewrapKeys, rewrapTenantKeys } from './key-rotation.ts'
import { loadMasterKeyByCommand } from './master-key-command.ts'
import { loadOrCreateMasterKey } from './master-key-file.ts'
import { createMasterKey, masterKeyLine } from './master-key.ts'
import { findObject, insertObjects, objectKeyHolder } from './object.sql.ts'
import type { SealedObject } from './vault.ts'

let testing: TestDatabase
let folder: string
beforeAll(async () => {
  testing = await createTestDatabase()
  folder = await mkdtemp(join(tmpdir(), 'millrace-rotation-'))
})
afterAll(async () => {
  await testing.drop()
  await rm(folder, { recursive: true })
})

const never = new AbortController().signal
const newTenant = async (): Promise<number> => {
  const { rows } = await testing.database.query<{ id: number }>("insert into tenant (name) values ('t') returning id")
  return rows[0]!.id
}

test("a tenant's key is rotated under its readers: no byte is read, no object becomes unreadable", async () => {
  const { database } = testing
  const keyRing = createKeyRing({ database, masterKey: createMasterKey(Buffer.alloc(32, 1)), clock: systemClock })
  const tenantId = await newTenant()
  const keys = new Map<string, Buffer>()
  for (let page = 0; page < 5; page++) {
    const objects: SealedObject[] = []
    for (let i = 0; i < 500; i++) {
      const objectId = systemIds.randomHex(16)
      const { objectKey, ...wrapped } = await keyRing.createObjectKey({ tenantId, objectId })
      keys.set(objectId, objectKey.export())
      const sizes = { sizeBytes: 1, storedBytes: 1, sha256: 'a'.repeat(64), manifest: {}, storeKey: objectId }
      objects.push({ objectId, tenantId, ...sizes, ...wrapped })
    }
    await insertObjects(database, objects)
  }
  const ids = [...keys.keys()]
  const done = new AbortController()
  const readers = (async () => {
    let readsCount = 0
    for (; !done.signal.aborted; readsCount++) {
      // On the embedded database reading alone would never let anything else have its turn.
      await setImmediate()
      const id = ids[readsCount % ids.length]!
      const object = (await findObject(database, id))!
      expect((await keyRing.openObjectKey(object)).export().equals(keys.get(id)!)).toBe(true)
    }
    return readsCount
  })()

  expect(await keyRing.rotateTenantKey(tenantId)).toBe(2)
  const rewrap = () => rewrapKeys({ database, keyRing, tenantId, holder: objectKeyHolder, signal: never })
  expect(await rewrap()).toEqual({ count: keys.size, damagedCount: 0 })
  expect(await rewrap()).toEqual({ count: 0, damagedCount: 0 })
  done.abort()
  expect(await readers).toBeGreaterThan(0)
  for (const id of ids) {
    const object = (await findObject(database, id))!
    expect(object.tenantKeyVersion).toBe(2)
    expect((await keyRing.openObjectKey(object)).export().equals(keys.get(id)!)).toBe(true)
  }
})

test('a key that cannot be opened does not keep the others, and one that is destroyed meanwhile stays destroyed', async () => {
  const { database } = testing
  const keyRing = createKeyRing({ database, masterKey: createMasterKey(Buffer.alloc(32, 1)), clock: systemClock })
  const tenantId = await newTenant()
  const objects: SealedObject[] = []
  for (let i = 0; i < 3; i++) {
    const objectId = systemIds.randomHex(16)
    const { objectKey: _, ...wrapped } = await keyRing.createObjectKey({ tenantId, objectId })
    const sizes = { sizeBytes: 1, storedBytes: 1, sha256: 'a'.repeat(64), manifest: {}, storeKey: objectId }
    objects.push({ objectId, tenantId, ...sizes, ...wrapped })
  }
  await insertObjects(database, objects)
  const [changed, shredded, whole] = objects.map(({ objectId }) => objectId)
  await database.query(
    `update object set wrapped_key = set_byte(wrapped_key, 60, 255 - get_byte(wrapped_key, 60)) where id = $1`,
    [changed],
  )
  await keyRing.rotateTenantKey(tenantId)
  const holder: typeof objectKeyHolder = {
    ...objectKeyHolder,
    async update(sql, ...update) {
      await sql.query(`update object set wrapped_key = '' where id = $1`, [shredded])
      await objectKeyHolder.update(sql, ...update)
    },
  }
  expect(await rewrapKeys({ database, keyRing, tenantId, holder, signal: never })).toEqual({
    count: 2,
    damagedCount: 1,
  })
  const { wrappedKey, tenantKeyVersion } = (await findObject(database, shredded!))!
  expect([wrappedKey.length, tenantKeyVersion]).toEqual([0, 1])
  expect(await findObject(database, whole!)).toMatchObject({ tenantKeyVersion: 2 })

  await keyRing.destroyTenantKeys(tenantId)
  await expect(keyRing.rotateTenantKey(tenantId)).rejects.toMatchObject({ code: 'key_destroyed' })
  expect(await rewrapKeys({ database, keyRing, tenantId, holder, signal: never })).toEqual({
    count: 0,
    damagedCount: 0,
  })
})

test('the master key is turned over by its file, without a restart, and the old one is then of no use', async () => {
  const { database } = testing
  const file = join(folder, 'master.key')
  const masterKey = await loadOrCreateMasterKey(file)
  await database.query('delete from tenant_key')
  const ring = createKeyRing({ database, masterKey, clock: systemClock })
  const place = { tenantId: await newTenant(), objectId: systemIds.randomHex(16) }
  const { objectKey, ...wrapped } = await ring.createObjectKey(place)
  const old = (await readFile(file, 'utf8')).trim()
  const next = masterKeyLine(Buffer.alloc(32, 7))

  await writeFile(file, `${old}\n${next}\n`)
  await writeFile(file, `# in force since today\n${next}\n${old}\n`)
  expect(await rewrapTenantKeys({ database, masterKey })).toBe(1)
  await writeFile(file, `${next}\n`)

  const later = createKeyRing({ database, masterKey: await loadOrCreateMasterKey(file), clock: systemClock })
  expect((await later.openObjectKey({ ...place, ...wrapped })).equals(objectKey)).toBe(true)
  const oldFile = join(folder, 'old.key')
  await writeFile(oldFile, `${old}\n`, { mode: 0o600 })
  const before = createKeyRing({ database, masterKey: await loadOrCreateMasterKey(oldFile), clock: systemClock })
  await expect(before.openObjectKey({ ...place, ...wrapped })).rejects.toMatchObject({ code: 'setting_invalid' })
})

test('a master key comes from a command; one that fails or prints something else stops with a word, not with the key', async () => {
  const script = join(folder, 'print-key.sh')
  await writeFile(script, `#!/bin/sh\necho ${masterKeyLine(Buffer.alloc(32, 9))}\n`)
  await chmod(script, 0o700)
  const masterKey = await loadMasterKeyByCommand(script)
  const context = Buffer.from('context')
  const same = createMasterKey(Buffer.alloc(32, 9))
  expect(String(await same.unwrap(context, await masterKey.wrap(context, Buffer.from('secret'))))).toBe('secret')
  await expect(loadMasterKeyByCommand('/nowhere/at/all')).rejects.toMatchObject({ code: 'setting_invalid' })
  await expect(loadMasterKeyByCommand('echo hello')).rejects.toMatchObject({
    code: 'setting_invalid',
    detail: expect.not.stringContaining('hello') as string,
  })
})
