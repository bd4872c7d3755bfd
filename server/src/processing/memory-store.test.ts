import type { RowId } from '../platform/ids.ts'
import { describeEngineStore } from './engine-store.contract.ts'
import { createMemoryStore, freshFile } from './testing/memory-store.ts'

describeEngineStore('the store in memory', async () => {
  let nowMs = 0
  let lastId = 1_000_000
  const store = createMemoryStore(() => nowMs)
  const { tables } = store
  return {
    store,
    async addFile(definition) {
      const pipelineVersionId = ++lastId
      const fileId = ++lastId as RowId<'file'>
      tables.definitions.set(pipelineVersionId, definition)
      tables.files.set(fileId, {
        fileId,
        version: 1,
        name: 'data.csv',
        contentType: 'text/csv',
        sizeBytes: 100,
        sha256: 'b'.repeat(64),
        objectId: '0'.repeat(32),
        depth: 0,
        ...freshFile(),
      })
      return { tenantId: 1, fileId, pipelineVersionId }
    },
    dispatch: async (taskIds) => store.dispatch(taskIds, 30_000),
    passTime: async (ms) => void (nowMs += ms),
    listTasks: async (jobId) =>
      [...tables.tasks.ofJob(jobId)].map((task) => ({ ...task, files: task.input.files.map(({ name }) => name) })),
    countResults: async (jobId) => [...tables.results.ofJob(jobId)].length,
    listEvents: async (jobId) => tables.events.filter((event) => event.jobId === jobId).map(({ type }) => type),
    close: async () => {},
  }
})
