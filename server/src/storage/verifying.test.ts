import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { systemIds } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { createVault } from './encrypted-vault.ts'
import { bodyOf } from './object-store.contract.ts'
import type { ObjectStore } from './object-store.ts'
import { createMemoryKeyRing } from './testing/memory-key-ring.ts'
import { createMemoryStore } from './testing/memory-store.ts'
import { createVerifyingStore } from './verifying.ts'

/** Keeps another byte than it was given, and says nothing. */
function createFlippingStore(): ObjectStore & { objects: Map<string, Buffer> } {
  const store = createMemoryStore()
  return {
    ...store,
    async put(key, body, options) {
      const content = await buffer(body)
      content[content.length >> 1]! ^= 1
      return store.put(key, bodyOf(content), options)
    },
  }
}

const vaultOn = (store: ObjectStore) =>
  createVault({ store, keyRing: createMemoryKeyRing(), ids: systemIds, log: silentLog })

const write = { tenantId: 1, folder: 'files', sizeBytesMax: 1e6 }

test('a byte that flips on its way in is refused while its sender still has it, and nothing stays', async () => {
  const store = createFlippingStore()
  await expect(
    vaultOn(createVerifyingStore(store)).write({ ...write, content: bodyOf(randomBytes(50_000)) }),
  ).rejects.toMatchObject({ code: 'storage_unavailable' })
  expect(store.objects.size).toBe(0)
})

test('without reading back it is acknowledged, and seen by whoever reads', async () => {
  const vault = vaultOn(createFlippingStore())
  const object = await vault.write({ ...write, content: bodyOf(randomBytes(50_000)) })
  await expect(vault.read(object).then(buffer)).rejects.toMatchObject({ code: 'object_damaged' })
})

test('what comes back as it was given is taken, pieces of any length and none', async () => {
  const store = createVerifyingStore(createMemoryStore())
  for (const sizeBytes of [0, 1, 70_000]) {
    const content = randomBytes(sizeBytes)
    await store.put('a', bodyOf(content.subarray(0, 7), content.subarray(7)))
    expect((await buffer(await store.get('a'))).equals(content)).toBe(true)
  }
})
