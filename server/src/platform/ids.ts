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
const roundKeys = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f]

// Halves of 32 bits in plain numbers, as the operators for bits take them: an answer has many ids, and bigints are slow.

const round = (half: number, key: number): number => {
  let x = Math.imul(half ^ key, 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return x ^ (x >>> 16)
}

/** Five of the 64 bits, from this one upwards. */
const fiveBits = (left: number, right: number, at: number): number => {
  if (at >= 32) return (left >>> (at - 32)) & 31
  return ((right >>> at) | (at > 27 ? left << (32 - at) : 0)) & 31
}

/** Wire form of a row id, e.g. job_0v8k3m1q9xw2a. */
export function encodeId<Kind extends IdKind>(kind: Kind, rowId: RowId<Kind>): Id<Kind> {
  let left = Math.floor(rowId / 2 ** 32)
  let right = rowId >>> 0
  for (const key of roundKeys) [left, right] = [right, left ^ round(right, key)]
  let text = ''
  for (let at = 0; at < 64; at += 5) text = alphabet.charAt(fiveBits(left, right, at)) + text
  return `${idPrefixes[kind]}_${text}` as Id<Kind>
}

/** The row id behind a wire id, or undefined when the text is not an id of that kind. */
export function decodeId<Kind extends IdKind>(kind: Kind, text: string): RowId<Kind> | undefined {
  const prefix = `${idPrefixes[kind]}_`
  if (!text.startsWith(prefix) || text.length !== prefix.length + encodedLength) return undefined
  let left = 0
  let right = 0
  for (const character of text.slice(prefix.length)) {
    const value = alphabet.indexOf(character)
    if (value < 0 || left >>> 27 !== 0) return undefined // More than 64 bits.
    left = (left << 5) | (right >>> 27)
    right = (right << 5) | value
  }
  for (const key of roundKeys.toReversed()) [left, right] = [right ^ round(left, key), left]
  const rowId = (left >>> 0) * 2 ** 32 + (right >>> 0)
  return rowId <= Number.MAX_SAFE_INTEGER ? (rowId as RowId<Kind>) : undefined
}
