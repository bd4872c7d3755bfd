// A third shard for a store of two, while it is read, written and deleted from all the time, and the rebalancing is broken
// off again and again and begun anew by another process, sometimes by two at once. In the end everything that was put and
// not deleted is where the new map says, once, and is what was put.

import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { silentLog } from '../src/platform/log.ts'
import { openDiskStore } from '../src/storage/disk.ts'
import type { ObjectStore } from '../src/storage/object-store.ts'
import { createShardedStore } from '../src/storage/sharded.ts'
import { seededRandom } from '../src/storage/testing/corruptions.ts'

export interface RebalanceReport {
  objectsBefore: number
  objectsAfter: number
  interruptions: number
  rebalanceSeconds: number
  during: { reads: number; writes: number; deletes: number }
  onShards: Record<string, number>
  /** Deleted in the moment of their move: nobody can ask for them, and the sweep removes them. */
  leftForSweep: number
  faults: string[]
}

const shardNames = ['s0', 's1', 's2']
const oldMap = ['s0', 's1']
const interruptionsCount = 8
const clientsCount = 4
const writersAtOnce = 8
const sizeBytesMax = 3_000

/** What lies under a key is told by the key, so that it can be checked without being kept. */
function contentOf(key: string): Buffer {
  const digest = createHash('sha256').update(key).digest()
  return Buffer.alloc(digest.readUInt16BE(0) % sizeBytesMax, digest)
}

interface Field {
  random: () => number
  /** Keys that were put and not deleted, for choosing among them. */
  live: string[]
  faults: string[]
}

export async function runRebalance({ count, seed }: { count: number; seed: number }): Promise<RebalanceReport> {
  const folder = await mkdtemp(path.join(tmpdir(), 'millrace-rebalance-'))
  try {
    const shards = new Map<string, ObjectStore>()
    for (const name of shardNames)
      shards.set(name, await openDiskStore({ directory: path.join(folder, name), log: silentLog }))
    const field: Field = { random: seededRandom(seed), live: [], faults: [] }
    const before = createShardedStore({ shards, maps: [oldMap] })
    await atOnce(writersAtOnce, count, () => putNew(field, before))
    return await rebalanceUnderLoad(field, shards)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function atOnce(lanesCount: number, count: number, work: () => Promise<void>): Promise<void> {
  let left = count
  const lane = async (): Promise<void> => {
    while (left-- > 0) await work()
  }
  await Promise.all(Array.from({ length: lanesCount }, lane))
}

const hexOf = (random: () => number): string =>
  Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('')

/** One in ten is an object of two parts, which have to stay together. */
async function putNew({ random, live }: Field, store: ObjectStore): Promise<void> {
  const id = hexOf(random)
  const place = `files/${id.slice(0, 2)}/${id}`
  const keys = random() < 0.1 ? [`${place}/000001_0`, `${place}/000002_0`] : [place]
  for (const key of keys) {
    await store.put(
      key,
      (async function* () {
        yield contentOf(key)
      })(),
    )
    live.push(key)
  }
}

async function rebalanceUnderLoad(field: Field, shards: Map<string, ObjectStore>): Promise<RebalanceReport> {
  const { random, live, faults } = field
  const open = () => createShardedStore({ shards, maps: [oldMap, shardNames] })
  const objectsBefore = live.length
  const ended = new AbortController()
  const during = { reads: 0, writes: 0, deletes: 0 }
  const clients = Array.from({ length: clientsCount }, () => useStore(field, open(), during, ended.signal))
  const startedMs = performance.now()

  const run = async (limitMs: number): Promise<void> => {
    const stop = new AbortController()
    const timer = setTimeout(() => stop.abort(), limitMs)
    try {
      await open().rebalance({ signal: stop.signal })
    } catch (error) {
      if (!stop.signal.aborted) faults.push(`the rebalancing failed: ${String(error)}`)
    } finally {
      clearTimeout(timer)
    }
  }
  for (let round = 0; round < interruptionsCount; round++) {
    const limitMs = 200 + random() * 2_000
    await Promise.all(round % 3 === 2 ? [run(limitMs), run(limitMs)] : [run(limitMs)])
  }
  // To the end, by two at once.
  const never = 2 ** 31 - 1
  await Promise.all([run(never), run(never)])
  const rebalanceSeconds = Math.round((performance.now() - startedMs) / 100) / 10
  ended.abort()
  await Promise.all(clients)

  const { onShards, leftForSweep } = await examine(field, shards)
  return {
    objectsBefore,
    objectsAfter: live.length,
    interruptions: interruptionsCount,
    rebalanceSeconds,
    during,
    onShards,
    leftForSweep,
    faults,
  }
}

async function useStore(
  field: Field,
  store: ObjectStore,
  during: RebalanceReport['during'],
  ended: AbortSignal,
): Promise<void> {
  const { random, live, faults } = field
  while (!ended.aborted) {
    const choice = random()
    const at = Math.floor(random() * live.length)
    const key = live[at]
    if (choice < 0.25) {
      await putNew(field, store)
      during.writes++
    } else if (key !== undefined && choice < 0.45) {
      // Taken out first: from now on nobody expects it.
      live[at] = live.at(-1) ?? key
      live.pop()
      await store.delete(key)
      during.deletes++
    } else if (key !== undefined) {
      const found = await store.get(key).then(buffer, () => undefined)
      // Another client may have deleted it meanwhile.
      if (found?.equals(contentOf(key)) !== true && live.includes(key)) faults.push(`a read of ${key} under way failed`)
      during.reads++
    }
    // The rebalancing shall have turns as well.
    await delay(1)
  }
}

/** With the new map alone, as after the old one has been forgotten. */
async function examine(
  { live, faults }: Field,
  shards: Map<string, ObjectStore>,
): Promise<{ onShards: Record<string, number>; leftForSweep: number }> {
  const after = createShardedStore({ shards, maps: [shardNames] })
  let at = 0
  await atOnce(writersAtOnce, live.length, async () => {
    const key = live[at++] ?? ''
    const found = await after.get(key).then(buffer, () => undefined)
    if (found?.equals(contentOf(key)) !== true) faults.push(`${key} is lost`)
  })
  const known = new Set(live)
  const seen = new Set<string>()
  const onShards: Record<string, number> = {}
  let leftForSweep = 0
  for (const [name, store] of shards) {
    onShards[name] = 0
    for (const key of await listAll(store)) {
      onShards[name]++
      if (!known.has(key)) leftForSweep++
      else if (seen.has(key)) faults.push(`${key} lies on two shards`)
      seen.add(key)
    }
  }
  return { onShards, leftForSweep }
}

async function listAll(store: ObjectStore): Promise<string[]> {
  const keys: string[] = []
  for (let after = ''; ;) {
    const page = await store.list({ prefix: '', limit: 1_000, ...(after !== '' && { after }) })
    keys.push(...page.map((info) => info.key))
    const last = page.at(-1)
    if (last === undefined || page.length < 1_000) return keys
    after = last.key
  }
}
