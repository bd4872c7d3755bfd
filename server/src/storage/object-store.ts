// Bytes under keys. Every adapter keeps these promises, and object-store.contract.ts checks them:
//
// - put is all or nothing: a reader never sees a part of an object, not even after kill -9 or on a full disk.
// - When put has resolved, the object survives what the adapter's durability line says.
// - get of an absent key throws Problem('not_found'); head answers undefined; delete of an absent key succeeds.
// - list is in byte order of the keys.
// - Keys are ours: [a-z0-9_] parts joined by /, at most 200 characters. A tenant's name or a file's name is never part
//   of one. A key is never also the folder of another (no a beside a/b): disks and some S3 servers cannot have both.
// - Every call bears an AbortSignal and has a client-side deadline per chunk of progress, never on the whole.
//   A store that does not answer is Problem('storage_unavailable'), a full one Problem('storage_full').

import type { Readable } from 'node:stream'

export interface PutOptions {
  /** Length of the body, when it is known; the body must then have exactly this length. */
  sizeBytes?: number
  /**
   * Fails with Problem('conflict') when the key exists; only where capabilities.conditionalPut says so. Of puts that race,
   * more than one may succeed where the store is a gateway over a file system (seen with versitygw).
   */
  ifAbsent?: boolean
  signal?: AbortSignal
}

/** First and last byte, both included. */
export interface ByteRange {
  start: number
  end: number
}

export interface ObjectInfo {
  key: string
  sizeBytes: number
  /** Told by list alone: when it was last written, by the clock of the store. */
  modifiedAt?: Date
}

export interface StoreCapabilities {
  readonly conditionalPut: boolean
  readonly presign: boolean
}

export interface ObjectStore {
  readonly kind: 'disk' | 's3' | 'sharded'
  /** What survives what, in one line for people. */
  readonly durability: string
  readonly capabilities: StoreCapabilities
  /**
   * The body may use the memory of a piece again once it is asked for the second piece after it: a store keeps at
   * most the last piece while it waits for the next one.
   */
  put(key: string, body: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<ObjectInfo>
  /** The pieces of the stream are the reader's own: their memory is used for nothing else, and he may give it back. */
  get(key: string, options?: { range?: ByteRange; signal?: AbortSignal }): Promise<Readable>
  head(key: string, options?: { signal?: AbortSignal }): Promise<ObjectInfo | undefined>
  delete(key: string, options?: { signal?: AbortSignal }): Promise<void>
  copy(from: string, to: string, options?: { signal?: AbortSignal }): Promise<ObjectInfo>
  /** One page of the keys with the prefix, after the given key. */
  list(options: { prefix: string; after?: string; limit: number; signal?: AbortSignal }): Promise<ObjectInfo[]>
  /** Removes what puts left behind that were killed in the middle, where the store keeps such a thing. */
  removeLeftovers?(signal?: AbortSignal): Promise<void>
  close(): Promise<void>
}
