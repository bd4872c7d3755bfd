import { createSecretKey, hkdfSync } from 'node:crypto'
import { expect, test } from 'vitest'
import {
  chunksCountOf,
  chunkSizeBytes,
  contextOf,
  deriveMessageKeys,
  hkdfExpand,
  newKey,
  newSalt,
  openChunk,
  openSecret,
  sealChunk,
  sealSecret,
  storedSizeOf,
  tagSizeBytes,
  uint64,
} from './encryption.ts'

test('expands keys as RFC 5869 says', () => {
  // Extract and expand of the library, from which our expand must give the same.
  const material = Buffer.alloc(22, 0x0b)
  const salt = Buffer.from('000102030405060708090a0b0c', 'hex')
  const info = Buffer.from('f0f1f2f3f4f5f6f7f8f9', 'hex')
  const extracted = Buffer.from(
    '665799823737ded04a88e47e54a5890bb2c3d247c7a4254a8e61350723590a26c36238127d8661b88cf80ef802d57e2f7cebcf1e00e083848be19929c61b4237',
    'hex',
  )
  const expected = Buffer.from(hkdfSync('sha512', material, salt, info, 200))
  expect(hkdfExpand(createSecretKey(extracted), info, 200).equals(expected)).toBe(true)
})

test('a message of any length has exactly one chunking, and its last chunk is short', () => {
  expect([0, 1, 16_383, 16_384, 20_480, 32_768].map(chunksCountOf)).toEqual([1, 1, 1, 2, 2, 3])
  expect([0, 1, 16_384].map(storedSizeOf)).toEqual([72, 73, 56 + 16_400 + 16])
  expect(storedSizeOf(2 ** 30) / 2 ** 30).toBeLessThan(1.002)
})

test('a secret comes back only under its own key and context, and unchanged', () => {
  const key = newKey()
  const context = contextOf('test', uint64(7))
  const message = sealSecret(key, context, Buffer.from('secret'))
  expect(String(openSecret(key, context, message))).toBe('secret')
  expect(openSecret(newKey(), context, message)).toBeUndefined()
  expect(openSecret(key, contextOf('test', uint64(8)), message)).toBeUndefined()
  expect(openSecret(key, contextOf('tess', uint64(7)), message)).toBeUndefined()
  for (let bit = 0; bit < message.length * 8; bit++) {
    const changed = Buffer.from(message)
    changed[bit >> 3]! ^= 1 << (bit & 7)
    expect(openSecret(key, context, changed)).toBeUndefined()
  }
  for (let length = 0; length < message.length; length++)
    expect(openSecret(key, context, message.subarray(0, length))).toBeUndefined()
  expect(openSecret(key, context, Buffer.concat([message, Buffer.of(0)]))).toBeUndefined()
})

test('each chunk has its own nonce, up to the last of the 2^38', () => {
  const keys = deriveMessageKeys(newKey(), newSalt(), Buffer.alloc(0))
  const indexes = [0, 1, 2, 255, 256, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 38 - 1]
  const content = Buffer.alloc(64)
  const stored = indexes.map((index) => {
    const sealed = Buffer.alloc(content.length + tagSizeBytes)
    sealChunk(keys, index, content, sealed)
    return sealed
  })
  expect(new Set(stored.map(String)).size).toBe(indexes.length)
  for (const [i, index] of indexes.entries()) {
    const opened = Buffer.alloc(content.length, 1)
    expect(openChunk(keys, index, stored[i]!, opened)).toBe(true)
    expect(opened.equals(content)).toBe(true)
    for (const other of indexes) if (other !== index) expect(openChunk(keys, other, stored[i]!, opened)).toBe(false)
  }
  expect(() => sealChunk(keys, 2 ** 38, content, stored[0]!)).toThrow('Invariant broken')
})

test('a chunk without room for its tag, or longer than a chunk, is refused', () => {
  const keys = deriveMessageKeys(newKey(), newSalt(), Buffer.alloc(0))
  expect(openChunk(keys, 0, Buffer.alloc(15), Buffer.alloc(0))).toBe(false)
  expect(openChunk(keys, 0, Buffer.alloc(chunkSizeBytes + 17), Buffer.alloc(chunkSizeBytes + 1))).toBe(false)
})
