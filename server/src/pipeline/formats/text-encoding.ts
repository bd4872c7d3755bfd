// The encoding of a text file, and its text. UTF-8 is proved over the whole file; anything else is a guess from the
// place where the file stops being UTF-8.

import { isUtf8 } from 'node:buffer'
import { createReadStream, createWriteStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { detect } from 'jschardet'
import { Problem } from '../../platform/problem.ts'

/** As much as the guess looks at. */
const guessBytesMax = 128 * 1024
const chunkBytes = 1024 * 1024

/** Encodings that are guessed but mean a superset here: what a person writes as Latin-1 is Windows-1252. */
const supersets: Record<string, string> = { ascii: 'windows-1252', 'iso-8859-1': 'windows-1252', gb2312: 'gb18030' }

/** The label that TextDecoder takes, e.g. utf-8, utf-16le, windows-1252, shift_jis. */
export async function detectEncoding(path: string): Promise<string> {
  const file = await open(path)
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(4), 0, 4, 0)
    const marked = encodingOfMark(buffer.subarray(0, bytesRead))
    if (marked !== undefined) return marked
    const doubtful = await firstDoubt(path)
    if (doubtful === undefined) return 'utf-8'
    const sample = Buffer.alloc(guessBytesMax)
    const start = Math.max(0, doubtful - guessBytesMax / 4)
    const { bytesRead: sampleBytes } = await file.read(sample, 0, guessBytesMax, start - (start % 4))
    return guess(sample.subarray(0, sampleBytes))
  } finally {
    await file.close()
  }
}

function encodingOfMark(start: Buffer): string | undefined {
  if (start[0] === 0xff && start[1] === 0xfe) return 'utf-16le'
  if (start[0] === 0xfe && start[1] === 0xff) return 'utf-16be'
  return undefined
}

function guess(sample: Buffer): string {
  const zeros = sample.reduce(
    (counts, byte, index) => {
      if (byte === 0) counts[index % 2 === 0 ? 0 : 1] += 1
      return counts
    },
    [0, 0] as [number, number],
  )
  // Western text in UTF-16 is half zeros, all on one side.
  if (zeros[1] > sample.length / 4 && zeros[0] < sample.length / 50) return 'utf-16le'
  if (zeros[0] > sample.length / 4 && zeros[1] < sample.length / 50) return 'utf-16be'
  const found = detect(sample).encoding?.toLowerCase() ?? 'windows-1252'
  const label = supersets[found] ?? found
  try {
    return new TextDecoder(label).encoding
  } catch {
    return 'windows-1252'
  }
}

/** Offset near the first bytes that are not UTF-8, or nothing when all of it is. Zero bytes are a doubt as well. */
async function firstDoubt(path: string): Promise<number | undefined> {
  let rest: Buffer = Buffer.alloc(0)
  let offset = 0
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) {
    // A Buffer, because the stream has no encoding.
    const bytes = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer])
    const whole = bytes.length - cutCharacterBytes(bytes)
    if (!isUtf8(bytes.subarray(0, whole)) || hasManyZeros(bytes)) return offset + doubtWithin(bytes)
    offset += whole
    rest = bytes.subarray(whole)
  }
  return rest.length === 0 ? undefined : offset
}

/** ASCII in UTF-16 is valid UTF-8 too: a file with a zero in every fourth byte is not one of text in UTF-8. */
function hasManyZeros(bytes: Buffer): boolean {
  const sample = bytes.subarray(0, 4096)
  return sample.reduce((count, byte) => count + (byte === 0 ? 1 : 0), 0) > sample.length / 4
}

function doubtWithin(bytes: Buffer): number {
  const stepBytes = 4096
  for (let at = 0; at < bytes.length; at += stepBytes)
    if (bytes.subarray(at, at + stepBytes).some((byte) => byte >= 0x80)) return at
  return 0
}

/** Bytes at the end that begin a character whose rest is in the next chunk. */
function cutCharacterBytes(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0
    if (byte < 0x80) return 0
    if (byte < 0xc0) continue
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
    return needed > back ? back : 0
  }
  return 0
}

/** Decodes in a stream; bytes that have no meaning in the encoding become U+FFFD. */
export async function* decodedChunks(path: string, encoding: string): AsyncGenerator<string> {
  const decoder = decoderOf(encoding)
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes }))
    yield decoder.decode(chunk as Buffer, { stream: true })
  yield decoder.decode()
}

function decoderOf(encoding: string): TextDecoder {
  try {
    return new TextDecoder(encoding)
  } catch (cause) {
    throw new Problem('parameters_invalid', { detail: `There is no encoding called "${encoding}".`, cause })
  }
}

/** Writes the text of `path` to `target` in UTF-8 without a byte order mark. */
export async function writeUtf8Copy(options: { path: string; encoding: string; target: string }): Promise<void> {
  await pipeline(decodedChunks(options.path, options.encoding), createWriteStream(options.target))
}

/** The text of a file, at most `charactersCountMax` of it, and how its bytes were understood. */
export async function readTextFile(
  path: string,
  charactersCountMax: number,
): Promise<{ text: string; encoding: string; truncated: boolean }> {
  const encoding = await detectEncoding(path)
  let text = ''
  for await (const chunk of decodedChunks(path, encoding)) {
    text += chunk
    if (text.length > charactersCountMax) return { text: text.slice(0, charactersCountMax), encoding, truncated: true }
  }
  return { text, encoding, truncated: false }
}
