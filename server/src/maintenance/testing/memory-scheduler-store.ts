// What the duties need, over the engine's tables in memory. Each method is one statement that waits for nobody: what
// another transaction holds at this moment is passed over, as SKIP LOCKED does.

import { isJobEnded } from '@millrace/contract'
import type { EndedTask } from '../../processing/settlement.ts'
import { isIdle, type MemoryStore } from '../../processing/testing/memory-store.ts'
import type {
  MemoryBucket,
  MemoryJob,
  MemoryTask,
  MemoryTransaction,
  Table,
} from '../../processing/testing/memory-tables.ts'
import type {
  AdmitOrder,
  AdmittedTask,
  BackloggedTenant,
  Leadership,
  SchedulerStore,
  UnfinishedJob,
} from '../scheduler-store.ts'

export interface MemorySchedulerStore extends SchedulerStore {
  /** A worker's sign of life, with the slots it has. */
  seeWorker(name: string, slots: number): void
  /** The lead as the database has it. */
  readonly lease: { owner: string; epoch: number; untilMs: number } | undefined
}

const workerSeenMs = 60_000
const runningMaxDefault = 1_000_000

export function createMemorySchedulerStore(store: MemoryStore): MemorySchedulerStore {
  const { tables, now } = store
  const workers = new Map<string, { slots: number; seenMs: number }>()
  let lease: { owner: string; epoch: number; untilMs: number } | undefined

  const freeTasks = (isWanted: (task: MemoryTask) => boolean): MemoryTask[] =>
    [...tables.tasks.rows.values()].filter((task) => isWanted(task) && !tables.tasks.locks.has(task.id))

  const byLease = (a: MemoryTask, b: MemoryTask): number => (a.leaseUntilMs ?? 0) - (b.leaseUntilMs ?? 0)
  const byRank = (a: MemoryTask, b: MemoryTask): number => a.rank - b.rank || a.id - b.id

  function requeue(tasks: readonly MemoryTask[]): number {
    store.atOnce((tx) => {
      for (const task of tasks) store.move(tx, task, { state: 'queued' })
    })
    return tasks.length
  }

  function spendTokens<Row extends MemoryBucket>(
    tx: MemoryTransaction,
    table: Table<Row>,
    { key, count }: { key: number; count: number },
  ): void {
    const row = tx.get(table, key)
    if (row === undefined || row.startsPerSecond === null) return
    const fullMs = now() - 1_000 * Math.max(1, 1 / row.startsPerSecond)
    const startsFromMs = Math.max(row.startsFromMs, fullMs) + (1_000 * count) / row.startsPerSecond
    tx.put<Row>(table, key, { ...row, startsFromMs })
  }

  function advanceVirtualTime(tx: MemoryTransaction, tenantId: number, admitted: readonly AdmittedTask[]): void {
    const tenant = tx.get(tables.tenants, tenantId)
    if (tenant === undefined) return
    const rankMax = (lane: number): number =>
      Math.max(0, ...admitted.filter((task) => task.lane === lane).map(({ rank }) => rank))
    const virtualMs = tenant.virtualMs.map((ms, lane) => Math.max(ms, rankMax(lane)))
    tx.put(tables.tenants, tenantId, { ...tenant, virtualMs })
  }

  const leads = ({ owner, epoch }: Leadership): boolean =>
    lease?.owner === owner && lease.epoch === epoch && lease.untilMs > now()

  const pick = (orders: readonly AdmitOrder[]): MemoryTask[] =>
    orders.flatMap(({ lane, tenantId, count }) =>
      freeTasks((task) => task.state === 'queued' && task.lane === lane && task.tenantId === tenantId)
        .toSorted(byRank)
        .slice(0, count),
    )

  function charge(tx: MemoryTransaction, pool: number, admitted: readonly AdmittedTask[]): void {
    for (const [tenantId, tasks] of Map.groupBy(admitted, (task) => task.tenantId)) {
      spendTokens(tx, tables.tenants, { key: tenantId, count: tasks.length })
      advanceVirtualTime(tx, tenantId, tasks)
    }
    spendTokens(tx, tables.pools, { key: pool, count: admitted.length })
  }

  return {
    get lease() {
      return lease
    },
    seeWorker: (name, slots) => void workers.set(name, { slots, seenMs: now() }),
    async lead({ shard, owner, epoch, leaseMs }) {
      const keeps = lease !== undefined && lease.owner === owner && lease.epoch === epoch
      const isOver = lease === undefined || lease.untilMs <= now()
      if (!keeps && !isOver) return undefined
      lease = { owner, epoch: keeps && !isOver ? epoch : (lease?.epoch ?? 0) + 1, untilMs: now() + leaseMs }
      return { shard, owner, epoch: lease.epoch }
    },
    async resign({ owner, epoch }) {
      if (lease?.owner === owner && lease.epoch === epoch) lease = { ...lease, untilMs: now() }
    },
    countSlots: async () =>
      [...workers.values()]
        .filter(({ seenMs }) => seenMs > now() - workerSeenMs)
        .reduce((sum, { slots }) => sum + slots, 0),
    async listBacklog(poolNumber, limit) {
      const pool = tables.pools.get(poolNumber)
      if (pool?.paused) return []
      const heads = new Map<string, MemoryTask>()
      for (const task of tables.tasks.rows.values()) {
        if (task.state !== 'queued') continue
        const key = `${task.lane} ${task.tenantId}`
        const head = heads.get(key)
        if (head === undefined || byRank(task, head) < 0) heads.set(key, task)
      }
      return [...heads.values()]
        .toSorted((a, b) => a.lane - b.lane || a.tenantId - b.tenantId)
        .slice(0, limit)
        .flatMap(({ lane, tenantId, costMs }): BackloggedTenant[] => {
          const tenant = tables.tenants.get(tenantId)
          const { weight = 1, runningMax = runningMaxDefault, paused = false } = tenant ?? {}
          const tokens = { startsFree: tokensOf(tenant, now()), poolStartsFree: tokensOf(pool, now()) }
          return paused ? [] : [{ lane, tenantId, costMs, weight, runningMax, ...tokens }]
        })
    },
    async countInFlight(tenantIds) {
      const counts = new Map<number, number>()
      for (const { state, tenantId } of tables.tasks.rows.values()) {
        if (state !== 'dispatched' && state !== 'running') continue
        if (tenantIds.includes(tenantId)) counts.set(tenantId, (counts.get(tenantId) ?? 0) + 1)
      }
      return counts
    },
    async admit({ pool, orders, leaseMs, leadership }) {
      if (!leads(leadership)) return []
      return store.atOnce((tx) => {
        const admitted = pick(orders).map((task) => {
          const epoch = task.epoch + 1
          store.move(tx, task, { state: 'dispatched', epoch, leaseUntilMs: now() + leaseMs })
          return toAdmitted(task, epoch)
        })
        charge(tx, pool, admitted)
        return admitted
      })
    },
    async start({ pool, orders, leaseMs, leadership }) {
      if (!leads(leadership)) return []
      const claimed = await store.start(() => pick(orders), leaseMs)
      const started = claimed.flatMap((task) => {
        const row = tables.tasks.get(task.taskId)
        return row === undefined ? [] : [{ ...toAdmitted(row, task.epoch), claimed: task }]
      })
      store.atOnce((tx) => charge(tx, pool, started))
      return started
    },
    requeueExpired: async (limit) =>
      requeue(
        freeTasks(({ state, leaseUntilMs }) => state === 'dispatched' && (leaseUntilMs ?? 0) < now())
          .toSorted(byLease)
          .slice(0, limit),
      ),
    async expireLeases(which) {
      const isWanted = ({ state }: MemoryTask): boolean =>
        state === 'dispatched' || (which === 'all' && state === 'running')
      const tasks = freeTasks(isWanted)
      store.atOnce((tx) => {
        for (const task of tasks) tx.put(tables.tasks, task.id, { ...task, leaseUntilMs: now() - 1 })
      })
      return tasks.length
    },
    listLost: async (limit) =>
      [...tables.tasks.rows.values()]
        .filter(({ state, leaseUntilMs }) => state === 'running' && (leaseUntilMs ?? 0) < now())
        .toSorted(byLease)
        .slice(0, limit)
        .map((task) => ({ ...toEndedTask(task), lostCount: task.lostCount })),
    promoteDelayed: async (limit) =>
      requeue(
        freeTasks(({ state, runAtMs }) => state === 'delayed' && runAtMs <= now())
          .toSorted((a, b) => a.runAtMs - b.runAtMs)
          .slice(0, limit),
      ),
    async listUnfinished(limit) {
      const jobs = [...tables.jobs.rows.values()]
      const isExpanding = ({ id }: MemoryJob): boolean =>
        [...tables.steps.ofJob(id)].some(({ expandedTo }) => expandedTo !== null)
      const hasPending = ({ id }: MemoryJob): boolean =>
        [...tables.steps.ofJob(id)].some(({ tasksPending }) => tasksPending > 0)
      const hasIdle = ({ id }: MemoryJob): boolean => [...tables.tasks.ofJob(id)].some(isIdle)
      const isWinding = ({ state, cancelRequestedMs }: MemoryJob): boolean =>
        cancelRequestedMs !== null && !isJobEnded(state)
      const found = (kind: UnfinishedJob['kind'], isFound: (job: MemoryJob) => boolean): UnfinishedJob[] =>
        jobs
          .filter(isFound)
          .slice(0, limit)
          .map(({ id }) => ({ jobId: id, kind }))
      return [
        ...found('winding', (job) => isWinding(job) && (hasIdle(job) || isExpanding(job) || !hasPending(job))),
        ...found('moving', ({ tasksMoving }) => tasksMoving),
        ...found('splitting', (job) => isExpanding(job) && job.state !== 'paused' && !isWinding(job)),
      ]
    },
    listAbandoned: async (graceMs, limit) =>
      [...tables.jobs.rows.values()]
        .filter(({ state, cancelRequestedMs }) => !isJobEnded(state) && (cancelRequestedMs ?? now()) < now() - graceMs)
        .flatMap(({ id }) => [...tables.tasks.ofJob(id)].filter(({ state }) => state === 'running'))
        .slice(0, limit)
        .map(toEndedTask),
    writeDemand: async () => {},
    archiveTasks: async () => ({ tasks: 0, jobs: 0 }),
    deleteOldAttempts: async () => 0,
    deleteOldEvents: async () => 0,
    deleteOldKeys: async () => 0,
    deleteOldWorkers: async () => 0,
  }
}

const toAdmitted = ({ id: taskId, ordinal, ...task }: MemoryTask, epoch: number): AdmittedTask => ({
  taskId,
  epoch,
  tenantId: task.tenantId,
  lane: task.lane,
  costMs: task.costMs,
  rank: task.rank,
  isPart: ordinal > 0,
})

function tokensOf(bucket: MemoryBucket | undefined, nowMs: number): number | null {
  if (bucket === undefined || bucket.startsPerSecond === null) return null
  const { startsPerSecond, startsFromMs } = bucket
  const burst = Math.max(1, startsPerSecond)
  return Math.floor(Math.min(burst, ((nowMs - startsFromMs) / 1_000) * startsPerSecond) + 1e-6)
}

const toEndedTask = ({
  id,
  epoch,
  tenantId,
  jobId,
  step,
  ordinal,
  attempt,
  attemptsMax,
  input,
}: MemoryTask): EndedTask => ({
  taskId: id,
  epoch,
  tenantId,
  jobId,
  step,
  ordinal,
  attempt,
  attemptsMax,
  backoff: input.backoff,
})
