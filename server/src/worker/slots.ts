// The slots of a worker: so many tasks run at a time, the others wait in their order.

/** A part of a fan-out that took so long was a short one; */
export const shortMs = 10
/** so many of their outcomes may be on their way while others are taken. */
export const reportsAheadMax = 1_000

export interface Slots {
  readonly busyCount: number
  /**
   * Does the work when a slot is free; without one when the signal is or becomes aborted, since then nothing is done but to
   * say so. `next` goes before all others that wait.
   */
  use<T>(work: () => Promise<T>, options: { signal: AbortSignal; next?: boolean }): Promise<T>
}

export function createSlots(count: number): Slots {
  let busyCount = 0
  const waiting: (() => void)[] = []

  /** Answers whether there is a slot for it; false when the signal aborts before. */
  async function acquire(signal: AbortSignal, next: boolean): Promise<boolean> {
    if (signal.aborted) return false
    if (busyCount < count) {
      busyCount++
      return true
    }
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const begin = (): void => resolve(true)
    const giveUp = (): void => {
      const at = waiting.indexOf(begin)
      if (at >= 0) waiting.splice(at, 1)
      resolve(false)
    }
    if (next) waiting.unshift(begin)
    else waiting.push(begin)
    signal.addEventListener('abort', giveUp, { once: true })
    void promise.then(() => signal.removeEventListener('abort', giveUp))
    return promise
  }

  /** To whoever waits, or to whoever comes. */
  function release(): void {
    const begin = waiting.shift()
    if (begin === undefined) busyCount--
    else begin()
  }

  return {
    get busyCount() {
      return busyCount
    },
    async use(work, { signal, next = false }) {
      const hasSlot = await acquire(signal, next)
      try {
        return await work()
      } finally {
        if (hasSlot) release()
      }
    },
  }
}
