// A pipeline as it was understood: the parsed, checked and completed form that is stored with each version and that
// the engine runs. The source text stays beside it for people.

export interface RetryPolicy {
  /** Attempts in all, the first included. */
  attempts: number
  backoff: { initial_ms: number; max_ms: number }
}

/** What a task of a step may use, in bytes. A sandbox has no more room than for the largest. */
export const memoryClasses = { small: 1024 ** 3, medium: 2 * 1024 ** 3, large: 4 * 1024 ** 3 }
export type MemoryClass = keyof typeof memoryClasses

export interface StepDefinition {
  /** Name of a processor in the catalogue. */
  uses: string
  /** Steps that must have ended first; empty for a root. */
  needs: string[]
  /** Fans out: one task per output of this step (which is also one of needs). */
  each?: string
  /** Parameters of the processor, defaults filled in. */
  with: Record<string, unknown>
  /** CEL over `file` and the needed steps; the step is skipped when it is false. */
  if?: string
  /** Whose outputs it reads; left out: those of its needs, and what these read where they have none. */
  inputs?: string[] // 'original' or step names
  timeout_ms?: number
  /** Left out: what the processor asks for. */
  memory?: MemoryClass
  retry?: RetryPolicy
}

export interface PipelineDefinition {
  name: string
  description?: string
  /** Content types, with * as a wildcard part, e.g. image/*. */
  accept: string[]
  /** In the order of the source. Always has a step of stage collect first and of stage archive last. */
  steps: Record<string, StepDefinition>
  retry: RetryPolicy
  /** What a dead task does to the rest of its job. */
  on_failure: 'stop' | 'continue'
}

export const retryPolicyDefault: RetryPolicy = { attempts: 5, backoff: { initial_ms: 500, max_ms: 60_000 } }
export const stepsCountMax = 100
