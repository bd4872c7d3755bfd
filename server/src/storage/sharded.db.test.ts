import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLog } from '../platform/log.ts'
import { openDiskStore } from './disk.ts'
import { bodyOf, describeObjectStore } from './object-store.contract.ts'
import type { ObjectStore } from './object-store.ts'
import { openS3Store } from './s3.ts'
import { chooseShard, createShardedStore, type ShardedStore } from './sharded.ts'
import { newBucketUrl, removeBucket, s3Servers } from './testing/s3-servers.ts'

const newFolder = (): Promise<string> => mkdtemp(join(tmpdir(), 'millrace-shard-'))

describeObjectStore('Three sharded disks', async () => {
  const folders = await Promise.all([newFolder(), newFolder(), newFolder()])
  const shards = new Map<string, ObjectStore>()
  for (const [i, directory] of folders.entries())
    shards.set(`s${i}`, await openDiskStore({ directory, log: silentLog }))
  return {
    store: createShardedStore({ shards, maps: [['s0'], ['s0', 's1', 's2']] }),
    remove: async () => {
      for (const folder of folders) await rm(folder, { recursive: true })
    },
  }
})

if (s3Servers().length > 1)
  describeObjectStore('Shards of different makes', async () => {
    const urls = s3Servers().map(newBucketUrl)
    const shards = new Map<string, ObjectStore>()
    for (const [i, url] of urls.entries()) shards.set(`s${i}`, await openS3Store({ url, log: silentLog }))
    const store = createShardedStore({ shards, maps: [[...shards.keys()]] })
    return {
      store,
      remove: async () => {
        await store.close()
        for (const url of urls) await removeBucket(url)
      },
    }
  })

describe('A shard that is added', () => {
  const names = Array.from({ length: 1_000 }, () => randomBytes(16).toString('hex'))

  test('takes its share from all others and moves nothing else', () => {
    const two = names.map((name) => chooseShard(['a', 'b'], name))
    const three = names.map((name) => chooseShard(['a', 'b', 'c'], name))
    const moved = names.filter((_, i) => two[i] !== three[i])
    expect(moved.length).toBeGreaterThan(250)
    expect(moved.length).toBeLessThan(420)
    expect(three.filter((shard, i) => shard !== two[i] && shard !== 'c')).toEqual([])
  })
})

describe('Rebalancing', () => {
  let folders: string[]
  let shards: Map<string, ObjectStore>
  beforeEach(async () => {
    folders = await Promise.all([newFolder(), newFolder(), newFolder()])
    shards = new Map()
    for (const [i, directory] of folders.entries())
      shards.set(`s${i}`, await openDiskStore({ directory, log: silentLog }))
  })
  afterEach(async () => {
    for (const folder of folders) await rm(folder, { recursive: true })
  })

  const before = (): ShardedStore => createShardedStore({ shards, maps: [['s0', 's1']] })
  const during = (): ShardedStore =>
    createShardedStore({
      shards,
      maps: [
        ['s0', 's1'],
        ['s0', 's1', 's2'],
      ],
    })
  const after = (): ShardedStore => createShardedStore({ shards, maps: [['s0', 's1', 's2']] })
  const never = new AbortController().signal

  async function fill(count: number): Promise<Map<string, Buffer>> {
    const contents = new Map<string, Buffer>()
    const store = before()
    for (let i = 0; i < count; i++) {
      const key = `files/${randomBytes(16).toString('hex')}`
      contents.set(key, randomBytes(100 + i))
      await store.put(key, bodyOf(contents.get(key)!))
    }
    return contents
  }

  async function expectAll(store: ObjectStore, contents: Map<string, Buffer>): Promise<void> {
    for (const [key, content] of contents) expect((await buffer(await store.get(key))).equals(content)).toBe(true)
  }

  test('loses nothing while it is interrupted, begun anew, run twice at once, and read and written under', async () => {
    const contents = await fill(300)
    const store = during()
    await expectAll(store, contents)

    const interrupted = new AbortController()
    const lookups = (async () => {
      for (let i = 0; i < 3; i++) await expectAll(store, contents)
    })()
    let pages = 0
    const stopEarly = store.rebalance({
      signal: interrupted.signal,
      onProgress: () => ++pages === 1 && interrupted.abort(),
    })
    await expect(stopEarly).rejects.toThrow()
    const added = `files/${randomBytes(16).toString('hex')}`
    const content = randomBytes(50)
    await store.put(added, bodyOf(content))
    contents.set(added, content) // From here on it is looked up.
    await Promise.all([store.rebalance({ signal: never }), during().rebalance({ signal: never })])
    await lookups

    await expectAll(after(), contents)
    expect((await store.list({ prefix: '', limit: 1_000 })).map(({ key }) => key)).toEqual([...contents.keys()].sort())
    expect((await shards.get('s2')!.list({ prefix: '', limit: 1_000 })).length).toBeGreaterThan(60)
    expect(await store.rebalance({ signal: never })).toMatchObject({ movedCount: 0, seenCount: contents.size })
  })

  test('what is deleted before its move is gone from every place', async () => {
    const contents = await fill(20)
    const store = during()
    for (const key of contents.keys()) await store.delete(key)
    expect(await store.rebalance({ signal: never })).toEqual({ seenCount: 0, movedCount: 0, movedBytes: 0 })
    for (const shard of shards.values()) expect(await shard.list({ prefix: '', limit: 10 })).toEqual([])
  })
})
