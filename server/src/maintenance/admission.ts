// Admission: from the backlog into the ready queue, so that whoever waits for a worker is a fair selection of all who
// wait. The ready queue is kept shallow, about twice the worker slots, because what lies in it can no longer be put in
// another order: a tenant's first task waits for what is in it and not for another tenant's million. Where the worker is in
// this process, there is room for what it waits for, and what is admitted is handed to it.

import type { Clock } from '../platform/clock.ts'
import type { ClaimedTask } from '../processing/engine-store.ts'
import { bunchMs } from '../queue/bunches.ts'
import type { HandOut } from '../queue/hand-out.ts'
import type { OfferedTask, ReadyQueue } from '../queue/ready-queue.ts'
import { createFairShare, type Contender, type Pick, type Turn } from './fair-share.ts'
import type { Leader } from './leader.ts'
import type { AdmitOrder, AdmittedTask, BackloggedTenant, Leadership, SchedulerStore } from './scheduler-store.ts'

export interface AdmissionDependencies {
  store: SchedulerStore
  queue: ReadyQueue | HandOut<ClaimedTask>
  leader: Leader
  clock: Clock
  pool: number
  dispatchLeaseMs: number
}

/** What is not claimed within this time goes back; only a lost hint takes so long. */
export const dispatchLeaseMsDefault = 30_000
/** Ready tasks per worker slot: enough that no slot waits for admission, few enough that order still matters. */
const depthPerSlot = 2
/**
 * Of short parts of a fan-out more, as long as each slot has no more than so much expected work before it. Of other short
 * tasks not: a worker goes on with what follows them, however long that takes.
 */
const workAheadMs = 40
/** While no worker has been seen. */
const depthUnseen = 16
/** One statement admits at most so many. */
const admitCountMax = 1_000
const tenantsCountMax = 10_000
/** The cap of a tenant that has none; so many tasks are never in flight. */
const uncapped = 1_000_000
/** Once there are any: while no worker has been seen, each look asks for the first. */
const slotsMaxAgeMs = 2_000
/** A queue too full for tasks as long as those that waited is looked at anew after so long, for shorter ones that came. */
const fullMaxAgeMs = 50
const intactMaxAgeMs = 1_000

/** Where tasks can go now. */
interface Room {
  /** For so many tasks of such a cost. */
  countOf(costMs: number): number
  fill(turns: readonly Turn[], orders: readonly AdmitOrder[], leadership: Leadership): Promise<AdmittedTask[]>
}

export interface Admission {
  /** Admits what there is room for; answers how many, and what others are waiting for, if they are. */
  admit(): Promise<{ count: number; waiting: 'room' | 'tokens' | undefined }>
}

export function createAdmission(deps: AdmissionDependencies): Admission {
  const { store, queue, leader, clock, pool, dispatchLeaseMs } = deps
  const fairShare = createFairShare()
  let slots = 0
  let slotsAtMs = -Infinity
  let intactAtMs = -Infinity
  /** The depth at which there was no room for what waited. */
  let full: { depth: number; atMs: number } | undefined
  /**
   * What tenants have in flight at most: what was counted and what has been admitted since. Only the leader admits, so it
   * holds within one epoch.
   */
  const inFlightMax = new Map<number, number>()
  let countedEpoch: number | undefined
  /** The epoch in which the queue was found empty and has got nothing since. Only the leader offers, so it still is. */
  let emptyEpoch: number | undefined
  /** The share of parts of a fan-out among what was admitted of a tenant and lane last. */
  const partShares = new Map<string, number>()

  async function readSlots(): Promise<void> {
    const now = clock.monotonicMs()
    if (slots > 0 && now - slotsAtMs <= slotsMaxAgeMs) return
    slots = await store.countSlots()
    slotsAtMs = now
  }

  /** Asked only where something may lie in the queue: a task that comes alone to an idle engine waits for no answer. */
  async function readDepth(queue: ReadyQueue): Promise<number> {
    const epoch = leader.current()?.epoch
    if (epoch !== undefined && epoch === emptyEpoch) return 0
    const depth = await queue.depth(pool)
    emptyEpoch = depth === 0 ? epoch : undefined
    return depth
  }

  /** A transport that lost what it held is noticed at once instead of by leases that run out. */
  async function checkIntact(queue: ReadyQueue): Promise<void> {
    const now = clock.monotonicMs()
    if (now - intactAtMs < intactMaxAgeMs) return
    intactAtMs = now
    if (await queue.intact()) return
    await store.expireLeases('dispatched')
    await store.requeueExpired(tenantsCountMax)
  }

  /** Only tenants that may be near their cap are counted. */
  async function toContenders(backlog: readonly BackloggedTenant[], room: number): Promise<Contender[]> {
    const isNear = ({ tenantId, runningMax }: BackloggedTenant): boolean =>
      runningMax < uncapped && (inFlightMax.get(tenantId) ?? runningMax) + room > runningMax
    const tenantIds = [...new Set(backlog.filter(isNear).map(({ tenantId }) => tenantId))]
    if (tenantIds.length > 0) {
      const inFlight = await store.countInFlight(tenantIds)
      if (inFlightMax.size + tenantIds.length > tenantsCountMax) inFlightMax.clear()
      for (const tenantId of tenantIds) inFlightMax.set(tenantId, inFlight.get(tenantId) ?? 0)
    }
    return backlog.map(({ lane, tenantId, weight, costMs, runningMax, startsFree }) => ({
      lane,
      tenantId,
      weight,
      costMs,
      // Whoever is not counted, or was forgotten a moment ago with all others, is far from his cap or has none.
      free: Math.min(room, startsFree ?? room, Math.max(0, runningMax - (inFlightMax.get(tenantId) ?? 0))),
    }))
  }

  /** What remembers how much is in flight; after a failure nobody knows whether it was done. */
  async function remember<Task extends AdmittedTask>(admit: () => Promise<Task[]>): Promise<Task[]> {
    try {
      const admitted = await admit()
      for (const { tenantId } of admitted) {
        const count = inFlightMax.get(tenantId)
        if (count !== undefined) inFlightMax.set(tenantId, count + 1)
      }
      return admitted
    } catch (error) {
      inFlightMax.clear()
      throw error
    }
  }

  /** Nothing while the queue is full of tasks however short. */
  async function findRoomIn(queue: ReadyQueue): Promise<Room | undefined> {
    await checkIntact(queue)
    await readSlots()
    const depth = await readDepth(queue)
    if (depth >= depthTargetOf(slots, 0)) return undefined
    const now = clock.monotonicMs()
    if (full !== undefined && depth >= full.depth && now - full.atMs < fullMaxAgeMs) return undefined
    full = undefined
    return {
      countOf(costMs) {
        const count = depthTargetOf(slots, costMs) - depth
        if (count <= 0) full = { depth, atMs: now }
        return count
      },
      async fill(turns, orders, leadership) {
        emptyEpoch = undefined
        const admitted = await remember(() => store.admit({ pool, orders, leaseMs: dispatchLeaseMs, leadership }))
        if (admitted.length > 0) await queue.push(pool, inOrder(turns, admitted).map(toOffered))
        return admitted
      },
    }
  }

  function findRoomBeside(handOut: HandOut<ClaimedTask>): Room | undefined {
    const taker = handOut.waiting(pool)
    return (
      taker && {
        countOf: (costMs) =>
          Math.min(admitCountMax, taker.max * Math.max(1, Math.floor(bunchMs / Math.max(1, costMs)))),
        async fill(turns, orders, leadership) {
          const { worker, leaseMs } = taker
          const started = await remember(() => store.start({ pool, orders, leaseMs, worker, leadership }))
          const inTurn = inOrder(turns, started)
          handOut.give(
            pool,
            taker,
            inTurn.map(({ claimed }) => claimed),
          )
          return started
        },
      }
    )
  }

  return {
    async admit() {
      const room = queue.kind === 'in-process' ? findRoomBeside(queue) : await findRoomIn(queue)
      // A worker in this process says when it has room again.
      if (room === undefined) return { count: 0, waiting: queue.kind === 'in-process' ? undefined : 'room' }
      const backlog = await store.listBacklog(pool, tenantsCountMax)
      const [first] = backlog
      if (first === undefined) return { count: 0, waiting: undefined }
      const roomCount = room.countOf(meanOf(backlog.map(slotMsOf)))
      if (roomCount <= 0) return { count: 0, waiting: 'room' }
      const count = Math.min(roomCount, first.poolStartsFree ?? roomCount)
      const leadership = leader.current()
      if (leadership === undefined) return { count: 0, waiting: undefined }
      if (leadership.epoch !== countedEpoch) inFlightMax.clear()
      countedEpoch = leadership.epoch
      const contenders = await toContenders(backlog, count)
      const turns = fairShare.pick(contenders, count)
      if (turns.length === 0) return { count: 0, waiting: isForTokens(backlog) ? 'tokens' : 'room' }
      const orders = toOrders(turns)
      const admitted = await room.fill(turns, orders, leadership)
      charge(orders, admitted, contenders)
      return { count: admitted.length, waiting: undefined }
    },
  }

  /**
   * How long a task keeps its slot, as far as that is known: whether the next one is a part is told by those before it. One that
   * is not counts as so long at least that no more than usual lie ready, nor go out at once.
   */
  function slotMsOf({ lane, tenantId, costMs }: BackloggedTenant): number {
    const partShare = partShares.get(keyOf({ lane, tenantId })) ?? 0
    return partShare * costMs + (1 - partShare) * Math.max(costMs, workAheadMs / depthPerSlot)
  }

  /** What was picked was charged by the next task's cost; now it is known what came. */
  function charge(
    orders: readonly AdmitOrder[],
    admitted: readonly AdmittedTask[],
    contenders: readonly Contender[],
  ): void {
    const expected = new Map(contenders.map((each) => [keyOf(each), each.costMs]))
    const came = Map.groupBy(admitted, keyOf)
    if (partShares.size + came.size > tenantsCountMax) partShares.clear()
    for (const order of orders) {
      const tasks = came.get(keyOf(order)) ?? []
      if (tasks.length > 0) partShares.set(keyOf(order), meanOf(tasks.map(({ isPart }) => (isPart ? 1 : 0))))
      const costMs = tasks.reduce((sum, task) => sum + task.costMs, 0)
      fairShare.correct(order, costMs - order.count * (expected.get(keyOf(order)) ?? 0))
      if (tasks.length < order.count) fairShare.leave(order)
    }
  }
}

/** How many tasks that keep a slot so long may lie in the ready queue. A task of another tenant waits for all of them. */
export function depthTargetOf(slots: number, costMs: number): number {
  if (slots === 0) return depthUnseen
  return Math.min(admitCountMax, slots * Math.max(depthPerSlot, Math.floor(workAheadMs / Math.max(1, costMs))))
}

/** Of one number at least. */
const meanOf = (numbers: readonly number[]): number => numbers.reduce((sum, each) => sum + each, 0) / numbers.length

/** Whether time alone brings the next start of all that wait. */
const isForTokens = (backlog: readonly BackloggedTenant[]): boolean =>
  backlog.every(({ startsFree, poolStartsFree }) => (startsFree ?? 1) <= 0 || (poolStartsFree ?? 1) <= 0)

const keyOf = ({ lane, tenantId }: Pick): string => `${lane} ${tenantId}`

function toOrders(turns: readonly Turn[]): AdmitOrder[] {
  const orders = new Map<string, AdmitOrder>()
  for (const turn of turns) {
    const order = orders.get(keyOf(turn))
    orders.set(keyOf(turn), { ...turn, count: turn.count + (order?.count ?? 0) })
  }
  return [...orders.values()]
}

/** Only parts go in bunches: of others a worker goes on with what follows, and several at once would wait for its slots. */
const toOffered = ({ taskId, epoch, tenantId, costMs, isPart }: AdmittedTask): OfferedTask => ({
  taskId,
  epoch,
  tenantId,
  ...(isPart && { costMs }),
})

/** Turn by turn as they were picked, and by rank within a tenant. */
function inOrder<Task extends AdmittedTask>(turns: readonly Turn[], admitted: readonly Task[]): Task[] {
  const waiting = new Map(
    [...Map.groupBy(admitted, keyOf)].map(([key, tasks]) => [
      key,
      tasks.toSorted((a, b) => a.rank - b.rank || a.taskId - b.taskId),
    ]),
  )
  return turns.flatMap((turn) => waiting.get(keyOf(turn))?.splice(0, turn.count) ?? [])
}
