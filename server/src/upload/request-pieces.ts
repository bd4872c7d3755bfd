// The bytes of a request as Node hands them over: in buffers made for each read, which nobody else sees.

import { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { releaseBytes } from '../platform/owned-bytes.ts'

/**
 * The body of a small request in one piece, once; the caller has bounded its length. Its memory is given back when the next
 * piece is asked for.
 */
export async function* wholeBody(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  if (!(body instanceof IncomingMessage)) return yield* body
  const whole = await joinedBody(body)
  yield whole
  releaseBytes(whole)
}

/** Listened to, because a turn of the loop for each piece costs more than all of them take. */
function joinedBody(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = []
  return new Promise((resolve, reject) => {
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.once('end', () => {
      resolve(Buffer.concat(pieces))
      for (const piece of pieces) releaseBytes(piece)
    })
    // Heard to the end of the request: an error that nobody hears would end the process.
    request.on('error', reject)
    request.once('close', () => request.readableEnded || reject(new Error('The connection was closed')))
  })
}

/**
 * The pieces of a body, once. Each is valid until the next one is asked for, because the memory of a request's pieces is
 * given back then. A request that is given up stays open: its refusal has still to be written to the same connection.
 */
export function requestPieces(body: AsyncIterable<Uint8Array>): AsyncIterableIterator<Uint8Array> {
  const pieces: AsyncIterator<Uint8Array> =
    body instanceof Readable ? body.iterator({ destroyOnReturn: false }) : body[Symbol.asyncIterator]()
  const isOurs = body instanceof IncomingMessage
  let last: Uint8Array | undefined
  return {
    async next() {
      if (isOurs && last !== undefined) releaseBytes(last)
      last = undefined
      const step = await pieces.next()
      if (step.done !== true) last = step.value
      return step
    },
    async return() {
      // What becomes of it from here on is told to nobody, and an error that nobody hears would end the process.
      if (body instanceof Readable) body.on('error', () => {})
      await pieces.return?.()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
