// Work that lies in the database until its time: claimed a few at a time, by a lease, and done beside each other until
// the service stops. What becomes of a piece is said by whoever does it; one that throws is told and left to its lease.

import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import type { Service } from '../../platform/service.ts'

export interface DueWork extends Service {
  /** Takes what is due and resolves when it is done with; for tests. Answers how many pieces that were. */
  runDue(): Promise<number>
}

export interface DueWorkOptions<Piece> {
  name: string
  clock: Clock
  log: Log
  lookEveryMs: number
  atOnceMax: number
  claim(limit: number): Promise<Piece[]>
  work(piece: Piece, stop: AbortSignal): Promise<void>
  /** For the log: of which thing it is. */
  idsOf(piece: Piece): Record<string, string>
}

export function createDueWork<Piece>(options: DueWorkOptions<Piece>): DueWork {
  const { name, clock, log, lookEveryMs, atOnceMax } = options
  const stopping = new AbortController()
  const running = new Set<Promise<void>>()

  function begin(piece: Piece): Promise<void> {
    const work = options
      .work(piece, stopping.signal)
      .catch((error: unknown) => log.warn('import.left', { ...options.idsOf(piece), error: String(error) }))
      .finally(() => running.delete(work))
    running.add(work)
    return work
  }

  async function claim(): Promise<Promise<void>[]> {
    const limit = atOnceMax - running.size
    if (limit <= 0 || stopping.signal.aborted) return []
    return (await options.claim(limit)).map(begin)
  }

  return {
    name,
    async runDue() {
      const begun = await claim()
      await Promise.all(begun)
      return begun.length
    },
    async start(signal) {
      const ended = AbortSignal.any([signal, stopping.signal])
      void (async () => {
        while (!ended.aborted) {
          try {
            // Each of them says by itself what becomes of it.
            void (await claim())
          } catch (error) {
            log.warn('import.look_failed', { service: name, error: String(error) })
          }
          await clock.sleep(lookEveryMs, ended)
        }
      })()
    },
    async stop(deadlineMs) {
      stopping.abort()
      await Promise.race([Promise.all(running), clock.sleep(deadlineMs)])
    },
  }
}
