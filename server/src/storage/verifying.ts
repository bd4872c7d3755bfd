// Reads back what was put, for stores and disks that are not trusted to keep what they are given. Without it a byte that
// flips on its way into the store is seen only when somebody reads it, and then there is nothing to take its place; with
// it the put fails, and whoever sends the bytes still has them. A put costs a read: on a disk one from its cache, so that
// the way there is verified and not the platter; on S3 a request and the same bytes back.

import { crc32 } from 'node:zlib'
import { Problem } from '../platform/problem.ts'
import type { ObjectStore, PutOptions } from './object-store.ts'

/** The same store, whose put also throws Problem('storage_unavailable') when other bytes come back; nothing of them stays. */
export function createVerifyingStore<Store extends ObjectStore>(store: Store): Store {
  return {
    ...store,
    durability: `${store.durability}; what is put is read back`,
    async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions = {}) {
      // Bytes are told from others by chance here, not by intent: their encryption sees to that.
      let sentSum = 0
      const summed = async function* (): AsyncGenerator<Uint8Array> {
        for await (const piece of body) {
          sentSum = crc32(piece, sentSum)
          yield piece
        }
      }
      const info = await store.put(key, summed(), options)
      let keptSum = 0
      const kept = await store.get(key, options.signal === undefined ? {} : { signal: options.signal })
      // A stream of bytes gives buffers.
      for await (const piece of kept) keptSum = crc32(piece as Buffer, keptSum)
      if (keptSum === sentSum) return info
      await store.delete(key)
      throw new Problem('storage_unavailable', { detail: 'The store kept other bytes than it was given' })
    },
  }
}
