// How texts and queries become words, the same on both sides: letters and digits of any script, in one case and one
// Unicode form. Scripts that are written without spaces are taken character by character, so that what is searched for
// is found as a phrase, wherever in the sentence it stands.

const separators = /[^\p{L}\p{N}\p{M}]+/gu
const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/gu
const beyondLatin = /[\u0250-\uffff]/

/** The words of a text, with a space between them. */
export function toSearchText(text: string): string {
  const folded = text.normalize('NFKC').toLowerCase().replaceAll(separators, ' ')
  return (beyondLatin.test(folded) ? folded.replaceAll(unspaced, ' $& ') : folded).trim()
}

/** Keys and values of metadata as one text. */
export function metadataText(metadata: Record<string, unknown>): string {
  const found: string[] = []
  const collect = (value: unknown): void => {
    if (typeof value === 'object' && value !== null)
      for (const [key, item] of Object.entries(value)) {
        if (!Array.isArray(value)) found.push(key)
        collect(item)
      }
    else if (typeof value === 'string') found.push(value)
    else if (value !== null) found.push(JSON.stringify(value))
  }
  collect(metadata)
  return found.join(' ')
}

const pieceLengthMin = 3
const pieceLengthMax = 40
const piecesCountMax = 300

/** Every ending of every word of a name: what begins like one of them is a piece of the name. */
export function namePieces(name: string): string {
  const pieces = new Set<string>()
  for (const word of toSearchText(name).split(' ')) {
    const characters = Array.from(word)
    for (let at = 0; at + pieceLengthMin <= characters.length && pieces.size < piecesCountMax; at++)
      pieces.add(characters.slice(at, at + pieceLengthMax).join(''))
  }
  return [...pieces].join(' ')
}

export interface SearchTerm {
  /** One word or, for a phrase, several. */
  words: string
  kind: 'word' | 'phrase'
  excluded: boolean
  /** It may go on: the last word of somebody who is still typing. */
  unfinished: boolean
}

const termsCountMax = 20
const term = /(-?)(?:"([^"]*)"?|([^\s"]+))/gu

/** The terms of any text; there may be none. Quotes make phrases, a leading minus excludes. */
export function parseQuery(text: string): SearchTerm[] {
  const terms: SearchTerm[] = []
  for (const match of text.matchAll(term)) {
    const words = toSearchText(match[2] ?? match[3] ?? '')
    if (words === '') continue
    const excluded = match[1] === '-'
    const unfinished = match[3] !== undefined && !excluded && match.index + match[0].length === text.length
    terms.push({ words, kind: words.includes(' ') ? 'phrase' : 'word', excluded, unfinished })
    if (terms.length === termsCountMax) break
  }
  return terms
}

const snippetLengthMax = 200
const snippetLead = 60

/** The piece of a text where the terms are found first, each marked with « and »; null when none is. */
export function snippetOf(text: string, terms: readonly SearchTerm[]): string | null {
  const flat = text.replaceAll(/\s+/gu, ' ').replaceAll('«', '‹').replaceAll('»', '›')
  const patterns = terms.filter(({ excluded }) => !excluded).map(patternOf)
  if (patterns.length === 0) return null
  const pattern = new RegExp(patterns.join('|'), 'giu')
  const first = pattern.exec(flat)
  if (first === null) return null
  const start = wordStart(flat, first.index - snippetLead)
  const end = Math.max(first.index + first[0].length, wordStart(flat, start + snippetLengthMax))
  const marked = flat.slice(start, end).toWellFormed().replaceAll(pattern, '«$&»').trim()
  return `${start > 0 ? '… ' : ''}${marked}${end < flat.length ? ' …' : ''}`
}

function patternOf({ words, unfinished }: SearchTerm): string {
  // Words are letters, digits and marks only, so nothing in them is special in a pattern.
  const between = String.raw`[^\p{L}\p{N}]*`
  const isSpaced = (word: string): boolean => word.search(unspaced) < 0
  const list = words.split(' ').filter((word) => word !== '')
  const head = isSpaced(list[0] ?? '') ? String.raw`(?<![\p{L}\p{N}])` : ''
  const tail = unfinished ? String.raw`[\p{L}\p{N}]*` : isSpaced(list.at(-1) ?? '') ? String.raw`(?![\p{L}\p{N}])` : ''
  return head + list.join(between) + tail
}

/** Where the word begins that stands at this place. */
function wordStart(text: string, at: number): number {
  if (at <= 0) return 0
  if (at >= text.length) return text.length
  const space = text.lastIndexOf(' ', at)
  return at - space < 40 && space >= 0 ? space + 1 : at
}
