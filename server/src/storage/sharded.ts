// Objects spread over several stores by rendezvous hashing: of all shards, the one whose name and the object's id hash
// highest has it. A shard that is added takes its share from all others and moves nothing else.
//
// Which shards there are is a list of maps, oldest first; the last one is in force. A write goes where the last map
// says; a read that finds nothing there looks where the older ones say, so that the platform goes on while rebalance()
// moves what lies elsewhere. Once that has ended, the older maps can be forgotten. It may be interrupted and begun again
// at any time, and run twice at once: an object leaves its old place only when it is whole in the new one.

import { createHash } from 'node:crypto'
import { invariant, Problem } from '../platform/problem.ts'
import type { ObjectInfo, ObjectStore } from './object-store.ts'

export interface ShardedStoreOptions {
  /** By name; the names decide where objects lie, so a store keeps its name wherever it moves. */
  shards: ReadonlyMap<string, ObjectStore>
  /** Names of the shards of each map, oldest first. */
  maps: readonly (readonly string[])[]
}

export interface RebalanceProgress {
  seenCount: number
  movedCount: number
  movedBytes: number
}

export interface ShardedStore extends ObjectStore {
  readonly shards: ReadonlyMap<string, ObjectStore>
  /**
   * Moves every object to where the newest map wants it; answers what it did. Reads, writes and deletes go on meanwhile.
   * An object that is deleted in the very moment of its move may stay behind, unreadable, for the sweep.
   */
  rebalance(options: {
    signal: AbortSignal
    onProgress?: (progress: RebalanceProgress) => void
  }): Promise<RebalanceProgress>
}

const pageLimit = 1_000

/** Closes the shards with itself. */
export function createShardedStore({ shards, maps }: ShardedStoreOptions): ShardedStore {
  const newest = maps.at(-1)
  invariant(newest !== undefined && newest.length > 0, 'a sharded store has a map with shards')
  for (const name of maps.flat()) invariant(shards.has(name), `the shard "${name}" of a map is there`)
  const stores = [...shards.values()]
  // The names were looked up above.
  const storeAt = (map: readonly string[], key: string): ObjectStore => shards.get(chooseShard(map, spreadOf(key)))!
  const homeOf = (key: string): ObjectStore => storeAt(newest, key)
  /** Where the key may lie, the place it belongs to first. */
  const placesOf = (key: string): ObjectStore[] => [...new Set(maps.toReversed().map((map) => storeAt(map, key)))]

  /** Looks in each place, and at last in the first again: the object may have been moved there meanwhile. */
  async function findIn<Found>(
    key: string,
    look: (store: ObjectStore) => Promise<Found | undefined>,
  ): Promise<Found | undefined> {
    const places = placesOf(key)
    for (const store of places.length > 1 ? [...places, homeOf(key)] : places) {
      const found = await look(store)
      if (found !== undefined) return found
    }
    return undefined
  }

  async function moveHome(from: ObjectStore, info: ObjectInfo, signal: AbortSignal): Promise<boolean> {
    const home = homeOf(info.key)
    if (home === from) return false
    const body = await from.get(info.key, { signal }).catch(absentAsUndefined)
    if (body === undefined) return false
    try {
      await home.put(info.key, body, { sizeBytes: info.sizeBytes, signal })
    } catch (error) {
      // Another rebalancing, or a delete, was faster than the last of our reads.
      if ((await from.head(info.key, { signal })) === undefined) return false
      throw error
    } finally {
      body.destroy()
    }
    await from.delete(info.key, { signal })
    return true
  }

  return {
    kind: 'sharded',
    shards,
    durability: `${newest.length} shards; each ${[...new Set(stores.map((store) => store.durability))].join(', or ')}`,
    capabilities: {
      // While there are older maps, "absent" would have to be asked of several stores at once.
      conditionalPut: maps.length === 1 && stores.every((store) => store.capabilities.conditionalPut),
      presign: false,
    },
    put: (key, body, options) => homeOf(key).put(key, body, options),
    async get(key, options) {
      const body = await findIn(key, (store) => store.get(key, options).catch(absentAsUndefined))
      if (body === undefined) throw new Problem('not_found', { detail: 'There is no such object' })
      return body
    },
    head: (key, options) => findIn(key, (store) => store.head(key, options)),
    async delete(key, options) {
      // The old places first: whoever is moving it then finds nothing to move.
      for (const store of placesOf(key).toReversed()) await store.delete(key, options)
    },
    async copy(from, to, options) {
      const target = homeOf(to)
      if ((await target.head(from, options)) !== undefined) return target.copy(from, to, options)
      return target.put(to, await this.get(from, options), options)
    },
    async list(options) {
      const lists = await Promise.all(stores.map((store) => store.list(options)))
      const byKey = new Map(lists.flat().map((info) => [info.key, info]))
      return [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1)).slice(0, options.limit)
    },
    async removeLeftovers(signal) {
      for (const store of stores) await store.removeLeftovers?.(signal)
    },
    async close() {
      for (const store of stores) await store.close()
    },
    async rebalance({ signal, onProgress }) {
      const progress: RebalanceProgress = { seenCount: 0, movedCount: 0, movedBytes: 0 }
      for (const store of stores) {
        for (let after = ''; ;) {
          const page = await store.list({ prefix: '', limit: pageLimit, signal, ...(after !== '' && { after }) })
          for (const info of page) {
            signal.throwIfAborted()
            progress.seenCount++
            if (!(await moveHome(store, info, signal))) continue
            progress.movedCount++
            progress.movedBytes += info.sizeBytes
          }
          onProgress?.({ ...progress })
          const last = page.at(-1)
          if (last === undefined || page.length < pageLimit) break
          after = last.key
        }
      }
      return progress
    },
  }
}

/** What decides the place: the object's id, so that all parts of an object lie together; for other keys, the key. */
const spreadOf = (key: string): string => key.split('/').findLast((part) => /^[0-9a-f]{32}$/.test(part)) ?? key

/** The shard whose score is the highest (rendezvous hashing: Thaler and Ravishankar, 1998). */
export function chooseShard(names: readonly string[], spread: string): string {
  let chosen = ''
  let best: bigint | undefined
  for (const name of names) {
    const score = createHash('sha256').update(`${name}\0${spread}`).digest().readBigUInt64BE()
    if (best === undefined || score > best) [chosen, best] = [name, score]
  }
  return chosen
}

function absentAsUndefined(error: unknown): undefined {
  if (error instanceof Problem && error.code === 'not_found') return undefined
  throw error
}
