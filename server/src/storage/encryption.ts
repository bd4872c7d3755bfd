// Authenticated encryption of one message: the C2SP chunked-encryption format, https://c2sp.org/chunked-encryption,
// as "Cobblestone-256" (SHA-512, AES-256-GCM). Everything this product encrypts, contents and keys alike, is such a
// message; docs/reference/encryption.md freezes how we use it.
//
//   salt (24) | commitment (32) | chunk 0 | chunk 1 | … | last chunk
//
// Every chunk holds 16 KiB and a tag of 16 bytes; the last is always shorter, and empty when it must be, so that a
// message cut at a chunk's end is seen. Key and nonce come from the input key, the salt and a context, which binds a
// message to its place. A salt is never used twice under a key: a message written again is a new message.

import { createHmac, createSecretKey, randomBytes, timingSafeEqual, type KeyObject } from 'node:crypto'
import { invariant } from '../platform/problem.ts'
import { nodeAead } from './aead-node.ts'
import { openOpenSslAead } from './aead-openssl.ts'
import { tagSizeBytes, type AeadKey } from './aead.ts'

const aead = openOpenSslAead() ?? nodeAead

export const keySizeBytes = 32
export const saltSizeBytes = 24
export const commitmentSizeBytes = 32
export const headSizeBytes = saltSizeBytes + commitmentSizeBytes
export const chunkSizeBytes = 16_384
export { tagSizeBytes }
export const storedChunkSizeBytes = chunkSizeBytes + tagSizeBytes
const nonceSizeBytes = 12
const chunksCountMax = 2 ** 38

const infoPrefix = Buffer.from('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0', 'ascii')

/** What one message is encrypted with. */
export interface MessageKeys {
  readonly key: AeadKey
  readonly baseNonce: Buffer
  readonly salt: Buffer
  /** Ties the stored message to exactly this input key, salt and context. */
  readonly commitment: Buffer
}

/** A fresh key. Keys and salts are always of the system's generator, never of an injected one. */
export const newKey = (): KeyObject => createSecretKey(randomBytes(keySizeBytes))
export const newSalt = (): Buffer => randomBytes(saltSizeBytes)

/** HKDF-Expand with SHA-512 (RFC 5869, section 2.3); the input key is uniformly random, so nothing is extracted. */
export function hkdfExpand(inputKey: KeyObject, info: Uint8Array, sizeBytes: number): Buffer {
  const blocks: Buffer[] = []
  let block = Buffer.alloc(0)
  for (let made = 0, counter = 1; made < sizeBytes; made += block.length, counter++) {
    block = createHmac('sha512', inputKey).update(block).update(info).update(Buffer.of(counter)).digest()
    blocks.push(block)
  }
  return Buffer.concat(blocks).subarray(0, sizeBytes)
}

export function deriveMessageKeys(inputKey: KeyObject, salt: Buffer, context: Uint8Array): MessageKeys {
  invariant(salt.length === saltSizeBytes, 'a salt has 24 bytes')
  const info = Buffer.concat([infoPrefix, salt, context])
  const derived = hkdfExpand(inputKey, info, keySizeBytes + nonceSizeBytes + commitmentSizeBytes)
  const key = Buffer.from(derived.subarray(0, keySizeBytes))
  return {
    // A KeyObject too, because Node sets a cipher up several times faster from one than from bytes.
    key: { object: createSecretKey(key), bytes: key },
    baseNonce: Buffer.from(derived.subarray(keySizeBytes, keySizeBytes + nonceSizeBytes)),
    salt,
    commitment: Buffer.from(derived.subarray(keySizeBytes + nonceSizeBytes)),
  }
}

/** The first bytes of the stored message. */
export const headOf = (keys: MessageKeys): Buffer => Buffer.concat([keys.salt, keys.commitment])

/** Chunks of a message of that many bytes; the last one is shorter than the others and may be empty. */
export const chunksCountOf = (sizeBytes: number): number => Math.floor(sizeBytes / chunkSizeBytes) + 1

/** Length of a whole message with its head and tags. */
export const storedSizeOf = (sizeBytes: number): number =>
  headSizeBytes + sizeBytes + chunksCountOf(sizeBytes) * tagSizeBytes

/** Where a chunk begins in the stored message. */
export const chunkOffsetOf = (index: number): number => headSizeBytes + index * storedChunkSizeBytes

/** The base nonce with the chunk's number, big-endian, XORed into its end. */
function nonceOf(keys: MessageKeys, index: number): Buffer {
  invariant(index < chunksCountMax, 'a message has fewer than 2^38 chunks')
  const nonce = Buffer.from(keys.baseNonce)
  const low = nonce.readUInt32BE(8) ^ (index % 2 ** 32)
  nonce.writeUInt32BE(low >>> 0, 8)
  nonce[7] = nonce.readUInt8(7) ^ Math.floor(index / 2 ** 32)
  return nonce
}

/** Encrypts the content of one chunk into the target, which is longer by the tag. */
export const sealChunk = (keys: MessageKeys, index: number, content: Uint8Array, target: Buffer): void =>
  aead.seal(keys.key, nonceOf(keys, index), content, target)

/**
 * Decrypts one stored chunk into the target, which is shorter by the tag. False when it is not exactly what was written
 * at this place; the target then holds nothing of it.
 */
export function openChunk(keys: MessageKeys, index: number, stored: Uint8Array, target: Buffer): boolean {
  if (stored.length < tagSizeBytes || stored.length > storedChunkSizeBytes) return false
  return aead.open(keys.key, nonceOf(keys, index), stored, target)
}

/** A whole message in memory; meant for keys and other secrets of less than a chunk. */
export function sealSecret(inputKey: KeyObject, context: Uint8Array, secret: Uint8Array, salt = newSalt()): Buffer {
  invariant(secret.length < chunkSizeBytes, 'a sealed secret fits in one chunk')
  const keys = deriveMessageKeys(inputKey, salt, context)
  const sealed = Buffer.alloc(secret.length + tagSizeBytes)
  sealChunk(keys, 0, secret, sealed)
  return Buffer.concat([headOf(keys), sealed])
}

/** The secret again, or undefined when key or context are others or a byte was changed. */
export function openSecret(inputKey: KeyObject, context: Uint8Array, message: Uint8Array): Buffer | undefined {
  if (message.length < headSizeBytes + tagSizeBytes || message.length >= headSizeBytes + storedChunkSizeBytes)
    return undefined
  const keys = deriveMessageKeys(inputKey, Buffer.from(message.subarray(0, saltSizeBytes)), context)
  if (!timingSafeEqual(message.subarray(saltSizeBytes, headSizeBytes), keys.commitment)) return undefined
  const secret = Buffer.alloc(message.length - headSizeBytes - tagSizeBytes)
  return openChunk(keys, 0, message.subarray(headSizeBytes), secret) ? secret : undefined
}

/** Context of a message: what it is, then the numbers and ids that fix its place. Unambiguous, as every field has a fixed length. */
export const contextOf = (kind: string, ...fields: readonly Uint8Array[]): Buffer =>
  Buffer.concat([Buffer.from(`millrace/${kind}@v1\0`, 'ascii'), ...fields])

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export const uint64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}
