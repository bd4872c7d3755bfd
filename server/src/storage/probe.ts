// What a store really does, found out by doing it. The report is shown to the operator; the platform itself relies on
// nothing that it has not seen here.

import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import type { Clock } from '../platform/clock.ts'
import { Problem } from '../platform/problem.ts'
import type { ObjectStore } from './object-store.ts'
import type { BucketVersioning, S3Store } from './s3.ts'
import type { ShardedStore } from './sharded.ts'

export interface StoreReport {
  kind: ObjectStore['kind']
  durability: string
  /** Of two puts of one key with ifAbsent, the second is refused. */
  conditionalPut: boolean
  /** A range gives exactly its bytes. */
  range: boolean
  /** Lists are in byte order of the keys. */
  listOrder: boolean
  /** An object of several parts comes back whole. */
  largeObjects: boolean
  /** A body that does not have its checksum is refused; undefined where no checksum is sent. */
  checksums: boolean | undefined
  /** A part below 5 MiB that is not the last is taken, undefined where there are no parts. None that small is ever sent. */
  smallParts: boolean | undefined
  /** Whether what is deleted stays as an old version; undefined where there are none. */
  versioning: BucketVersioning | undefined
  /** Time of a small put and of a small get. */
  putMs: number
  getMs: number
}

/** Tells what a store does, by its name: "store", or that of a shard. */
export interface StoreProbe {
  /** Tries each store out when that is longer ago than an hour. Throws Problem('storage_unavailable') when one does not answer. */
  reports(): Promise<StoreProbeReport[]>
}

export type StoreProbeReport = StoreReport & { name: string; probedAt: Date }

export const probeAgeMsMax = 60 * 60_000
/** Whoever asks does not wait for a store that hangs. */
const probeTimeoutMs = 10_000

export function createStoreProbe({ store, clock }: { store: ObjectStore | ShardedStore; clock: Clock }): StoreProbe {
  let last: { reports: Promise<StoreProbeReport[]>; sinceMs: number } | undefined
  const stores = 'shards' in store ? store.shards : new Map([['store', store]])

  async function probeAll(): Promise<StoreProbeReport[]> {
    const found: StoreProbeReport[] = []
    for (const [name, each] of stores) found.push({ name, ...(await probeStore(each)), probedAt: clock.now() })
    return found
  }

  return {
    async reports() {
      const nowMs = clock.monotonicMs()
      if (last === undefined || nowMs - last.sinceMs >= probeAgeMsMax) {
        const started = { reports: probeAll(), sinceMs: nowMs }
        last = started
        started.reports.catch(() => last === started && (last = undefined))
      }
      const waiting = new AbortController()
      const late = clock.sleep(probeTimeoutMs, waiting.signal).then(() => undefined)
      try {
        const reports = await Promise.race([last.reports, late])
        if (reports !== undefined) return reports
        throw new Problem('storage_unavailable', { detail: `It did not answer within ${probeTimeoutMs} ms.` })
      } finally {
        waiting.abort()
      }
    },
  }
}

/** More than one part of any adapter. */
const largeBytes = 9 * 1024 * 1024

/** Tries the store out below "probe/" and removes what it has put. Throws the Problem of a store that does not answer. */
export async function probeStore(store: ObjectStore & Partial<S3Store>): Promise<StoreReport> {
  const folder = `probe/${randomBytes(8).toString('hex')}`
  const keys: string[] = []
  const put = async (name: string, content: Uint8Array, ifAbsent = false): Promise<string> => {
    const key = `${folder}/${name}`
    keys.push(key)
    await store.put(key, bodyOf(content), { ifAbsent })
    return key
  }
  try {
    const content = randomBytes(1000)
    const putStart = performance.now()
    const key = await put('b', content)
    const putMs = performance.now() - putStart
    const getStart = performance.now()
    await buffer(await store.get(key))
    const getMs = performance.now() - getStart
    const range = await buffer(await store.get(key, { range: { start: 10, end: 19 } }))
    const large = randomBytes(largeBytes)
    const largeKey = await put('a_large', large)
    return {
      kind: store.kind,
      durability: store.durability,
      conditionalPut: store.capabilities.conditionalPut && (await refusesSecondPut(put)),
      range: range.equals(content.subarray(10, 20)),
      listOrder: await listsInOrder(store, folder, put),
      largeObjects: (await buffer(await store.get(largeKey))).equals(large),
      checksums: await store.checksChecksums?.(),
      smallParts: await store.takesSmallParts?.(),
      versioning: await store.findVersioning?.(),
      putMs,
      getMs,
    }
  } finally {
    for (const key of keys) await store.delete(key)
  }
}

async function* bodyOf(content: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < content.length; offset += 1_000_000) yield content.subarray(offset, offset + 1_000_000)
}

async function refusesSecondPut(
  put: (name: string, content: Uint8Array, ifAbsent: boolean) => Promise<string>,
): Promise<boolean> {
  await put('conditional', Buffer.from('1'), true)
  try {
    await put('conditional', Buffer.from('2'), true)
    return false
  } catch {
    return true
  }
}

async function listsInOrder(
  store: ObjectStore,
  folder: string,
  put: (name: string, content: Uint8Array) => Promise<string>,
): Promise<boolean> {
  const names = ['c/1', 'c0', 'c_1', 'c/0']
  for (const name of names) await put(name, Buffer.from(name))
  const listed = await store.list({ prefix: `${folder}/c`, limit: 100 })
  const expected = names.map((name) => `${folder}/${name}`).sort((a, b) => (a < b ? -1 : 1))
  // The conditional put also begins with a c.
  return listed.filter((info) => !info.key.endsWith('conditional')).every((info, i) => info.key === expected[i])
}
