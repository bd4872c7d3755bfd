import { createHash, randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { beforeEach, describe, expect, test } from 'vitest'
import { systemIds } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { Problem } from '../platform/problem.ts'
import { createVault, partKeyOf } from './encrypted-vault.ts'
import { storedSizeOf } from './encryption.ts'
import type { Manifest } from './manifest.ts'
import type { ObjectStore } from './object-store.ts'
import { createMemoryKeyRing } from './testing/memory-key-ring.ts'
import { createMemoryStore } from './testing/memory-store.ts'
import type { ObjectDraft, SealedObject, StoredPart, Vault, WriteOptions } from './vault.ts'

const partSizeBytes = 40_000
let store: ReturnType<typeof createMemoryStore>
let vault: Vault

const vaultOn = (store: ObjectStore): Vault =>
  createVault({ store, keyRing: createMemoryKeyRing(), ids: systemIds, log: silentLog, partSizeBytes })

beforeEach(() => {
  store = createMemoryStore()
  vault = vaultOn(store)
})

async function* inPieces(content: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < content.length; offset += pieceBytes)
    yield content.subarray(offset, offset + pieceBytes)
}

const write = (content: Buffer, options: Partial<WriteOptions> = {}): Promise<SealedObject> =>
  vault.write({
    tenantId: 7,
    content: inPieces(content, 9_999),
    folder: 'files',
    sizeBytesMax: 1_000_000,
    ...options,
  })

test.each([0, 1, 16_383, 16_384, 16_385, 39_999, 40_000, 40_001, 80_000, 100_000])(
  'content of %d bytes comes back, with its length and SHA-256',
  async (sizeBytes) => {
    const content = randomBytes(sizeBytes)
    const object = await write(content)
    expect(object).toMatchObject({
      tenantId: 7,
      sizeBytes,
      sha256: createHash('sha256').update(content).digest('hex'),
      storedBytes: store.objects.get(object.storeKey)!.length,
    })
    expect(object.storeKey).toMatch(new RegExp(`^files/${object.objectId.slice(0, 2)}/${object.objectId}$`))
    expect((await buffer(await vault.read(object))).equals(content)).toBe(true)
  },
)

test('nothing that was written is found in the store in clear', async () => {
  const object = await write(Buffer.alloc(50_000, 'canary '))
  expect(store.objects.get(object.storeKey)!.includes('canary')).toBe(false)
})

test('the same content is never stored as the same bytes', async () => {
  const content = randomBytes(20_000)
  const [one, two] = [await write(content), await write(content)]
  expect(store.objects.get(one.storeKey)!.equals(store.objects.get(two.storeKey)!)).toBe(false)
  expect((one.manifest as Manifest).parts[0]!.salt).not.toBe((two.manifest as Manifest).parts[0]!.salt)
})

test('every range gives exactly its bytes', async () => {
  const content = randomBytes(100_000)
  const object = await write(content)
  const edges = [0, 1, 16_383, 16_384, 16_385, 39_999, 40_000, 40_001, 56_384, 79_999, 80_000, 99_998, 99_999]
  for (const start of edges)
    for (const end of [...edges.filter((edge) => edge >= start), 100_000, 1e9]) {
      const read = await buffer(await vault.read(object, { range: { start, end } }))
      expect(read.equals(content.subarray(start, end + 1)), `${start}-${end}`).toBe(true)
    }
  for (const range of [
    { start: 100_000, end: 100_001 },
    { start: 5, end: 4 },
    { start: -1, end: 4 },
  ])
    await expect(vault.read(object, { range })).rejects.toMatchObject({ code: 'range_not_satisfiable' })
})

test('a range touches only the chunks that hold it', async () => {
  const asked: number[] = []
  vault = vaultOn({
    ...store,
    get: (key, options) => {
      asked.push(options!.range!.end - options!.range!.start + 1)
      return store.get(key, options)
    },
  })
  const object = await write(randomBytes(100_000))
  await buffer(await vault.read(object, { range: { start: 50_000, end: 50_000 } }))
  await buffer(await vault.read(object, { range: { start: 16_383, end: 16_384 } }))
  expect(asked).toEqual([56 + 16_400, 56 + 2 * 16_400])
  asked.length = 0
  await buffer(await vault.read(object, { range: { start: 20_000, end: 20_000 } }))
  expect(asked).toEqual([16_400])
})

test('parts that are stored by themselves are read as one content', async () => {
  const content = randomBytes(100_000)
  const object = await write(content)
  const stored = store.objects.get(object.storeKey)!
  const parted = { ...object, storeKey: `${object.storeKey}/` }
  let offset = 0
  for (const [index, part] of (object.manifest as Manifest).parts.entries()) {
    const size = storedSizeOf(part.size_bytes)
    store.objects.set(partKeyOf(parted.storeKey, index, part.salt), stored.subarray(offset, offset + size))
    offset += size
  }
  await vault.remove(object)
  expect((await buffer(await vault.read(parted))).equals(content)).toBe(true)
  const range = { start: 39_990, end: 80_010 }
  expect((await buffer(await vault.read(parted, { range }))).equals(content.subarray(39_990, 80_011))).toBe(true)
  await vault.remove(parted)
  expect(store.objects.size).toBe(0)
})

test('content over its limit, with another checksum, or that breaks off leaves nothing behind', async () => {
  const content = randomBytes(60_000)
  await expect(write(content, { sizeBytesMax: 59_999 })).rejects.toMatchObject({ code: 'file_too_large' })
  await expect(write(content, { sha256: '00'.repeat(32) })).rejects.toMatchObject({ code: 'checksum_mismatch' })
  const broken = async function* (): AsyncGenerator<Buffer> {
    yield content
    throw new Error('gone')
  }
  await expect(write(content, { content: broken() })).rejects.toThrow('gone')
  expect(store.objects.size).toBe(0)
  const sha256 = createHash('sha256').update(content).digest('hex')
  await write(content, { sizeBytesMax: 60_000, sha256: sha256.toUpperCase() })
})

test('a put whose answer was lost leaves nothing behind', async () => {
  vault = vaultOn({
    ...store,
    put: async (...args) => {
      await store.put(...args)
      throw new Error('The answer was lost')
    },
  })
  await expect(write(randomBytes(100))).rejects.toThrow('The answer was lost')
  expect(store.objects.size).toBe(0)
})

test('content that a store never asked for is closed all the same', async () => {
  const away = vaultOn({
    ...store,
    put: async () => {
      throw new Problem('storage_unavailable')
    },
  })
  const closed = Promise.withResolvers<void>()
  async function* content(): AsyncGenerator<Buffer> {
    try {
      yield* inPieces(randomBytes(100_000), 9_999)
    } finally {
      closed.resolve()
    }
  }
  const writing = away.write({ tenantId: 7, content: content(), folder: 'files', sizeBytesMax: 1_000_000 })
  await expect(writing).rejects.toMatchObject({ code: 'storage_unavailable' })
  await closed.promise
})

test('a store that keeps less than it was given is found out', async () => {
  vault = vaultOn({ ...store, put: async (...args) => ({ ...(await store.put(...args)), sizeBytes: 10 }) })
  await expect(write(randomBytes(100))).rejects.toMatchObject({ code: 'storage_unavailable' })
  expect(store.objects.size).toBe(0)
})

test('bytes that are missing or cut are told as object_damaged', async () => {
  const object = await write(randomBytes(100_000))
  const stored = store.objects.get(object.storeKey)!
  store.objects.set(object.storeKey, stored.subarray(0, stored.length - 1))
  await expect(buffer(await vault.read(object))).rejects.toMatchObject({ code: 'object_damaged' })
  await vault.remove(object)
  await expect(vault.read(object)).rejects.toMatchObject({ code: 'object_damaged' })
})

test('an object that is damaged at its beginning is refused before anything is answered', async () => {
  const object = await write(randomBytes(100))
  store.objects.get(object.storeKey)![60]! ^= 1
  await expect(vault.read(object)).rejects.toMatchObject({ code: 'object_damaged' })
})

test('a reader that goes away lets go of the store', async () => {
  const opened: Readable[] = []
  vault = vaultOn({
    ...store,
    get: async (...args) => {
      const stream = await store.get(...args)
      opened.push(stream)
      return stream
    },
  })
  const object = await write(randomBytes(900_000))
  const unread = await vault.read(object)
  const half = await vault.read(object)
  await half[Symbol.asyncIterator]().next()
  for (const stream of [unread, half]) {
    const closed = new Promise((resolve) => stream.once('close', resolve))
    stream.destroy()
    await closed
  }
  expect(opened).toHaveLength(2)
  for (const stream of opened) expect(stream.destroyed).toBe(true)
})

describe('an object that is written part by part', () => {
  const once = async function* (content: Buffer): AsyncGenerator<Buffer> {
    yield content
  }
  const writePart = (draft: ObjectDraft, number: number, content: Buffer): Promise<StoredPart> =>
    vault.writePart(draft, { number, content: once(content), sizeBytesMax: 1_000_000 })

  test('reads as one content, whatever the order and however often its parts came', async () => {
    const contents = [40_000, 16_384, 1, 50_000].map((sizeBytes) => randomBytes(sizeBytes))
    const whole = Buffer.concat(contents)
    const draft = await vault.createDraft({ tenantId: 7, folder: 'files' })
    const stale = await writePart(draft, 2, randomBytes(16_384))
    const parts: StoredPart[] = []
    for (const index of [3, 1, 0, 2]) parts[index] = await writePart(draft, index + 1, contents[index]!)
    expect(store.objects.size).toBe(5)
    const object = await vault.assemble(draft, parts)
    expect(object).toMatchObject({
      sizeBytes: whole.length,
      sha256: createHash('sha256').update(whole).digest('hex'),
      storeKey: draft.storeKey,
    })
    expect((await buffer(await vault.read(object))).equals(whole)).toBe(true)
    const range = { start: 39_990, end: 56_390 }
    expect((await buffer(await vault.read(object, { range }))).equals(whole.subarray(39_990, 56_391))).toBe(true)
    expect(await vault.removeStrayParts(draft, parts)).toBe(1)
    expect([...store.objects.keys()].some((key) => key.endsWith(stale.salt.slice(0, 16)))).toBe(false)
    expect((await buffer(await vault.read(object))).equals(whole)).toBe(true)
    await vault.remove(object)
    expect(store.objects.size).toBe(0)
  })

  test('takes a SHA-256 that was computed on the way without reading anything again', async () => {
    let readsCount = 0
    vault = vaultOn({ ...store, get: (...args) => (readsCount++, store.get(...args)) })
    const draft = await vault.createDraft({ tenantId: 7, folder: 'files' })
    const content = randomBytes(100)
    const part = await writePart(draft, 1, content)
    const object = await vault.assemble(draft, [part], { sha256: part.sha256 })
    expect(readsCount).toBe(0)
    expect((await buffer(await vault.read(object))).equals(content)).toBe(true)
  })

  test('is never in clear, and leaves nothing of a part that failed', async () => {
    const draft = await vault.createDraft({ tenantId: 7, folder: 'files' })
    await writePart(draft, 1, Buffer.alloc(20_000, 'canary '))
    for (const stored of store.objects.values()) expect(stored.includes('canary')).toBe(false)
    const tooLong = vault.writePart(draft, { number: 2, content: once(Buffer.alloc(11)), sizeBytesMax: 10 })
    await expect(tooLong).rejects.toMatchObject({ code: 'file_too_large' })
    expect(store.objects.size).toBe(1)
  })

  test('cannot be made of parts of another object, of swapped ones, or of a part at another number', async () => {
    const [one, two] = [randomBytes(1_000), randomBytes(1_000)]
    const draft = await vault.createDraft({ tenantId: 7, folder: 'files' })
    const first = await writePart(draft, 1, one)
    const second = await writePart(draft, 2, two)
    const other = await vault.createDraft({ tenantId: 7, folder: 'files' })
    const foreign = await writePart(other, 2, two)
    store.objects.set(
      partKeyOf(draft.storeKey, 1, foreign.salt),
      store.objects.get(partKeyOf(other.storeKey, 1, foreign.salt))!,
    )
    const swapped = [
      { ...second, number: 1 },
      { ...first, number: 2 },
    ]
    for (const parts of [[first, foreign], swapped])
      await expect(vault.assemble(draft, parts)).rejects.toMatchObject({ code: 'object_damaged' })
  })
})
