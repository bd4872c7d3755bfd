import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { documentFormatOf, type DocumentFormat } from '../formats/document-format.ts'
import { readEpub } from '../formats/epub-text.ts'
import { readHtml } from '../formats/html-text.ts'
import { readMail, type MailFacts } from '../formats/mail-text.ts'
import { readSheets, readSlides, readWord, type DocumentProperties } from '../formats/office-text.ts'
import { readOpenDocument } from '../formats/opendocument-text.ts'
import { withPdf } from '../formats/pdf.ts'
import { readPlainText } from '../formats/plain-text.ts'
import { readRtf } from '../formats/rtf-text.ts'
import { createTextPages, pagesCountMax, type TextPage, type TextPages } from '../formats/text-pages.ts'
import { withZip } from '../formats/zip.ts'
import { outputName } from '../output-name.ts'
import { pagesOf } from '../page-range.ts'
import { defineRun, inputOf, type TypedRun } from '../processor-run.ts'
import { done, type InputFile, type OutputFile } from '../processor.ts'
import { documentText } from './document-text.ts'

/** The result, in snake case, because it leaves through the API. */
interface DocumentText {
  kind: 'document-text'
  format: DocumentFormat
  title: string | null
  author: string | null
  /** Of the whole document. */
  pages_count: number
  pages_read_count: number
  characters_count: number
  words_count: number
  /** Whether text was left out: beyond `characters`, or beyond the first 10,000 pages. */
  truncated: boolean
  /** Whether there are pages with images and without text. */
  needs_ocr: boolean
  /** The first of them. */
  pages_for_ocr: number[]
  /** Told for text formats. */
  encoding?: string
  mail?: MailFacts
}

/** What a reader tells beside the text. */
type ReaderFacts = Partial<DocumentProperties> & { pagesCount?: number; encoding?: string; mail?: MailFacts }

type CountedPage = TextPage & { wordsCount: number }

type Parameters = TypedRun<typeof documentText.parameters>['parameters']

/** As much text as the search index takes. */
const foundTextCharactersMax = 1_000_000
const pagesForOcrToldMax = 200
/** Fewer characters on a page with an image are a page number or a stamp. */
const charactersOfScanMax = 10

/**
 * Outputs: name.pages.json, an array of pages with their texts, and name.txt, all of it; none of them when there is no
 * text. Result: DocumentText. recordsCount is the number of pages read.
 */
export const run = defineRun(documentText, async ({ parameters, outputFolder, ...rest }) => {
  const file = inputOf(rest)
  const format = await documentFormatOf(file)
  const pages = createTextPages(parameters.characters)
  const facts = await readDocument(format, file, parameters, pages)
  const read = pages.finish()
  const told = read.pages.map((page) => ({ ...page, wordsCount: wordsCount(page.text) }))
  const wholeText = told
    .map(({ text }) => text)
    .filter((text) => text !== '')
    .join('\n\n')
  const scanned = told.filter(({ text, hasImages }) => hasImages === true && text.length <= charactersOfScanMax)
  const result: DocumentText = {
    kind: 'document-text',
    format,
    title: facts.title ?? null,
    author: facts.author ?? null,
    pages_count: facts.pagesCount ?? read.pages.length,
    pages_read_count: read.pages.length,
    characters_count: told.reduce((sum, { text }) => sum + text.length, 0),
    words_count: told.reduce((sum, page) => sum + page.wordsCount, 0),
    truncated: read.isCut,
    needs_ocr: format === 'pdf' && scanned.length > 0,
    pages_for_ocr: format === 'pdf' ? scanned.slice(0, pagesForOcrToldMax).map(({ number }) => number) : [],
    ...(facts.encoding === undefined ? {} : { encoding: facts.encoding }),
    ...(facts.mail === undefined ? {} : { mail: facts.mail }),
  }
  const outputs = wholeText === '' ? [] : await writeOutputs({ file, outputFolder, pages: told, wholeText })
  const foundText = wholeText.slice(0, foundTextCharactersMax).toWellFormed()
  return done(outputs, result, { recordsCount: read.pages.length, ...(foundText === '' ? {} : { foundText }) })
})

async function readDocument(
  format: DocumentFormat,
  file: InputFile,
  parameters: Parameters,
  pages: TextPages,
): Promise<ReaderFacts> {
  switch (format) {
    case 'pdf':
      return readPdf(file, parameters, pages)
    case 'docx':
      return withZip(file.path, (parts) => readWord(parts, pages))
    case 'pptx':
      return withZip(file.path, (parts) => readSlides(parts, pages))
    case 'xlsx':
      await readSheets(file.path, pages)
      return {}
    case 'odt':
    case 'ods':
    case 'odp':
      return withZip(file.path, (parts) => readOpenDocument(parts, format, pages))
    case 'epub':
      return withZip(file.path, (parts) => readEpub(parts, pages))
    case 'rtf':
      await readRtf(file.path, pages)
      return {}
    case 'html':
      return readHtml(file.path, pages)
    case 'mail': {
      const mail = await readMail(file.path, pages)
      return { title: mail.subject, author: mail.from, mail }
    }
    case 'text':
      return readPlainText(file.path, pages)
  }
}

async function readPdf(file: InputFile, parameters: Parameters, pages: TextPages): Promise<ReaderFacts> {
  return withPdf(file, async (pdf) => {
    const numbers = pagesOf(parameters.pages ?? `1-${pagesCountMax + 1}`, pdf.pagesCount)
    let left = parameters.characters
    for (const number of numbers) {
      if (pages.isFull()) break
      pages.page(number)
      // One page too many is begun by nobody, but noticed.
      if (pages.isFull()) break
      pdf.page(number, (page) => {
        // One more than fits, so that what is left out is noticed.
        const text = page.text(left + 1)
        pages.text(text)
        left = Math.max(0, left - text.length)
        if (text.trim().length <= charactersOfScanMax && page.hasImages()) pages.hasImages()
      })
    }
    return { title: pdf.title, author: pdf.author, pagesCount: pdf.pagesCount }
  })
}

const wordPattern = /[\p{L}\p{N}]+/gu

function wordsCount(text: string): number {
  let count = 0
  for (const _ of text.matchAll(wordPattern)) count += 1
  return count
}

async function writeOutputs(options: {
  file: InputFile
  outputFolder: string
  pages: CountedPage[]
  wholeText: string
}): Promise<OutputFile[]> {
  const { file, outputFolder, pages, wholeText } = options
  await pipeline(Readable.from([wholeText, '\n']), createWriteStream(join(outputFolder, 'text.txt')))
  await pipeline(Readable.from(pagesJson(pages)), createWriteStream(join(outputFolder, 'pages.json')))
  return [
    { path: 'pages.json', name: outputName(file.name, '.pages.json'), contentType: 'application/json' },
    { path: 'text.txt', name: outputName(file.name, '.txt'), contentType: 'text/plain' },
  ]
}

function* pagesJson(pages: CountedPage[]): Generator<string> {
  let separator = '[\n'
  for (const { number, title, text, wordsCount } of pages) {
    yield separator
    yield JSON.stringify({ number, title, characters_count: text.length, words_count: wordsCount, text })
    separator = ',\n'
  }
  yield '\n]\n'
}
