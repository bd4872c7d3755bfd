// A new master key, and new keys for a tenant with many objects, while its objects are read all the time: nothing is moved,
// nothing is refused, and in the end the old master key opens nothing any more.

import type { KeyObject } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { buffer } from 'node:stream/consumers'
import { insertTestTenant } from '../src/files/testing/catalogue.ts'
import { systemClock } from '../src/platform/clock.ts'
import { systemIds } from '../src/platform/ids.ts'
import { silentLog } from '../src/platform/log.ts'
import { createVault } from '../src/storage/encrypted-vault.ts'
import { newKey } from '../src/storage/encryption.ts'
import { createKeyRing } from '../src/storage/key-ring.ts'
import { rewrapKeys, rewrapTenantKeys } from '../src/storage/key-rotation.ts'
import { keyOver, type MasterKey } from '../src/storage/master-key.ts'
import { findObject, insertObjects, objectKeyHolder } from '../src/storage/object.sql.ts'
import { createMemoryStore } from '../src/storage/testing/memory-store.ts'
import type { SealedObject } from '../src/storage/vault.ts'
import { createTestDatabase } from '../src/testing/database.ts'

export interface RotationReport {
  objects: number
  rewrapped: number
  seconds: number
  readsDuring: number
  wrongReads: number
  storedChanged: number
}

export async function runRotation(objectsCount: number): Promise<RotationReport> {
  const test = await createTestDatabase()
  try {
    const { database } = test
    const store = createMemoryStore()
    const masterKeys = [newKey()]
    const masterKey = keyOver(async () => masterKeys)
    const keyRing = createKeyRing({ database, masterKey, clock: systemClock })
    const vault = createVault({ store, keyRing, ids: systemIds, log: silentLog })
    const tenantId = await insertTestTenant(database)
    const contentOf = (index: number): Buffer => Buffer.from(`content of object ${index}`)
    const ids: string[] = []
    for (let from = 0; from < objectsCount; from += 1_000) {
      const page: SealedObject[] = []
      for (let index = from; index < Math.min(from + 1_000, objectsCount); index++) {
        const content = (async function* () {
          yield contentOf(index)
        })()
        page.push(await vault.write({ tenantId, content, folder: 'files', sizeBytesMax: 1_000 }))
      }
      await insertObjects(database, page)
      ids.push(...page.map((object) => object.objectId))
    }
    return await rotate({ database, store, masterKey, masterKeys, keyRing, vault, tenantId, ids, contentOf })
  } finally {
    await test.drop()
  }
}

interface Turning {
  database: Awaited<ReturnType<typeof createTestDatabase>>['database']
  store: ReturnType<typeof createMemoryStore>
  masterKey: MasterKey
  /** The one in force first. */
  masterKeys: KeyObject[]
  keyRing: ReturnType<typeof createKeyRing>
  vault: ReturnType<typeof createVault>
  tenantId: number
  ids: string[]
  contentOf: (index: number) => Buffer
}

async function rotate(turning: Turning): Promise<RotationReport> {
  const { database, store, masterKey, masterKeys, keyRing, vault, tenantId, ids, contentOf } = turning
  const turned = new AbortController()
  let readsDuring = 0
  let wrongReads = 0
  const read = async (): Promise<void> => {
    while (!turned.signal.aborted) {
      const index = Math.floor(Math.random() * ids.length)
      const object = await findObject(database, ids[index] ?? '')
      const content = object && (await vault.read(object).then(buffer, () => undefined))
      if (content?.equals(contentOf(index)) !== true) wrongReads++
      readsDuring++
    }
  }
  const before = new Map(store.objects)
  const readers = Array.from({ length: 16 }, read)
  const startedMs = performance.now()
  masterKeys.unshift(newKey())
  await rewrapTenantKeys({ database, masterKey })
  masterKeys.pop()
  await keyRing.rotateTenantKey(tenantId)
  const { signal } = new AbortController()
  const { count: rewrapped } = await rewrapKeys({ database, keyRing, tenantId, holder: objectKeyHolder, signal })
  const seconds = (performance.now() - startedMs) / 1_000
  turned.abort()
  await Promise.all(readers)
  // The very same buffers: nothing was written anew.
  const storedChanged = [...before].filter(([key, bytes]) => store.objects.get(key) !== bytes).length
  return { objects: ids.length, rewrapped, seconds, readsDuring, wrongReads, storedChanged }
}
