// The bytes of a request as Node hands them over: in buffers made for each read, which nobody else sees.

import { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { releaseBytes } from '../platform/owned-bytes.ts'

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
