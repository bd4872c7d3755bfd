// Where processors that open bytes run: outside the supervising process, without network, credentials or other
// tenants' files. sandbox.contract.ts checks every backend.

import type { ProcessorOutcome, SandboxRun } from '../../pipeline/processor.ts'

/** From strongest to weakest; the worker measures at start what really holds and says it aloud. */
export type SandboxLevel = 'bubblewrap' | 'process'

export interface SandboxTask {
  processor: string
  tenantId: number
  run: SandboxRun
  timeoutMs: number
  memoryBytes: number
  outputBytesMax: number
  signal: AbortSignal
}

/** How a run ended that gave no outcome of its own. */
export type SandboxEnd =
  | { kind: 'outcome'; outcome: ProcessorOutcome }
  | { kind: 'timeout' }
  | { kind: 'memory' }
  | { kind: 'output' }
  | { kind: 'crashed'; detail: string }
  | { kind: 'aborted' }

export interface Sandbox {
  readonly level: SandboxLevel
  /** What holds and what does not, in one line for people. */
  readonly description: string
  /** A folder private to the task, visible to its sandbox at the paths that SandboxRun names. */
  prepare(
    taskId: number,
    tenantId: number,
  ): Promise<{ inputFolder: string; outputFolder: string; scratchFolder: string; remove(): Promise<void> }>
  /** Never throws for what the processor did; processes of the task are gone when it resolves. */
  run(task: SandboxTask): Promise<SandboxEnd>
  close(): Promise<void>
}
