// The engine's store in memory, for the simulation: the same promises as the database's, on a clock that is handed in.
// memory-tables.ts keeps transactions apart, so that several may be under way at once.

import type { TaskState } from '@millrace/contract'
import type { RowId } from '../../platform/ids.ts'
import { invariant } from '../../platform/problem.ts'
import type { PipelineDefinition } from '../definition.ts'
import type {
  ClaimedTask,
  ContinuationWish,
  EngineFile,
  EngineStep,
  EngineStore,
  EngineTx,
  NewTask,
  Settlement,
  TaskFence,
} from '../engine-store.ts'
import { retryConflicts } from '../../platform/database.ts'
import { isTaskMove, taskIdleStates, taskOpenStates } from '../states.ts'
import {
  createMemoryTables,
  MemoryTransaction,
  stepKey,
  type MemoryFile,
  type MemoryJob,
  type MemoryOutput,
  type MemoryTables,
  type MemoryTask,
  type Observer,
} from './memory-tables.ts'

/** Lets time pass between the statements of a transaction; rejects to cut it. */
export type Pause = () => Promise<void> | undefined

export interface MemoryStore extends EngineStore {
  readonly tables: MemoryTables
  readonly now: () => number
  /** The store as one of several processes has it. */
  connect(pause: Pause): EngineStore
  /** One statement that waits for nobody, committed with its end. */
  atOnce<T>(statement: (tx: MemoryTransaction) => T): T
  move(tx: MemoryTransaction, task: MemoryTask, change: Partial<MemoryTask> & { state: TaskState }): void
  /** queued -> running, of what is picked and may begin, as admission does for a worker in the leader's process. */
  start(pick: () => MemoryTask[], leaseMs: number): Promise<ClaimedTask[]>
  /** queued -> dispatched, as admission does. */
  dispatch(taskIds: readonly number[], leaseMs: number): TaskFence[]
}

export const isIdle = (task: MemoryTask): boolean => (taskIdleStates as readonly TaskState[]).includes(task.state)
const isHeld = ({ state }: MemoryTask): boolean => state === 'blocked'
const isOpen = (task: MemoryTask): boolean => (taskOpenStates as readonly TaskState[]).includes(task.state)

/** `observe` is told of each commit, right after it. */
export function createMemoryStore(now: () => number, observe?: Observer): MemoryStore {
  const tables = createMemoryTables()
  let lastId = 0
  const nextId = (): number => ++lastId

  function move(tx: MemoryTransaction, task: MemoryTask, change: Partial<MemoryTask> & { state: TaskState }): void {
    invariant(isTaskMove(task.state, change.state), `a task moves from ${task.state} to ${change.state}`)
    tx.hold(tables.tasks, task.id)
    tx.put(tables.tasks, task.id, { ...task, leaseUntilMs: null, ...change })
  }

  const holds = (tx: MemoryTransaction, { taskId, epoch }: TaskFence, state: TaskState): MemoryTask | undefined => {
    const task = tx.get(tables.tasks, taskId)
    return task !== undefined && task.epoch === epoch && task.state === state ? task : undefined
  }

  const tasksOf = (tx: MemoryTransaction, jobId: number, step: string): MemoryTask[] =>
    tx.ofJob(tables.tasks, jobId, (task) => task.jobId === jobId && task.step === step)

  /** What another transaction holds at this moment is passed over. */
  const freeTasksOf = (tx: MemoryTransaction, jobId: number, isWanted: (task: MemoryTask) => boolean): MemoryTask[] =>
    tx
      .ofJob(tables.tasks, jobId, (task) => task.jobId === jobId && isWanted(task))
      .filter(({ id }) => tx.isFree(tables.tasks, id))

  const outputsOf = (tx: MemoryTransaction, jobId: number, step: string): MemoryOutput[] =>
    tx
      .ofJob(tables.outputs, jobId, (output) => output.jobId === jobId && output.from === step)
      .toSorted((a, b) => a.id - b.id)

  /** Waits for every row that matches, then locks them all. */
  async function lockTasks(tx: MemoryTransaction, match: () => MemoryTask[]): Promise<MemoryTask[]> {
    for (;;) {
      const found = match()
      const held = found.find(({ id }) => !tx.isFree(tables.tasks, id))
      const holder = held && tables.tasks.locks.get(held.id)
      if (holder !== undefined) {
        await tx.waitFor(holder)
        continue
      }
      for (const { id } of found) tx.hold(tables.tasks, id)
      return found
    }
  }

  function settle(tx: MemoryTransaction, task: MemoryTask, settlement: Settlement): void {
    const isLost = 'lost' in settlement && settlement.lost
    move(tx, task, {
      state: settlement.to,
      attempt: task.attempt - (settlement.to === 'queued' ? 1 : 0),
      lostCount: task.lostCount + (isLost ? 1 : 0),
      epoch: task.epoch + (settlement.to === 'cancelled' && settlement.force ? 1 : 0),
      runAtMs: settlement.to === 'delayed' ? now() + settlement.delayMs : task.runAtMs,
    })
    if (settlement.to !== 'succeeded') return
    invariant(tx.get(tables.results, task.id) === undefined, 'a task has one result')
    const { id: taskId, jobId, step, ordinal, epoch } = task
    tx.put(tables.results, taskId, { taskId, jobId, step, ordinal, epoch, result: settlement.result })
  }

  function addTask(tx: MemoryTransaction, task: NewTask, claim: Partial<MemoryTask> = {}): number {
    const [twin] = tasksOf(tx, task.jobId, task.step).filter(({ ordinal }) => ordinal === task.ordinal)
    invariant(twin === undefined, 'a step has one task of each ordinal')
    const id = nextId()
    const fresh = { state: 'queued', runAtMs: now(), attempt: 0, lostCount: 0, epoch: 0, leaseUntilMs: null } as const
    tx.put(tables.tasks, id, { ...task, ...fresh, ...claim, id })
    return id
  }

  function toFile(job: MemoryJob, file: MemoryFile | undefined): EngineFile[] {
    return file === undefined ? [] : [{ ...file, jobId: job.id, current: file.version === job.fileVersion }]
  }

  const listFiles = (tx: MemoryTransaction, jobIds: readonly number[]): EngineFile[] =>
    jobIds
      .flatMap((id) => tx.get(tables.jobs, id) ?? [])
      .flatMap((job) => toFile(job, tx.get(tables.files, job.fileId)))

  const presentOf = (tenantId: number, lane: number): number => tables.tenants.get(tenantId)?.virtualMs[lane] ?? 0

  const findDefinitions: EngineStore['findDefinitions'] = async (ids) => {
    const found = new Map<number, PipelineDefinition>()
    for (const id of ids) {
      const definition = tables.definitions.get(id)
      if (definition !== undefined) found.set(id, definition)
    }
    return found
  }

  const listResults = (tx: MemoryTransaction, ...[of, limits]: Parameters<EngineStore['listResults']>) =>
    of.flatMap(({ jobId, step }) =>
      tx
        .ofJob(tables.results, jobId, (result) => result.jobId === jobId && result.step === step)
        .filter(({ result }) => JSON.stringify(result ?? null).length <= limits.bytes)
        .toSorted((a, b) => a.ordinal - b.ordinal)
        .slice(0, limits.count)
        .map(({ jobId, step, ordinal, result }) => ({ jobId, step, ordinal, result })),
    )

  /** False when there is no such file of this version. */
  async function changeFile(
    tx: MemoryTransaction,
    { fileId, version }: { fileId: number; version: number },
    change: (file: MemoryFile) => Partial<MemoryFile> | undefined,
  ): Promise<boolean> {
    await tx.lock(tables.files, fileId)
    const file = tx.get(tables.files, fileId)
    const changed = file?.version === version ? change(file) : undefined
    if (file === undefined || changed === undefined) return false
    tx.put(tables.files, fileId, { ...file, ...changed })
    return true
  }

  const statements = (tx: MemoryTransaction): EngineTx => ({
    findDefinitions,
    listResults: async (of, limits) => listResults(tx, of, limits),
    async insertJob({ steps, tasks, parentJobId: _parent, remainingMs: _remaining, ...job }) {
      const id = nextId() as RowId<'job'>
      const presentMs = presentOf(job.tenantId, job.lane)
      tx.put(tables.jobs, id, { ...job, id, virtualMs: presentMs + job.virtualMs, cancelRequestedMs: null })
      for (const step of steps) {
        const row = { ...step, jobId: id }
        tx.put(tables.steps, stepKey(row), row)
      }
      for (const task of tasks) addTask(tx, { ...task, jobId: id, rank: presentMs + task.rank })
      const { tenantId, fileId } = job
      const data = { status: job.state, progress: 0 }
      tx.atCommit(() => tables.events.push({ tenantId, type: 'job.created', jobId: id, fileId, data }))
      return id
    },
    async openJobs(ids) {
      const jobs = []
      for (const id of [...ids].toSorted((a, b) => a - b)) {
        await tx.lock(tables.jobs, id)
        const job = tx.get(tables.jobs, id)
        if (job === undefined) continue
        const { cancelRequestedMs: _cancelRequestedMs, ...rest } = job
        jobs.push({ ...rest, virtualMs: Math.max(job.virtualMs, presentOf(job.tenantId, job.lane)) })
      }
      const steps = jobs.flatMap(({ id }) =>
        tx
          .ofJob(tables.steps, id, ({ jobId }) => jobId === id)
          .toSorted((a, b) => a.position - b.position)
          .map((step) => ({ ...step })),
      )
      return { jobs, steps, files: listFiles(tx, ids) }
    },
    listFiles: async (ids) => listFiles(tx, ids),
    async settleTasks(settlements) {
      const settled = new Set<number>()
      for (const settlement of settlements) {
        const isLost = 'lost' in settlement && settlement.lost
        const [task] = await lockTasks(tx, () => {
          const held = holds(tx, settlement, 'running')
          return held === undefined || (isLost && (held.leaseUntilMs ?? 0) >= now()) ? [] : [held]
        })
        if (task === undefined) continue
        settle(tx, task, settlement)
        settled.add(task.id)
      }
      return settled
    },
    async insertTasks(tasks) {
      for (const task of tasks) addTask(tx, task)
    },
    async listContinuing(_pool, wishes) {
      const isWaiting = (task: MemoryTask): boolean => task.state === 'queued' || task.state === 'dispatched'
      const isFlying = ({ state }: MemoryTask): boolean => state === 'dispatched' || state === 'running'
      const all = tx.all(tables.tasks)
      const pool = tables.pools.get(0)
      const isHeld = pool !== undefined && (pool.paused || pool.startsPerSecond !== null)
      const allows = ({ tenantId, lane, count }: ContinuationWish): boolean => {
        const { paused = false, runningMax = Infinity, startsPerSecond = null } = tables.tenants.get(tenantId) ?? {}
        if (isHeld || paused || startsPerSecond !== null) return false
        const isBefore = (task: MemoryTask): boolean =>
          isWaiting(task) && (task.tenantId !== tenantId || task.lane < lane)
        if (all.some(isBefore)) return false
        return all.filter((task) => task.tenantId === tenantId && isFlying(task)).length + count <= runningMax
      }
      return new Set(wishes.filter(allows).map(({ tenantId }) => tenantId))
    },
    async insertRunningTasks(tasks, { leaseMs }) {
      const claim = { state: 'running', epoch: 1, attempt: 1, leaseUntilMs: now() + leaseMs } as const
      return tasks.map((task) => addTask(tx, task, claim))
    },
    async expandStep({ each, afterOutputId, limit, input, first, ...expansion }) {
      const created = tasksOf(tx, expansion.jobId, expansion.step)
      const { rank, costMs } = created.find(({ ordinal }) => ordinal === 0) ?? first ?? { rank: 0, costMs: 0 }
      const next = created.reduce((highest, { ordinal }) => Math.max(highest, ordinal), -1) + 1
      const outputs = outputsOf(tx, expansion.jobId, each)
        .filter(({ id }) => id > afterOutputId)
        .slice(0, limit)
      for (const [index, { id: _id, jobId: _job, taskId: _task, ...file }] of outputs.entries()) {
        const ordinal = next + index
        const files = [file, ...input.files]
        addTask(tx, { ...expansion, costMs, ordinal, rank: rank + ordinal * costMs, input: { ...input, files } })
      }
      return { count: outputs.length, lastOutputId: outputs.at(-1)?.id ?? afterOutputId }
    },
    async updateSteps(steps) {
      for (const step of steps) {
        invariant(step.tasksPending >= 0, 'a counter does not fall below zero')
        await tx.lock(tables.steps, stepKey(step))
        tx.put(tables.steps, stepKey(step), { ...step })
      }
    },
    async updateJobs(jobs) {
      for (const { remainingMs: _remaining, winding, ...job } of jobs) {
        await tx.lock(tables.jobs, job.id)
        const before = tx.get(tables.jobs, job.id)
        if (before === undefined) continue
        tx.put(tables.jobs, job.id, {
          ...job,
          progressPercent: Math.max(job.progressPercent, before.progressPercent),
          cancelRequestedMs: winding ? (before.cancelRequestedMs ?? now()) : null,
        })
      }
    },
    async cancelIdleTasks(jobIds, limit) {
      const idle = jobIds.flatMap((jobId) => freeTasksOf(tx, jobId, isIdle)).slice(0, limit)
      for (const task of idle) move(tx, task, { state: 'cancelled' })
      return [...Map.groupBy(idle, ({ jobId, step }) => `${jobId} ${step}`).values()].flatMap((same) => {
        const [first] = same
        return first === undefined ? [] : [{ jobId: first.jobId, step: first.step, count: same.length }]
      })
    },
    async holdTasks(jobId, limit) {
      const isFree = (task: MemoryTask): boolean => isIdle(task) && !isHeld(task)
      for (const task of freeTasksOf(tx, jobId, isFree).slice(0, limit)) move(tx, task, { state: 'blocked' })
      return tx.ofJob(tables.tasks, jobId, (task) => task.jobId === jobId && isFree(task)).length > 0
    },
    async releaseTasks(jobId, limit) {
      for (const task of freeTasksOf(tx, jobId, isHeld).slice(0, limit))
        move(tx, task, { state: task.runAtMs > now() ? 'delayed' : 'queued' })
      return tx.ofJob(tables.tasks, jobId, (task) => task.jobId === jobId && isHeld(task)).length > 0
    },
    countOpenTasks: async (jobId, step) => tasksOf(tx, jobId, step).filter(isOpen).length,
    async requeueEndedTasks(jobId, step) {
      const ended = await lockTasks(tx, () =>
        tasksOf(tx, jobId, step).filter(({ state }) => state === 'dead' || state === 'cancelled'),
      )
      for (const task of ended) move(tx, task, { state: 'queued', attempt: 0, lostCount: 0, runAtMs: now() })
      return ended.length
    },
    isForgotten: async () => false, // Nothing is old enough here.
    async deleteStepWork(jobId, steps) {
      const isOf = (row: { jobId: number; step: string }): boolean => row.jobId === jobId && steps.includes(row.step)
      for (const { id } of await lockTasks(tx, () => tx.ofJob(tables.tasks, jobId, isOf))) {
        tx.put(tables.tasks, id, undefined)
      }
      for (const { taskId } of tx.ofJob(tables.results, jobId, isOf)) tx.put(tables.results, taskId, undefined)
      for (const step of steps) for (const { id } of outputsOf(tx, jobId, step)) tx.put(tables.outputs, id, undefined)
    },
    async insertOutputs(outputs) {
      for (const { jobId, taskId, step, name, contentType, object } of outputs) {
        const [twin] = tx.ofJob(tables.outputs, jobId, (output) => output.jobId === jobId && output.name === name)
        invariant(twin === undefined, 'a job has one output of each name')
        const id = nextId()
        const { sizeBytes, sha256, objectId } = object
        tx.put(tables.outputs, id, { id, jobId, taskId, from: step, name, contentType, sizeBytes, sha256, objectId })
      }
    },
    async findOutputNames(jobId, names) {
      const taken = tx.ofJob(tables.outputs, jobId, (output) => output.jobId === jobId)
      return new Set(taken.map(({ name }) => name).filter((name) => names.includes(name)))
    },
    listOutputs: async (of, limit) =>
      of.flatMap(({ jobId, step }) =>
        outputsOf(tx, jobId, step)
          .slice(0, limit)
          .map(({ taskId: _task, ...output }) => output),
      ),
    async countOutputs(jobIds) {
      const counts = new Map<string, { jobId: number; step: string; count: number; sizeBytes: number }>()
      for (const jobId of jobIds) {
        for (const { from: step, sizeBytes } of tx.ofJob(tables.outputs, jobId, (output) => output.jobId === jobId)) {
          const key = `${jobId} ${step}`
          const row = counts.get(key) ?? { jobId, step, count: 0, sizeBytes: 0 }
          counts.set(key, { ...row, count: row.count + 1, sizeBytes: row.sizeBytes + sizeBytes })
        }
      }
      return [...counts.values()]
    },
    async appendEvents(events) {
      tx.atCommit(() => tables.events.push(...events))
    },
    async appendAudit(...events) {
      tx.atCommit(() => tables.audit.push(...events.map(({ action, jobId }) => ({ action, jobId }))))
    },
    effects: {
      setFileState: ({ state, ...file }) =>
        changeFile(tx, file, (before) => (before.state === state ? undefined : { state })),
      addFound: async ({ step, found, ...file }) =>
        void (await changeFile(tx, file, (before) => ({ found: { ...before.found, [step]: found } }))),
      setStorageClass: async ({ storageClass, ...file }) => void (await changeFile(tx, file, () => ({ storageClass }))),
      indexFile: async (file) => void (await changeFile(tx, file, () => ({ indexed: true }))),
      sealMembers: async ({ depth, files }) => {
        const [pipelineVersionId, definition] = [...tables.definitions][0] ?? []
        invariant(pipelineVersionId !== undefined && definition, 'a member has a pipeline')
        return files.map(({ name, contentType, object }) => {
          const fileId = nextId() as RowId<'file'>
          const { sizeBytes, sha256, objectId } = object
          const own = { fileId, name, contentType, sizeBytes, sha256, objectId, depth, version: 1 }
          tx.put(tables.files, fileId, { ...own, ...freshFile() })
          return { fileId, version: 1, name, contentType, object, pipelineVersionId, definition }
        })
      },
    },
  })

  async function transact<T>(work: (tx: MemoryTransaction) => Promise<T>): Promise<T> {
    const tx = new MemoryTransaction()
    try {
      const value = await work(tx)
      tx.commit(observe)
      return value
    } catch (error) {
      tx.rollBack()
      throw error
    }
  }

  const mayStart = ({ jobId }: MemoryTask): boolean => {
    const { state, cancelRequestedMs } = tables.jobs.get(jobId) ?? {}
    return (state === 'queued' || state === 'running') && cancelRequestedMs === null
  }

  async function claimTasks(tx: MemoryTransaction, claim: Parameters<EngineStore['claimTasks']>[0]) {
    const isClaimable = (task: MemoryTask | undefined): task is MemoryTask => task !== undefined && mayStart(task)
    const claimable = await lockTasks(tx, () =>
      claim.fences.map((fence) => holds(tx, fence, 'dispatched')).filter(isClaimable),
    )
    return beginTasks(tx, [...new Set(claimable)], { leaseMs: claim.leaseMs, isOffered: true })
  }

  /** Holds the tasks while it waits for steps and jobs that begin with them. */
  async function beginTasks(
    tx: MemoryTransaction,
    tasks: readonly MemoryTask[],
    { leaseMs, isOffered }: { leaseMs: number; isOffered: boolean },
  ): Promise<ClaimedTask[]> {
    for (const task of tasks) {
      const epoch = isOffered ? task.epoch : task.epoch + 1
      move(tx, task, { state: 'running', epoch, attempt: task.attempt + 1, leaseUntilMs: now() + leaseMs })
    }
    const claimed: ClaimedTask[] = []
    for (const { id } of tasks) {
      const task = tx.get(tables.tasks, id)
      const job = task && tables.jobs.get(task.jobId)
      if (task === undefined || job === undefined) continue
      await startStepOf(tx, task, job)
      const [file] = toFile(job, tables.files.get(job.fileId))
      invariant(file, 'a job of the simulation has its file')
      const { jobId, step, tenantId, epoch, ordinal, attempt, attemptsMax, input } = task
      const { pipelineVersionId } = job
      claimed.push({
        taskId: id,
        epoch,
        tenantId,
        jobId,
        pipelineVersionId,
        step,
        ordinal,
        attempt,
        attemptsMax,
        input,
        file,
      })
    }
    return claimed
  }

  async function startStepOf(tx: MemoryTransaction, task: MemoryTask, job: MemoryJob): Promise<void> {
    const { id: jobId, tenantId, fileId, progressPercent } = job
    const stepOf = (): EngineStep | undefined =>
      tx.ofJob(tables.steps, jobId, (step) => step.jobId === jobId && step.name === task.step)[0]
    const waiting = stepOf()
    if (waiting?.state === 'waiting') {
      await tx.lock(tables.steps, stepKey(waiting))
      const step = stepOf()
      if (step?.state === 'waiting') {
        tx.put(tables.steps, stepKey(step), { ...step, state: 'running' })
        const data = { step: step.name, tasks_total: step.tasksTotal, progress: progressPercent }
        tx.atCommit(() => tables.events.push({ tenantId, type: 'step.started', jobId, fileId, data }))
      }
    }
    if (tx.get(tables.jobs, jobId)?.state !== 'queued') return
    await tx.lock(tables.jobs, jobId)
    const queued = tx.get(tables.jobs, jobId)
    if (queued?.state === 'queued') tx.put(tables.jobs, jobId, { ...queued, state: 'running' })
  }

  async function extendLeases(tx: MemoryTransaction, fences: readonly TaskFence[], leaseMs: number) {
    const held = await lockTasks(tx, () => fences.flatMap((fence) => holds(tx, fence, 'running') ?? []))
    return [...new Set(held)].map((task) => {
      tx.put(tables.tasks, task.id, { ...task, leaseUntilMs: now() + leaseMs })
      return { taskId: task.id, cancelled: tables.jobs.get(task.jobId)?.cancelRequestedMs !== null }
    })
  }

  const connect = (pause?: Pause): EngineStore => ({
    transaction: (work) =>
      retryConflicts(() => transact((tx) => work(pause ? paused(statements(tx), pause) : statements(tx)))),
    listResults: async (of, limits) => listResults(new MemoryTransaction(), of, limits),
    findDefinitions,
    claimTasks: (claim) => retryConflicts(() => transact((tx) => claimTasks(tx, claim))),
    extendLeases: (fences, leaseMs) => retryConflicts(() => transact((tx) => extendLeases(tx, fences, leaseMs))),
  })

  function atOnce<T>(statement: (tx: MemoryTransaction) => T): T {
    const tx = new MemoryTransaction()
    try {
      const value = statement(tx)
      tx.commit(observe)
      return value
    } catch (error) {
      tx.rollBack()
      throw error
    }
  }

  return {
    ...connect(),
    tables,
    now,
    connect,
    atOnce,
    move,
    start: (pick, leaseMs) =>
      retryConflicts(() => transact((tx) => beginTasks(tx, pick().filter(mayStart), { leaseMs, isOffered: false }))),
    dispatch: (taskIds, leaseMs) =>
      atOnce((tx) =>
        taskIds.flatMap((taskId) => {
          const task = tables.tasks.get(taskId)
          if (task?.state !== 'queued' || !tx.isFree(tables.tasks, taskId)) return []
          const epoch = task.epoch + 1
          move(tx, task, { state: 'dispatched', epoch, leaseUntilMs: now() + leaseMs })
          return [{ taskId, epoch }]
        }),
      ),
  }
}

export const freshFile = () => ({
  metadata: {},
  found: {},
  state: 'quarantined' as const,
  storageClass: 'standard',
  indexed: false,
})

/** The same statements, with a pause before each. */
function paused(tx: EngineTx, pause: Pause): EngineTx {
  const slow = <Statements extends object>(statements: Statements): Statements =>
    Object.fromEntries(
      Object.entries(statements).map(([name, statement]) => [
        name,
        typeof statement === 'function'
          ? async (...parameters: unknown[]) => {
              await pause()
              // The parameters are those of the statement of this name.
              return (statement as (...parameters: unknown[]) => unknown)(...parameters)
            }
          : slow(statement as object),
      ]),
    ) as Statements
  return slow(tx)
}
