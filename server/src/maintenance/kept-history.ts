// Forgets what a tenant does not want to keep any longer: what its jobs made, its jobs and batches, its audit events. Only
// tenants that have set a time are looked at, and a piece at a time, so that nobody waits for it.

import type { Database } from '../platform/database.ts'
import type { Service } from '../platform/service.ts'
import type { DutyDependencies } from './duty-dependencies.ts'
import { createDuty } from './duty.ts'
import { forget, listKeptDays, type KeptDays } from './kept-history.sql.ts'

const lookMs = 60_000
/** A piece of some tens of milliseconds. */
const forgetCountMax = 2_000

/** One piece of each kind; answers whether there may be more. */
export async function forgetSome(database: Database, kept: KeptDays, limit: number): Promise<boolean> {
  const { tenant_id: tenantId, results_kept_days: results, jobs_kept_days: jobs, audit_kept_days: audit } = kept
  const counts: number[] = []
  // Results first: a job that goes takes its own with it.
  if (results !== null) counts.push(await forget(database, 'results', { tenantId, keptDays: results, limit }))
  if (jobs !== null) {
    counts.push(await forget(database, 'jobs', { tenantId, keptDays: jobs, limit }))
    counts.push(await forget(database, 'batches', { tenantId, keptDays: jobs, limit }))
  }
  if (audit !== null) counts.push(await forget(database, 'audit', { tenantId, keptDays: audit, limit }))
  return counts.some((count) => count >= limit)
}

export function createKeptHistory(deps: DutyDependencies & { database: Database }): Service {
  const { leader, database, wake, clock, log } = deps
  return createDuty({
    name: 'kept-history',
    wake,
    clock,
    log,
    async look(signal) {
      let isMore = false
      for (const kept of leader.current() === undefined ? [] : await listKeptDays(database)) {
        if (signal.aborted) break
        if (await forgetSome(database, kept, forgetCountMax)) isMore = true
      }
      return isMore ? 1_000 : lookMs
    },
  })
}
