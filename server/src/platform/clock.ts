// Time as a dependency, so that the engine can run in simulated time.

export interface Clock {
  /** Wall-clock time; for display and stored timestamps, never for leases (those use the database's clock). */
  now(): Date
  /** Milliseconds that only grow; for measuring durations. */
  monotonicMs(): number
  /** Resolves after the time has passed, or at once when the signal aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Ends waits that hear the controller's signal. Abort alone makes an error with its stack trace, each time, that nobody reads. */
export const endWait = (controller: AbortController): void => controller.abort(null)

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const end = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, ms)
      signal?.addEventListener('abort', end, { once: true })
    }),
}
