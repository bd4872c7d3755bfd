// Rows in memory under the rules of a database at READ COMMITTED: what a transaction writes nobody else sees before its
// commit, whoever wants to write a row that another has written waits for its end, and a transaction that throws leaves
// nothing. Rows are never changed in place, only replaced; so a read may be kept.

import type { JobState, TaskState } from '@millrace/contract'
import type { PipelineDefinition } from '../definition.ts'
import type {
  EngineEvent,
  EngineFile,
  EngineJob,
  EngineStep,
  NewTask,
  StepOutput,
  StepResult,
} from '../engine-store.ts'

export interface MemoryTask extends NewTask {
  id: number
  state: TaskState
  runAtMs: number
  attempt: number
  lostCount: number
  epoch: number
  leaseUntilMs: number | null
}

export interface MemoryJob extends EngineJob {
  state: JobState
  cancelRequestedMs: number | null
}

export type MemoryResult = StepResult & { taskId: number; epoch: number }
export type MemoryOutput = StepOutput & { taskId: number }
export type MemoryFile = Omit<EngineFile, 'jobId' | 'current'> & {
  version: number
  storageClass: string
  indexed: boolean
}

/** A rate of starts, and since when its tokens come in. */
export interface MemoryBucket {
  startsPerSecond: number | null
  startsFromMs: number
}

export interface MemoryTenant extends MemoryBucket {
  weight: number
  runningMax: number
  paused: boolean
  /** By lane. */
  virtualMs: readonly number[]
}

/** What has rows that can be locked. */
interface Lockable {
  readonly locks: Map<number, MemoryTransaction>
}

/** Rows of one kind; rows of jobs are found by their job, too. */
export class Table<Row extends object> {
  readonly rows = new Map<number, Row>()
  readonly locks = new Map<number, MemoryTransaction>()
  readonly #jobOf: ((row: Row) => number) | undefined
  readonly #byJob = new Map<number, Map<number, Row>>()

  constructor(jobOf?: (row: Row) => number) {
    this.#jobOf = jobOf
  }

  /** What is committed. */
  get(key: number): Row | undefined {
    return this.rows.get(key)
  }

  ofJob(jobId: number): Iterable<Row> {
    return this.#byJob.get(jobId)?.values() ?? []
  }

  set(key: number, row: Row | undefined): void {
    const before = this.rows.get(key)
    if (row === undefined) this.rows.delete(key)
    else this.rows.set(key, row)
    if (this.#jobOf === undefined) return
    const jobId = row ? this.#jobOf(row) : before && this.#jobOf(before)
    if (jobId === undefined) return
    let index = this.#byJob.get(jobId)
    if (index === undefined) this.#byJob.set(jobId, (index = new Map()))
    if (row === undefined) index.delete(key)
    else index.set(key, row)
  }
}

/** A row as it was and as it is from a commit on. */
export interface Change {
  table: object
  before: object | undefined
  after: object | undefined
}

export type Observer = (changes: readonly Change[]) => void

export class MemoryTransaction {
  readonly #written = new Map<object, Map<number, object | undefined>>()
  readonly #held: [Map<number, MemoryTransaction>, number][] = []
  readonly #atCommit: (() => void)[] = []
  #end: PromiseWithResolvers<void> | undefined
  #isOver = false
  #waitsFor: MemoryTransaction | undefined

  /** Resolves when it has committed or was undone. */
  get #over(): Promise<void> {
    if (this.#isOver) return Promise.resolve()
    return (this.#end ??= Promise.withResolvers<void>()).promise
  }

  get<Row extends object>(table: Table<Row>, key: number): Row | undefined {
    const written = this.#written.get(table) as Map<number, Row | undefined> | undefined // Written by put, below.
    return written?.has(key) ? written.get(key) : table.get(key)
  }

  all<Row extends object>(table: Table<Row>): Row[] {
    const written = this.#written.get(table) as Map<number, Row | undefined> | undefined // Written by put, below.
    const rows = new Map(table.rows)
    for (const [key, row] of written ?? []) {
      if (row === undefined) rows.delete(key)
      else rows.set(key, row)
    }
    return [...rows.values()]
  }

  /** In the order in which they were inserted. */
  ofJob<Row extends object>(table: Table<Row>, jobId: number, isOf: (row: Row) => boolean): Row[] {
    const written = this.#written.get(table) as Map<number, Row | undefined> | undefined // Written by put, below.
    if (written === undefined) return [...table.ofJob(jobId)].filter(isOf)
    const found = new Set<Row>()
    for (const row of table.ofJob(jobId)) found.add(row)
    for (const [key, row] of written) {
      const before = table.get(key)
      if (before) found.delete(before)
      if (row) found.add(row)
    }
    return [...found].filter(isOf)
  }

  /** Only for rows that are locked by this transaction, or new. */
  put<Row extends object>(table: Table<Row>, key: number, row: NoInfer<Row> | undefined): void {
    let written = this.#written.get(table)
    if (written === undefined) this.#written.set(table, (written = new Map()))
    written.set(key, row)
  }

  isFree(table: Lockable, key: number): boolean {
    const holder = table.locks.get(key)
    return holder === undefined || holder === this
  }

  /** Waits for whoever holds the row; its victim is told so, as by a database, when they would wait for each other. */
  async lock(table: Lockable, key: number): Promise<void> {
    for (let holder = table.locks.get(key); holder !== undefined && holder !== this; holder = table.locks.get(key)) {
      await this.waitFor(holder)
    }
    this.hold(table, key)
  }

  async waitFor(holder: MemoryTransaction): Promise<void> {
    for (let next: MemoryTransaction | undefined = holder; next !== undefined; next = next.#waitsFor) {
      if (next === this) throw Object.assign(new Error('deadlock detected'), { code: '40P01' })
    }
    this.#waitsFor = holder
    await holder.#over
    this.#waitsFor = undefined
  }

  /** For a row that is free. */
  hold(table: Lockable, key: number): void {
    if (table.locks.get(key) === this) return
    table.locks.set(key, this)
    this.#held.push([table.locks, key])
  }

  atCommit(effect: () => void): void {
    this.#atCommit.push(effect)
  }

  commit(observe?: Observer): void {
    const changes: Change[] = []
    for (const [key, rows] of this.#written) {
      const table = key as Pick<Table<object>, 'get' | 'set'> // Written by put, with rows of its kind.
      for (const [key, after] of rows) {
        changes.push({ table, before: table.get(key), after })
        table.set(key, after)
      }
    }
    for (const effect of this.#atCommit) effect()
    this.rollBack()
    if (changes.length > 0) observe?.(changes)
  }

  /** Lets everything go; what was not committed is forgotten. */
  rollBack(): void {
    for (const [locks, key] of this.#held) locks.delete(key)
    this.#isOver = true
    this.#end?.resolve()
  }
}

export const createMemoryTables = () => ({
  jobs: new Table<MemoryJob>(),
  /** By stepKey. */
  steps: new Table<EngineStep>(({ jobId }) => jobId),
  tasks: new Table<MemoryTask>(({ jobId }) => jobId),
  /** By task. */
  results: new Table<MemoryResult>(({ jobId }) => jobId),
  outputs: new Table<MemoryOutput>(({ jobId }) => jobId),
  files: new Table<MemoryFile>(),
  tenants: new Table<MemoryTenant>(),
  pools: new Table<MemoryBucket & { paused: boolean }>(),
  definitions: new Map<number, PipelineDefinition>(),
  events: [] as EngineEvent[],
  audit: [] as { action: string; jobId: number }[],
})

export type MemoryTables = ReturnType<typeof createMemoryTables>

export const stepKey = ({ jobId, position }: { jobId: number; position: number }): number => jobId * 1_000 + position
