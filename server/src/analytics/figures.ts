// The figures of the installation. They are counted, not kept, so that they cannot drift; counting is shared between
// askers and never takes more than a small share of the database's time.

import type { AdminMetrics, QueueResource } from '@millrace/contract'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import { encodeId } from '../platform/ids.ts'
import { countJobs, type JobsRow } from './doctor.sql.ts'
import { readFigures } from './figures.sql.ts'
import { listPools, listQueuedTenants, pinQueuePlans, type PoolRow, type QueuedTenantRow } from './queues.sql.ts'

export interface Figures {
  read(): Promise<AdminMetrics>
  readQueues(): Promise<QueueResource[]>
  /** The accounting identity: inputs are all the others together. */
  readAccounts(): Promise<JobsRow>
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
const tenantsCountMax = 100

export function createFigures({ database, clock, storagePricePerGbMonth }: FiguresDependencies): Figures {
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

  async function countQueues(): Promise<QueueResource[]> {
    return database.asSystem(async (tx) => {
      const pools = await listPools(tx)
      await pinQueuePlans(tx)
      const queues: QueueResource[] = []
      for (const pool of pools)
        queues.push(toQueueResource(pool, await listQueuedTenants(tx, pool.pool, tenantsCountMax)))
      return queues
    })
  }

  return {
    read: shared(clock, count),
    readQueues: shared(clock, countQueues),
    readAccounts: shared(clock, () => countJobs(database)),
  }
}

/** Whoever asks while an answer is being made, or soon after, gets the same. */
function shared<T>(clock: Clock, make: () => Promise<T>): () => Promise<T> {
  let last: { untilMs: number; answer: Promise<T> } | undefined
  return () => {
    const startMs = clock.monotonicMs()
    if (last && startMs < last.untilMs) return last.answer
    const entry = { untilMs: Infinity, answer: make() }
    const end = (): void => {
      const tookMs = clock.monotonicMs() - startMs
      entry.untilMs = startMs + Math.max(ageMsMin, tookMs * restFactor)
    }
    entry.answer.then(end, () => (entry.untilMs = 0))
    last = entry
    return entry.answer
  }
}

const toQueueResource = (pool: PoolRow, tenants: readonly QueuedTenantRow[]): QueueResource => ({
  pool: pool.pool,
  slots: pool.slots,
  slots_wanted: pool.slots_wanted,
  backlog_tasks: pool.backlog_count,
  oldest_wait_seconds: pool.oldest_wait_ms / 1_000,
  drain_seconds: pool.drain_seconds,
  updated_at: pool.updated_at?.toISOString() ?? null,
  tenants: tenants.map((row) => ({
    tenant_id: encodeId('tenant', row.tenant_id),
    backlog_tasks: row.backlog,
    in_flight_tasks: row.in_flight,
    oldest_wait_seconds: row.oldest_wait_seconds,
    weight: row.weight,
    running_max: row.running_max,
    paused: row.paused,
  })),
})
