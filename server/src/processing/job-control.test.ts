import { expect, it } from 'vitest'
import type { RowId } from '../platform/ids.ts'
import { createLocalWakeBus } from '../platform/wake.ts'
import { createEngine } from './engine.ts'
import type { EngineStep, NewTask } from './engine-store.ts'
import { createJobControl } from './job-control.ts'
import { createMemoryStore, freshFile } from './testing/memory-store.ts'
import { testCatalogue } from './testing/processors.ts'
import { testObject, toDefinition } from './testing/test-rows.ts'

const tenantId = 1
const jobId = 0 as RowId<'job'>
const fileId = 1_000 as RowId<'file'>
const definition = toDefinition({
  pages: { uses: 'document.render' },
  texts: { uses: 'document.text', needs: ['pages'], each: 'pages' },
})

const step = (name: string, position: number, tasksTotal: number, state: EngineStep['state']): EngineStep => ({
  jobId,
  name,
  position,
  state,
  tasksTotal,
  tasksPending: 0,
  tasksFailed: 0,
  expandedTo: null,
  problem: null,
})

const task = (name: string): NewTask => ({
  tenantId,
  jobId,
  step: name,
  ordinal: 0,
  lane: 1,
  rank: 0,
  costMs: 1,
  attemptsMax: 3,
  input: {
    processor: 'document.text',
    stage: 'analyze',
    parameters: {},
    files: [],
    timeoutMs: 1,
    memoryBytes: 1,
    backoff: { initial_ms: 1, max_ms: 1 },
  },
})

it('splits a step anew that was cancelled while it was being split', async () => {
  const store = createMemoryStore(() => 0)
  const { tables } = store
  tables.definitions.set(1, definition)
  const object = { sizeBytes: 1, sha256: '', objectId: '', depth: 0, version: 1 }
  tables.files.set(fileId, { fileId, name: 'a.pdf', contentType: 'application/pdf', ...object, ...freshFile() })
  const estimates = { costMs: () => 1, learn: () => {}, refresh: async () => {} }
  const engine = createEngine({ store, catalogue: testCatalogue, estimates, random: () => 0 })
  const control = createJobControl({ engine, wake: createLocalWakeBus() })
  const insertedId = await store.transaction(async (tx) => {
    const id = await tx.insertJob({
      tenantId,
      fileId,
      fileVersion: 1,
      pipelineVersionId: 1,
      lane: 1,
      createdBy: 'system',
      parentJobId: null,
      stepsPending: 0,
      progressPercent: 50,
      recordsCount: null,
      problem: null,
      virtualMs: 0,
      tasksMoving: false,
      remainingMs: 0,
      state: 'cancelled',
      steps: [step('pages', 0, 1, 'succeeded'), step('texts', 1, 1, 'cancelled')],
      tasks: [task('texts')],
    })
    // Of three pages, the first has its task; it was cancelled with the job.
    await tx.cancelIdleTasks([id], 1)
    await tx.insertOutputs(
      ['1.png', '2.png', '3.png'].map((name) => ({
        tenantId,
        jobId: id,
        taskId: 1,
        step: 'pages',
        processor: 'document.render',
        processorVersion: 1,
        name,
        contentType: 'image/png',
        object: testObject(tenantId),
      })),
    )
    return id
  })

  await control.retryJob(tenantId, insertedId, 'system')
  const tasks = [...tables.tasks.ofJob(insertedId)]
  expect(tasks.map(({ state, ordinal }) => `${state} ${ordinal}`)).toEqual(['queued 0', 'queued 1', 'queued 2'])
  expect(tasks.flatMap(({ input }) => input.files.map(({ name }) => name))).toEqual(['1.png', '2.png', '3.png'])
})
