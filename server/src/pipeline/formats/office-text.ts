// The text of Word, PowerPoint and Excel files (OOXML, ECMA-376): a page for the document, each slide, each sheet.

import { posix } from 'node:path'
import { Problem } from '../../platform/problem.ts'
import { readMarkup } from './markup.ts'
import type { TextPages } from './text-pages.ts'
import { relationTargets, withWorkbook } from './xlsx.ts'
import { cellText } from './xlsx-table.ts'
import type { ZipParts } from './zip.ts'

const propertiesBytesMax = 1024 ** 2
const slidesListBytesMax = 16 * 1024 ** 2

export interface DocumentProperties {
  title: string | null
  author: string | null
}

/** What the file says about itself (docProps/core.xml, or meta.xml of OpenDocument). */
export async function readProperties(parts: ZipParts, name: string): Promise<DocumentProperties> {
  const found: Record<string, string> = {}
  let tag = ''
  await readMarkup([await parts.whole(name, propertiesBytesMax)], {
    open: (name) => {
      tag = name
    },
    text: (text) => {
      found[tag] = `${found[tag] ?? ''}${text}`.slice(0, 1000)
    },
    close: () => {
      tag = ''
    },
  })
  const told = (...tags: string[]): string | null =>
    tags.map((tag) => found[tag]?.trim()).find((text) => text !== undefined && text !== '') ?? null
  return { title: told('title'), author: told('creator', 'initial-creator') }
}

/** Writes the runs of a part: paragraphs, tabs, breaks and the cells of tables. */
async function readRuns(parts: ZipParts, name: string, pages: TextPages): Promise<void> {
  let isText = false
  let fallbackDepth = 0
  /** Paragraphs so far of the cell that is open, outermost; a row is one line. */
  let cellParagraphsCount: number | undefined
  await readMarkup(parts.text(name), {
    open: (tag) => {
      // Newer content stands beside a version of itself for older readers.
      if (tag === 'Fallback') fallbackDepth += 1
      if (fallbackDepth > 0) return
      if (tag === 't') isText = true
      else if (tag === 'tc') cellParagraphsCount ??= 0
      else if (tag === 'p' && cellParagraphsCount !== undefined) {
        if (cellParagraphsCount > 0) pages.text(' ')
        cellParagraphsCount += 1
      } else if (tag === 'tab' || tag === 'ptab') pages.text('\t')
      else if (tag === 'br' || tag === 'cr') pages.line()
      else if (tag === 'noBreakHyphen') pages.text('-')
      else if (tag === 'blip' || tag === 'imagedata') pages.hasImages()
    },
    text: (text) => {
      if (isText) pages.text(text)
    },
    close: (tag) => {
      if (tag === 'Fallback') fallbackDepth -= 1
      if (fallbackDepth > 0) return
      if (tag === 't') isText = false
      else if (tag === 'tc') {
        pages.text('\t')
        cellParagraphsCount = undefined
      } else if (tag === 'tr' || (tag === 'p' && cellParagraphsCount === undefined)) pages.line()
      else if (tag === 'tbl') pages.paragraph()
    },
    enough: () => pages.isFull(),
  })
}

export async function readWord(parts: ZipParts, pages: TextPages): Promise<DocumentProperties> {
  const targets = [...(await relationTargets(parts, '_rels/.rels')).values()]
  const root = targets.find((target) => parts.has(target) && /document\w*\.xml$/u.test(target)) ?? 'word/document.xml'
  if (!parts.has(root)) throw new Problem('file_unreadable', { detail: 'The Word document has no text part.' })
  pages.page()
  await readRuns(parts, root, pages)
  const folder = posix.dirname(root)
  const beside = parts.names.filter(
    (name) =>
      posix.dirname(name) === folder &&
      /^(?:footnotes|endnotes|comments|header\d*|footer\d*)\.xml$/u.test(posix.basename(name)),
  )
  for (const name of beside) {
    pages.paragraph()
    await readRuns(parts, name, pages)
  }
  return readProperties(parts, 'docProps/core.xml')
}

export async function readSlides(parts: ZipParts, pages: TextPages): Promise<DocumentProperties> {
  const slides = await slideNames(parts)
  if (slides.length === 0) throw new Problem('file_unreadable', { detail: 'The presentation has no slide.' })
  for (const name of slides) {
    if (pages.isFull()) break
    pages.page()
    await readRuns(parts, name, pages)
    const relations = await relationTargets(
      parts,
      posix.join(posix.dirname(name), '_rels', `${posix.basename(name)}.rels`),
    )
    for (const target of relations.values())
      if (/notesSlide\d+\.xml$/u.test(target) && parts.has(target)) {
        pages.paragraph()
        await readRuns(parts, target, pages)
      }
  }
  return readProperties(parts, 'docProps/core.xml')
}

/** In the order in which they are shown. */
async function slideNames(parts: ZipParts): Promise<string[]> {
  const relations = await relationTargets(parts, 'ppt/_rels/presentation.xml.rels')
  const names: string[] = []
  await readMarkup([await parts.whole('ppt/presentation.xml', slidesListBytesMax)], {
    open: (tag, attributes) => {
      const target = tag === 'sldId' ? relations.get(attributes['r:id'] ?? '') : undefined
      if (target !== undefined && parts.has(target)) names.push(target)
    },
  })
  return names
}

/** Rows as lines, cells apart by tabs. Formulas are told by the value that was saved with them. */
export async function readSheets(path: string, pages: TextPages): Promise<void> {
  await withWorkbook(path, async (workbook) => {
    for (const sheet of workbook.sheets) {
      if (pages.isFull()) break
      pages.page()
      pages.title(sheet)
      for await (const row of workbook.readRows(sheet)) {
        if (pages.isFull()) break
        // The row has holes, which map would leave out.
        pages.text(Array.from(row, (cell) => (cell === undefined ? '' : cellText(cell))).join('\t'))
        pages.line()
      }
    }
  })
}
