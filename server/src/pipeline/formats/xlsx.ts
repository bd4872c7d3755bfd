// An Excel workbook (OOXML) as rows of cells, in a stream: memory holds the shared strings and one row, whatever the
// size of the sheet. Formulas are not evaluated; a cell has the value that was saved with it.

import { posix } from 'node:path'
import { Problem } from '../../platform/problem.ts'
import { markupReader, readMarkup } from './markup.ts'
import { withZip, type ZipParts } from './zip.ts'

export type XlsxCell =
  | { kind: 'text'; text: string }
  | { kind: 'number'; value: number }
  | { kind: 'bool'; value: boolean }
  /** A serial day number as Excel stores it, already on the 1900 calendar. */
  | { kind: 'date'; serial: number }

/** By column, with holes. */
export type XlsxRow = (XlsxCell | undefined)[]

export interface Workbook {
  sheets: string[]
  /** Every row of a sheet that has a value. */
  readRows(sheet: string): AsyncGenerator<XlsxRow>
}

const metadataBytesMax = 16 * 1024 ** 2
const stringCharactersMax = 100_000_000
/** Excel's own limit. */
const columnsCountMax = 16_384

/** Problems: file_unreadable, file_encrypted, file_too_complex. */
export const withWorkbook = <T>(path: string, work: (workbook: Workbook) => Promise<T>): Promise<T> =>
  withZip(path, async (parts) => {
    const root = await rootPart(parts)
    const { sheets, isFrom1904 } = await readWorkbook(parts, root)
    if (sheets.size === 0)
      throw new Problem('file_unreadable', { detail: 'The file is not a whole Excel workbook: it has no sheet.' })
    const folder = posix.dirname(root)
    const strings = await readSharedStrings(parts, posix.join(folder, 'sharedStrings.xml'))
    const isDate = await readDateStyles(parts, posix.join(folder, 'styles.xml'))
    return work({
      sheets: [...sheets.keys()],
      readRows: (sheet) => readRows({ chunks: parts.text(sheets.get(sheet) ?? ''), strings, isDate, isFrom1904 }),
    })
  })

async function rootPart(parts: ZipParts): Promise<string> {
  const targets = await relationTargets(parts, '_rels/.rels')
  const root = [...targets.values()].find((target) => parts.has(target) && /workbook\w*\.xml$/u.test(target))
  return root ?? 'xl/workbook.xml'
}

/** Targets by id of a relationships part, as names of parts. */
export async function relationTargets(parts: ZipParts, name: string): Promise<Map<string, string>> {
  const folder = posix.dirname(posix.dirname(name))
  const targets = new Map<string, string>()
  await readMarkup([await parts.whole(name, metadataBytesMax)], {
    open: (tag, { Id, Target }) => {
      if (tag !== 'Relationship' || Id === undefined || Target === undefined) return
      targets.set(Id, Target.startsWith('/') ? Target.slice(1) : posix.join(folder, Target))
    },
  })
  return targets
}

async function readWorkbook(
  parts: ZipParts,
  root: string,
): Promise<{ sheets: Map<string, string>; isFrom1904: boolean }> {
  const relations = await relationTargets(
    parts,
    posix.join(posix.dirname(root), '_rels', `${posix.basename(root)}.rels`),
  )
  const sheets = new Map<string, string>()
  let isFrom1904 = false
  await readMarkup([await parts.whole(root, metadataBytesMax)], {
    open: (tag, attributes) => {
      if (tag === 'workbookPr') isFrom1904 = ['1', 'true'].includes(attributes['date1904'] ?? '')
      if (tag !== 'sheet') return
      const target = relations.get(attributes['r:id'] ?? '')
      if (target !== undefined && parts.has(target))
        sheets.set(attributes['name'] ?? `Sheet ${sheets.size + 1}`, target)
    },
  })
  return { sheets, isFrom1904 }
}

async function readSharedStrings(parts: ZipParts, name: string): Promise<string[]> {
  const strings: string[] = []
  let current = ''
  let isText = false
  let isPhonetic = false
  let charactersCount = 0
  await readMarkup(parts.text(name), {
    open: (tag) => {
      if (tag === 'si') current = ''
      else if (tag === 'rPh') isPhonetic = true
      else if (tag === 't') isText = !isPhonetic
    },
    text: (text) => {
      if (!isText) return
      current += text
      charactersCount += text.length
      if (charactersCount > stringCharactersMax)
        throw new Problem('file_too_complex', {
          detail: `The texts of the workbook are longer than ${stringCharactersMax} characters together.`,
        })
    },
    close: (tag) => {
      if (tag === 't') isText = false
      else if (tag === 'rPh') isPhonetic = false
      else if (tag === 'si') strings.push(unescapeControl(current))
    },
  })
  return strings
}

/** Control characters stand as _xHHHH_ in OOXML (ECMA-376, ST_Xstring). */
const unescapeControl = (text: string): string =>
  text.includes('_x')
    ? text.replaceAll(/_x([0-9A-Fa-f]{4})_/gu, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    : text

const isBuiltInDate = (id: number): boolean =>
  (id >= 14 && id <= 22) || (id >= 27 && id <= 36) || (id >= 45 && id <= 47) || (id >= 50 && id <= 58)

/** A format code shows a date when a date letter stands outside of quotes, brackets and escapes. */
const isDateFormat = (code: string): boolean =>
  /[ymdhs]/iu.test(code.replaceAll(/"[^"]*"|\[[^\]]*\]|\\.|_./gu, '').replaceAll(/General/giu, ''))

/** Whether the cell style of an index shows a number as a date. */
async function readDateStyles(parts: ZipParts, name: string): Promise<boolean[]> {
  const custom = new Map<number, boolean>()
  const styles: boolean[] = []
  let isCellFormats = false
  await readMarkup(parts.text(name), {
    open: (tag, attributes) => {
      if (tag === 'cellXfs') isCellFormats = true
      else if (tag === 'numFmt')
        custom.set(Number(attributes['numFmtId']), isDateFormat(attributes['formatCode'] ?? ''))
      else if (tag === 'xf' && isCellFormats) {
        const id = Number(attributes['numFmtId'] ?? 0)
        styles.push(custom.get(id) ?? isBuiltInDate(id))
      }
    },
    close: (tag) => {
      if (tag === 'cellXfs') isCellFormats = false
    },
  })
  return styles
}

interface SheetReading {
  chunks: AsyncIterable<string>
  strings: readonly string[]
  isDate: readonly boolean[]
  isFrom1904: boolean
}

/** Days between the calendars of 1900 and of 1904. */
const daysTo1904 = 1462

async function* readRows({ chunks, strings, isDate, isFrom1904 }: SheetReading): AsyncGenerator<XlsxRow> {
  const ready: XlsxRow[] = []
  let row: XlsxRow = []
  let cell = { column: -1, type: 'n', style: 0 }
  let isValue = false
  let isPhonetic = false
  let raw = ''
  const toCell = (): XlsxCell | undefined => {
    switch (cell.type) {
      case 's':
        return text(strings[Number(raw)] ?? '')
      case 'str':
      case 'inlineStr':
        return text(unescapeControl(raw))
      case 'b':
        return { kind: 'bool', value: raw === '1' || raw === 'true' }
      case 'd':
        return text(raw)
      case 'e':
        return undefined
      default: {
        const value = Number(raw)
        if (raw === '' || !Number.isFinite(value)) return undefined
        if (isDate[cell.style] === true) return { kind: 'date', serial: isFrom1904 ? value + daysTo1904 : value }
        return { kind: 'number', value }
      }
    }
  }
  const handler = {
    open: (tag: string, attributes: Record<string, string>) => {
      if (tag === 'row') {
        row = []
        cell = { column: -1, type: 'n', style: 0 }
      } else if (tag === 'c') {
        const column = columnOf(attributes['r']) ?? cell.column + 1
        cell = { column, type: attributes['t'] ?? 'n', style: Number(attributes['s'] ?? 0) }
        raw = ''
      } else if (tag === 'rPh') isPhonetic = true
      else if (tag === 'v' || tag === 't') isValue = !isPhonetic
    },
    text: (piece: string) => {
      if (isValue) raw += piece
    },
    close: (tag: string) => {
      if (tag === 'v' || tag === 't') isValue = false
      else if (tag === 'rPh') isPhonetic = false
      else if (tag === 'c') {
        const value = toCell()
        if (value !== undefined && cell.column >= 0 && cell.column < columnsCountMax) row[cell.column] = value
      } else if (tag === 'row' && row.length > 0) ready.push(row)
    },
  }
  const reader = markupReader(handler)
  for await (const chunk of chunks) {
    reader.write(chunk)
    yield* ready.splice(0)
  }
  reader.end()
  yield* ready
}

const text = (value: string): XlsxCell | undefined => (value === '' ? undefined : { kind: 'text', text: value })

/** Zero-based column of a cell reference such as AB12. */
function columnOf(reference: string | undefined): number | undefined {
  const letters = /^[A-Z]{1,3}/u.exec(reference ?? '')?.[0]
  if (letters === undefined) return undefined
  let column = 0
  for (const letter of letters) column = column * 26 + letter.charCodeAt(0) - 64
  return column - 1
}
