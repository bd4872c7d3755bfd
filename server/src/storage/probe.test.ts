import { expect, test } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import { Problem } from '../platform/problem.ts'
import type { ObjectStore } from './object-store.ts'
import { createStoreProbe, probeAgeMsMax } from './probe.ts'
import { createShardedStore } from './sharded.ts'
import { createMemoryStore } from './testing/memory-store.ts'

/** A store that counts what is put, and a clock that is moved by hand. */
function given(change: Partial<ObjectStore> = {}) {
  let nowMs = 0
  let putsCount = 0
  const memory = createMemoryStore()
  const put: ObjectStore['put'] = (...args) => (putsCount++, memory.put(...args))
  const store: ObjectStore = { ...memory, put, ...change }
  const clock = { ...systemClock, monotonicMs: () => nowMs }
  const probe = createStoreProbe({ store, clock })
  return { probe, store, clock, memory, putsCount: () => putsCount, pass: (ms: number) => void (nowMs += ms) }
}

test('a store is tried out once an hour, however many ask, and nothing of it stays', async () => {
  const { probe, memory, putsCount, pass } = given()
  const [first] = await Promise.all([probe.reports(), probe.reports()])
  expect(first).toMatchObject([{ name: 'store', range: true, listOrder: true, largeObjects: true }])
  expect(first).toMatchObject([{ checksums: undefined, smallParts: undefined, versioning: undefined }])
  expect(memory.objects.size).toBe(0)
  const once = putsCount()
  await probe.reports()
  expect(putsCount()).toBe(once)
  pass(probeAgeMsMax)
  await probe.reports()
  expect(putsCount()).toBe(2 * once)
})

test('a store that did not answer is tried again by the next who asks', async () => {
  let isDown = true
  const memory = createMemoryStore()
  const put: ObjectStore['put'] = (...args) =>
    isDown ? Promise.reject(new Problem('storage_unavailable')) : memory.put(...args)
  const { probe } = given({ ...memory, put })
  await expect(probe.reports()).rejects.toMatchObject({ code: 'storage_unavailable' })
  isDown = false
  expect(await probe.reports()).toHaveLength(1)
})

test('nobody waits for a store that hangs', async () => {
  const { store, clock } = given({ put: () => new Promise(() => {}) })
  const probe = createStoreProbe({ store, clock: { ...clock, sleep: async () => {} } })
  await expect(probe.reports()).rejects.toMatchObject({ code: 'storage_unavailable' })
})

test('each shard is tried out by itself', async () => {
  const { clock } = given()
  const cuts = createMemoryStore()
  const get: ObjectStore['get'] = (key) => cuts.get(key)
  const shards = new Map<string, ObjectStore>([
    ['one', createMemoryStore()],
    ['two', { ...cuts, get }],
  ])
  const store = createShardedStore({ shards, maps: [['one', 'two']] })
  expect(await createStoreProbe({ store, clock }).reports()).toMatchObject([
    { name: 'one', range: true },
    { name: 'two', range: false },
  ])
})
