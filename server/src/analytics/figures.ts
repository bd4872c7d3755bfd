// The figures of the installation. They are counted, not kept, so that they cannot drift; counting is shared between
// askers and never takes more than a small share of the database's time.

import type { AdminMetrics } from '@millrace/contract'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import { readFigures } from './figures.sql.ts'

export interface Figures {
  read(): Promise<AdminMetrics>
}

export interface FiguresDependencies {
  database: Database
  clock: Clock
  /** What a gigabyte costs in a month, in the currency of the operator. */
  storagePricePerGbMonth: number
}

const hoursPerMonth = 730
const throughputSeconds = 300
const ageMsMin = 1_000
/** Counting that took a second is done at most every twentieth second. */
const restFactor = 20

export function createFigures({ database, clock, storagePricePerGbMonth }: FiguresDependencies): Figures {
  let last: { untilMs: number; figures: Promise<AdminMetrics> } | undefined

  async function count(): Promise<AdminMetrics> {
    const row = await readFigures(database, { throughputSeconds })
    const sizeGb = row.total_bytes / 1e9
    return {
      system: {
        active_workers: row.active_workers,
        queued_jobs: row.queued_jobs,
        processing_throughput: row.ended_lately / (throughputSeconds / 60),
        error_rate: row.ended_in_hour === 0 ? 0 : row.failed_in_hour / row.ended_in_hour,
      },
      storage: {
        total_files: row.total_files,
        total_size_gb: sizeGb,
        storage_cost_hour: (sizeGb * storagePricePerGbMonth) / hoursPerMonth,
      },
      users: { active_tenants: row.active_tenants, total_users: row.total_users },
    }
  }

  return {
    read() {
      const startMs = clock.monotonicMs()
      if (last && startMs < last.untilMs) return last.figures
      const entry = { untilMs: Infinity, figures: count() } // Whoever asks meanwhile gets the same answer.
      const end = (): void => {
        const tookMs = clock.monotonicMs() - startMs
        entry.untilMs = startMs + Math.max(ageMsMin, tookMs * restFactor)
      }
      entry.figures.then(end, () => (entry.untilMs = 0))
      last = entry
      return entry.figures
    },
  }
}
