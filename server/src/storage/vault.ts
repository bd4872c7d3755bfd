// The encrypted face of the object store: what features read and write bytes through. Nothing reaches a store in
// clear. Format: docs/reference/encryption.md.

import type { Hash } from 'node:crypto'
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

/** An object that is being written part by part; nobody can read it before it is assembled. */
export interface ObjectDraft {
  readonly objectId: string
  readonly tenantId: number
  /** Ends in "/": each stored part has a key of its own below it. */
  readonly storeKey: string
  readonly wrappedKey: Uint8Array
  readonly tenantKeyVersion: number
}

/** One part as it lies in the store. */
export interface StoredPart {
  /** From 1. */
  readonly number: number
  /** Length of its content. */
  readonly sizeBytes: number
  /** Lower-case hex; with its number it names the stored bytes, so that two attempts at a part never share a key. */
  readonly salt: string
  /** Lower-case hex. */
  readonly commitment: string
  /** SHA-256 of its content, lower-case hex. */
  readonly sha256: string
}

/** What has to be known of a part to read it. */
export type PartSeal = Omit<StoredPart, 'sha256'>

export interface WritePartOptions {
  readonly number: number
  readonly content: AsyncIterable<Uint8Array>
  /** Throws Problem('file_too_large') as soon as the content passes it. */
  readonly sizeBytesMax: number
  /** Goes on with this hash instead of one of the part's own; the part's sha256 is then that of all the hash has seen. */
  readonly hash?: Hash
  readonly signal?: AbortSignal
}

export interface Vault {
  /** Hashes, encrypts and stores in one pass; memory does not grow with size. Nothing stays behind after a failure. */
  write(options: WriteOptions): Promise<SealedObject>
  /** Decrypted content; a changed, cut, swapped or stale byte ends the stream with Problem('object_damaged') before it is released. The pieces are the reader's own. */
  read(object: SealedObject, options?: { range?: ByteRange; signal?: AbortSignal }): Promise<Readable>
  /** For whoever has the content from a read before. Problem('key_destroyed') when the tenant's or the object's key was destroyed. */
  requireKey(object: SealedObject): Promise<void>
  /** Removes the stored bytes. */
  remove(object: Pick<SealedObject, 'storeKey'>): Promise<void>
  /** Makes the key and the place of an object that will be written part by part. Stores nothing. */
  createDraft(options: { tenantId: number; folder: string }): Promise<ObjectDraft>
  /**
   * Encrypts and stores one part, as a message of its own with a fresh salt. Parts may be written in any order, at once,
   * and again: each attempt stands by itself. Nothing of it stays behind after a failure.
   */
  writePart(draft: ObjectDraft, options: WritePartOptions): Promise<StoredPart>
  /** Removes the stored bytes of one attempt at a part. */
  removePart(draft: ObjectDraft, part: PartSeal): Promise<void>
  /**
   * Makes an object of the parts 1 to n, in order. Its SHA-256 is what is given, which the caller has computed over the
   * bytes that it passed to writePart, or else that of all parts, read and decrypted once more.
   */
  assemble(
    draft: ObjectDraft,
    parts: readonly PartSeal[],
    options?: { sha256?: string; onBytes?: (sizeBytes: number) => Promise<void> | undefined; signal?: AbortSignal },
  ): Promise<SealedObject>
  /** The content of the parts 1 to n, which need not be an object yet. The pieces are the reader's own. */
  readParts(draft: ObjectDraft, parts: readonly PartSeal[], options?: { signal?: AbortSignal }): AsyncIterable<Buffer>
  /** Removes whatever lies at the place of a draft but does not belong to these parts. Answers how many that were. */
  removeStrayParts(draft: Pick<ObjectDraft, 'storeKey'>, parts: readonly PartSeal[]): Promise<number>
}
