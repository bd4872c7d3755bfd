import { expect, it, test } from 'vitest'
import type { RowId } from '../platform/ids.ts'
import { createMemoryStore } from '../processing/testing/memory-store.ts'
import type { ReadyQueue } from '../queue/ready-queue.ts'
import { createAdmission, depthTargetOf } from './admission.ts'
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

it('keeps a tenant’s cap even while it does not know how many workers there are', async () => {
  const tenantId = 1
  const runningMax = 35
  const engine = createMemoryStore(() => 0)
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
  const file = { tenantId, fileId: 1 as RowId<'file'>, pipelineVersionId: 1 }
  await engine.transaction((tx) => tx.insertJob(newJob(file, { lane: 1, tasksCount: 100 })))
  const leadership = await store.lead({ shard: 0, owner: 'us', epoch: undefined, leaseMs: 10_000 })
  const admission = createAdmission({
    store,
    queue: drain,
    leader: { current: () => leadership, keep: async () => 1_000, resign: async () => {} },
    clock: { now: () => new Date(0), monotonicMs: () => 0, sleep: async () => {} },
    pool: 0,
    dispatchLeaseMs: 10_000,
  })
  for (let look = 0; look < 10; look++) await admission.admit()
  expect(await store.countInFlight([tenantId])).toEqual(new Map([[tenantId, runningMax]]))
})

test('few slots have short tasks before them by the dozen, and of long ones two each', () => {
  expect(depthTargetOf(2, 1)).toBe(16)
  expect(depthTargetOf(2, 10)).toBe(10)
  expect(depthTargetOf(2, 500)).toBe(4)
  expect(depthTargetOf(0, 500)).toBe(16)
})

test('many slots have two tasks each before them, as many as one look admits', () => {
  expect(depthTargetOf(50, 1)).toBe(100)
  expect(depthTargetOf(50, 5_000)).toBe(100)
  expect(depthTargetOf(5_000, 1)).toBe(1_000)
})
