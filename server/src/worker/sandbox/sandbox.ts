// Where processors that open bytes run: outside the supervising process, without network, credentials or other
// tenants' files. Every backend keeps these promises, and sandbox.contract.ts checks them:
//
// - A process that opens bytes is a child of one tenant, runs one task at a time, and sees the files of that task only.
// - Whatever it does, run resolves: with its outcome, or with what stopped it; then nothing that it started is alive,
//   but for the warm child itself, and that only after a clean end.
// - Its words (outcome, messages, files) are believed by nobody: they are bounded here and checked in ../outcome.ts
//   and ../outputs.ts.

import type { SandboxRun } from '../../pipeline/processor.ts'
import type { KeptInputs } from './kept-inputs.ts'

/** From strongest to weakest; the worker measures at start what really holds and says it aloud. */
export type SandboxLevel = 'bubblewrap' | 'process'

/** warm: the child is kept for the tenant's next task; cli: it may start programs and ends with its task. */
export type SandboxIsolation = 'warm' | 'cli'

export interface SandboxTask {
  processor: string
  tenantId: number
  /** outputFolder and scratchFolder are those of the prepared folders. */
  run: SandboxRun
  timeoutMs: number
  /** Resident memory of the child with all that it started. */
  memoryBytes: number
  outputBytesMax: number
  /** Files and folders in the output folder; 10,000 when left out. */
  outputFilesMax?: number
  signal: AbortSignal
}

/** How a run ended. An outcome is the child's word, a JSON value of bounded size and nothing more. */
export type SandboxEnd =
  | { kind: 'outcome'; outcome: unknown }
  | { kind: 'timeout' }
  | { kind: 'memory' }
  | { kind: 'output' }
  /** The detail is for the log, never for the owner of the file. */
  | { kind: 'crashed'; detail: string }
  | { kind: 'aborted' }

export interface SandboxWish {
  /** warm when left out. */
  isolation?: SandboxIsolation
  /** Of the tenant's warm children, one that has run it is taken rather than another: its libraries are loaded there. */
  processor?: string
}

export interface SandboxFolders {
  /** Written here, read-only for the task. */
  inputFolder: string
  outputFolder: string
  scratchFolder: string
  /** Lets go of the folders with all that is in them; the child may serve the tenant's next task. */
  remove(): Promise<void>
}

export interface Sandbox {
  readonly level: SandboxLevel
  /** What holds and what does not, in one line for people. */
  readonly description: string
  /** On the disk of the folders, and out of reach of every child. */
  readonly keptInputs: KeptInputs
  /** Empty folders private to the task, visible to its sandbox under the same paths. Throws what the disk throws. */
  prepare(taskId: number, tenantId: number, wish?: SandboxWish): Promise<SandboxFolders>
  /** Never throws for what the processor did; processes of the task are gone when it resolves. */
  run(task: SandboxTask): Promise<SandboxEnd>
  /** Ends every child and removes what it could write; safe to call twice. */
  close(): Promise<void>
}
