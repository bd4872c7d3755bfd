import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import { systemIds, type RowId } from '../platform/ids.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { uploadKeyHolders } from '../upload/upload-keys.sql.ts'
import { createKeyRing } from './key-ring.ts'
import { createMasterKey } from './master-key.ts'
import { findObject, insertObjects, objectKeyHolder } from './object.sql.ts'
import { createOldKeys } from './old-keys.ts'

let testing: TestDatabase
beforeAll(async () => void (testing = await createTestDatabase()))
afterAll(() => testing.drop())

const never = new AbortController().signal

async function newHouse() {
  const { database } = testing
  const keyRing = createKeyRing({ database, masterKey: createMasterKey(Buffer.alloc(32, 1)), clock: systemClock })
  const oldKeys = createOldKeys({ database, keyRing, holders: [...uploadKeyHolders, objectKeyHolder] })
  const { rows } = await database.query<{ id: RowId<'tenant'> }>("insert into tenant (name) values ('t') returning id")
  const tenantId = rows[0]!.id
  const keys = new Map<string, Buffer>()
  /** An object whose row is not written yet. */
  const make = async () => {
    const objectId = systemIds.randomHex(16)
    const { objectKey, ...wrapped } = await keyRing.createObjectKey({ tenantId, objectId })
    keys.set(objectId, objectKey.export())
    const sizes = { sizeBytes: 1, storedBytes: 1, sha256: 'a'.repeat(64), manifest: {}, storeKey: objectId }
    return { objectId, tenantId, ...sizes, ...wrapped }
  }
  return {
    keyRing,
    make,
    write: async () => {
      const object = await make()
      await insertObjects(database, [object])
      return object
    },
    /** Days pass, for this tenant. */
    later: (days: number) =>
      database.query(
        `update tenant_key set created_at = created_at - $2 * interval '1 day', retired_at = retired_at - $2 * interval '1 day'
         where tenant_id = $1`,
        [tenantId, days],
      ),
    run: () => oldKeys.destroySome(never),
    versions: async () => {
      const { rows: found } = await database.query<{ version: number; state: string }>(
        `select version, case when wrapped is null then 'destroyed' when retired_at is null then 'there' else 'retired' end as state
         from tenant_key where tenant_id = $1 order by version`,
        [tenantId],
      )
      return found.map(({ state }) => state)
    },
    readAll: async () => {
      for (const [id, key] of keys) {
        const object = await findObject(database, id)
        if (object !== undefined) expect((await keyRing.openObjectKey(object)).export().equals(key)).toBe(true)
      }
    },
    tenantId,
  }
}

test('an old key is destroyed once nothing is wrapped by it, and everything can be read all the time', async () => {
  const house = await newHouse()
  await house.write()
  await house.keyRing.rotateTenantKey(house.tenantId)
  await house.write()
  await house.run()
  expect(await house.versions()).toEqual(['there', 'there'])
  await house.later(8)
  await house.run()
  expect(await house.versions()).toEqual(['retired', 'there'])
  await house.readAll()
  await house.run()
  expect(await house.versions()).toEqual(['retired', 'there'])
  await house.later(1)
  expect(await house.run()).toBe(1)
  expect(await house.versions()).toEqual(['destroyed', 'there'])
  await house.readAll()
  await house.write()
  const { rows } = await testing.database.query(
    `select detail from audit_event where tenant_id = $1 and action = 'tenant_key.destroy'`,
    [house.tenantId],
  )
  expect(rows).toEqual([{ detail: { version: 1 } }])
})

test('a key that is in force stays, and so does each whose successor is young', async () => {
  const house = await newHouse()
  await house.write()
  await house.later(100)
  await house.run()
  expect(await house.versions()).toEqual(['there'])
  await house.keyRing.rotateTenantKey(house.tenantId)
  await house.later(8)
  await house.keyRing.rotateTenantKey(house.tenantId)
  await house.run()
  expect(await house.versions()).toEqual(['retired', 'there', 'there'])
  await house.readAll()
})

test('a version that is still in use is never destroyed, not even when what uses it cannot be wrapped anew', async () => {
  const house = await newHouse()
  const { objectId } = await house.write()
  const { database } = testing
  const planted = await house.write()
  const damage = (byte: number) =>
    database.query(`update object set wrapped_key = set_byte(wrapped_key, 60, $2) where id = $1`, [objectId, byte])
  const whole = (await findObject(database, objectId))!.wrappedKey[60]!
  await damage(255 - whole)
  await house.keyRing.rotateTenantKey(house.tenantId)
  for (let round = 0; round < 3; round++) {
    await house.later(8)
    await house.run()
  }
  expect(await house.versions()).toEqual(['there', 'there'])
  expect(await findObject(database, planted.objectId)).toMatchObject({ tenantKeyVersion: 2 })
  await damage(whole)
  await house.readAll()
  await house.run()
  await house.later(8)
  await house.run()
  expect(await house.versions()).toEqual(['destroyed', 'there'])
  await house.readAll()
})

test('what slips in before a version is retired keeps it, and what comes later is refused', async () => {
  const house = await newHouse()
  await house.write()
  const slow = await house.make()
  const tooSlow = await house.make()
  await house.keyRing.rotateTenantKey(house.tenantId)
  await house.later(8)
  await house.run()
  expect(await house.versions()).toEqual(['retired', 'there'])
  // As a transaction that had begun before: the trigger has not seen the version retired.
  const { database } = testing
  await database.query('update tenant_key set retired_at = null where tenant_id = $1', [house.tenantId])
  await insertObjects(database, [slow])
  await database.query('update tenant_key set retired_at = now() where tenant_id = $1 and version = 1', [
    house.tenantId,
  ])
  await expect(insertObjects(database, [tooSlow])).rejects.toMatchObject({ code: '55000' })
  await house.later(1)
  await house.run()
  expect(await findObject(database, slow.objectId)).toMatchObject({ tenantKeyVersion: 2 })
  await house.readAll()
})

test('keys of a tenant that was shredded are left alone', async () => {
  const house = await newHouse()
  await house.write()
  await house.keyRing.rotateTenantKey(house.tenantId)
  await house.keyRing.destroyTenantKeys(house.tenantId)
  await house.later(8)
  expect(await house.run()).toBe(0)
})
