// The job of the scheduler store's suite: one step, so many tasks.

import type { RowId } from '../../platform/ids.ts'
import type { NewJob } from '../../processing/engine-store.ts'
import { toDefinition } from '../../processing/testing/test-rows.ts'

export const contractDefinition = toDefinition({ first: { uses: 'transform.a' } })

export const toContractJob = (
  file: Pick<NewJob, 'tenantId' | 'fileId' | 'pipelineVersionId'>,
  { lane, tasksCount }: { lane: number; tasksCount: number },
): NewJob => ({
  ...file,
  fileVersion: 1,
  parentJobId: null,
  lane,
  state: 'queued',
  stepsPending: 1,
  progressPercent: 0,
  recordsCount: null,
  problem: null,
  virtualMs: 0,
  tasksMoving: false,
  remainingMs: 100,
  createdBy: 'system',
  steps: [
    {
      jobId: 0 as RowId<'job'>,
      name: 'first',
      position: 0,
      state: 'waiting',
      tasksTotal: tasksCount,
      tasksPending: tasksCount,
      tasksFailed: 0,
      expandedTo: null,
      problem: null,
    },
  ],
  tasks: Array.from({ length: tasksCount }, (_, ordinal) => ({
    tenantId: file.tenantId,
    jobId: 0 as RowId<'job'>,
    step: 'first',
    ordinal,
    lane,
    rank: ordinal * 10,
    costMs: 10,
    attemptsMax: 3,
    input: {
      processor: 'transform.a',
      stage: 'transform',
      parameters: {},
      files: [],
      timeoutMs: 1,
      memoryBytes: 1,
      backoff: { initial_ms: 1, max_ms: 1 },
    },
  })),
})
