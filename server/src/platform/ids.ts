// Row ids are bigints of the database, well below 2^53, so they travel as numbers inside the server. Outside they
// are opaque: a keyless permutation and base32 behind the kind's prefix, so that ids neither count our rows nor
// invite anyone to step through them. It hides nothing from someone who reads this file: row-level security is
// what keeps tenants apart.

import { randomBytes } from 'node:crypto'
import { idPrefixes, type Id, type IdKind } from '@millrace/contract'

declare const rowBrand: unique symbol
/** The id of a row of one kind. */
export type RowId<Kind extends IdKind> = number & { readonly [rowBrand]: Kind }

/** Randomness as a dependency. */
export interface Ids {
  /** Lower-case hex of that many random bytes. */
  randomHex(bytesCount: number): string
}

export const systemIds: Ids = { randomHex: (bytesCount) => randomBytes(bytesCount).toString('hex') }

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz' // Crockford's base32, lower case
const encodedLength = 13 // 64 bits
const mask32 = 0xffffffffn
const roundKeys = [0x9e3779b1n, 0x85ebca77n, 0xc2b2ae3dn, 0x27d4eb2fn]

const round = (half: bigint, key: bigint): bigint => {
  let x = (half ^ key) & mask32
  x = (x * 0x7feb352dn) & mask32
  x ^= x >> 15n
  x = (x * 0x846ca68bn) & mask32
  return x ^ (x >> 16n)
}

/** Wire form of a row id, e.g. job_0v8k3m1q9xw2a. */
export function encodeId<Kind extends IdKind>(kind: Kind, rowId: RowId<Kind>): Id<Kind> {
  let left = BigInt(rowId) >> 32n
  let right = BigInt(rowId) & mask32
  for (const key of roundKeys) [left, right] = [right, left ^ round(right, key)]
  let bits = (left << 32n) | right
  let text = ''
  for (let i = 0; i < encodedLength; i++) {
    // The index is a 5-bit number, so the alphabet has a character for it.
    text = alphabet[Number(bits & 31n)]! + text
    bits >>= 5n
  }
  return `${idPrefixes[kind]}_${text}` as Id<Kind>
}

/** The row id behind a wire id, or undefined when the text is not an id of that kind. */
export function decodeId<Kind extends IdKind>(kind: Kind, text: string): RowId<Kind> | undefined {
  const prefix = `${idPrefixes[kind]}_`
  if (!text.startsWith(prefix) || text.length !== prefix.length + encodedLength) return undefined
  let bits = 0n
  for (const character of text.slice(prefix.length)) {
    const value = alphabet.indexOf(character)
    if (value < 0) return undefined
    bits = (bits << 5n) | BigInt(value)
  }
  if (bits >> 64n) return undefined
  let left = bits >> 32n
  let right = bits & mask32
  for (const key of roundKeys.toReversed()) [left, right] = [right ^ round(left, key), left]
  const rowId = (left << 32n) | right
  return rowId <= BigInt(Number.MAX_SAFE_INTEGER) ? (Number(rowId) as RowId<Kind>) : undefined
}
