// Who is let through, and whether that is fair: admissions by the leader, and workers that go on by themselves.

import type { AdmittedTask, Leadership } from '../../maintenance/scheduler-store.ts'
import type { MemorySchedulerStore } from '../../maintenance/testing/memory-scheduler-store.ts'
import type { ContinuationWish } from '../../processing/engine-store.ts'
import type { CheckDependencies } from './checks.ts'
import { isFlying } from './engine-rows.ts'

/**
 * What others may be served, in expected worker time by its weight, while a tenant waits with free room: a turn of each of
 * them, by their weights. More than twice of what deficit round robin promises here.
 */
const starvedCostMs = 30_000

export function createAdmissionChecks(
  { store, expect }: Pick<CheckDependencies, 'store' | 'expect'>,
  scheduler: MemorySchedulerStore,
) {
  const { tables } = store
  const waitingCostMs = new Map<string, number>()
  /** Moments of the starts of tenants that have a rate. */
  const startsMs = new Map<number, number[]>()

  /** From each start to this moment: so many as have come in since, and those that a full bucket holds. */
  function checkRates(admitted: readonly AdmittedTask[]): void {
    for (const [tenantId, tasks] of Map.groupBy(admitted, (task) => task.tenantId)) {
      const { startsPerSecond } = tables.tenants.get(tenantId) ?? {}
      if (typeof startsPerSecond !== 'number') continue
      const starts = startsMs.get(tenantId) ?? []
      startsMs.set(tenantId, [...starts, ...tasks.map(() => store.now())])
      for (const [index, atMs] of [...starts, store.now()].entries()) {
        const count = starts.length + tasks.length - index
        const allowed = Math.max(1, startsPerSecond) + (startsPerSecond * (store.now() - atMs)) / 1_000
        expect(count <= allowed + 1e-3, 'C3', () => `tenant ${tenantId}: ${count} starts, ${allowed} allowed`)
      }
    }
  }

  /** Of those who wait with free room, nobody is passed over again and again. */
  function checkTurns(
    admitted: readonly AdmittedTask[],
    queued: ReadonlySet<string>,
    flying: ReadonlyMap<number, number>,
  ): void {
    const served = new Set(admitted.map(({ lane, tenantId }) => `${lane} ${tenantId}`))
    for (const key of waitingCostMs.keys()) if (!queued.has(key) || served.has(key)) waitingCostMs.delete(key)
    for (const key of queued) {
      if (served.has(key)) continue
      const [lane, tenantId] = key.split(' ').map(Number)
      const { runningMax = Infinity, weight = 1, startsPerSecond = null } = tables.tenants.get(tenantId ?? 0) ?? {}
      // Whether it could have had its turn is then a matter of its rate.
      if ((flying.get(tenantId ?? 0) ?? 0) >= runningMax || startsPerSecond !== null) continue
      const servedMs = waitingCostMs.get(key)
      if (servedMs === undefined) {
        waitingCostMs.set(key, 0) // These may have been picked before it came.
        continue
      }
      const others = admitted.filter((task) => task.lane === lane && task.tenantId !== tenantId)
      const costMs = others.reduce((sum, task) => sum + task.costMs, 0) * weight
      const waitedMs = servedMs + costMs
      waitingCostMs.set(key, waitedMs)
      expect(
        waitedMs <= starvedCostMs,
        'F1',
        () => `tenant ${tenantId} waits in lane ${lane} while others got ${waitedMs} ms`,
      )
    }
  }

  return {
    /**
     * In the moment of the statement, by what is committed: of the tasks that end with it, each makes room for one. What a
     * transaction holds waits no more, be it admitted or, in the one that asks, cancelled with its job.
     */
    continues: (wishes: readonly ContinuationWish[], allowed: ReadonlySet<number>): void => {
      for (const { tenantId, lane } of wishes) {
        if (!allowed.has(tenantId)) continue
        const { runningMax = Infinity, startsPerSecond = null } = tables.tenants.get(tenantId) ?? {}
        const tasks = [...tables.tasks.rows.values()]
        const waiting = tasks.find(
          (task) =>
            (task.tenantId !== tenantId || task.lane < lane) &&
            ['queued', 'dispatched'].includes(task.state) &&
            !tables.tasks.locks.has(task.id),
        )
        expect(waiting === undefined, 'F2', () => `tenant ${tenantId} goes on while task ${waiting?.id} waits`)
        const inFlight = tasks.filter((task) => task.tenantId === tenantId && isFlying(task)).length
        const isWithin = inFlight <= runningMax && startsPerSecond === null
        expect(isWithin, 'C1', () => `tenant ${tenantId} goes on with ${inFlight} in flight, at most ${runningMax}`)
      }
    },

    /** In the moment of the statement. */
    admits: (leadership: Leadership, admitted: readonly AdmittedTask[]): void => {
      const { lease } = scheduler
      const leads = lease?.epoch === leadership.epoch && lease.owner === leadership.owner && lease.untilMs > store.now()
      expect(admitted.length === 0 || leads, 'C2', () => `epoch ${leadership.epoch} admits, ${lease?.epoch} leads`)
      const flying = new Map<number, number>()
      const queued = new Set<string>()
      for (const task of tables.tasks.rows.values()) {
        if (isFlying(task)) flying.set(task.tenantId, (flying.get(task.tenantId) ?? 0) + 1)
        if (task.state === 'queued') queued.add(`${task.lane} ${task.tenantId}`)
      }
      for (const tenantId of new Set(admitted.map((task) => task.tenantId))) {
        const { runningMax = Infinity } = tables.tenants.get(tenantId) ?? {}
        const inFlight = flying.get(tenantId) ?? 0
        expect(
          inFlight <= runningMax,
          'C1',
          () => `tenant ${tenantId} has ${inFlight} in flight, at most ${runningMax}`,
        )
      }
      checkRates(admitted)
      checkTurns(admitted, queued, flying)
    },
  }
}
