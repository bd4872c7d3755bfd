// A body that stops waiting for its source when the signal aborts.

/** Yields what the source yields; throws the signal's reason as soon as it aborts, even while the source is silent. */
export async function* abortable(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (signal === undefined) {
    yield* source
    return
  }
  const iterator = source[Symbol.asyncIterator]()
  try {
    for (let step = await next(iterator, signal); step.done !== true; step = await next(iterator, signal))
      yield step.value
  } finally {
    // Not awaited: a generator that hangs in next() would not answer return() either.
    iterator.return?.().catch(() => {})
  }
}

const next = <T>(iterator: AsyncIterator<T>, signal: AbortSignal): Promise<IteratorResult<T>> =>
  untilAborted(iterator.next(), signal)

/** Settles like the promise, or rejects with the signal's reason when that aborts first. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    // Listeners are taken off again each time, so that a long stream does not pile them up on its signal.
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
