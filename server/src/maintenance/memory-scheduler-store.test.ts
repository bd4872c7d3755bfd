import type { RowId } from '../platform/ids.ts'
import { createMemoryStore, freshFile } from '../processing/testing/memory-store.ts'
import { describeSchedulerStore } from './scheduler-store.contract.ts'
import { newJob, oneStepDefinition } from '../processing/testing/test-rows.ts'
import { createMemorySchedulerStore } from './testing/memory-scheduler-store.ts'

describeSchedulerStore('the duties’ store in memory', async () => {
  let nowMs = 0
  let lastId = 1_000_000
  const engine = createMemoryStore(() => nowMs)
  const scheduler = createMemorySchedulerStore(engine)
  const { tables } = engine
  return {
    scheduler,
    engine,
    async setPool(pool, share) {
      tables.pools.set(pool, { startsFromMs: -Infinity, ...share })
    },
    async addTenant({ startsPerSecond = null, ...tenant }) {
      const tenantId = ++lastId
      tables.tenants.set(tenantId, { ...tenant, startsPerSecond, startsFromMs: -Infinity, virtualMs: [0, 0, 0] })
      return tenantId
    },
    async addJob({ tenantId, ...job }) {
      const pipelineVersionId = ++lastId
      const fileId = ++lastId as RowId<'file'>
      tables.definitions.set(pipelineVersionId, oneStepDefinition)
      const object = { sizeBytes: 100, sha256: 'b'.repeat(64), objectId: '0'.repeat(32) }
      const named = { fileId, version: 1, name: 'data.csv', contentType: 'text/csv', depth: 0 }
      tables.files.set(fileId, { ...named, ...object, ...freshFile() })
      return engine.transaction((tx) => tx.insertJob(newJob({ tenantId, fileId, pipelineVersionId }, job)))
    },
    seeWorker: async (name, slots) => scheduler.seeWorker(name, slots),
    passTime: async (ms) => void (nowMs += ms),
    close: async () => {},
  }
})
