// Calls the OpenSSL that Node itself is linked with, through node:ffi: no buffer is made or copied for a chunk. Node
// calls that module experimental, so nothing depends on it: where it is absent, forbidden (--no-experimental-ffi, the
// permission model) or answers anything else than node:crypto, there is none.

import { createSecretKey } from 'node:crypto'
import type * as foreignFunctions from 'node:ffi'
import { getBuiltinModule } from 'node:process'
import { invariant } from '../platform/problem.ts'
import { nodeAead } from './aead-node.ts'
import { checkSizes, tagSizeBytes, type Aead, type AeadKey } from './aead.ts'

/** An address; 0n is none. */
type Pointer = bigint

/** https://docs.openssl.org/3.5/man3/EVP_EncryptInit/; those that return an int32 return 1 when they have succeeded. */
const signatures = {
  EVP_CIPHER_CTX_new: { arguments: [], return: 'pointer' },
  EVP_aes_256_gcm: { arguments: [], return: 'pointer' },
  /** Context, cipher, engine, key, nonce, direction; what is none stays as it was. */
  EVP_CipherInit_ex: {
    arguments: ['pointer', 'pointer', 'pointer', 'buffer', 'buffer', 'int32'],
    return: 'int32',
  },
  /** Context, output, its length (an int32), content, its length. */
  EVP_CipherUpdate: { arguments: ['pointer', 'buffer', 'buffer', 'buffer', 'int32'], return: 'int32' },
  /** Context, output (none in this mode), its length. */
  EVP_CipherFinal_ex: { arguments: ['pointer', 'buffer', 'buffer'], return: 'int32' },
  /** Context, what, length, value. */
  EVP_CIPHER_CTX_ctrl: { arguments: ['pointer', 'int32', 'int32', 'buffer'], return: 'int32' },
  ERR_clear_error: { arguments: [], return: 'void' },
} as const

const nothing: Pointer = 0n
const decrypting = 0
const encrypting = 1
/** EVP_CTRL_AEAD_GET_TAG and EVP_CTRL_AEAD_SET_TAG. */
const getTag = 0x10
const setTag = 0x11

type ForeignFunctions = Pick<typeof foreignFunctions, 'dlopen'>

/** Undefined where it cannot be had. */
export function openOpenSslAead(ffi: ForeignFunctions | undefined = getBuiltinModule('node:ffi')): Aead | undefined {
  try {
    const aead = ffi && createOpenSslAead(ffi)
    return aead && agrees(aead, nodeAead) ? aead : undefined
  } catch {
    return undefined
  }
}

function createOpenSslAead(ffi: ForeignFunctions): Aead {
  const { functions: openSsl } = ffi.dlopen(null, signatures)
  // All of this is of one thread, and used within one call only.
  const outBytes = Buffer.alloc(8)
  /** Node takes the addresses of these and then forgets them: they must not be collected before the call has ended. */
  const held: { views: readonly Uint8Array[] } = { views: [] }
  const newContext = (direction: number): Pointer => {
    const context = openSsl.EVP_CIPHER_CTX_new()
    invariant(context !== nothing, 'OpenSSL has memory for a context')
    const zeros = Buffer.alloc(32)
    held.views = [zeros]
    succeed(openSsl.EVP_CipherInit_ex(context, openSsl.EVP_aes_256_gcm(), nothing, zeros, zeros, direction))
    return context
  }
  const [sealing, opening] = [newContext(encrypting), newContext(decrypting)]

  const begin = (context: Pointer, { bytes }: AeadKey, nonce: Buffer, direction: number): void => {
    invariant(bytes.length === 32, 'a key has 32 bytes')
    succeed(openSsl.EVP_CipherInit_ex(context, nothing, nothing, bytes, nonce, direction))
  }

  return {
    seal(key, nonce, content, target) {
      checkSizes(nonce, content.length, target.length)
      const tag = target.subarray(content.length)
      held.views = [key.bytes, nonce, content, target]
      begin(sealing, key, nonce, encrypting)
      if (content.length > 0) succeed(openSsl.EVP_CipherUpdate(sealing, target, outBytes, content, content.length))
      succeed(openSsl.EVP_CipherFinal_ex(sealing, tag, outBytes))
      succeed(openSsl.EVP_CIPHER_CTX_ctrl(sealing, getTag, tagSizeBytes, tag))
      held.views = []
    },
    open(key, nonce, sealed, target) {
      checkSizes(nonce, target.length, sealed.length)
      const tag = sealed.subarray(target.length)
      held.views = [key.bytes, nonce, sealed, target]
      begin(opening, key, nonce, decrypting)
      succeed(openSsl.EVP_CIPHER_CTX_ctrl(opening, setTag, tagSizeBytes, tag))
      if (target.length > 0) succeed(openSsl.EVP_CipherUpdate(opening, target, outBytes, sealed, target.length))
      const opened = openSsl.EVP_CipherFinal_ex(opening, outBytes, outBytes) === 1
      held.views = []
      if (opened) return true
      // Else the next connection over TLS would take it for its own.
      openSsl.ERR_clear_error()
      target.fill(0)
      return false
    },
  }
}

const succeed = (returned: number): void => invariant(returned === 1, 'OpenSSL does what it is told')

/** Whether it seals the same, and opens that and nothing else. */
function agrees(aead: Aead, other: Aead): boolean {
  const bytes = Buffer.alloc(32, 7)
  const key: AeadKey = { object: createSecretKey(bytes), bytes }
  const nonce = Buffer.alloc(12, 9)
  return [0, 1, 1_000].every((sizeBytes) => {
    const content = Buffer.alloc(sizeBytes, 3)
    const opened = Buffer.alloc(sizeBytes)
    const [sealed, expected] = [Buffer.alloc(sizeBytes + tagSizeBytes), Buffer.alloc(sizeBytes + tagSizeBytes)]
    aead.seal(key, nonce, content, sealed)
    other.seal(key, nonce, content, expected)
    if (!sealed.equals(expected) || !aead.open(key, nonce, sealed, opened) || !opened.equals(content)) return false
    sealed.writeUInt8(sealed.readUInt8(0) ^ 1)
    return !aead.open(key, nonce, sealed, opened)
  })
}
