// A processor: what can be done to a file. It is pure: input files and parameters give output files and a JSON result.
// Its description is light and loaded everywhere; its work is in a *.run.ts file that is loaded only where it may run:
// inside the sandbox for everything that opens bytes, in the supervising worker for stages that never do.

import type { ProblemCode, StageName } from '@millrace/contract'
import type { TObject } from 'typebox'

export interface ProcessorLimits {
  /** Resident memory after which it is ended with memory_limit_exceeded. */
  memoryBytes: number
  timeoutMs: number
  outputBytesMax: number
  outputFilesMax: number
}

/** S below 5 ms, M below 100 ms, L below 3 s, X longer, of CPU per unit. */
export type CostClass = 'S' | 'M' | 'L' | 'X'

export interface Processor<Parameters extends TObject = TObject> {
  readonly name: string
  readonly stage: StageName
  /** Changes whenever its output could. */
  readonly version: number
  readonly summary: string
  /** Content types, with * as a wildcard part. */
  readonly accepts: readonly string[]
  readonly parameters: Parameters
  readonly limits: ProcessorLimits
  readonly costClass: CostClass
  readonly cost: { readonly baseMs: number; readonly perMbMs: number }
  /**
   * warm: a sandboxed Node child of one tenant, kept between tasks; cli: a program in a fresh sandbox;
   * supervisor: inside the worker, for processors that never open bytes (collect, index, archive).
   */
  readonly isolation: 'warm' | 'cli' | 'supervisor'
  /** Works on what steps before it made, so it cannot be a first step. */
  readonly joins?: boolean
  /** Programs it cannot do without; a missing one makes it unavailable, with the reason in the catalogue. */
  readonly programs?: readonly string[]
}

/** Keeps the parameter schema's type for the run file. */
export const defineProcessor = <Parameters extends TObject>(processor: Processor<Parameters>): Processor<Parameters> =>
  processor

// What runs inside the sandbox --------------------------------------------------------------------------------

export interface InputFile {
  /** Absolute path inside the sandbox; read-only. */
  path: string
  name: string
  contentType: string
  sizeBytes: number
  /** 'original', or the step that made it. */
  from: string
}

export interface OutputFile {
  /** Path below the output folder. */
  path: string
  /** Name for people; the engine makes it unique within the job. */
  name: string
  contentType: string
  as?: 'output' | 'file'
}

export interface SandboxRun {
  files: InputFile[]
  /** Empty folder to write outputs into. */
  outputFolder: string
  /** Private folder that vanishes with the task. */
  scratchFolder: string
  parameters: Record<string, unknown>
  /** The file of the job, without its bytes. */
  file: {
    name: string
    contentType: string
    /** What its sender said that it is. */
    declaredType?: string
    sizeBytes: number
    sha256: string
    metadata: Record<string, unknown>
    depth: number
  }
  /** Results of the steps before. */
  results: Record<string, unknown>
}

export type ProcessorOutcome =
  | { kind: 'done'; outputs: OutputFile[]; result: unknown; foundText?: string; recordsCount?: number }
  | { kind: 'reject'; code: ProblemCode; detail: string }
  | { kind: 'retryLater'; afterMs: number; detail: string }

export type SandboxedProcessor = (run: SandboxRun) => Promise<ProcessorOutcome>

/** Thrown or returned for a file that cannot be worked with; says why in the owner's words. */
export const reject = (code: ProblemCode, detail: string): ProcessorOutcome => ({ kind: 'reject', code, detail })
export const done = (
  outputs: OutputFile[],
  result: unknown,
  extra: { foundText?: string; recordsCount?: number } = {},
): ProcessorOutcome => ({
  kind: 'done',
  outputs,
  result,
  ...extra,
})
