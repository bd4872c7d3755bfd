// What a worker is given and what it gives back. Both cross processes, so they are plain JSON values,
// but for the bytes of keys inside SealedObject.

import type { ProblemCode, StageName } from '@millrace/contract'
import type { SealedObject } from '../storage/vault.ts'

export interface TaskInputFile {
  /** Name for people and for choosing extensions; never used as a path. */
  name: string
  contentType: string
  sizeBytes: number
  sha256: string
  objectId: string
  /** 'original', or the step that made it. */
  from: string
}

/** Column input of table task; of a task that is for an output, column input of its step with that output before the files. */
export interface TaskInput {
  processor: string
  stage: StageName
  parameters: Record<string, unknown>
  files: TaskInputFile[]
  timeoutMs: number
  memoryBytes: number
  backoff: { initial_ms: number; max_ms: number }
}

/** The file of the job, for steps that need to know it (never its bytes). */
export interface JobFile {
  fileId: number
  name: string
  contentType: string
  /** What its sender said that it is. */
  declaredType?: string
  sizeBytes: number
  sha256: string
  metadata: Record<string, unknown>
  /** How many archives it came out of. */
  depth: number
}

/** A claimed task. */
export interface TaskAssignment {
  taskId: number
  epoch: number
  tenantId: number
  jobId: number
  step: string
  ordinal: number
  /** From 1. */
  attempt: number
  attemptsMax: number
  input: TaskInput
  file: JobFile
  /** Results of the steps that ended before it, by step name; an array for a fanned-out step. */
  results: Record<string, unknown>
}

/** A derived file, checked, encrypted and stored; it becomes visible with the commit of the outcome. */
export interface TaskOutput {
  /** Unique within the job after the engine has had its say. */
  name: string
  contentType: string
  object: SealedObject
  /** 'file': becomes a file of the tenant with a job of its own (archive members); 'output': an output of this job. */
  as: 'output' | 'file'
}

export type TaskOutcome =
  | {
      kind: 'done'
      outputs: TaskOutput[]
      result: unknown
      /** Extracted text for the index, at most 1,000,000 characters. */
      foundText?: string
      /** Rows, pages, images or members handled. */
      recordsCount?: number
      durationMs: number
    }
  /** The file's fault: no attempt will help. */
  | { kind: 'reject'; code: ProblemCode; detail: string; durationMs: number }
  /** The world's fault: try again after the backoff, or after this time. */
  | { kind: 'retry'; code: ProblemCode; detail: string; afterMs?: number; durationMs: number }
  /** Given back unstarted or unfinished, e.g. at shutdown; uses no attempt. */
  | { kind: 'release' }
  /** Stopped because its job was cancelled. */
  | { kind: 'cancelled' }

/** The worker's door to the engine. Every write is fenced by (taskId, epoch): false means that the lease was lost and nothing changed. */
export interface TaskDesk {
  /** Takes up to max tasks that are ready, claimed and leased; waits up to waitMs for the first. */
  take(options: { max: number; waitMs: number; signal: AbortSignal }): Promise<TaskAssignment[]>
  /** Extends the leases; answers those that must stop, with the reason. */
  heartbeat(
    held: readonly { taskId: number; epoch: number }[],
  ): Promise<{ taskId: number; stop: 'cancelled' | 'lost' }[]>
  /** Writes the outcome with all that follows from it in one transaction. Micro-batched; resolves after the commit. */
  report(task: TaskAssignment, outcome: TaskOutcome): Promise<boolean>
  /**
   * The same from a worker that would go on with the only task that follows; answered with it, claimed and leased, when the
   * tenant's share allows it (continuation.ts).
   */
  reportAndContinue(
    task: TaskAssignment,
    outcome: TaskOutcome,
  ): Promise<{ isWritten: boolean; next: TaskAssignment | undefined }>
}
