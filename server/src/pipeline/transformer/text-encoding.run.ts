import { createWriteStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Problem } from '../../platform/problem.ts'
import { refuseBinary } from '../formats/plain-text.ts'
import { decodedChunks, detectEncoding } from '../formats/text-encoding.ts'
import { defineRun, inputOf } from '../processor-run.ts'
import { done } from '../processor.ts'
import { textFilesOf } from '../text-input.ts'
import { textEncoding } from './text-encoding.ts'

interface LineCounts {
  lf: number
  crlf: number
  cr: number
}

const sampleCharacters = 64 * 1024

/**
 * Output: the same text in UTF-8 without a byte order mark. Result: what the file was; replaced_count is the number of
 * places without meaning in its encoding. recordsCount is the number of lines.
 */
export const run = defineRun(textEncoding, async ({ parameters, outputFolder, files }) => {
  const file = textFilesOf(files).at(-1) ?? inputOf({ files })
  if (file.sizeBytes === 0) throw new Problem('file_empty', { detail: 'The file has no bytes, so it holds no text.' })
  const hasMark = await hasByteOrderMark(file.path)
  const encoding = parameters.encoding ?? (await detectEncoding(file.path))
  const counts: LineCounts = { lf: 0, crlf: 0, cr: 0 }
  const facts = { characters: 0, replaced: 0, endsOpen: false }
  async function* converted(): AsyncGenerator<string> {
    let isFirst = true
    for await (const chunk of wholeLineEnds(decodedChunks(file.path, encoding))) {
      if (isFirst) refuseBinary(chunk.slice(0, sampleCharacters))
      isFirst = false
      countLines(chunk, counts)
      facts.characters += chunk.length
      facts.replaced += chunk.split('\ufffd').length - 1
      facts.endsOpen = !/[\r\n]$/u.test(chunk)
      yield parameters.line_ends === 'keep' ? chunk : withLineEnds(chunk, parameters.line_ends)
    }
  }
  await pipeline(converted(), createWriteStream(join(outputFolder, 'utf8.txt')))
  const linesCount = counts.lf + counts.crlf + counts.cr + (facts.endsOpen ? 1 : 0)
  const result = {
    kind: 'text-encoding',
    encoding,
    byte_order_mark: hasMark,
    line_ends: lineEndsOf(counts),
    lines_count: linesCount,
    characters_count: facts.characters,
    replaced_count: facts.replaced,
  }
  const { name, contentType } = file
  return done([{ path: 'utf8.txt', name, contentType }], result, { recordsCount: linesCount })
})

async function hasByteOrderMark(path: string): Promise<boolean> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(3), 0, 3, 0)
    const start = buffer.toString('latin1', 0, bytesRead)
    return start === '\xef\xbb\xbf' || start.startsWith('\xff\xfe') || start.startsWith('\xfe\xff')
  } finally {
    await file.close()
  }
}

/** Holds a carriage return at the end of a chunk back, because its line feed may follow. */
async function* wholeLineEnds(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of chunks) {
    const text = rest + chunk
    rest = text.endsWith('\r') ? '\r' : ''
    const whole = text.slice(0, text.length - rest.length)
    if (whole !== '') yield whole
  }
  if (rest !== '') yield rest
}

function countLines(text: string, counts: LineCounts): void {
  for (const [end] of text.matchAll(/\r\n|\r|\n/gu)) counts[end === '\n' ? 'lf' : end === '\r' ? 'cr' : 'crlf'] += 1
}

const withLineEnds = (text: string, wish: 'lf' | 'crlf'): string =>
  text.replaceAll(/\r\n|\r|\n/gu, wish === 'lf' ? '\n' : '\r\n')

function lineEndsOf(counts: LineCounts): keyof LineCounts | 'mixed' | 'none' {
  const kinds = (['lf', 'crlf', 'cr'] as const).filter((kind) => counts[kind] > 0)
  return kinds.length > 1 ? 'mixed' : (kinds[0] ?? 'none')
}
