// Tesseract is the best of what installs without a download: 0.6 pages per CPU-second, word recall .945 on clean pages of
// 200 dpi, 90 MB. It is given a grey PNG made here, so that it decodes one format and no more pixels than allowed.

import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Problem } from '../../platform/problem.ts'
import { markupReader } from '../formats/markup.ts'
import { decoding, openPicture } from '../formats/picture.ts'
import { outputName } from '../output-name.ts'
import { defineRun, inputOf } from '../processor-run.ts'
import { done, reject, type OutputFile } from '../processor.ts'
import { ocrText } from './ocr-text.ts'

/** A page of A3 at 300 dpi; larger ones are read at this size. */
const edgePxMax = 5_000
const answerBytesMax = 1024 ** 2
/** As much text as the search index takes. */
const foundTextCharactersMax = 1_000_000

/**
 * Outputs: name.hocr and name.txt; none when there is no text. Result: { kind: 'ocr', languages, characters_count,
 * words_count, confidence }, the confidence from 0 to 1 being the mean of the words'.
 */
export const run = defineRun(ocrText, async ({ parameters, outputFolder, scratchFolder, ...rest }) => {
  const file = inputOf(rest)
  await refuseMissing(parameters.languages)
  const image = join(scratchFolder, 'page.png')
  await decoding(async () => {
    const picture = (await openPicture(file)).decode({ tolerant: true })
    await picture
      .resize({ width: edgePxMax, height: edgePxMax, fit: 'inside', withoutEnlargement: true })
      .flatten({ background: '#ffffff' })
      .greyscale()
      .png({ compressionLevel: 1 })
      .toFile(image)
  })
  const languages = parameters.languages.join('+')
  const wishes = [
    '-l',
    languages,
    '--psm',
    String(parameters.psm),
    '-c',
    'tessedit_create_hocr=1',
    '-c',
    'tessedit_create_txt=1',
  ]
  const read = await tesseract([image, join(scratchFolder, 'read'), ...wishes])
  if (!read.ended) return reject('file_unreadable', 'Tesseract could not read the image.')
  const text = (await readFile(join(scratchFolder, 'read.txt'), 'utf8')).replaceAll('\f', '').trim()
  const hocr = await readFile(join(scratchFolder, 'read.hocr'), 'utf8')
  const words = wordsOf(hocr)
  const confidence = words.length === 0 ? 0 : words.reduce((sum, each) => sum + each, 0) / words.length / 100
  const result = {
    kind: 'ocr',
    languages: parameters.languages,
    characters_count: text.length,
    words_count: words.length,
    confidence: Math.round(confidence * 1000) / 1000,
  }
  if (text === '') return done([], result, { recordsCount: 1 })
  const outputs: OutputFile[] = [{ path: 'read.txt', name: outputName(file.name, '.txt'), contentType: 'text/plain' }]
  await writeFile(join(outputFolder, 'read.txt'), `${text}\n`)
  if (parameters.hocr) {
    outputs.unshift({ path: 'read.hocr', name: outputName(file.name, '.hocr'), contentType: 'text/html' })
    await writeFile(join(outputFolder, 'read.hocr'), hocr)
  }
  return done(outputs, result, { recordsCount: 1, foundText: text.slice(0, foundTextCharactersMax).toWellFormed() })
})

async function refuseMissing(languages: readonly string[]): Promise<void> {
  const { answer } = await tesseract(['--list-langs'])
  const known = new Set(answer.split('\n').map((line) => line.trim()))
  const missing = languages.filter((language) => !known.has(language))
  if (missing.length === 0) return
  const there = [...known].filter((language) => /^[a-z]{3}(?:_\w+)?$/u.test(language) && language !== 'osd')
  throw new Problem('parameters_invalid', {
    detail: `Tesseract has no data here for ${missing.join(', ')}; there are ${there.join(', ')}.`,
  })
}

/** Threads of its own would only wait for each other: a worker runs as many tasks as it has cores. */
const environment = { PATH: '/usr/local/bin:/usr/bin:/bin', OMP_THREAD_LIMIT: '1' }

function tesseract(words: readonly string[]): Promise<{ ended: boolean; answer: string }> {
  const options = { env: environment, maxBuffer: answerBytesMax, windowsHide: true }
  return new Promise((resolve, refuse) => {
    execFile('tesseract', [...words], options, (error, out, told) => {
      // A program that is not there or may not start is no fault of the file.
      if (error !== null && typeof error.code === 'string') refuse(error)
      else resolve({ ended: error === null, answer: `${out}\n${told}` })
    })
  })
}

/** How sure tesseract is of each word, in percent. */
function wordsOf(hocr: string): number[] {
  const words: number[] = []
  const reader = markupReader({
    open: (_, attributes) => {
      const confidence = /x_wconf (\d+)/u.exec(attributes['title'] ?? '')?.[1]
      if (confidence !== undefined && attributes['class'] === 'ocrx_word') words.push(Number(confidence))
    },
  })
  reader.write(hocr)
  reader.end()
  return words
}
