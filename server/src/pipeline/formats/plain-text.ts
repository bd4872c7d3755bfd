// Plain text in any encoding. Binary data that is called text is told apart by what texts do not have.

import { Problem } from '../../platform/problem.ts'
import { decodedChunks, detectEncoding } from './text-encoding.ts'
import type { TextPages } from './text-pages.ts'

/** Characters looked at. */
const sampleCharacters = 64 * 1024
/** Control and replacement characters: more than this many, and more than this share of all, are no text. */
const strangeCountMax = 8
const strangeShareMax = 0.05

// Form feeds, escapes and the end-of-file mark of old systems do occur in texts.
const strange = /[\u0000-\u0008\u000e-\u0019\u001c-\u001f\u007f-\u0084\u0086-\u009f\ufffd]/gu // oxlint-disable-line no-control-regex

/** Problems: file_unreadable. */
export function refuseBinary(sample: string): void {
  const count = sample.match(strange)?.length ?? 0
  if (count > Math.max(strangeCountMax, sample.length * strangeShareMax))
    throw new Problem('file_unreadable', { detail: 'The file is not text: it holds binary data.' })
}

/** Writes the text of a file into `pages`. Problems: file_unreadable. */
export async function readPlainText(path: string, pages: TextPages): Promise<{ encoding: string }> {
  const encoding = await detectEncoding(path)
  let isFirst = true
  for await (const chunk of decodedChunks(path, encoding)) {
    if (isFirst) refuseBinary(chunk.slice(0, sampleCharacters))
    isFirst = false
    pages.text(chunk)
    if (pages.isFull()) break
  }
  return { encoding }
}
