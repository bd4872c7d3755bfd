// The names of files: as their owners give them when they come in, in a form that no client misreads when they go out.

import { Problem } from '../platform/problem.ts'

const nameLengthMax = 4_000

/**
 * The name as it was given: any text of 1 to 4,000 characters without NUL. It is never used as a path, so nothing in it
 * is dangerous to us. Throws Problem('file_name_invalid').
 */
export function checkFileName(name: string): string {
  // Two code units may be one character, so only what is longer has to be counted.
  const tooLong =
    name.length > nameLengthMax && (name.length > 2 * nameLengthMax || Array.from(name).length > nameLengthMax)
  const reason = name === '' ? 'It is empty.' : tooLong ? `It is longer than ${nameLengthMax} characters.` : undefined
  const unfit = name.includes('\0') ? 'It contains NUL.' : name.isWellFormed() ? undefined : 'It is not valid Unicode.'
  const detail = reason ?? unfit
  if (detail !== undefined) throw new Problem('file_name_invalid', { detail })
  return name
}

const downloadNameBytesMax = 200

/**
 * The name under which a download is offered: the file's own, unless it could make a client write elsewhere or show
 * something else than it is (separators of paths, control characters, marks that turn the direction of writing), or is
 * longer than file systems take. The ending is kept.
 */
export function downloadNameOf(name: string): string {
  const safe = name
    .toWellFormed()
    .replaceAll(/[\p{Cc}/\\:\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]/gu, '_')
    .replace(/^[.\s]+/u, '_')
    .trimEnd()
  if (Buffer.byteLength(safe) <= downloadNameBytesMax) return safe === '' ? 'file' : safe
  const ending = /\.[\p{L}\p{N}]{1,10}$/u.exec(safe)?.[0] ?? ''
  return cut(safe.slice(0, safe.length - ending.length), downloadNameBytesMax - Buffer.byteLength(ending)) + ending
}

/** The longest beginning of so many bytes that does not split a character. */
function cut(text: string, bytesMax: number): string {
  let bytesCount = 0
  let end = 0
  for (const character of text) {
    bytesCount += Buffer.byteLength(character)
    if (bytesCount > bytesMax) break
    end += character.length
  }
  return text.slice(0, end)
}

/** Content-Disposition (RFC 6266): the name in UTF-8 by RFC 8187, and a plain one for those who do not read that. */
export function contentDisposition(kind: 'attachment' | 'inline', name: string): string {
  const downloadName = downloadNameOf(name)
  const plain = downloadName.replaceAll(/[^\x20-\x7e]|["\\%]/gu, '_')
  const encoded = encodeURIComponent(downloadName).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return encoded === plain
    ? `${kind}; filename="${plain}"`
    : `${kind}; filename="${plain}"; filename*=UTF-8''${encoded}`
}
