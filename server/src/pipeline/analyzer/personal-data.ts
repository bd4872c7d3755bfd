// What personal data looks like. A number is believed only with its check digits or its shape; every pattern takes time
// in proportion to the text, whatever the text is.

import { isIPv4, isIPv6 } from 'node:net'
import type { PiiKind } from './text-pii.ts'

export interface PersonalDatum {
  kind: PiiKind
  /** Of a national id. */
  country?: string
  start: number
  end: number
}

/** Longer than anything that is looked for: as much is held back at the end of a piece of text. */
export const datumCharactersMax = 400

interface Rule {
  kind: PiiKind
  country?: string
  pattern: RegExp
  /** Whether it is one, or how many of its characters are. */
  check?: (found: string) => boolean | number
}

const digitsOf = (text: string): string => text.replaceAll(/\D/gu, '')

/** ISO/IEC 7812-1. */
function hasLuhn(digits: string): boolean {
  let sum = 0
  for (let index = 0; index < digits.length; index += 1) {
    const digit = Number(digits[digits.length - 1 - index])
    sum += index % 2 === 0 ? digit : digit > 4 ? digit * 2 - 9 : digit * 2
  }
  return sum % 10 === 0
}

/** Lengths and beginnings of Visa, Mastercard, American Express, Diners Club, JCB, Discover and UnionPay. */
const cardNumbers =
  /^(?:4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3[068]\d{12}|35\d{14}|6[0245]\d{14,17})$/u

/** ISO 7064 MOD 97-10 of digits and letters, letters counting from 10. */
function mod97(text: string): number {
  let rest = 0
  for (const character of text) {
    const value = Number.parseInt(character, 36)
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97
  }
  return rest
}

/** Lengths of the IBAN registry. */
const ibanLengths = new Map(
  'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TN24 TR26 UA29 VA22 VG24 XK20'
    .split(' ')
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
)

/** How many characters of `found` are an IBAN: upper-case words may follow one. */
function ibanCharacters(found: string): number {
  const length = ibanLengths.get(found.slice(0, 2)) ?? 0
  let end = 0
  let taken = ''
  while (end < found.length && taken.length < length) {
    const character = found.charAt(end)
    if (character !== ' ') taken += character
    end += 1
  }
  if (length === 0 || taken.length < length || /^[A-Z0-9]/u.test(found.slice(end))) return 0
  return mod97(taken.slice(4) + taken.slice(0, 4)) === 1 ? end : 0
}

/** EAN-13, as the Swiss social security number has it. */
function hasEan13(digits: string): boolean {
  const sum = Array.from(digits).reduce((total, digit, index) => total + Number(digit) * (index % 2 === 0 ? 1 : 3), 0)
  return sum % 10 === 0
}

const dniLetters = 'TRWAGMYFPDXBNJZSQVHLCKE'
const codiceOdd = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23]

/** Decreto ministeriale 23 dicembre 1976: odd and even places count differently, the sum gives the last letter. */
function hasCodiceFiscale(text: string): boolean {
  const valueOf = (character: string): number => {
    const value = Number.parseInt(character, 36)
    return value > 9 ? value - 10 : value
  }
  const sum = Array.from(text.slice(0, 15)).reduce(
    (total, character, index) => total + (index % 2 === 0 ? (codiceOdd[valueOf(character)] ?? 0) : valueOf(character)),
    0,
  )
  return text.charCodeAt(15) - 65 === sum % 26
}

// The order decides where two rules want the same place.
const rules: readonly Rule[] = [
  { kind: 'iban', pattern: /(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,34}/gu, check: ibanCharacters },
  {
    kind: 'email',
    // Local part and labels are as long as RFC 5321 and RFC 1035 allow.
    pattern:
      /(?<![\p{L}\p{N}._%+-])[A-Za-z0-9._%+'-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])/gu,
    check: (found) => !/^\.|\.@|\.\.|@-|-\.|\.-/u.test(found),
  },
  {
    kind: 'national_id',
    country: 'CH',
    pattern: /(?<![\d.])756\.?\d{4}\.?\d{4}\.?\d{2}(?![\d.]*\d)/gu,
    check: (found) => hasEan13(digitsOf(found)),
  },
  {
    kind: 'national_id',
    country: 'FR',
    pattern: /(?<!\d)[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?!\d)/gu,
    check: (found) => {
      const text = found.replaceAll(' ', '').replace('2A', '19').replace('2B', '18')
      return 97 - (Number(text.slice(0, 13)) % 97) === Number(text.slice(13))
    },
  },
  {
    kind: 'national_id',
    country: 'IT',
    pattern: /(?<![A-Za-z0-9])[A-Z]{6}\d{2}[ABCDEHLMPRST]\d{2}[A-Z]\d{3}[A-Z](?![A-Za-z0-9])/gu,
    check: hasCodiceFiscale,
  },
  {
    kind: 'national_id',
    country: 'ES',
    pattern: /(?<![A-Za-z0-9])(?:[XYZ]-?\d{7}|\d{8})-?[A-Z](?![A-Za-z0-9])/gu,
    check: (found) => {
      const text = found.replaceAll('-', '').replace(/^[XYZ]/u, (letter) => String('XYZ'.indexOf(letter)))
      return dniLetters.charAt(Number(text.slice(0, 8)) % 23) === text.charAt(8)
    },
  },
  {
    kind: 'national_id',
    country: 'GB',
    pattern:
      /(?<![A-Za-z0-9])(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?![A-Za-z0-9])/gu,
  },
  {
    kind: 'national_id',
    country: 'US',
    pattern: /(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])/gu,
  },
  {
    kind: 'card',
    pattern: /(?<![\d.-])[2-6](?:[ -]?\d){12,18}(?![\d-]|\.\d)/gu,
    check: (found) => cardNumbers.test(digitsOf(found)) && hasLuhn(digitsOf(found)),
  },
  { kind: 'ip', pattern: /(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)/gu, check: isIPv4 },
  {
    kind: 'ip',
    pattern: /(?<![\w:.])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{2,45}(?![\w:])/gu,
    check: (found) => found.length > 4 && isIPv6(found),
  },
  {
    kind: 'phone',
    pattern: /(?<![\w+])(?:\+|(?<!\d )00)[1-9](?:[ ()./-]{0,2}\d){7,14}(?!\d)/gu,
  },
  { kind: 'phone', pattern: /(?<![\w-])(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4}(?![\w-])/gu },
]

/** All that is found in a text, in its order, none over another. */
export function findPersonalData(text: string, kinds: ReadonlySet<PiiKind>): PersonalDatum[] {
  const found: PersonalDatum[] = []
  for (const { kind, country, pattern, check } of rules) {
    if (!kinds.has(kind)) continue
    for (const { 0: match, index: start } of text.matchAll(pattern)) {
      const checked = check?.(match) ?? true
      const length = checked === true ? match.length : Number(checked)
      if (length > 0) found.push({ kind, ...(country !== undefined && { country }), start, end: start + length })
    }
  }
  // Sorting is stable, so of two at one place the one of the earlier rule comes first.
  const ordered = found.sort((left, right) => left.start - right.start)
  let end = 0
  return ordered.filter((datum) => {
    if (datum.start < end) return false
    end = datum.end
    return true
  })
}
