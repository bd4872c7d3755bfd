// Rows of tests that need some and do not care which.

import type { RowId } from '../../platform/ids.ts'
import type { SealedObject } from '../../storage/vault.ts'
import { retryPolicyDefault, type PipelineDefinition, type StepDefinition } from '../definition.ts'
import type { EngineStep, NewJob, NewTask } from '../engine-store.ts'
import type { TaskInput } from '../task.ts'

let objectsCount = 0
export const testObject = (tenantId: number, sizeBytes = 10): SealedObject => {
  const objectId = (++objectsCount).toString(16).padStart(32, '0')
  return {
    objectId,
    tenantId,
    storeKey: `results/${objectId}`,
    sizeBytes,
    storedBytes: sizeBytes,
    sha256: 'c'.repeat(64),
    manifest: {},
    wrappedKey: new Uint8Array(1),
    tenantKeyVersion: 1,
  }
}

export type Steps = Record<string, Partial<StepDefinition> & { uses: string }>

export const toDefinition = (steps: Steps, rest: Partial<PipelineDefinition> = {}): PipelineDefinition => ({
  name: 'test',
  accept: ['*/*'],
  retry: retryPolicyDefault,
  on_failure: 'stop',
  steps: Object.fromEntries(Object.entries(steps).map(([name, step]) => [name, { needs: [], with: {}, ...step }])),
  ...rest,
})

export const oneStepDefinition = toDefinition({ first: { uses: 'transform.a' } })

export const testInput: TaskInput = {
  processor: 'transform.a',
  stage: 'transform',
  parameters: {},
  files: [],
  timeoutMs: 1,
  memoryBytes: 1,
  backoff: { initial_ms: 1, max_ms: 1 },
}

/** The store puts the job's id in its place. */
const jobId = 0 as RowId<'job'>

export const newTask = (tenantId: number, ordinal: number, lane = 1): NewTask => ({
  tenantId,
  jobId,
  step: 'first',
  ordinal,
  lane,
  rank: ordinal * 10,
  costMs: 10,
  attemptsMax: 3,
  input: testInput,
})

export const newStep = (name: string, position: number, tasksCount: number): EngineStep => ({
  jobId,
  name,
  position,
  state: 'waiting',
  tasksTotal: tasksCount,
  tasksPending: tasksCount,
  tasksFailed: 0,
  expandedTo: null,
  problem: null,
})

/** So many tasks of its step "first", and no more of those steps that are named. */
export const newJob = (
  file: Pick<NewJob, 'tenantId' | 'fileId' | 'pipelineVersionId'>,
  { tasksCount, lane = 1, more = [] }: { tasksCount: number; lane?: number; more?: string[] },
): NewJob => ({
  ...file,
  fileVersion: 1,
  parentJobId: null,
  lane,
  state: 'queued',
  stepsPending: 1 + more.length,
  progressPercent: 0,
  recordsCount: null,
  problem: null,
  virtualMs: 0,
  tasksMoving: false,
  remainingMs: 100,
  createdBy: 'system',
  steps: [newStep('first', 0, tasksCount), ...more.map((name, index) => newStep(name, index + 1, 0))],
  tasks: Array.from({ length: tasksCount }, (_, ordinal) => newTask(file.tenantId, ordinal, lane)),
})
