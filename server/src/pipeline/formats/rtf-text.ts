// The text of RTF (Rich Text Format 1.9.1): a machine over characters with one small state per open group. Groups that
// are never closed, or closed too often, change nothing but their own formatting.

import { createReadStream } from 'node:fs'
import type { TextPages } from './text-pages.ts'

interface Group {
  /** Text here is not part of the document. */
  skipped: boolean
  /** Characters after \u that stand in for it where Unicode is not understood. */
  fallbackCount: number
  encoding: string
}

/** Destinations without text of the document. */
const skippedDestinations = new Set(
  'fonttbl colortbl stylesheet info pict object listtable listoverridetable rsidtbl generator datastore themedata colorschememapping latentstyles xmlnstbl fldinst bkmkstart bkmkend filetbl revtbl mmathPr nonshppict'.split(
    ' ',
  ),
)
const lineWords = new Set(['par', 'line', 'row', 'sect', 'page'])
const characterWords: Record<string, string> = {
  tab: '\t',
  cell: '\t',
  nestcell: '\t',
  emdash: '—',
  endash: '–',
  bullet: '•',
  lquote: '‘',
  rquote: '’',
  ldblquote: '“',
  rdblquote: '”',
  emspace: ' ',
  enspace: ' ',
}
/** By \fcharset of the font. */
const charsets: Record<number, string> = {
  128: 'shift_jis',
  129: 'euc-kr',
  134: 'gb18030',
  136: 'big5',
  161: 'windows-1253',
  162: 'windows-1254',
  163: 'windows-1258',
  177: 'windows-1255',
  178: 'windows-1256',
  186: 'windows-1257',
  204: 'windows-1251',
  222: 'windows-874',
  238: 'windows-1250',
}
const codePages: Record<number, string> = {
  874: 'windows-874',
  932: 'shift_jis',
  936: 'gb18030',
  949: 'euc-kr',
  950: 'big5',
  10_000: 'macintosh',
  65_001: 'utf-8',
}
const groupsCountMax = 10_000
const fontsCountMax = 10_000

const encodingOfPage = (page: number): string =>
  codePages[page] ?? (page >= 1250 && page <= 1258 ? `windows-${page}` : 'windows-1252')

/** Something that may go on in the next chunk: a control word or a character in hexadecimal. */
const unfinished = /(?<=(?:^|[^\\])(?:\\\\)*)\\(?:[a-zA-Z]{0,40}-?\d{0,10}|'[0-9a-fA-F]?)$/u
const token =
  /\\([a-zA-Z]{1,40})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|[\r\n]+|([^\\{}\r\n]{1,4096})|\\/gsu

/** Writes the text of a file into `pages`. */
export async function readRtf(path: string, pages: TextPages): Promise<void> {
  const machine = createMachine(pages)
  let rest = ''
  pages.page()
  for await (const chunk of createReadStream(path, { encoding: 'latin1', highWaterMark: 256 * 1024 })) {
    // A string, because the stream has an encoding.
    const text = rest + (chunk as string)
    rest = unfinished.exec(text.slice(-64))?.[0] ?? ''
    machine.read(text.slice(0, text.length - rest.length))
    if (pages.isFull()) return
  }
  machine.read(rest)
  machine.flush()
}

function createMachine(pages: TextPages): { read(text: string): void; flush(): void } {
  const root: Group = { skipped: false, fallbackCount: 1, encoding: 'windows-1252' }
  const groups: Group[] = []
  const fonts = new Map<number, string>()
  let group = { ...root }
  /** Groups beyond the bound, which are counted and share the state of the last one. */
  let deeperCount = 0
  let isFontTable = false
  let font = 0
  let toSkipCount = 0
  let binaryCount = 0
  /** Bytes above ASCII are held back, because one character may be made of several. */
  let bytes: number[] = []

  const flush = (): void => {
    if (bytes.length === 0) return
    if (!group.skipped) pages.text(new TextDecoder(group.encoding).decode(Uint8Array.from(bytes)))
    bytes = []
  }
  const character = (text: string): void => {
    flush()
    if (!group.skipped) pages.text(text)
  }
  const open = (): void => {
    flush()
    if (groups.length >= groupsCountMax) deeperCount += 1
    else groups.push({ ...group })
  }
  const close = (): void => {
    flush()
    if (deeperCount > 0) deeperCount -= 1
    else group = groups.pop() ?? group
    if (!group.skipped) isFontTable = false
  }
  const control = (word: string, value: number | undefined): void => {
    if (word !== 'u') flush()
    if (word === 'u' && value !== undefined) {
      character(String.fromCharCode(value & 0xffff))
      toSkipCount = group.fallbackCount
    } else if (word === 'uc') group.fallbackCount = Math.min(Math.max(value ?? 1, 0), 100)
    else if (word === 'bin') binaryCount = Math.max(value ?? 0, 0)
    else if (word === 'ansicpg') root.encoding = group.encoding = encodingOfPage(value ?? 1252)
    else if (word === 'mac') root.encoding = group.encoding = 'macintosh'
    else if (word === 'f') {
      font = value ?? 0
      if (!isFontTable) group.encoding = fonts.get(font) ?? root.encoding
    } else if (word === 'fcharset' && isFontTable) {
      const encoding = charsets[value ?? 0]
      if (encoding !== undefined && fonts.size < fontsCountMax) fonts.set(font, encoding)
    } else if (skippedDestinations.has(word)) {
      group.skipped = true
      isFontTable ||= word === 'fonttbl'
    } else if (lineWords.has(word)) {
      if (!group.skipped) pages.line()
    } else {
      const text = characterWords[word]
      if (text !== undefined) character(text)
    }
  }
  const plain = (text: string): void => {
    const shown = text.slice(Math.min(toSkipCount, text.length))
    toSkipCount -= text.length - shown.length
    if (shown === '' || group.skipped) return
    // oxlint-disable-next-line no-control-regex
    if (bytes.length === 0 && /^[\u0000-\u007f]*$/u.test(shown)) pages.text(shown)
    else bytes.push(...Buffer.from(shown, 'latin1'))
  }
  const byte = (value: number): void => {
    if (toSkipCount > 0) toSkipCount -= 1
    else if (!group.skipped) bytes.push(value)
  }
  const symbol = (sign: string): void => {
    if (sign === '*') group.skipped = true
    else if (sign === '~') character(' ')
    else if (sign === '_') character('-')
    else if (sign === '\r' || sign === '\n') character('\n')
    else if (sign === '\\' || sign === '{' || sign === '}') plain(sign)
  }
  const read = (text: string): void => {
    let at = 0
    while (at < text.length) {
      if (binaryCount > 0) {
        const skipped = Math.min(binaryCount, text.length - at)
        binaryCount -= skipped
        at += skipped
        continue
      }
      token.lastIndex = at
      const found = token.exec(text)
      if (found === null) return
      at = token.lastIndex
      const [, word, value, hex, sign, brace, shown] = found
      if (word !== undefined) control(word, value === undefined ? undefined : Number(value))
      else if (hex !== undefined) byte(Number.parseInt(hex, 16))
      else if (sign !== undefined) symbol(sign)
      else if (brace === '{') open()
      else if (brace === '}') close()
      else if (shown !== undefined) plain(shown)
      if (pages.isFull()) return
    }
  }
  return { read, flush }
}
