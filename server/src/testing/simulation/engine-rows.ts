// What the checks read of the engine's tables, by the tables alone: never by the code that they check.

import type { PipelineDefinition } from '../../processing/definition.ts'
import type { EngineStep } from '../../processing/engine-store.ts'
import { taskOpenStates } from '../../processing/states.ts'
import type { MemoryStore } from '../../processing/testing/memory-store.ts'
import type { MemoryTask } from '../../processing/testing/memory-tables.ts'
import { simulatedCatalogue } from './workload.ts'

export interface EngineRows {
  /** In their order. */
  stepsOf: (jobId: number) => EngineStep[]
  definitionOf: (jobId: number) => PipelineDefinition | undefined
}

export const createEngineRows = ({ tables }: Pick<MemoryStore, 'tables'>): EngineRows => ({
  stepsOf: (jobId) => [...tables.steps.ofJob(jobId)].toSorted((a, b) => a.position - b.position),
  definitionOf: (jobId) => {
    const job = tables.jobs.get(jobId)
    return job && tables.definitions.get(job.pipelineVersionId)
  },
})

export const isOpen = ({ state }: MemoryTask): boolean => (taskOpenStates as readonly string[]).includes(state)
export const isFlying = ({ state }: MemoryTask): boolean => state === 'dispatched' || state === 'running'

export const isStepEnded = ({ tasksPending, state }: EngineStep): boolean =>
  tasksPending === 0 && state !== 'waiting' && state !== 'running'

export const hasFailed = ({ state, tasksFailed }: EngineStep): boolean => state === 'failed' || tasksFailed > 0
export const gateStages: readonly string[] = ['collect', 'validate']
export const stageOf = (processor = ''): string => simulatedCatalogue.find(processor)?.stage ?? ''

/** Nothing that needs it can be done. */
export function isBroken(
  steps: readonly EngineStep[],
  definition: PipelineDefinition | undefined,
  name: string,
): boolean {
  const step = steps.find((each) => each.name === name)
  const { each, needs = [] } = definition?.steps[name] ?? {}
  if (step?.state === 'cancelled') return true
  if (step?.state === 'skipped') return needs.some((need) => isBroken(steps, definition, need))
  const isPartial = each !== undefined && definition?.on_failure === 'continue'
  return step?.state === 'failed' && !(isPartial && step.tasksFailed < step.tasksTotal)
}

export const isBrokenState = (state: EngineStep['state']): boolean =>
  state === 'failed' || state === 'cancelled' || state === 'skipped'
