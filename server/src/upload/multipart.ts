// multipart/form-data (RFC 7578) as a stream: part after part, each part's bytes as they come. Nothing is held but the
// tail that could still be the beginning of a delimiter, so memory depends on neither size nor speed. Names are read as
// browsers write them (WHATWG: %22, %0D and %0A stand for themselves, all else is raw UTF-8).

import { invariant, Problem } from '../platform/problem.ts'
import { WholeContent } from '../platform/whole-content.ts'
import { requestPieces } from './request-pieces.ts'

export interface FormPart {
  readonly name: string
  /** As the sender gave it, path and all; undefined for a part that is not a file. Null when its bytes are not UTF-8. */
  readonly fileName: string | null | undefined
  /** As the sender says; undefined where he does not. */
  readonly contentType: string | undefined
  /**
   * Ends with the part. It must be read to its end, or given up with the form, before the next part is asked for. Each
   * piece is valid until the next is asked for.
   */
  readonly content: AsyncIterable<Buffer>
}

/** A file name of 4,000 characters of four bytes in the extended notation of RFC 8187, and room to spare. */
const partHeadersBytesMax = 64 * 1024
/** White space that old mailers leave after a delimiter. */
const paddingBytesMax = 256
const preambleBytesMax = 8 * 1024
const epilogueBytesMax = 64 * 1024
const headersEnd = Buffer.from('\r\n\r\n')
const lineEnd = Buffer.from('\r\n')

/** The boundary of a Content-Type. Throws Problem('invalid_form') when there is none or it is not one. */
export function boundaryOf(contentType: string | undefined): string {
  const match = /;\s*boundary=(?:"([^"]+)"|([^\s;"]+))/i.exec(contentType ?? '')
  const boundary = match?.[1] ?? match?.[2]
  if (boundary === undefined || boundary.length > 70 || !/^[\x20-\x7e]*[\x21-\x7e]$/.test(boundary))
    throw invalid('The Content-Type has no valid boundary.')
  return boundary
}

/**
 * The parts of a form in their order. Throws Problem('invalid_form') where the form breaks its grammar or its bounds,
 * and Problem('upload_incomplete') when the body ends before the closing delimiter. What follows that is ignored.
 */
export async function* readForm(
  body: AsyncIterable<Uint8Array>,
  boundary: string,
): AsyncGenerator<FormPart, void, undefined> {
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  const input = new Input(body)
  try {
    await skipPreamble(input, boundary)
    while (await startsPart(input)) {
      const headers = parseHeaders(await readHeaders(input))
      input.insidePart = true
      yield { ...describePart(headers), content: takeWhole(input, delimiter) ?? readContent(input, delimiter) }
      invariant(!input.insidePart, 'a part of a form is read to its end before the next one')
    }
    await input.drain(epilogueBytesMax)
  } finally {
    await input.close()
  }
}

/** The body with what has been looked at and not yet taken. */
class Input {
  buffered: Buffer = Buffer.alloc(0)
  insidePart = false
  readonly #chunks: AsyncIterator<Uint8Array>
  constructor(body: AsyncIterable<Uint8Array>) {
    this.#chunks = requestPieces(body)
  }

  /** The next bytes of the body, undefined at its end. Throws Problem('upload_incomplete') when it was cut. */
  async #pull(): Promise<Buffer | undefined> {
    for (;;) {
      const { done, value } = await this.#chunks.next().catch((error: unknown) => {
        throw error instanceof Problem ? error : new Problem('upload_incomplete', { cause: error })
      })
      if (done === true) return undefined
      if (value.length > 0) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    }
  }

  /** Reads on. Throws Problem('upload_incomplete') at the end of the body. */
  async more(): Promise<void> {
    const held = Buffer.from(this.buffered) // Copied, because it is of a piece that ends with the next one.
    const chunk = await this.#pull()
    if (chunk === undefined)
      throw new Problem('upload_incomplete', { detail: 'The form ended without its last delimiter.' })
    this.buffered = held.length === 0 ? chunk : Buffer.concat([held, chunk])
  }

  /** Reads what follows the form and drops it, so that the connection can be used again. */
  async drain(bytesMax: number): Promise<void> {
    let bytesCount = this.buffered.length
    for (let chunk = await this.#pull(); chunk !== undefined && bytesCount <= bytesMax; chunk = await this.#pull())
      bytesCount += chunk.length
  }

  async atLeast(bytesCount: number): Promise<void> {
    while (this.buffered.length < bytesCount) await this.more()
  }

  take(bytesCount: number): Buffer {
    const taken = this.buffered.subarray(0, bytesCount)
    this.buffered = this.buffered.subarray(bytesCount)
    return taken
  }

  async close(): Promise<void> {
    await this.#chunks.return?.()
  }
}

async function skipPreamble(input: Input, boundary: string): Promise<void> {
  const first = Buffer.from(`--${boundary}`)
  await input.atLeast(first.length)
  if (input.buffered.subarray(0, first.length).equals(first)) return void input.take(first.length)
  const later = Buffer.from(`\r\n--${boundary}`)
  for (;;) {
    const at = input.buffered.indexOf(later)
    if (at > preambleBytesMax || (at < 0 && input.buffered.length > preambleBytesMax))
      throw invalid('The body does not begin with its boundary.')
    if (at >= 0) return void input.take(at + later.length)
    await input.more()
  }
}

/** Stands right after a delimiter: true before a part, false after the closing delimiter. */
async function startsPart(input: Input): Promise<boolean> {
  await input.atLeast(2)
  if (input.buffered.subarray(0, 2).toString('latin1') === '--') return false
  for (;;) {
    const at = input.buffered.indexOf(lineEnd)
    if (at >= 0) {
      if (!/^[ \t]*$/.test(input.take(at + 2).toString('latin1', 0, at)))
        throw invalid('A delimiter is not on a line of its own.')
      return true
    }
    if (input.buffered.length > paddingBytesMax) throw invalid('A delimiter is not on a line of its own.')
    await input.more()
  }
}

async function readHeaders(input: Input): Promise<Buffer> {
  // A part without any header fields begins with the empty line.
  await input.atLeast(2)
  if (input.buffered.subarray(0, 2).equals(lineEnd)) return input.take(2)
  let searched = 0
  for (;;) {
    const at = input.buffered.indexOf(headersEnd, Math.max(0, searched - headersEnd.length))
    if (at > partHeadersBytesMax || (at < 0 && input.buffered.length > partHeadersBytesMax))
      throw invalid(`The header fields of a part are longer than ${partHeadersBytesMax} bytes.`)
    if (at >= 0) {
      const headers = input.take(at)
      input.take(headersEnd.length)
      return headers
    }
    searched = input.buffered.length
    await input.more()
  }
}

/** The content of a part whose end has come with its beginning. */
function takeWhole(input: Input, delimiter: Buffer): WholeContent | undefined {
  const at = input.buffered.indexOf(delimiter)
  if (at < 0) return undefined
  const content = input.take(at)
  input.take(delimiter.length)
  input.insidePart = false
  return new WholeContent(content)
}

async function* readContent(input: Input, delimiter: Buffer): AsyncGenerator<Buffer, void, undefined> {
  for (;;) {
    const rest = takeWhole(input, delimiter)
    if (rest !== undefined) return yield* rest
    const { buffered } = input
    const held = tailLength(buffered, delimiter)
    if (buffered.length > held) yield input.take(buffered.length - held)
    await input.more()
  }
}

/** How many bytes at the end could be the beginning of a delimiter. */
function tailLength(buffered: Buffer, delimiter: Buffer): number {
  const from = Math.max(0, buffered.length - delimiter.length + 1)
  for (let at = buffered.indexOf(0x0d, from); at >= 0; at = buffered.indexOf(0x0d, at + 1)) {
    if (delimiter.subarray(0, buffered.length - at).equals(buffered.subarray(at))) return buffered.length - at
  }
  return 0
}

/** By lower-case name; values as bytes, because what they mean depends on the field. */
function parseHeaders(bytes: Buffer): Map<string, Buffer> {
  const fields = new Map<string, Buffer>()
  let start = 0
  while (start < bytes.length) {
    const end = bytes.indexOf(lineEnd, start)
    const line = bytes.subarray(start, end < 0 ? bytes.length : end)
    start = end < 0 ? bytes.length : end + lineEnd.length
    if (line.length === 0) continue
    const colon = line.indexOf(0x3a)
    const name = line.toString('latin1', 0, Math.max(0, colon)).toLowerCase()
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) throw invalid('A header field of a part is not valid.')
    if (fields.has(name)) throw invalid(`A part has two header fields ${name}.`)
    fields.set(name, line.subarray(colon + 1))
  }
  return fields
}

function describePart(headers: Map<string, Buffer>): Omit<FormPart, 'content'> {
  const bytes = headers.get('content-disposition')
  // latin1 keeps every byte as one character, so that the grammar is read before the encoding is.
  const text = bytes?.toString('latin1').trim() ?? ''
  if (!/^form-data\s*(;|$)/i.test(text)) throw invalid('A part has no Content-Disposition: form-data.')
  const parameters = parseParameters(text.slice('form-data'.length))
  const name = decodeQuoted(parameters.get('name'))
  if (typeof name !== 'string') throw invalid('A part has no name.')
  const extended = parameters.get('filename*')
  const fileName = extended === undefined ? decodeQuoted(parameters.get('filename')) : decodeExtended(extended)
  return { name, fileName, contentType: headers.get('content-type')?.toString('latin1').trim() }
}

function parseParameters(text: string): Map<string, string> {
  const parameters = new Map<string, string>()
  let rest = text
  while (!/^[\s;]*$/.test(rest)) {
    const match = /^\s*;\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*/.exec(rest)
    if (!match?.[1]) throw invalid('A Content-Disposition is not valid.')
    rest = rest.slice(match[0].length)
    const length = rest.startsWith('"') ? quotedLength(rest) : (/^[^;\s]*/.exec(rest)?.[0].length ?? 0)
    const value = rest.startsWith('"') ? rest.slice(1, length - 1) : rest.slice(0, length)
    const name = match[1].toLowerCase()
    if (parameters.has(name)) throw invalid(`A Content-Disposition has two parameters ${name}.`)
    parameters.set(name, value)
    rest = rest.slice(length)
  }
  return parameters
}

/**
 * The length of a quoted string, its quotes included. Browsers write a quote as %22 and a backslash as itself, others
 * write \" for a quote: so a quote after a backslash ends the string only if what follows can follow it.
 */
function quotedLength(text: string): number {
  for (let at = text.indexOf('"', 1); at > 0; at = text.indexOf('"', at + 1)) {
    if (text[at - 1] !== '\\' || /^\s*($|;\s*[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*=)/.test(text.slice(at + 1))) return at + 1
  }
  throw invalid('A Content-Disposition has a quote without its pair.')
}

function decodeQuoted(value: string | undefined): string | null | undefined {
  if (value === undefined) return undefined
  const text = decodeUtf8(Buffer.from(value, 'latin1'))
  return (
    text
      ?.replaceAll('\\"', '"')
      .replaceAll(/%22|%0D|%0A/gi, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16))) ?? null
  )
}

/** RFC 8187: UTF-8'language'percent-encoded. */
function decodeExtended(value: string): string | null {
  const match = /^utf-8'[^']*'((?:[^%]|%[0-9a-f]{2})*)$/i.exec(value)
  if (match?.[1] === undefined) return null
  const bytes = match[1].replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return decodeUtf8(Buffer.from(bytes, 'latin1'))
}

/** Keeps nothing from one text to the next. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeUtf8(bytes: Buffer): string | null {
  try {
    return utf8.decode(bytes)
  } catch {
    return null
  }
}

const invalid = (detail: string): Problem => new Problem('invalid_form', { detail })
