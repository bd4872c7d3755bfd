import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { decodedChunks, detectEncoding } from '../formats/text-encoding.ts'
import { defineRun } from '../processor-run.ts'
import { done } from '../processor.ts'
import { textFilesOf } from '../text-input.ts'
import { textJoin } from './text-join.ts'

/** As much text as the search index takes. */
const foundTextCharactersMax = 1_000_000

/**
 * Output: one text in UTF-8; the files come in the order of the parts of the step. Files that are no text and empty
 * ones are left out; without any text there is no output. recordsCount is the number of texts.
 */
export const run = defineRun(textJoin, async ({ parameters, outputFolder, files }) => {
  const texts = textFilesOf(files).filter(({ sizeBytes }) => sizeBytes > 0)
  const facts = { characters: 0, found: '' }
  async function* joined(): AsyncGenerator<string> {
    for (const [index, { path }] of texts.entries()) {
      if (index > 0) yield parameters.separator
      for await (const chunk of decodedChunks(path, await detectEncoding(path))) yield chunk
    }
  }
  async function* counted(): AsyncGenerator<string> {
    for await (const chunk of joined()) {
      facts.characters += chunk.length
      if (facts.found.length < foundTextCharactersMax) facts.found += chunk
      yield chunk
    }
  }
  const result = () => ({ kind: 'text-join', texts_count: texts.length, characters_count: facts.characters })
  if (texts.length === 0) return done([], result(), { recordsCount: 0 })
  await pipeline(counted(), createWriteStream(join(outputFolder, 'text.txt')))
  const output = { path: 'text.txt', name: parameters.name, contentType: 'text/plain' }
  const foundText = facts.found.slice(0, foundTextCharactersMax).replaceAll('\0', ' ').toWellFormed()
  return done([output], result(), { recordsCount: texts.length, foundText })
})
