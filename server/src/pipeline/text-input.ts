// Which of a step's files are text, and the text of them.

import { readTextFile } from './formats/text-encoding.ts'
import type { InputFile } from './processor.ts'

/** Content types of files whose bytes are their text. */
export const textTypes = [
  'text/*',
  'application/json',
  'application/jsonl',
  'application/xml',
  'application/yaml',
  'application/sql',
  'application/x-subrip',
  'application/x-tex',
] as const

/** The files to take text from: plain ones where there are some, else those whose bytes are text of another kind. */
export function textFilesOf(files: readonly InputFile[]): InputFile[] {
  const plain = files.filter(({ contentType }) => contentType === 'text/plain')
  if (plain.length > 0) return plain
  return files.filter(
    ({ contentType }) => contentType.startsWith('text/') || (textTypes as readonly string[]).includes(contentType),
  )
}

/** The texts of all files together, at most `charactersMax`. */
export async function readTexts(files: readonly InputFile[], charactersMax: number): Promise<string> {
  let text = ''
  for (const { path } of files) {
    if (text.length >= charactersMax) break
    const read = await readTextFile(path, charactersMax - text.length)
    text += `${read.text}\n`
  }
  return text
}
