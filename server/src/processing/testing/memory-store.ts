// The engine's store in memory, for the simulation: the same promises as the database's, on a clock that is handed in.
// A transaction works on the tables themselves and, when it throws, puts back a copy; transactions take turns.

import { isJobEnded, type TaskState } from '@millrace/contract'
import type { RowId } from '../../platform/ids.ts'
import { invariant } from '../../platform/problem.ts'
import type { PipelineDefinition } from '../definition.ts'
import type {
  ClaimedTask,
  EngineEvent,
  EngineFile,
  EngineJob,
  EngineStep,
  EngineStore,
  EngineTx,
  NewTask,
  Settlement,
  StepOutput,
  StepResult,
  TaskFence,
} from '../engine-store.ts'
import { isTaskMove, taskIdleStates, taskOpenStates } from '../states.ts'

export interface MemoryTask extends NewTask {
  id: number
  state: TaskState
  runAtMs: number
  attempt: number
  lostCount: number
  epoch: number
  leaseUntilMs: number | null
}

export interface MemoryTables {
  jobs: Map<number, EngineJob>
  steps: Map<number, EngineStep[]>
  tasks: Map<number, MemoryTask>
  results: Map<number, StepResult & { epoch: number }>
  outputs: Map<number, StepOutput>
  files: Map<
    number,
    Omit<EngineFile, 'jobId' | 'current'> & { version: number; storageClass: string; indexed: boolean }
  >
  definitions: Map<number, PipelineDefinition>
  events: EngineEvent[]
  audit: { action: string; jobId: number }[]
  lastId: number
}

export interface MemoryStore extends EngineStore {
  readonly tables: MemoryTables
  /** queued -> dispatched, as admission does. */
  dispatch(taskIds: readonly number[], leaseMs: number): TaskFence[]
}

const emptyTables = (): MemoryTables => ({
  jobs: new Map(),
  steps: new Map(),
  tasks: new Map(),
  results: new Map(),
  outputs: new Map(),
  files: new Map(),
  definitions: new Map(),
  events: [],
  audit: [],
  lastId: 0,
})

const isIdle = (task: MemoryTask): boolean => (taskIdleStates as readonly TaskState[]).includes(task.state)
const isOpen = (task: MemoryTask): boolean => (taskOpenStates as readonly TaskState[]).includes(task.state)

export function createMemoryStore(now: () => number): MemoryStore {
  const tables = emptyTables()
  let turn: Promise<unknown> = Promise.resolve()

  const nextId = (): number => ++tables.lastId
  const holds = ({ taskId, epoch }: TaskFence, state: TaskState): MemoryTask | undefined => {
    const task = tables.tasks.get(taskId)
    return task !== undefined && task.epoch === epoch && task.state === state ? task : undefined
  }

  function move(task: MemoryTask, to: TaskState, leaseUntilMs: number | null = null): void {
    invariant(isTaskMove(task.state, to), `a task moves from ${task.state} to ${to}`)
    task.state = to
    task.leaseUntilMs = leaseUntilMs
  }

  function settle(settlement: Settlement): boolean {
    const task = holds(settlement, 'running')
    if (task === undefined) return false
    const isLost = 'lost' in settlement && settlement.lost
    if (isLost && (task.leaseUntilMs ?? 0) >= now()) return false
    move(task, settlement.to)
    if (settlement.to === 'succeeded') {
      invariant(!tables.results.has(task.id), 'a task has one result')
      const { jobId, step, ordinal, epoch, id } = task
      tables.results.set(id, { jobId, step, ordinal, epoch, result: settlement.result })
    }
    if (settlement.to === 'delayed') task.runAtMs = now() + settlement.delayMs
    if (settlement.to === 'queued') task.attempt -= 1
    if (isLost) task.lostCount += 1
    if (settlement.to === 'cancelled' && settlement.force) task.epoch += 1
    return true
  }

  function addTask(task: NewTask): void {
    const twin = tables.tasks
      .values()
      .some((t) => t.jobId === task.jobId && t.step === task.step && t.ordinal === task.ordinal)
    invariant(!twin, 'a step has one task of each ordinal')
    const id = nextId()
    const fresh = { state: 'queued', runAtMs: now(), attempt: 0, lostCount: 0, epoch: 0, leaseUntilMs: null } as const
    tables.tasks.set(id, { ...structuredClone(task), ...fresh, id })
  }

  const tasksOf = (jobId: number, step?: string): MemoryTask[] =>
    [...tables.tasks.values()].filter((task) => task.jobId === jobId && (step === undefined || task.step === step))

  function toFile(job: EngineJob): EngineFile[] {
    const file = tables.files.get(job.fileId)
    if (file === undefined) return []
    return [{ ...structuredClone(file), jobId: job.id, current: file.version === job.fileVersion }]
  }

  function change(
    fileId: number,
    version: number,
    apply: (file: NonNullable<ReturnType<MemoryTables['files']['get']>>) => void,
  ): boolean {
    const file = tables.files.get(fileId)
    if (file === undefined || file.version !== version) return false
    apply(file)
    return true
  }

  const listResults: EngineStore['listResults'] = async (of, limits) =>
    of.flatMap(({ jobId, step }) =>
      [...tables.results.values()]
        .filter((result) => result.jobId === jobId && result.step === step)
        .filter(({ result }) => JSON.stringify(result ?? null).length <= limits.bytes)
        .toSorted((a, b) => a.ordinal - b.ordinal)
        .slice(0, limits.count)
        .map(({ epoch: _epoch, ...result }) => structuredClone(result)),
    )

  const findDefinitions: EngineStore['findDefinitions'] = async (ids) => {
    const found = new Map<number, PipelineDefinition>()
    for (const id of ids) {
      const definition = tables.definitions.get(id)
      if (definition !== undefined) found.set(id, definition)
    }
    return found
  }

  const outputsOf = (jobId: number, step: string): StepOutput[] =>
    [...tables.outputs.values()].filter((output) => output.jobId === jobId && output.from === step)

  const tx: EngineTx = {
    findDefinitions,
    listResults,
    async insertJob({ steps, tasks, parentJobId: _parent, remainingMs: _remaining, ...job }) {
      const id = nextId() as RowId<'job'>
      tables.jobs.set(id, structuredClone({ ...job, id }))
      tables.steps.set(
        id,
        steps.map((step) => structuredClone({ ...step, jobId: id })),
      )
      for (const task of tasks) addTask({ ...task, jobId: id })
      const { tenantId, fileId } = job
      tables.events.push({ tenantId, type: 'job.created', jobId: id, fileId, data: { status: job.state } })
      return id
    },
    lockJobs: async (ids) =>
      [...ids].toSorted((a, b) => a - b).flatMap((id) => structuredClone(tables.jobs.get(id)) ?? []),
    listSteps: async (ids) => ids.flatMap((id) => structuredClone(tables.steps.get(id)) ?? []),
    listFiles: async (ids) => ids.flatMap((id) => tables.jobs.get(id) ?? []).flatMap(toFile),
    settleTasks: async (settlements) => new Set(settlements.filter(settle).map(({ taskId }) => taskId)),
    async insertTasks(tasks) {
      for (const task of tasks) addTask(task)
    },
    async expandStep({ each, afterOutputId, limit, input, rank, ...expansion }) {
      const created = tasksOf(expansion.jobId, expansion.step)
      const first = created.find(({ ordinal }) => ordinal === 0)?.rank ?? rank
      const outputs = outputsOf(expansion.jobId, each)
        .filter(({ id }) => id > afterOutputId)
        .toSorted((a, b) => a.id - b.id)
        .slice(0, limit)
      for (const [index, { id: _id, jobId: _job, ...file }] of outputs.entries()) {
        const ordinal = created.length + index
        const files = [file, ...input.files]
        addTask({ ...expansion, ordinal, rank: first + ordinal * expansion.costMs, input: { ...input, files } })
      }
      return { count: outputs.length, lastOutputId: outputs.at(-1)?.id ?? afterOutputId }
    },
    async updateSteps(steps) {
      for (const step of steps) {
        const rows = tables.steps.get(step.jobId) ?? []
        const index = rows.findIndex(({ name }) => name === step.name)
        invariant(step.tasksPending >= 0, 'a counter does not fall below zero')
        if (index >= 0) rows[index] = structuredClone(step)
      }
    },
    async updateJobs(jobs) {
      for (const { remainingMs: _remaining, ...job } of jobs) {
        const progressPercent = Math.max(job.progressPercent, tables.jobs.get(job.id)?.progressPercent ?? 0)
        tables.jobs.set(job.id, structuredClone({ ...job, progressPercent }))
      }
    },
    async cancelIdleTasks(jobId, limit) {
      const counts = new Map<string, number>()
      for (const task of tasksOf(jobId).filter(isIdle).slice(0, limit)) {
        move(task, 'cancelled')
        counts.set(task.step, (counts.get(task.step) ?? 0) + 1)
      }
      return counts
    },
    countOpenTasks: async (jobId, step) => tasksOf(jobId, step).filter(isOpen).length,
    async requeueEndedTasks(jobId, step) {
      const ended = tasksOf(jobId, step).filter(({ state }) => state === 'dead' || state === 'cancelled')
      for (const task of ended) {
        move(task, 'queued')
        Object.assign(task, { attempt: 0, lostCount: 0, runAtMs: now() })
      }
      return ended.length
    },
    async deleteStepWork(jobId, steps) {
      for (const task of tasksOf(jobId).filter(({ step }) => steps.includes(step))) {
        tables.tasks.delete(task.id)
        tables.results.delete(task.id)
      }
      for (const step of steps) for (const { id } of outputsOf(jobId, step)) tables.outputs.delete(id)
    },
    async insertOutputs(outputs) {
      for (const { jobId, step, name, contentType, object } of outputs) {
        const twin = tables.outputs.values().some((output) => output.jobId === jobId && output.name === name)
        invariant(!twin, 'a job has one output of each name')
        const id = nextId()
        const { sizeBytes, sha256, objectId } = object
        tables.outputs.set(id, { id, jobId, from: step, name, contentType, sizeBytes, sha256, objectId })
      }
    },
    async findOutputNames(jobId, names) {
      const taken = [...tables.outputs.values()].filter((output) => output.jobId === jobId).map(({ name }) => name)
      return new Set(taken.filter((name) => names.includes(name)))
    },
    listOutputs: async (of, limit) =>
      of.flatMap(({ jobId, step }) =>
        structuredClone(
          outputsOf(jobId, step)
            .toSorted((a, b) => a.id - b.id)
            .slice(0, limit),
        ),
      ),
    async countOutputs(jobIds) {
      const counts = new Map<string, { jobId: number; step: string; count: number; sizeBytes: number }>()
      for (const { jobId, from: step, sizeBytes } of tables.outputs.values()) {
        if (!jobIds.includes(jobId)) continue
        const key = `${jobId} ${step}`
        const row = counts.get(key) ?? { jobId, step, count: 0, sizeBytes: 0 }
        counts.set(key, { ...row, count: row.count + 1, sizeBytes: row.sizeBytes + sizeBytes })
      }
      return [...counts.values()]
    },
    async appendEvents(events) {
      tables.events.push(...structuredClone([...events]))
    },
    async appendAudit({ action, jobId }) {
      tables.audit.push({ action, jobId })
    },
    effects: {
      setFileState: async ({ fileId, version, state }) => change(fileId, version, (file) => void (file.state = state)),
      addFound: async ({ fileId, version, step, found }) =>
        void change(fileId, version, (file) => void (file.found[step] = structuredClone(found))),
      setStorageClass: async ({ fileId, version, storageClass }) =>
        void change(fileId, version, (file) => void (file.storageClass = storageClass)),
      indexFile: async ({ fileId, version }) => void change(fileId, version, (file) => void (file.indexed = true)),
      sealMembers: async ({ parentFileId, depth, files }) => {
        const parent = tables.files.get(parentFileId)
        const [pipelineVersionId, definition] = [...tables.definitions][0] ?? []
        invariant(parent && pipelineVersionId !== undefined && definition, 'a member has a parent and a pipeline')
        return files.map(({ name, contentType, object }) => {
          const fileId = nextId() as RowId<'file'>
          const { sizeBytes, sha256, objectId } = object
          const own = { fileId, name, contentType, sizeBytes, sha256, objectId, depth, version: 1 }
          const fresh = {
            metadata: {},
            found: {},
            state: 'quarantined',
            storageClass: 'standard',
            indexed: false,
          } as const
          tables.files.set(fileId, { ...own, ...structuredClone(fresh) })
          return { fileId, version: 1, name, contentType, object, pipelineVersionId, definition }
        })
      },
    },
  }

  /** One transaction after another, as the locks of a single job would have it. */
  function transaction<T>(work: (tx: EngineTx) => Promise<T>): Promise<T> {
    const run = turn.then(async () => {
      const before = structuredClone(tables)
      try {
        return await work(tx)
      } catch (error) {
        Object.assign(tables, before)
        throw error
      }
    })
    turn = run.catch(() => {})
    return run
  }

  function claim(fence: TaskFence, leaseMs: number): ClaimedTask[] {
    const task = holds(fence, 'dispatched')
    const job = task && tables.jobs.get(task.jobId)
    if (task === undefined || job === undefined || isJobEnded(job.state) || job.state === 'cancelling') return []
    move(task, 'running', now() + leaseMs)
    task.attempt += 1
    const step = tables.steps.get(job.id)?.find(({ name }) => name === task.step)
    const { tenantId, fileId, pipelineVersionId } = job
    if (step?.state === 'waiting') {
      step.state = 'running'
      tables.events.push({ tenantId, type: 'step.started', jobId: job.id, fileId, data: { step: step.name } })
    }
    if (job.state === 'queued') job.state = 'running'
    const [file] = toFile(job)
    invariant(file, 'a job of the simulation has its file')
    const { step: name, jobId, ordinal, attempt, attemptsMax, input } = task
    return [{ ...fence, tenantId, jobId, pipelineVersionId, step: name, ordinal, attempt, attemptsMax, input, file }]
  }

  return {
    tables,
    transaction,
    listResults,
    findDefinitions,
    claimTasks: ({ fences, leaseMs }) =>
      transaction(async () => fences.flatMap(({ taskId, epoch }) => claim({ taskId, epoch }, leaseMs))),
    extendLeases: (fences, leaseMs) =>
      transaction(async () =>
        fences.flatMap((fence) => {
          const task = holds(fence, 'running')
          if (task === undefined) return []
          task.leaseUntilMs = now() + leaseMs
          const state = tables.jobs.get(task.jobId)?.state
          return [
            { taskId: task.id, cancelled: state === undefined || state === 'cancelling' || state === 'cancelled' },
          ]
        }),
      ),
    dispatch: (taskIds, leaseMs) =>
      taskIds.flatMap((id) => {
        const task = tables.tasks.get(id)
        if (task?.state !== 'queued') return []
        move(task, 'dispatched', now() + leaseMs)
        task.epoch += 1
        return [{ taskId: id, epoch: task.epoch }]
      }),
  }
}
