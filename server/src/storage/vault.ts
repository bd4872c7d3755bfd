// The encrypted face of the object store: what features read and write bytes through. Nothing reaches a store in
// clear. Format: docs/reference/encryption.md.

import type { Readable } from 'node:stream'
import type { ByteRange } from './object-store.ts'

/** All that is needed to find, decrypt and verify an object; stored as a row of table object. */
export interface SealedObject {
  /** 32 hex digits, random. */
  objectId: string
  tenantId: number
  storeKey: string
  /** Length of the content. */
  sizeBytes: number
  /** Length in the store, encryption included. */
  storedBytes: number
  /** SHA-256 of the content, lower-case hex. */
  sha256: string
  /** Authenticated description of the stored parts; JSON. */
  manifest: unknown
  wrappedKey: Uint8Array
  tenantKeyVersion: number
}

export interface WriteOptions {
  tenantId: number
  content: AsyncIterable<Uint8Array>
  /** Below the store's root: "files" for originals, "results/<job>/<task>/<epoch>" for outputs. */
  folder: string
  /** Throws Problem('file_too_large') as soon as the content passes it. */
  sizeBytesMax: number
  /** Throws Problem('checksum_mismatch') when the content has another SHA-256. */
  sha256?: string
  signal?: AbortSignal
}

export interface Vault {
  /** Hashes, encrypts and stores in one pass; memory does not grow with size. Nothing stays behind after a failure. */
  write(options: WriteOptions): Promise<SealedObject>
  /** Decrypted content; a changed, cut, swapped or stale byte ends the stream with Problem('object_damaged') before it is released. */
  read(object: SealedObject, options?: { range?: ByteRange; signal?: AbortSignal }): Promise<Readable>
  /** Removes the stored bytes. */
  remove(object: Pick<SealedObject, 'storeKey'>): Promise<void>
}
