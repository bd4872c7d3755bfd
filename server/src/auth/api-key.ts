// The text of an API key: mr_live_, 24 base62 digits of randomness, and 6 of CRC-32. A scanner of leaked secrets
// knows it by the prefix, and a mistyped key is told from a wrong one without asking the database.

import { createHmac } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Ids } from '../platform/ids.ts'

const prefix = 'mr_live_'
const secretDigitsCount = 24 // 142 bits
const checksumDigitsCount = 6
const shape = new RegExp(`^${prefix}[0-9A-Za-z]{${secretDigitsCount + checksumDigitsCount}}$`)
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

const toBase62 = (value: bigint, digitsCount: number): string => {
  let text = ''
  for (let rest = value; text.length < digitsCount; rest /= 62n) text = alphabet.charAt(Number(rest % 62n)) + text
  return text
}

/** Of 32 bits, so in plain numbers: it is looked at with every request. */
function checksumOf(text: string): string {
  let digits = ''
  for (let rest = crc32(text); digits.length < checksumDigitsCount; rest = Math.floor(rest / 62))
    digits = alphabet.charAt(rest % 62) + digits
  return digits
}

export function makeApiKey(ids: Ids): string {
  // 256 bits taken modulo 62^24 leave no bias that anyone could see.
  const text = prefix + toBase62(BigInt(`0x${ids.randomHex(32)}`), secretDigitsCount)
  return text + checksumOf(text)
}

/** Whether the text could be one of our keys; false for every single mistyped or swapped character. */
export const isWellFormedApiKey = (text: string): boolean =>
  shape.test(text) && checksumOf(text.slice(0, -checksumDigitsCount)) === text.slice(-checksumDigitsCount)

/** Whether the text claims to be an API key at all. */
export const looksLikeApiKey = (text: string): boolean => text.startsWith('mr_')

/** First characters, to recognise a key by in a list. */
export const apiKeyPrefix = (key: string): string => key.slice(0, prefix.length + 4)

/** What is stored and looked up: without the pepper, a stolen table proves nothing about any key. */
export const hashSecret = (pepper: Uint8Array, secret: string): Buffer =>
  createHmac('sha256', pepper).update(secret).digest()
