// The bytes of a file on their way in: a look at the first ones before anything is decided, and a meter on all of them.

import type { Clock } from '../platform/clock.ts'
import { WholeContent } from '../platform/whole-content.ts'

export interface Peeked {
  /** The first bytes, at least as many as were asked for unless the content is shorter. */
  head: Buffer
  /** All of the content, once. */
  whole: AsyncIterable<Buffer>
}

/** Reads the beginning without losing it. Each piece of the whole is valid until the next is asked for. */
export async function peekContent(content: AsyncIterable<Buffer>, bytesCount: number): Promise<Peeked> {
  if (content instanceof WholeContent) return { head: content.bytes, whole: content }
  const chunks = content[Symbol.asyncIterator]()
  let head = Buffer.alloc(0)
  while (head.length < bytesCount) {
    const { done, value } = await chunks.next()
    if (done === true) break
    // Copied, because the piece ends with the next call.
    head = Buffer.concat([head, value])
  }
  return { head, whole: resume(head, chunks) }
}

async function* resume(head: Buffer, chunks: AsyncIterator<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  try {
    if (head.length > 0) yield head
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value
  } finally {
    await chunks.return?.()
  }
}

export interface Meter {
  clock: Clock
  /** Called before a piece is passed on with which the content has so many bytes. */
  onBytes: (sizeBytes: number) => Promise<void> | undefined
  /** Called when so much time has passed since the last call, as long as bytes come. */
  keepAlive: { everyMs: number; call: () => Promise<void> }
}

/** The same content; what the meter's functions throw ends it. */
export async function* meterContent(
  content: AsyncIterable<Buffer>,
  { clock, onBytes, keepAlive }: Meter,
): AsyncGenerator<Buffer, void, undefined> {
  let sizeBytes = 0
  let aliveSinceMs = clock.monotonicMs()
  for await (const piece of content) {
    sizeBytes += piece.length
    const waiting = onBytes(sizeBytes)
    if (waiting !== undefined) await waiting
    if (clock.monotonicMs() - aliveSinceMs >= keepAlive.everyMs) {
      await keepAlive.call()
      aliveSinceMs = clock.monotonicMs()
    }
    yield piece
  }
}
