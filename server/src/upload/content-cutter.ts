// Content that is stored in stretches: each is taken as a stream of its own, and the end of one is the beginning of the
// next. A client that vanishes ends the stretch early instead of breaking it, so that what it sent until then is kept.

/** How the content came to its end: by itself, by a broken connection, or because somebody asked for it. */
export type ContentEnd = 'whole' | { readonly cut: unknown } | 'stopped'

export class ContentCutter {
  readonly #pieces: AsyncIterator<Uint8Array>
  readonly #stopped: Promise<'stopped'>
  #held: Uint8Array | undefined
  #end: ContentEnd | undefined

  /** When stop aborts, the content ends there, even while nothing comes. */
  constructor(content: AsyncIterable<Uint8Array>, stop: AbortSignal) {
    this.#pieces = content[Symbol.asyncIterator]()
    this.#stopped = new Promise((resolve) => {
      if (stop.aborted) resolve('stopped')
      else stop.addEventListener('abort', () => resolve('stopped'), { once: true })
    })
  }

  /** Undefined while more may come. */
  get end(): ContentEnd | undefined {
    return this.#end
  }

  /** The next pieces, together at most so many bytes; never throws. */
  async *take(bytesMax: number): AsyncGenerator<Uint8Array, void, undefined> {
    for (let leftBytes = bytesMax; leftBytes > 0;) {
      const piece = await this.#next()
      if (piece === undefined) return
      if (piece.length > leftBytes) this.#held = piece.subarray(leftBytes)
      const taken = piece.subarray(0, leftBytes)
      leftBytes -= taken.length
      yield taken
    }
  }

  /** Whether there is more; waits for it. */
  async hasMore(): Promise<boolean> {
    this.#held ??= await this.#next()
    return this.#held !== undefined
  }

  /** A piece with at least one byte. */
  async #next(): Promise<Uint8Array | undefined> {
    if (this.#held !== undefined) {
      const held = this.#held
      this.#held = undefined
      return held
    }
    while (this.#end === undefined) {
      const coming = this.#pieces.next()
      try {
        const step = await Promise.race([coming, this.#stopped])
        if (step === 'stopped') {
          this.#end = 'stopped'
          coming.catch(() => {})
        } else if (step.done === true) this.#end = 'whole'
        else if (step.value.length > 0) return step.value
      } catch (error) {
        this.#end = { cut: error }
      }
    }
    return undefined
  }
}
