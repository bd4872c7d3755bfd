import { endWait, type Clock } from '../platform/clock.ts'

/**
 * Waiting for something to arrive without missing it: read `count`, look whether something is there, and wait from that
 * count; a ring in between ends the wait at once. Rings wake everyone who waits.
 */
export interface Bell {
  readonly count: number
  ring(): void
  /** Resolves after a ring since `count`, after the time, or when the signal aborts; never rejects. */
  wait(count: number, options: { ms: number; signal: AbortSignal }): Promise<void>
}

export function createBell(clock: Clock): Bell {
  const waiting = new Set<() => void>()
  let rung = 0
  return {
    get count() {
      return rung
    },
    ring() {
      rung += 1
      for (const wake of waiting) wake()
    },
    async wait(count, { ms, signal }) {
      if (count !== rung || signal.aborted || ms <= 0) return
      const over = new AbortController()
      const end = (): void => endWait(over)
      waiting.add(end)
      signal.addEventListener('abort', end, { once: true })
      await clock.sleep(ms, over.signal)
      signal.removeEventListener('abort', end)
      waiting.delete(end)
    },
  }
}
