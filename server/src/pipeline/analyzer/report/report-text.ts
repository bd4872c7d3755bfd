// How values are written in a report. Whatever a file's owner may have put into it becomes one line of bounded length
// that can be broken anywhere: a word of 4,000 letters would run over the edge of the page.

const ellipsis = '…'
/** Letters in a row after which a line may be broken. */
const unbrokenCharactersMax = 14
const breakHere = '\u200b'

/** Of code points, so that no character is halved. */
export function shortened(text: string, charactersMax: number): string {
  const line = text
    .slice(0, charactersMax * 4)
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\p{Zs}]+/gu, ' ')
    // Marks that turn the direction of all that follows (UAX 9) end with the text, not with the page.
    .replaceAll(/[\u202a-\u202e\u2066-\u2069]/gu, '')
    .trim()
  const characters = Array.from(line)
  return characters.length <= charactersMax ? line : `${characters.slice(0, charactersMax - 1).join('')}${ellipsis}`
}

/** A text for the page: shortened, and with places to break a line. */
export function printed(text: string, charactersMax = 80): string {
  let run = 0
  let broken = ''
  for (const character of Array.from(shortened(text, charactersMax))) {
    run = character === ' ' ? 0 : run + 1
    broken += character
    const isJoint = run > 3 && /[_.,:;/\\@|-]/u.test(character)
    if (!isJoint && run < unbrokenCharactersMax) continue
    broken += breakHere
    run = 0
  }
  return broken
}

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const precise = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 6 })

/** Counts in full, measurements with six digits, very large and very small ones with an exponent. */
export function numberText(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return whole.format(value)
  const size = Math.abs(value)
  return size >= 1e12 || size < 1e-4 ? value.toExponential(3).replace('e+', 'e') : precise.format(value)
}

export function shareText(part: number, all: number): string {
  if (all === 0 || part === 0) return '0 %'
  const percent = (part / all) * 100
  if (percent < 0.1) return '<0.1 %'
  return `${percent >= 99.95 || percent < 10 ? percent.toFixed(1).replace(/\.0$/u, '') : percent.toFixed(0)} %`
}

const units = ['bytes', 'KB', 'MB', 'GB', 'TB'] as const

export function bytesText(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 ? whole.format(value) : value.toPrecision(3)} ${units[unit] ?? ''}`
}

export const timeText = (date: Date): string => `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
