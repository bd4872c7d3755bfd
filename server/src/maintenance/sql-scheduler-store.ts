import { retryConflicts, type Database } from '../platform/database.ts'
import { deleteOldKeys } from '../platform/idempotency.sql.ts'
import type { EndedTask } from '../processing/settlement.ts'
import { orderedPlans, pinPlans } from '../processing/pinned-plans.sql.ts'
import { startTasks, toClaimedTasks, toHeldTask } from '../processing/task.sql.ts'
import * as statements from './scheduler.sql.ts'
import type { AdmittedTask, SchedulerStore } from './scheduler-store.ts'

export function createSqlSchedulerStore(database: Database): SchedulerStore {
  const starting = database.ofSystem(orderedPlans)
  return {
    lead: async (wanted) => {
      const epoch = await statements.takeLead(database, wanted)
      return epoch === undefined ? undefined : { shard: wanted.shard, owner: wanted.owner, epoch }
    },
    resign: (leadership) => statements.resignLead(database, leadership),
    countSlots: () => statements.countSlots(database),
    listBacklog: async (pool, limit) =>
      (await statements.listBacklog(database, pool, limit)).map((row) => ({
        lane: row.lane,
        tenantId: row.tenant_id,
        costMs: row.cost_ms,
        weight: row.weight,
        runningMax: row.running_max,
        startsFree: row.starts_free,
        poolStartsFree: row.pool_starts_free,
      })),
    countInFlight: async (tenantIds) =>
      new Map((await statements.countInFlight(database, tenantIds)).map((row) => [row.tenant_id, row.count])),
    // What is run again on a conflict locks many rows in no order, beside claims, reports and a second leader that do, too.
    admit: async (admission) =>
      (await retryConflicts(() => statements.admitTasks(database, admission))).map((row) =>
        toAdmitted(row, row.is_part),
      ),
    start: async (start) => {
      const rows = await retryConflicts(() => startTasks(starting, start))
      const claimed = toClaimedTasks(rows)
      return rows.map((row, index) => ({ ...toAdmitted(row, row.ordinal > 0), claimed: claimed[index]! }))
    },
    requeueExpired: (limit) => statements.requeueExpired(database, limit),
    expireLeases: (which) => retryConflicts(() => statements.expireLeases(database, which)),
    listLost: async (limit) =>
      (await statements.listLost(database, limit)).map((row) => ({ ...toEndedTask(row), lostCount: row.lost_count })),
    promoteDelayed: (limit) => statements.promoteDelayed(database, limit),
    listUnfinished: (limit) =>
      database.asSystem(async (tx) => {
        await pinPlans(tx)
        const rows = await statements.listUnfinished(tx, limit)
        return rows.map(({ job_id: jobId, kind }) => ({ jobId, kind }))
      }),
    listAbandoned: async (graceMs, limit) =>
      (await statements.listAbandoned(database, graceMs, limit)).map(toEndedTask),
    writeDemand: (pool, slots) =>
      database.asSystem(async (tx) => {
        await pinPlans(tx)
        await statements.writeDemand(tx, pool, slots)
      }),
    archiveTasks: (endedMs, limit) => statements.archiveTasks(database, endedMs, limit),
    deleteOldAttempts: (keptMs, limit) => statements.deleteOldAttempts(database, keptMs, limit),
    deleteOldEvents: (keptMs, limit) => statements.deleteOldEvents(database, keptMs, limit),
    deleteOldKeys: (keptMs, limit) => deleteOldKeys(database, { keptMs, limit }),
    deleteOldWorkers: (keptMs) => statements.deleteOldWorkers(database, keptMs),
  }
}

const toAdmitted = (row: Omit<statements.AdmittedRow, 'is_part'>, isPart: boolean): AdmittedTask => ({
  taskId: row.id,
  epoch: row.lease_epoch,
  tenantId: row.tenant_id,
  lane: row.lane,
  costMs: row.cost_ms,
  rank: row.rank,
  isPart,
})

const toEndedTask = (row: statements.EndedTaskRow): EndedTask => ({ ...toHeldTask(row), backoff: row.backoff })
