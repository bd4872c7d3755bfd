import { expect, it, test } from 'vitest'
import type { RowId } from '../platform/ids.ts'
import { createMemoryStore } from '../processing/testing/memory-store.ts'
import type { ReadyQueue } from '../queue/ready-queue.ts'
import { createAdmission, depthTargetOf, type Admission } from './admission.ts'
import { newJob } from '../processing/testing/test-rows.ts'
import { createMemorySchedulerStore } from './testing/memory-scheduler-store.ts'

/** Takes what is pushed away at once, as many workers would that nobody has seen yet. */
const drain: ReadyQueue = {
  kind: 'bullmq',
  push: async () => {},
  depth: async () => 0,
  take: async () => [],
  intact: async () => true,
  close: async () => {},
}

/** Nobody takes from it but the test. */
function createFilling() {
  let depth = 0
  return {
    ...drain,
    depth: async () => depth,
    push: async (_: number, tasks: readonly unknown[]) => void (depth += tasks.length),
    takeOne: () => void (depth -= 1),
  }
}

/** Of one tenant, who has so many tasks of 10 ms waiting, all parts of one fan-out but the first. */
async function openAdmission({ runningMax = 1_000_000, tasksCount = 100, queue = drain, slots = 0 } = {}) {
  const tenantId = 1
  let nowMs = 0
  const engine = createMemoryStore(() => nowMs)
  const store = createMemorySchedulerStore(engine)
  const { tables } = engine
  tables.tenants.set(tenantId, {
    weight: 1,
    runningMax,
    paused: false,
    virtualMs: [0, 0, 0],
    startsPerSecond: null,
    startsFromMs: 0,
  })
  if (slots > 0) store.seeWorker('worker_1', slots)
  const file = { tenantId, fileId: 1 as RowId<'file'>, pipelineVersionId: 1 }
  const submit = (count: number) =>
    engine.transaction((tx) => tx.insertJob(newJob(file, { lane: 1, tasksCount: count })))
  if (tasksCount > 0) await submit(tasksCount)
  /** Each the first task of a job of its own. */
  const submitSingly = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) await submit(1)
  }
  const leadership = await store.lead({ shard: 0, owner: 'us', epoch: undefined, leaseMs: 10_000 })
  let listedCount = 0
  const admission = createAdmission({
    store: {
      ...store,
      listBacklog: (...wanted) => {
        listedCount++
        return store.listBacklog(...wanted)
      },
    },
    queue,
    leader: { current: () => leadership, keep: async () => 1_000, resign: async () => {} },
    clock: { now: () => new Date(nowMs), monotonicMs: () => nowMs, sleep: async () => {} },
    pool: 0,
    dispatchLeaseMs: 10_000,
  })
  return {
    tenantId,
    store,
    admission,
    submitSingly,
    listedCount: () => listedCount,
    pass: (ms: number) => void (nowMs += ms),
  }
}

/** Between looks a worker takes one. */
async function depthAfterLooks(admission: Admission, queue: ReturnType<typeof createFilling>): Promise<number> {
  for (let look = 0; look < 10; look++) {
    await admission.admit()
    queue.takeOne()
  }
  await admission.admit()
  return queue.depth()
}

it('keeps a tenant’s cap even while it does not know how many workers there are', async () => {
  const runningMax = 35
  const { tenantId, store, admission } = await openAdmission({ runningMax })
  for (let look = 0; look < 10; look++) await admission.admit()
  expect(await store.countInFlight([tenantId])).toEqual(new Map([[tenantId, runningMax]]))
})

it('reads the backlog again when the queue is less full, or after a while', async () => {
  const queue = createFilling()
  const { admission, submitSingly, listedCount, pass } = await openAdmission({ queue, slots: 2, tasksCount: 0 })
  await submitSingly(100)
  const look = async () => ({ ...(await admission.admit()), listed: listedCount() })
  expect(await look()).toEqual({ count: 4, waiting: undefined, listed: 1 })
  expect(await look()).toEqual({ count: 0, waiting: 'room', listed: 2 })
  expect(await look()).toEqual({ count: 0, waiting: 'room', listed: 2 })
  queue.takeOne()
  expect(await look()).toEqual({ count: 1, waiting: undefined, listed: 3 })
  expect(await look()).toEqual({ count: 0, waiting: 'room', listed: 4 })
  pass(50)
  expect(await look()).toEqual({ count: 0, waiting: 'room', listed: 5 })
})

it('offers more as soon as the first worker has come', async () => {
  const queue = createFilling()
  const { store, admission } = await openAdmission({ queue })
  expect((await admission.admit()).count).toBe(16)
  store.seeWorker('worker_1', 10)
  await admission.admit()
  expect(await queue.depth()).toBeGreaterThan(depthTargetOf(10, 20))
})

it('offers as many short parts of a fan-out as slots are done with in a moment, once it knows that they are parts', async () => {
  const queue = createFilling()
  const { admission } = await openAdmission({ queue, slots: 2, tasksCount: 1_000 })
  expect(await depthAfterLooks(admission, queue)).toBe(depthTargetOf(2, 10))
})

it('offers two tasks for each slot of those that are followed by others, however short they are', async () => {
  const queue = createFilling()
  const { admission, submitSingly } = await openAdmission({ queue, slots: 2, tasksCount: 0 })
  await submitSingly(100)
  expect(await depthAfterLooks(admission, queue)).toBe(depthTargetOf(2, 500))
})

it('asks an empty queue how full it is only after it has offered something', async () => {
  const queue = createFilling()
  let askedCount = 0
  const depth = (): Promise<number> => {
    askedCount++
    return queue.depth()
  }
  const { admission, submitSingly } = await openAdmission({ queue: { ...queue, depth }, slots: 2, tasksCount: 0 })
  for (let look = 0; look < 5; look++) await admission.admit()
  expect(askedCount).toBe(1)
  await submitSingly(20)
  expect(await admission.admit()).toEqual({ count: 4, waiting: undefined })
  expect(askedCount).toBe(1)
  expect(await admission.admit()).toEqual({ count: 0, waiting: 'room' })
  expect(askedCount).toBe(2)
})

test('each slot has two tasks before it, or as many short parts as it is done with in a moment', () => {
  expect(depthTargetOf(2, 500)).toBe(4)
  expect(depthTargetOf(50, 20)).toBe(100)
  expect(depthTargetOf(2, 10)).toBe(8)
  expect(depthTargetOf(2, 0.1)).toBe(80)
})

test('no more is offered than one look admits, and little while no worker has been seen', () => {
  expect(depthTargetOf(5_000, 500)).toBe(1_000)
  expect(depthTargetOf(50, 1)).toBe(1_000)
  expect(depthTargetOf(0, 1)).toBe(16)
})
