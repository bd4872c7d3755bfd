import { createSecretKey, randomBytes } from 'node:crypto'
import * as ffi from 'node:ffi'
import { describe, expect, it } from 'vitest'
import { nodeAead } from './aead-node.ts'
import { openOpenSslAead } from './aead-openssl.ts'
import { tagSizeBytes, type Aead, type AeadKey } from './aead.ts'

const openSslAead = openOpenSslAead()
const newAeadKey = (bytes = randomBytes(32)): AeadKey => ({ object: createSecretKey(bytes), bytes })

it('is had from OpenSSL directly on the systems it is meant for', () => {
  // Else everything below would pass, and every byte cost more.
  if (['linux', 'darwin'].includes(process.platform)) expect(openSslAead).toBeDefined()
})

describe('OpenSSL directly is not used where it', () => {
  const altered = (alter: (functions: Record<string, (...taken: unknown[]) => unknown>) => object) => ({
    dlopen: ((path: null, signatures: ffi.FunctionDefinitions) => {
      const { functions, ...library } = ffi.dlopen(path, signatures)
      return { ...library, functions: { ...functions, ...alter(functions) } }
    }) as typeof ffi.dlopen,
  })

  it.each([
    [
      'cannot be loaded',
      {
        dlopen: () => {
          throw new Error('forbidden')
        },
      },
    ],
    [
      'seals otherwise',
      altered(({ EVP_CipherUpdate }) => ({
        EVP_CipherUpdate: (context: unknown, out: unknown, outBytes: unknown, content: Uint8Array, sizeBytes: number) =>
          EVP_CipherUpdate!(context, out, outBytes, Buffer.alloc(content.length), sizeBytes),
      })),
    ],
    ['opens what is forged', altered(() => ({ EVP_CipherFinal_ex: () => 1 }))],
    ['fails', altered(() => ({ EVP_CipherInit_ex: () => 0 }))],
  ])('%s', (_, foreignFunctions) => {
    expect(openOpenSslAead(foreignFunctions)).toBeUndefined()
  })

  it('does as node:crypto does: it is', () => expect(openOpenSslAead(altered(() => ({})))).toBeDefined())
})

const ways: [string, Aead][] = [['node:crypto', nodeAead]]
if (openSslAead) ways.push(['OpenSSL', openSslAead])

describe.each(ways)('AES-256-GCM by %s', (_, aead) => {
  const seal = (key: AeadKey, nonce: Buffer, content: Uint8Array): Buffer => {
    const sealed = Buffer.alloc(content.length + tagSizeBytes)
    aead.seal(key, nonce, content, sealed)
    return sealed
  }

  // Test cases 13 to 15 of McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B.
  it.each([
    ['00'.repeat(32), '00'.repeat(12), '', '530f8afbc74536b9a963b4f1c4cb738b'],
    [
      '00'.repeat(32),
      '00'.repeat(12),
      '00'.repeat(16),
      'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919',
    ],
    [
      'feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308',
      'cafebabefacedbaddecaf888',
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255',
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015adb094dac5d93471bdec1a502270e3cc6c',
    ],
  ])('seals as published: %s %s %s', (key, nonce, content, sealed) => {
    const [keyOf, nonceOf] = [newAeadKey(Buffer.from(key, 'hex')), Buffer.from(nonce, 'hex')]
    expect(seal(keyOf, nonceOf, Buffer.from(content, 'hex')).toString('hex')).toBe(sealed)
    const opened = Buffer.alloc(content.length / 2)
    expect(aead.open(keyOf, nonceOf, Buffer.from(sealed, 'hex'), opened)).toBe(true)
    expect(opened.toString('hex')).toBe(content)
  })

  it('seals and opens any length, from and into any place in memory, and writes nowhere else', () => {
    const memory = Buffer.alloc(40_000, 0xee)
    for (const sizeBytes of [0, 1, 15, 16, 17, 63, 64, 65, 4_097, 16_383, 16_384])
      for (const offset of [0, 1, 7, 64]) {
        const [key, nonce, content] = [newAeadKey(), randomBytes(12), randomBytes(sizeBytes)]
        const end = offset + sizeBytes + tagSizeBytes
        memory.fill(0xee)
        aead.seal(key, nonce, content, memory.subarray(offset, end))
        const opened = Buffer.alloc(sizeBytes + 2, 0xee)
        expect(aead.open(key, nonce, memory.subarray(offset, end), opened.subarray(1, sizeBytes + 1))).toBe(true)
        expect(opened.equals(Buffer.concat([Buffer.of(0xee), content, Buffer.of(0xee)]))).toBe(true)
        expect([...memory.subarray(0, offset), ...memory.subarray(end)].every((byte) => byte === 0xee)).toBe(true)
      }
  })

  it('opens what the other ways have sealed', () => {
    const [key, nonce, content] = [newAeadKey(), randomBytes(12), randomBytes(16_384)]
    for (const [, other] of ways) {
      const sealed = Buffer.alloc(content.length + tagSizeBytes)
      other.seal(key, nonce, content, sealed)
      expect(sealed.equals(seal(key, nonce, content))).toBe(true)
    }
  })

  it('opens nothing that was changed anywhere, or under another key or nonce, and leaves nothing of it', () => {
    const [key, nonce, content] = [newAeadKey(), randomBytes(12), randomBytes(50)]
    const sealed = seal(key, nonce, content)
    const refused = (otherKey: AeadKey, otherNonce: Buffer, changed: Buffer): boolean => {
      const target = Buffer.alloc(content.length, 0xee)
      return !aead.open(otherKey, otherNonce, changed, target) && !target.includes(content.subarray(0, 4))
    }
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Buffer.from(sealed)
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      expect(refused(key, nonce, changed)).toBe(true)
    }
    expect(refused(newAeadKey(), nonce, sealed)).toBe(true)
    expect(refused(key, randomBytes(12), sealed)).toBe(true)
    // And is none the worse for it.
    expect(aead.open(key, nonce, sealed, Buffer.alloc(content.length))).toBe(true)
  })

  it.each([
    ['a target that is too short', 12, 4 + tagSizeBytes - 1],
    ['a target that is too long', 12, 4 + tagSizeBytes + 1],
    ['a nonce that is too short', 11, 4 + tagSizeBytes],
  ])('refuses %s before anything is written', (_name, nonceBytes, sealedBytes) => {
    const [key, nonce, sealed] = [newAeadKey(), Buffer.alloc(nonceBytes), Buffer.alloc(sealedBytes)]
    expect(() => aead.seal(key, nonce, Buffer.alloc(4), sealed)).toThrow('Invariant broken')
    expect(() => aead.open(key, nonce, sealed, Buffer.alloc(4))).toThrow('Invariant broken')
    expect(sealed.every((byte) => byte === 0)).toBe(true)
  })
})
