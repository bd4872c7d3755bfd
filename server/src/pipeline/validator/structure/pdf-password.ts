// Whether an encrypted PDF opens without being asked for a password, as most do that are only protected against printing
// or copying: the standard security handler with the empty user password (ISO 32000-2, 7.6.4, algorithms 2, 2.B, 4 to 6,
// and 11).

import { createCipheriv, createHash } from 'node:crypto'
import type { FileBytes } from './structure.ts'

const padding = Buffer.from('28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a', 'hex')
const searchBytes = 1024 ** 2

/** True for a PDF that is not encrypted, too. An encryption that is not understood counts as one that asks. */
export async function opensWithoutPassword(bytes: FileBytes): Promise<boolean> {
  const trailer = await findTrailer(bytes)
  if (trailer === undefined) return true
  const dictionary = trailer.inline ?? (await findObject(bytes, trailer.reference))
  if (dictionary === undefined || !dictionary.includes('/Standard')) return false
  const [owner, user, id] = [stringOf(dictionary, 'O'), stringOf(dictionary, 'U'), trailer.id]
  if (owner === undefined || user === undefined) return false
  const revision = numberOf(dictionary, 'R') ?? 0
  if (revision >= 5) return opensByHash(user, revision)
  const length = keyBytesOf(dictionary, revision)
  const permissions = Buffer.alloc(4)
  permissions.writeInt32LE((numberOf(dictionary, 'P') ?? 0) | 0)
  const hidesNoMetadata = revision >= 4 && /\/EncryptMetadata\s+false/.test(dictionary)
  let key = md5(padding, owner.subarray(0, 32), permissions, id, Buffer.from(hidesNoMetadata ? 'ffffffff' : '', 'hex'))
  if (revision >= 3) for (let round = 0; round < 50; round += 1) key = md5(key.subarray(0, length))
  key = key.subarray(0, length)
  if (revision === 2) return rc4(key, padding).equals(user.subarray(0, 32))
  let proof = rc4(key, md5(padding, id))
  for (let round = 1; round < 20; round += 1) proof = rc4(Buffer.from(key.map((byte) => byte ^ round)), proof)
  return proof.subarray(0, 16).equals(user.subarray(0, 16))
}

/** Revision 4 names another length inside of its filters, and always means 16. */
function keyBytesOf(dictionary: string, revision: number): number {
  if (revision === 2) return 5
  return revision === 3 ? Math.min(16, Math.max(5, (numberOf(dictionary, 'Length') ?? 40) / 8)) : 16
}

interface Trailer {
  reference: string
  /** The dictionary, when it stands in the trailer itself. */
  inline?: string
  id: Buffer
}

/** The last dictionary that names an encryption; it stands at the end of the file, or at the beginning of a linearized one. */
async function findTrailer(bytes: FileBytes): Promise<Trailer | undefined> {
  for (const at of [Math.max(0, bytes.sizeBytes - searchBytes), 0]) {
    const text = (await bytes.read(at, searchBytes)).toString('latin1')
    const found = [...text.matchAll(/\/Encrypt\s*(?:(\d+)\s+(\d+)\s+R|<<)/g)].at(-1)
    if (found === undefined) continue
    const around = text.slice(Math.max(0, found.index - 2048), found.index + 2048)
    const id = /\/ID\s*\[\s*(<[\da-f\s]*>|\((?:\\[^]|[^\\)])*\))/i.exec(around)?.[1]
    return {
      reference: `${found[1]} ${found[2]} obj`,
      ...(found[1] === undefined && { inline: text.slice(found.index, found.index + 4096) }),
      id: id === undefined ? Buffer.alloc(0) : decodedString(id),
    }
  }
  return undefined
}

/** The text of an object, wherever it stands; encryption dictionaries are never compressed. */
async function findObject(bytes: FileBytes, reference: string): Promise<string | undefined> {
  const pattern = new RegExp(`(?:^|[^\\d])${reference.replaceAll(' ', '\\s+')}`, 'g')
  const overlap = 8192
  for (let at = 0; at < bytes.sizeBytes; at += searchBytes - overlap) {
    const text = (await bytes.read(at, searchBytes)).toString('latin1')
    const found = [...text.matchAll(pattern)].at(-1)
    if (found !== undefined) return text.slice(found.index, found.index + overlap)
  }
  return undefined
}

const numberOf = (dictionary: string, key: string): number | undefined => {
  const found = new RegExp(`/${key}\\s+(-?\\d+)`).exec(dictionary)?.[1]
  return found === undefined ? undefined : Number(found)
}

function stringOf(dictionary: string, key: string): Buffer | undefined {
  const found = new RegExp(`/${key}\\s*(<[\\da-fA-F\\s]*>|\\((?:\\\\[^]|[^\\\\)])*\\))`).exec(dictionary)?.[1]
  return found === undefined ? undefined : decodedString(found)
}

const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' }

/** The bytes of a string as PDF writes it: <hexadecimal>, or (literal with escapes). */
function decodedString(written: string): Buffer {
  if (written.startsWith('<')) return Buffer.from(written.slice(1, -1).replaceAll(/\s/g, ''), 'hex')
  const text = written
    .slice(1, -1)
    .replaceAll(/\\(?:([0-7]{1,3})|(\r\n|[^]))/g, (_, octal: string | undefined, other: string | undefined) => {
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff)
      if (other === undefined || /^[\r\n]/.test(other)) return ''
      return escapes[other] ?? other
    })
  return Buffer.from(text, 'latin1')
}

function opensByHash(user: Buffer, revision: number): boolean {
  const [hash, salt] = [user.subarray(0, 32), user.subarray(32, 40)]
  if (salt.length < 8) return false
  return (revision === 5 ? sha(256, salt) : hardenedHash(salt)).equals(hash)
}

/** Algorithm 2.B of an empty password. */
function hardenedHash(salt: Buffer): Buffer {
  let key = sha(256, salt)
  for (let round = 0, last = 0; round < 64 || last > round - 32; round += 1) {
    const block = Buffer.concat(Array.from({ length: 64 }, () => key))
    const cipher = createCipheriv('aes-128-cbc', key.subarray(0, 16), key.subarray(16, 32)).setAutoPadding(false)
    const coded = cipher.update(block)
    const rest = coded.subarray(0, 16).reduce((sum, byte) => sum + byte, 0) % 3
    key = sha(rest === 0 ? 256 : rest === 1 ? 384 : 512, coded)
    last = coded.at(-1) ?? 0
  }
  return key.subarray(0, 32)
}

const sha = (bits: 256 | 384 | 512, bytes: Buffer): Buffer => createHash(`sha${bits}`).update(bytes).digest()
const md5 = (...parts: Buffer[]): Buffer => createHash('md5').update(Buffer.concat(parts)).digest()

/** By hand, because OpenSSL has put it away. */
function rc4(key: Buffer, bytes: Buffer): Buffer {
  const state = Uint8Array.from({ length: 256 }, (_, index) => index)
  const swap = (left: number, right: number): void => {
    const kept = state[left] ?? 0
    state[left] = state[right] ?? 0
    state[right] = kept
  }
  for (let i = 0, j = 0; i < 256; i += 1) {
    j = (j + (state[i] ?? 0) + (key[i % key.length] ?? 0)) & 255
    swap(i, j)
  }
  let [i, j] = [0, 0]
  return Buffer.from(
    bytes.map((byte) => {
      i = (i + 1) & 255
      j = (j + (state[i] ?? 0)) & 255
      swap(i, j)
      return byte ^ (state[((state[i] ?? 0) + (state[j] ?? 0)) & 255] ?? 0)
    }),
  )
}
