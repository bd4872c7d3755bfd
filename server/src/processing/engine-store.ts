// What the engine needs of its store. Each method is one statement or, where it says so, one transaction. The engine's
// decisions are made above it, so that they run over the database and, in the simulation, over memory alike.
// engine-store.contract.ts holds both to what is promised here.
//
// Lock order: jobs by id, then what belongs to them. Every move that concerns more than a task itself (counters,
// successors, the end) is made by whoever holds the lock of its job; so a join fires once, and nothing deadlocks.
// Claims and heartbeats touch tasks only and take no lock of a job that another state would need.

import type { JobState, ProblemCode, StepState } from '@millrace/contract'
import type { ValidationState } from '../files/clearance.ts'
import type { MadeBy } from '../files/lineage.sql.ts'
import type { RowId } from '../platform/ids.ts'
import type { SealedObject } from '../storage/vault.ts'
import type { PipelineDefinition } from './definition.ts'
import type { JobFile, TaskInput, TaskInputFile } from './task.ts'

/** As columns `problem` hold it. */
export interface StoredProblem {
  code: ProblemCode
  detail: string
  step?: string
}

/** A right to a task, good for as long as no other has been granted. */
export interface TaskFence {
  taskId: number
  epoch: number
}

export interface EngineJob {
  id: RowId<'job'>
  tenantId: number
  fileId: RowId<'file'>
  fileVersion: number
  pipelineVersionId: number
  state: JobState
  lane: number
  stepsPending: number
  progressPercent: number
  recordsCount: number | null
  problem: StoredProblem | null
  /** Where its next task stands in the virtual time of its tenant. */
  virtualMs: number
  /** Paused, it has tasks that are still to be held; not paused any more, it has some that are still to be let go. */
  tasksMoving: boolean
  createdBy: string
}

/** What a transaction makes of a job. */
export interface ChangedJob extends EngineJob {
  /** Expected time until its end. */
  remainingMs: number
  /** Whether nothing of it may start any more, and what runs has to stop. */
  winding: boolean
}

export interface EngineStep {
  jobId: RowId<'job'>
  name: string
  position: number
  state: StepState
  tasksTotal: number
  /** Open tasks, those still to be created included. */
  tasksPending: number
  tasksFailed: number
  /** Set while its tasks are still being created: the last output that has one. */
  expandedTo: number | null
  problem: StoredProblem | null
}

export interface NewTask {
  tenantId: number
  jobId: RowId<'job'>
  step: string
  ordinal: number
  lane: number
  rank: number
  costMs: number
  attemptsMax: number
  input: TaskInput
}

/** Who goes on with a successor at once, and with whose share: all that continue in one transaction count. */
export interface ContinuationWish {
  tenantId: number
  lane: number
  count: number
}

/** A step that gets one task per output of another step; `files` come after the output in each task's input. */
export interface Expansion {
  tenantId: number
  jobId: RowId<'job'>
  step: string
  /** The step whose outputs it goes through, in the order of their ids. */
  each: string
  lane: number
  /** Of the first chunk; the others go on as the first task has it. */
  first: { rank: number; costMs: number } | undefined
  attemptsMax: number
  input: TaskInput
  afterOutputId: number
  limit: number
}

/** What became of a running task. `lost` holds only when the lease is over. */
export type Settlement = TaskFence &
  (
    | {
        to: 'succeeded'
        result: unknown
        foundText: string | null
        recordsCount: number | null
        durationMs: number
      }
    | { to: 'delayed'; delayMs: number; problem: StoredProblem }
    | { to: 'dead'; problem: StoredProblem; lost?: true }
    | { to: 'queued'; lost: boolean }
    | { to: 'cancelled'; force?: true }
  )

export interface NewOutput {
  tenantId: number
  jobId: RowId<'job'>
  taskId: number
  step: string
  name: string
  contentType: string
  object: SealedObject
  /** What made it; of which objects, the store reads from the task. */
  processor: string
  processorVersion: number | null
}

export interface StepOutput extends TaskInputFile {
  jobId: RowId<'job'>
  id: number
}

export interface EngineEvent {
  tenantId: number
  type:
    | 'job.created'
    | 'job.progress'
    | 'job.paused'
    | 'job.resumed'
    | 'job.ended'
    | 'step.started'
    | 'step.ended'
    | 'file.state'
  jobId: RowId<'job'>
  fileId: RowId<'file'>
  data: Record<string, unknown>
}

/** The file of a job as it was at the job's version. */
export interface EngineFile extends JobFile {
  jobId: RowId<'job'>
  objectId: string
  /** Whether the job's version is still the newest; a job over an older one changes nothing of the file. */
  current: boolean
  /** Of the job's version. */
  state: ValidationState
  found: Record<string, unknown>
}

/** virtualMs counts from the tenant's present, as do the ranks of the tasks. */
export interface NewJob extends Omit<EngineJob, 'id'> {
  parentJobId: RowId<'job'> | null
  /** Expected time until its end. */
  remainingMs: number
  /** In the order of the definition; jobId is not known yet. */
  steps: readonly EngineStep[]
  /** The first tasks; rank counts from the tenant's present. */
  tasks: readonly NewTask[]
}

/** Statements of one transaction. */
export interface EngineTx {
  /** Writes the job with its steps, its first tasks and the event job.created; ranks begin at the tenant's present. */
  insertJob(job: NewJob): Promise<RowId<'job'>>
  /**
   * Locks the jobs, in the order of their ids, until the end, and reads them, their steps and files under that lock; what is
   * gone is left out.
   */
  openJobs(jobIds: readonly number[]): Promise<{ jobs: EngineJob[]; steps: EngineStep[]; files: EngineFile[] }>
  listFiles(jobIds: readonly number[]): Promise<EngineFile[]>
  /**
   * Moves running tasks whose fence holds, with a result row or, where there is none, a row that tells of the attempt,
   * and answers whom it moved. A cancelled one
   * that is forced gets the next epoch, so that what its worker still writes meets no row.
   */
  settleTasks(settlements: readonly Settlement[]): Promise<Set<number>>
  insertTasks(tasks: readonly NewTask[]): Promise<void>
  /**
   * Of these tenants, those whose share lets a worker go on with their tasks: nobody else has a task that waits, itself none
   * in a more urgent lane; it is not paused, has no rate, and is within its cap with these.
   */
  listContinuing(pool: number, wishes: readonly ContinuationWish[]): Promise<Set<number>>
  /** Creates tasks as a worker holds them after its first claim; answers their ids in this order. */
  insertRunningTasks(tasks: readonly NewTask[], claim: { leaseMs: number; worker: string }): Promise<number[]>
  /** Creates the next tasks of a step that fans out; answers how many and the last output that has one now. */
  expandStep(expansion: Expansion): Promise<{ count: number; lastOutputId: number }>
  /** Writes state, counters, problem and expandedTo; a step that has ended gets its end, one that has not loses it. */
  updateSteps(steps: readonly EngineStep[]): Promise<void>
  /**
   * Writes state, counters, progress (which only grows), problem and estimate; an ended job gets its end, one that is wound
   * up the moment since when it is.
   */
  updateJobs(jobs: readonly ChangedJob[]): Promise<void>
  /** Cancels tasks of these jobs that are in nobody's hands, so many together; answers how many of each step. */
  cancelIdleTasks(jobIds: readonly number[], limit: number): Promise<{ jobId: number; step: string; count: number }[]>
  /**
   * Holds tasks that are in nobody's hands, where admission does not meet them; answers whether some are left, those
   * included that somebody is just about to take: their claim is refused while the job is paused.
   */
  holdTasks(jobId: number, limit: number): Promise<boolean>
  /** Lets held tasks go; answers whether some are left. */
  releaseTasks(jobId: number, limit: number): Promise<boolean>
  /** Queues the dead and cancelled tasks of a step anew, all budgets fresh; answers how many. */
  requeueEndedTasks(jobId: number, step: string): Promise<number>
  /** Whether what the steps of an ended job made is not kept any longer, as its tenant's limits say. */
  isForgotten(jobId: number): Promise<boolean>
  /** Forgets tasks, results and outputs of these steps. */
  deleteStepWork(jobId: number, steps: readonly string[]): Promise<void>
  countOpenTasks(jobId: number, step: string): Promise<number>
  insertOutputs(outputs: readonly NewOutput[]): Promise<void>
  /** Which of these names outputs of the job have already. */
  findOutputNames(jobId: number, names: readonly string[]): Promise<Set<string>>
  /** Outputs of one step each, in the order of their ids, at most so many per step. */
  listOutputs(of: readonly { jobId: number; step: string }[], limit: number): Promise<StepOutput[]>
  /** How many outputs each step of these jobs has, and their size; steps without any are left out. */
  countOutputs(jobIds: readonly number[]): Promise<{ jobId: number; step: string; count: number; sizeBytes: number }[]>
  listResults(of: readonly { jobId: number; step: string }[], limits: ResultLimits): Promise<StepResult[]>
  appendEvents(events: readonly EngineEvent[]): Promise<void>
  appendAudit(...events: readonly JobAudit[]): Promise<void>
  /** Definitions never change, so they may be kept. */
  findDefinitions(pipelineVersionIds: readonly number[]): Promise<Map<number, PipelineDefinition>>
  readonly effects: JobEffects
}

export interface JobAudit {
  tenantId: number
  actor: string
  action: string
  jobId: RowId<'job'>
  detail: object
}

export interface ResultLimits {
  /** Results per step. */
  count: number
  /** Longer ones are left out. */
  bytes: number
}

export interface StepResult {
  jobId: RowId<'job'>
  step: string
  ordinal: number
  result: unknown
}

/** What the checks of a job came to. */
export type FileVerdict =
  | { state: 'available'; problem: null }
  | { state: Exclude<ValidationState, 'quarantined' | 'available'>; problem: StoredProblem }

/** What a job changes beyond itself. */
export interface JobEffects {
  /**
   * Writes the verdict on a version of a file, with its reason, and lets what is findable of it be found or not; false
   * when it is not the newest, or has that state already.
   */
  setFileState(file: FileVerdict & { fileId: number; version: number }): Promise<boolean>
  /** Adds what a step found, under its name. */
  addFound(file: { fileId: number; version: number; step: string; found: unknown }): Promise<void>
  setStorageClass(file: { fileId: number; version: number; storageClass: string }): Promise<void>
  /**
   * Makes the file findable with its metadata, the text that the job's steps extracted and what the indexing step chose
   * of their findings; with all of these when it chose nothing.
   */
  indexFile(file: {
    tenantId: number
    fileId: number
    version: number
    jobId: number
    found: Record<string, unknown> | undefined
  }): Promise<void>
  /**
   * Makes files of objects and answers them; false, and nothing is changed, when the tenant's quota has no room.
   */
  sealMembers(members: MemberFiles): Promise<SealedMember[] | false>
}

export interface MemberFiles {
  tenantId: number
  parentFileId: RowId<'file'>
  depth: number
  createdBy: string
  made: MadeBy
  files: { name: string; contentType: string; object: SealedObject }[]
}

export interface SealedMember {
  fileId: RowId<'file'>
  version: number
  name: string
  contentType: string
  object: SealedObject
  /** The tenant's default for its type. */
  pipelineVersionId: number
  definition: PipelineDefinition
}

export interface ClaimedTask {
  taskId: number
  epoch: number
  tenantId: number
  jobId: RowId<'job'>
  pipelineVersionId: number
  step: string
  ordinal: number
  attempt: number
  attemptsMax: number
  input: TaskInput
  file: JobFile
}

export interface EngineStore {
  /** All or nothing; run again when it was the victim of a deadlock, so the work has no effect outside. */
  transaction<T>(work: (tx: EngineTx) => Promise<T>): Promise<T>
  /**
   * Moves dispatched tasks whose fence holds and whose job is neither paused nor wound up to running, one attempt more;
   * the first of a step makes it run and tells so, the first of a job starts the job.
   */
  claimTasks(claim: { fences: readonly TaskFence[]; leaseMs: number; worker: string }): Promise<ClaimedTask[]>
  /** Extends the leases whose fence holds, and tells whose job is wound up; whoever is not answered has lost his. */
  extendLeases(fences: readonly TaskFence[], leaseMs: number): Promise<{ taskId: number; cancelled: boolean }[]>
  listResults(of: readonly { jobId: number; step: string }[], limits: ResultLimits): Promise<StepResult[]>
  /** Definitions never change, so they may be kept. */
  findDefinitions(pipelineVersionIds: readonly number[]): Promise<Map<number, PipelineDefinition>>
}
