// What was verified a moment ago need not be verified again: a bounded memory of answers with an age. The age counts
// from before the question, so that a revocation is felt everywhere within it, however slow the database was.

import type { Clock } from '../platform/clock.ts'

/** Revocations reach every process within 5 s; a second of it is for the question itself. */
export const verifiedAgeMsMax = 4_000
const entriesCountMax = 20_000

export interface VerifiedCache<Value> {
  /** The remembered answer, or load's; askers at the same moment share one load. A load that throws is forgotten. */
  get(key: string, load: () => Promise<Value>): Promise<Value>
  forget(key: string): void
}

export function createVerifiedCache<Value>(options: { clock: Clock }): VerifiedCache<Value> {
  const entries = new Map<string, { atMs: number; value: Promise<Value> }>()
  return {
    get(key, load) {
      const nowMs = options.clock.monotonicMs()
      const known = entries.get(key)
      if (known && nowMs - known.atMs <= verifiedAgeMsMax) return known.value
      const entry = { atMs: nowMs, value: load() }
      entries.delete(key)
      entries.set(key, entry) // At the end, so that the map's order is by age.
      entry.value.catch(() => entries.get(key) === entry && entries.delete(key))
      for (const [oldest, { atMs }] of entries) {
        if (entries.size <= entriesCountMax && nowMs - atMs <= verifiedAgeMsMax) break
        entries.delete(oldest)
      }
      return entry.value
    },
    forget: (key) => void entries.delete(key),
  }
}
