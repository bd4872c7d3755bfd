// Most objects are small. What is there as a whole is encrypted and stored in one piece, which takes fewer steps than a
// stream; so content is gathered up to a bound before it is known which of the two it will be.

import { releaseBytes } from '../platform/owned-bytes.ts'
import { WholeContent } from '../platform/whole-content.ts'
import { untilAborted } from './abortable.ts'

export type Gathered =
  | { readonly whole: Buffer }
  | {
      /** What was gathered and what follows, once. */
      readonly pieces: AsyncIterable<Uint8Array>
      /** Gives up the content, whether or not anybody has begun to read the pieces; does nothing at its end. */
      readonly close: () => void
    }

export interface GatherOptions {
  bytesMax: number
  /** Called with the length so far before anything of a piece is used; throws to refuse it. */
  onSize: (sizeBytes: number) => void
  /** Ends the wait for content; throws its reason. */
  signal: AbortSignal | undefined
}

/** Reads content to its end, or until it has more than so many bytes. Its errors pass as they are. */
export async function gather(
  content: AsyncIterable<Uint8Array>,
  { bytesMax, onSize, signal }: GatherOptions,
): Promise<Gathered> {
  if (content instanceof WholeContent && content.bytes.length <= bytesMax) {
    onSize(content.bytes.length)
    signal?.throwIfAborted()
    return { whole: content.bytes }
  }
  const source = content[Symbol.asyncIterator]()
  const pieces: Buffer[] = []
  let sizeBytes = 0
  // Not awaited: a generator that hangs in next() would not answer return() either.
  const close = (): void => void source.return?.().catch(() => {})
  try {
    for (;;) {
      const step = await untilAborted(source.next(), signal)
      if (step.done === true) return { whole: joined(pieces, sizeBytes) }
      sizeBytes += step.value.length
      onSize(sizeBytes)
      if (sizeBytes > bytesMax) return { pieces: resume(pieces, step.value, source), close }
      // Copied, because a piece ends with the next one.
      const copy = Buffer.allocUnsafeSlow(step.value.length)
      copy.set(step.value)
      pieces.push(copy)
    }
  } catch (error) {
    close()
    throw error
  }
}

function joined(pieces: readonly Buffer[], sizeBytes: number): Buffer {
  const [only] = pieces
  if (pieces.length === 1 && only !== undefined) return only
  const whole = Buffer.allocUnsafeSlow(sizeBytes)
  let used = 0
  for (const piece of pieces) {
    whole.set(piece, used)
    used += piece.length
    releaseBytes(piece)
  }
  return whole
}

async function* resume(
  gathered: readonly Buffer[],
  next: Uint8Array,
  source: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const piece of gathered) {
    yield piece
    releaseBytes(piece)
  }
  yield next
  for (let step = await source.next(); step.done !== true; step = await source.next()) yield step.value
}
