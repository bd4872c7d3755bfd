// AES-256-GCM of one chunk, from memory into memory that is there already. It is always OpenSSL's; there are two ways to
// it, aead-node.ts and aead-openssl.ts, and no difference between them but the time:
// docs/decisions/0019-aes-without-copies.md.

import type { KeyObject } from 'node:crypto'
import { invariant } from '../platform/problem.ts'

export const tagSizeBytes = 16

/** The same key twice: each way takes it in the form that costs it least. */
export interface AeadKey {
  readonly object: KeyObject
  /** 32. */
  readonly bytes: Buffer
}

export interface Aead {
  /** Encrypts into the target, which is exactly as long as the content and the tag behind it. The nonce has 12 bytes. */
  seal(key: AeadKey, nonce: Buffer, content: Uint8Array, target: Buffer): void
  /**
   * Decrypts into the target, which is exactly as long as what was sealed without its tag. False when it was not sealed
   * with this key and nonce or has been changed; the target then holds nothing of it.
   */
  open(key: AeadKey, nonce: Buffer, sealed: Uint8Array, target: Buffer): boolean
}

/** What nothing may be called with otherwise: one of the ways hands addresses to a library that believes them. */
export function checkSizes(nonce: Buffer, contentBytes: number, sealedBytes: number): void {
  invariant(nonce.length === 12, 'a nonce has 12 bytes')
  invariant(sealedBytes === contentBytes + tagSizeBytes, 'what is sealed is as long as its content and the tag')
}
