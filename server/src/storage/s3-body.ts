// The body of an S3 GET, carried on when its connection breaks.

import { Readable } from 'node:stream'
import { problemOf } from './s3-error.ts'

export interface S3Body {
  stream: Readable
  /** Bytes that the answer says it will have. */
  sizeBytes: number
  /** Names this very content of the key. */
  etag: string | undefined
}

export interface ResumedBody {
  first: S3Body
  /** Asks for the rest from an offset within the body; only of the same content. */
  resume(offset: number, etag: string | undefined): Promise<S3Body>
  /** The longest silence that is borne. */
  idleTimeoutMs: number
  signal: AbortSignal | undefined
}

/** Times in a row that a broken body is asked for again without one more byte arriving. */
const resumesMax = 3

/** Throws Problem('storage_unavailable') when the store stays silent or breaks off again and again. */
export function resumedBody(options: ResumedBody): Readable {
  const pieces = piecesOf(options)
  return Readable.from(pieces, { objectMode: false, highWaterMark: 512 * 1024 }).once('close', () => {
    // Readable.from does not begin a generator that was never read, so it would not end the answer either.
    options.first.stream.destroy()
  })
}

async function* piecesOf(options: ResumedBody): AsyncGenerator<Buffer> {
  const { sizeBytes, etag } = options.first
  let body = options.first
  let offset = 0
  let failuresCount = 0
  while (offset < sizeBytes) {
    options.signal?.throwIfAborted()
    let failure: unknown = new Error('The body ended too early')
    try {
      for await (const piece of watched(body.stream, options)) {
        offset += piece.length
        failuresCount = 0
        yield piece
      }
    } catch (error) {
      failure = error
    }
    if (offset >= sizeBytes) return
    options.signal?.throwIfAborted()
    if (++failuresCount > resumesMax) throw problemOf(failure)
    body = await options.resume(offset, etag)
  }
}

/** The pieces of a stream; fails when it is silent for too long while one is waited for, or when the signal aborts. */
async function* watched(stream: Readable, { idleTimeoutMs, signal }: ResumedBody): AsyncGenerator<Buffer> {
  let waiting = true
  const timer = setTimeout(() => {
    if (waiting) stream.destroy(new Error(`The store was silent for ${idleTimeoutMs} ms`))
  }, idleTimeoutMs)
  const onAbort = (): void => void stream.destroy()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    // A stream of bytes without an encoding yields buffers.
    for await (const piece of stream as AsyncIterable<Buffer>) {
      waiting = false
      yield piece
      waiting = true
      timer.refresh()
    }
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
    stream.destroy()
  }
}
