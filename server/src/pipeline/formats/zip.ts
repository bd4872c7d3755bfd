// A zip container whose parts are read in a stream: OOXML, OpenDocument and EPUB files. The declared sizes bound the
// work before anything is unpacked, and yauzl holds each part to its declared size while it unpacks.

import type { Readable } from 'node:stream'
import { openPromise, type Entry } from 'yauzl'
import { Problem } from '../../platform/problem.ts'

const entriesCountMax = 20_000
/** Of all parts together, unpacked. */
const unpackedBytesMax = 1024 ** 3

export interface ZipParts {
  /** Names of all parts, in the order of the container. */
  names: string[]
  has(name: string): boolean
  /** Chunks of UTF-8 text of a part; nothing when there is none of the name. */
  text(name: string): AsyncGenerator<string>
  /** A part as text. Problems: file_too_complex beyond `bytesMax`. */
  whole(name: string, bytesMax: number): Promise<string>
}

/**
 * Opens the container for `work` and closes it afterwards.
 * Problems: file_unreadable, file_encrypted, file_too_complex.
 */
export async function withZip<T>(path: string, work: (parts: ZipParts) => Promise<T>): Promise<T> {
  let close = (): void => {}
  try {
    const zip = await openPromise(path, { autoClose: false, lazyEntries: true })
    close = () => zip.close()
    const entries = new Map<string, Entry>()
    let unpackedBytes = 0
    for await (const entry of zip.eachEntry()) {
      unpackedBytes += entry.uncompressedSize
      if (entries.size >= entriesCountMax || unpackedBytes > unpackedBytesMax)
        throw new Problem('file_too_complex', {
          detail: `The document unpacks to more than ${entriesCountMax} parts or ${unpackedBytesMax / 1024 ** 3} GiB.`,
        })
      if (entry.isEncrypted())
        throw new Problem('file_encrypted', { detail: 'The document is protected by a password.' })
      entries.set(entry.fileName, entry)
    }
    return await work(partsOf(entries, (entry) => zip.openReadStreamPromise(entry)))
  } catch (cause) {
    if (cause instanceof Problem || !isZipFault(cause)) throw cause
    throw new Problem('file_unreadable', {
      detail: 'The document is damaged or was cut off; it cannot be unpacked.',
      cause,
    })
  } finally {
    close()
  }
}

/** yauzl's errors are plain; zlib's have a code that begins with Z_. Bugs of ours are TypeErrors and the like. */
const isZipFault = (error: unknown): boolean =>
  error instanceof Error &&
  (error.constructor === Error || ('code' in error && typeof error.code === 'string' && error.code.startsWith('Z_')))

function partsOf(entries: Map<string, Entry>, openStream: (entry: Entry) => Promise<Readable>): ZipParts {
  async function* text(name: string): AsyncGenerator<string> {
    const entry = entries.get(name)
    if (entry === undefined) return
    const decoder = new TextDecoder('utf-8')
    // Chunks are Buffers, because the stream has no encoding.
    for await (const chunk of await openStream(entry)) yield decoder.decode(chunk as Buffer, { stream: true })
    yield decoder.decode()
  }
  return {
    names: [...entries.keys()],
    has: (name) => entries.has(name),
    text,
    whole: async (name, bytesMax) => {
      if ((entries.get(name)?.uncompressedSize ?? 0) > bytesMax)
        throw new Problem('file_too_complex', {
          detail: `A part of the document is larger than ${bytesMax / 1024 ** 2} MiB.`,
        })
      let whole = ''
      for await (const chunk of text(name)) whole += chunk
      return whole
    },
  }
}
