import { describe, expect, test } from 'vitest'
import { buffer } from 'node:stream/consumers'
import { randomBytes } from 'node:crypto'
import { systemIds } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { createVault } from './encrypted-vault.ts'
import { bodyOf, describeObjectStore } from './object-store.contract.ts'
import { probeStore } from './probe.ts'
import { openS3Store } from './s3.ts'
import { createMemoryKeyRing } from './testing/memory-key-ring.ts'
import { newBucketUrl, removeBucket, s3Servers } from './testing/s3-servers.ts'

if (s3Servers().length === 0)
  test('no S3 server is named in MILLRACE_TEST_S3_SEAWEEDFS or MILLRACE_TEST_S3_VERSITYGW', () => {
    // A file needs a test; the faults of s3-faults.db.test.ts need no server.
  })

for (const server of s3Servers()) {
  const open = async (limits = {}) => {
    const url = newBucketUrl(server)
    const store = await openS3Store({ url, log: silentLog, limits })
    return {
      url,
      store,
      remove: async () => {
        await store.close()
        await removeBucket(url)
      },
    }
  }

  describeObjectStore(server.name, open)

  describe(`${server.name} behind the S3 store`, () => {
    test('copies a large object in parts', async () => {
      const { store, remove } = await open({ copyBytesMax: 5 * 1024 * 1024 })
      const content = randomBytes(12_000_000)
      await store.put('copy/from', bodyOf(content))
      expect(await store.copy('copy/from', 'copy/to')).toEqual({ key: 'copy/to', sizeBytes: content.length })
      expect((await buffer(await store.get('copy/to'))).equals(content)).toBe(true)
      await remove()
    })

    test('keeps installations in one bucket apart by their prefix', async () => {
      const { url, remove } = await open()
      const withPrefix = (prefix: string): Promise<Awaited<ReturnType<typeof openS3Store>>> =>
        openS3Store({ url: url.replace('?', `/${prefix}?`), log: silentLog })
      const [one, two] = [await withPrefix('one'), await withPrefix('two')]
      await one.put('files/x', bodyOf(Buffer.from('x')))
      expect(await two.head('files/x')).toBeUndefined()
      expect(await one.list({ prefix: '', limit: 10 })).toMatchObject([{ key: 'files/x', sizeBytes: 1 }])
      expect(await two.list({ prefix: '', limit: 10 })).toEqual([])
      await one.close()
      await two.close()
      await remove()
    })

    test('is probed for what it really does', async () => {
      const { store, remove } = await open()
      expect(await probeStore(store)).toMatchObject({
        range: true,
        listOrder: true,
        largeObjects: true,
        conditionalPut: true,
        checksums: true,
        smallParts: false,
        versioning: 'off',
      })
      expect(await store.list({ prefix: '', limit: 10 })).toEqual([])
      await remove()
    })

    test('is opened by many processes at once, and each finds out the same', async () => {
      const { url, remove } = await open()
      for (let round = 0; round < 3; round++) {
        const opened = Array.from({ length: 8 }, () => openS3Store({ url, log: silentLog }))
        const stores = await Promise.all(opened)
        expect(stores.map(({ capabilities }) => capabilities.conditionalPut)).toEqual(stores.map(() => true))
        expect(await stores[0]?.list({ prefix: '', limit: 10 })).toEqual([])
        for (const store of stores) await store.close()
      }
      await remove()
    })

    test('keeps encrypted objects', async () => {
      const { store, remove } = await open()
      const vault = createVault({ store, keyRing: createMemoryKeyRing(), ids: systemIds, log: silentLog })
      const content = randomBytes(20_000_000)
      const object = await vault.write({ tenantId: 1, content: bodyOf(content), folder: 'files', sizeBytesMax: 1e9 })
      expect((await buffer(await vault.read(object))).equals(content)).toBe(true)
      const range = { start: 9_999_999, end: 10_000_000 }
      expect((await buffer(await vault.read(object, { range }))).equals(content.subarray(9_999_999, 10_000_001))).toBe(
        true,
      )
      await vault.remove(object)
      expect(await store.list({ prefix: '', limit: 10 })).toEqual([])
      await remove()
    })
  })
}
