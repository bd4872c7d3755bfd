// How long tasks take: learned per processor and size class, and the catalogue's guess where nothing was learned yet.
// What is learned is written now and then and not with each task, or all workers would queue for the same few rows.

import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { Catalogue } from './catalogue.ts'

export interface EstimateRow {
  processor: string
  size_class: number
  mean_ms: number
}

export interface LearnedTime {
  processor: string
  sizeClass: number
  sumMs: number
  count: number
}

export interface EstimateStore {
  listEstimates(): Promise<EstimateRow[]>
  /** Moves each mean towards what was learned, the less the more it rests on. */
  addEstimates(learned: readonly LearnedTime[]): Promise<void>
}

export interface Estimates {
  /** Expected worker time of one task, in whole milliseconds from 1. */
  costMs(processor: string, sizeBytes: number): number
  learn(processor: string, sizeBytes: number, durationMs: number): void
  /** Writes what was learned and reads what others have; never throws. Happens by itself now and then, while in use. */
  refresh(): Promise<void>
}

/** A task that nobody knows anything about. */
const unknownCostMs = 100
/** Above a day a task is not believed. */
const costMsMax = 24 * 60 * 60_000

const sizeClassOf = (sizeBytes: number): number => (sizeBytes < 1 ? 0 : Math.floor(Math.log2(sizeBytes)))

/** As often as this, what was learned goes to the database and comes from it. */
const refreshMs = 10_000

export function createEstimates(deps: {
  store: EstimateStore
  catalogue: Catalogue
  clock: Clock
  log: Log
}): Estimates {
  const { store, catalogue, clock, log } = deps
  const means = new Map<string, number>()
  const learned = new Map<string, LearnedTime>()
  const keyOf = (processor: string, sizeClass: number): string => `${processor} ${sizeClass}`
  let refreshing: Promise<void> | undefined
  let refreshedAtMs = -Infinity

  /** In the background: whoever asks for an estimate may hold the only connection there is. */
  function refreshWhenDue(): void {
    if (clock.monotonicMs() - refreshedAtMs < refreshMs) return
    refreshing ??= refresh().finally(() => (refreshing = undefined))
  }

  async function refresh(): Promise<void> {
    refreshedAtMs = clock.monotonicMs()
    const batch = [...learned.values()]
    learned.clear()
    try {
      if (batch.length > 0) await store.addEstimates(batch)
      for (const row of await store.listEstimates()) means.set(keyOf(row.processor, row.size_class), row.mean_ms)
    } catch (error) {
      log.warn('estimates.refresh_failed', { error })
    }
  }

  return {
    costMs(processor, sizeBytes) {
      refreshWhenDue()
      const cost = catalogue.find(processor)?.cost
      const guessed = cost ? cost.baseMs + (cost.perMbMs * sizeBytes) / 1e6 : unknownCostMs
      const known = means.get(keyOf(processor, sizeClassOf(sizeBytes)))
      return Math.min(costMsMax, Math.max(1, Math.round(known ?? guessed)))
    },
    learn(processor, sizeBytes, durationMs) {
      const sizeClass = sizeClassOf(sizeBytes)
      const key = keyOf(processor, sizeClass)
      const entry = learned.get(key) ?? { processor, sizeClass, sumMs: 0, count: 0 }
      entry.sumMs += Math.min(costMsMax, Math.max(0, durationMs))
      entry.count += 1
      learned.set(key, entry)
    },
    async refresh() {
      await (refreshing ??= refresh().finally(() => (refreshing = undefined)))
    },
  }
}
