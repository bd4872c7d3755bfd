import { expect, it } from 'vitest'
import type { RowId } from '../platform/ids.ts'
import { advanceJobs, fanOutCountMax, inputFilesCountMax } from './advance.ts'
import type { EngineFile, EngineTx } from './engine-store.ts'
import type { JobGraph } from './job-graph.ts'
import { toNewGraph } from './start-jobs.ts'
import { testCatalogue } from './testing/processors.ts'
import { toDefinition } from './testing/test-rows.ts'

const jobId = 1 as RowId<'job'>
const fileId = 2 as RowId<'file'>
const deps = {
  catalogue: testCatalogue,
  estimates: { costMs: () => 1, learn: () => {}, refresh: async () => {} },
}
const file = {
  name: 'a.pdf',
  contentType: 'application/pdf',
  sizeBytes: 1,
  sha256: '',
  objectId: '',
  metadata: {},
  depth: 0,
}

/** What becomes of a job whose first step has made so many outputs, and the next one goes through or reads them. */
async function after(outputsCount: number, next: { each?: string }): Promise<JobGraph> {
  const definition = toDefinition({
    pages: { uses: 'document.render' },
    next: { uses: 'document.text', needs: ['pages'], ...next },
    last: { uses: 'text.join', needs: ['next'] },
  })
  const start = {
    tenantId: 3,
    fileId,
    fileVersion: 1,
    pipelineVersionId: 1,
    definition,
    lane: 1,
    createdBy: 'system',
    file,
  }
  const graph = toNewGraph(deps, { jobId, virtualMs: 0, start })
  graph.startStep('pages', 1)
  graph.beginStep('pages')
  graph.endTask('pages', 'succeeded')
  // As much of a transaction as a refusal needs.
  const tx = {
    countOutputs: async () => [{ jobId, step: 'pages', count: outputsCount, sizeBytes: outputsCount }],
  } as unknown as EngineTx
  const known: EngineFile = { ...file, jobId, fileId, current: true, state: 'available', found: {} }
  await advanceJobs(tx, [graph], deps, new Map([[jobId as number, known]]))
  graph.conclude()
  return graph
}

it('a step that would be split into too many tasks fails with the numbers, and its job ends', async () => {
  const { job } = await after(fanOutCountMax + 1, { each: 'pages' })
  expect(job).toMatchObject({
    state: 'failed',
    stepsPending: 0,
    problem: {
      code: 'fan_out_too_large',
      detail: 'The step would be split into 1000001 tasks; at most 1000000.',
      step: 'next',
    },
  })
})

it('a step that would read too many files at once fails with the numbers, and its job ends', async () => {
  const { job } = await after(inputFilesCountMax + 1, {})
  expect(job).toMatchObject({
    state: 'failed',
    problem: { code: 'file_too_complex', detail: 'The step would read 10001 files at once; at most 10000.' },
  })
})

it('a step without parts succeeds, and what joins them runs', async () => {
  const graph = await after(0, { each: 'pages' })
  expect(graph.step('next')).toMatchObject({ state: 'succeeded', tasksTotal: 0 })
  expect(graph.step('last')).toMatchObject({ tasksPending: 1 })
})
