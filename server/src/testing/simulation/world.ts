// A whole installation in one thread and in simulated time: the production code of the engine and of its maintenance over
// stores in memory, workers whose tasks are dice, clients, and faults. One seed is one history: everything that happens
// follows from it, so that a history can be played again, bit by bit.
//
// What is real: createEngine, createTaskDesk, createJobSubmission, createJobControl, createMaintenance with all its
// duties, the in-process queue. What is simulated: time, the database (READ COMMITTED, with locks), the transport between
// processes, the work of a task. checker.ts says what must hold.

import { createMaintenance } from '../../maintenance/maintenance.ts'
import type { SchedulerStore } from '../../maintenance/scheduler-store.ts'
import {
  createMemorySchedulerStore,
  type MemorySchedulerStore,
} from '../../maintenance/testing/memory-scheduler-store.ts'
import type { Database } from '../../platform/database.ts'
import type { RowId } from '../../platform/ids.ts'
import { silentLog } from '../../platform/log.ts'
import type { WakeTopic } from '../../platform/wake.ts'
import { createTaskDesk } from '../../processing/desk.ts'
import { createEngine, type Engine } from '../../processing/engine.ts'
import type { ClaimedTask, EngineStore, EngineTx } from '../../processing/engine-store.ts'
import { createEstimates, type Estimates } from '../../processing/estimates.ts'
import { createJobControl } from '../../processing/job-control.ts'
import { createJobSubmission } from '../../processing/job-submission.ts'
import { createMemoryStore, freshFile, type MemoryStore } from '../../processing/testing/memory-store.ts'
import type { Change } from '../../processing/testing/memory-tables.ts'
import { createHandOut, type HandOut } from '../../queue/hand-out.ts'
import type { ReadyQueue } from '../../queue/ready-queue.ts'
import type { Quota } from '../../tenants/quota.ts'
import { createChecker, type Checker } from './checker.ts'
import { runClient } from './client.ts'
import { chooseFaults, type Faults } from './faults.ts'
import { History, type Violation } from './history.ts'
import { createRandom, type Random } from './random.ts'
import { SimulatedProcess } from './simulated-process.ts'
import { createSimulatedTransport, type SimulatedTransport } from './simulated-queue.ts'
import { SimulatedTime } from './simulated-time.ts'
import { startSimulatedWorker } from './simulated-worker.ts'
import { chooseWorkload, simulatedCatalogue, type Workload } from './workload.ts'

export interface WorldResult {
  hash: string
  jobsCount: number
  eventsCount: number
  simulatedMs: number
  violation: Violation | undefined
  lines: string[]
}

export interface World {
  /** One event further; false when the history is over. What it set off must come to rest before the next call. */
  step(): boolean
  result(): WorldResult
}

/** Quiet for so many looks, a history is over: nothing is on its way any more that could still do harm. */
const quietLooksCount = 4
const lookMs = 500
const eventsCountMax = 400_000
const restartMsMax = 1_500
const freezeMsMax = 10_000

export function createWorld(seed: number, { isTraced = false } = {}): World {
  const random = createRandom(seed)
  const faults = chooseFaults(random)
  const workload = chooseWorkload(random, faults)
  const time = new SimulatedTime()
  const history = new History(() => time.nowMs, { isTraced })
  const store: MemoryStore = createMemoryStore(
    () => time.nowMs,
    (changes) => {
      history.note('commit', changes.length, hashChanges(changes))
      for (const change of changes) history.explain(() => describe(change))
      checker.committed(changes)
    },
  )
  const scheduler = createMemorySchedulerStore(store)
  const checker = createChecker({ store, scheduler, history, healedMs: faults.endMs })
  const shared = { time, random, faults, history, store, scheduler, checker, workload }
  const isOneProcess = random.chance(0.2)
  const house = isOneProcess ? openOneProcess(shared) : openCluster(shared)
  const api = house.startApi()
  let clientsLeft = workload.jobs.length
  fillTables(store, workload)
  for (const [index, plan] of workload.jobs.entries()) {
    const fileId = addFile(store, index)
    api.process.after(plan.atMs, () => {
      void runClient({ ...api, plan, fileId, random, checker }).finally(() => (clientsLeft -= 1))
    })
  }
  let quietLooks = 0
  let isOver = false
  const look = (): void => {
    quietLooks = clientsLeft === 0 && checker.isQuiet() ? quietLooks + 1 : 0
    checker.checkDeadline()
    if (quietLooks >= quietLooksCount) isOver = true
    else time.after(lookMs, look)
  }
  time.after(lookMs, look)

  return {
    step() {
      if (isOver || history.violation !== undefined) return false
      if (time.eventsCount > eventsCountMax) history.violate('I2b', 'The history does not come to rest.')
      const goesOn = time.step() && !isOver && history.violation === undefined
      if (goesOn) return true
      if (history.violation === undefined) checker.checkEnd()
      house.end()
      return false
    },
    result: () => ({
      hash: history.hash,
      jobsCount: store.tables.jobs.rows.size,
      eventsCount: time.eventsCount,
      simulatedMs: time.nowMs,
      violation: history.violation,
      lines: history.lines,
    }),
  }
}

/** What differs, field by field. */
function describe({ before, after }: Change): string {
  if (after === undefined) return `- ${JSON.stringify(before)}`
  const old: Record<string, unknown> = { ...before }
  const changed = Object.entries(after)
    .filter(([field, value]) => old[field] !== value && field !== 'input')
    .map(([field, value]) => `${field} ${before ? `${JSON.stringify(old[field])} -> ` : ''}${JSON.stringify(value)}`)
  const named =
    'name' in after
      ? `step ${String(after.name)}`
      : 'taskId' in after
        ? 'of a task'
        : 'id' in after
          ? `row ${String(after.id)}`
          : 'row'
  return `${before ? '~' : '+'} ${named}: ${changed.join(', ')}`
}

function hashChanges(changes: readonly { after: object | undefined }[]): number {
  let hash = 0
  for (const { after } of changes) {
    if (after === undefined) hash = Math.imul(hash ^ 1, 0x01000193)
    else if ('state' in after) hash = Math.imul(hash ^ String(after.state).length, 0x01000193)
    if (after !== undefined && 'id' in after) hash = Math.imul(hash ^ Number(after.id), 0x01000193)
    if (after !== undefined && 'epoch' in after) hash = Math.imul(hash ^ Number(after.epoch), 0x01000193)
  }
  return hash
}

function fillTables({ tables }: MemoryStore, { tenants, definitions }: Workload): void {
  for (const { tenantId, ...share } of tenants) {
    tables.tenants.set(tenantId, { ...share, startsFromMs: -Infinity, paused: false, virtualMs: [0, 0, 0] })
  }
  for (const [index, definition] of definitions.entries()) tables.definitions.set(index + 1, definition)
}

/** Far from the ids that the store gives itself. */
const fileIdsFrom = 1_000_000

function addFile({ tables }: MemoryStore, index: number): RowId<'file'> {
  const fileId = (fileIdsFrom + index) as RowId<'file'>
  const object = { sizeBytes: index % 2 === 0 ? 100 : 10_000, sha256: '', objectId: `original-${index}` }
  const named = { fileId, version: 1, name: 'data.csv', contentType: 'text/csv', depth: 0 }
  tables.files.set(fileId, { ...named, ...object, ...freshFile() })
  return fileId
}

interface Shared {
  time: SimulatedTime
  random: Random
  faults: Faults
  history: History
  store: MemoryStore
  scheduler: MemorySchedulerStore
  checker: Checker
  workload: Workload
}

/** The engine as one process has it. */
function openEngine(
  shared: Shared,
  process: SimulatedProcess,
): { store: EngineStore; engine: Engine; estimates: Estimates } {
  const store = remoteStore(shared, process)
  const estimateStore = { listEstimates: async () => [], addEstimates: async () => {} }
  const { clock } = process
  const estimates = createEstimates({ store: estimateStore, catalogue: simulatedCatalogue, clock, log: silentLog })
  const random = (): number => shared.random.next()
  return { store, estimates, engine: createEngine({ store, catalogue: simulatedCatalogue, estimates, random }) }
}

function remoteStore({ store, checker, time }: Shared, process: SimulatedProcess): EngineStore {
  const local = store.connect(process.pause)
  const watched = (tx: EngineTx): EngineTx => ({
    ...tx,
    async settleTasks(settlements) {
      const settled = await tx.settleTasks(settlements)
      for (const settlement of settlements) if (settled.has(settlement.taskId)) checker.settles(settlement)
      return settled
    },
    async listContinuing(pool, wishes) {
      const allowed = await tx.listContinuing(pool, wishes)
      checker.continues(wishes, allowed)
      return allowed
    },
  })
  return {
    transaction: (work) =>
      process.call('transaction', () => local.transaction((tx) => work(watched(tx))), 'transaction'),
    claimTasks: (claim) =>
      process.call('claim', async () => {
        const sinceMs = time.nowMs
        const tasks = await local.claimTasks(claim)
        checker.claims(claim.fences, tasks, sinceMs)
        return tasks
      }),
    extendLeases: (fences, leaseMs) =>
      process.call('heartbeat', async () => {
        const extended = await local.extendLeases(fences, leaseMs)
        checker.extends(extended)
        return extended
      }),
    listResults: (of, limits) => process.call('results', () => local.listResults(of, limits)),
    findDefinitions: (ids) => local.findDefinitions(ids),
  }
}

function remoteScheduler({ scheduler, checker }: Shared, process: SimulatedProcess): SchedulerStore {
  const remote = Object.fromEntries(
    Object.entries(scheduler).flatMap(([name, method]: [string, unknown]) =>
      typeof method === 'function'
        ? [
            [
              name,
              (...parameters: unknown[]) => process.call(name, async () => (await method(...parameters)) as unknown),
            ],
          ]
        : [],
    ),
  ) as unknown as SchedulerStore // The same methods, further away.
  return {
    ...remote,
    admit: (admission) =>
      process.call('admit', async () => {
        const admitted = await scheduler.admit(admission)
        checker.admits(admission.leadership, admitted)
        return admitted
      }),
    start: (start) =>
      process.call('start', async () => {
        const started = await scheduler.start(start)
        checker.admits(start.leadership, started)
        return started
      }),
  }
}

interface Api {
  process: SimulatedProcess
  control: ReturnType<typeof createJobControl>
  submission: ReturnType<typeof createJobSubmission>
  store: EngineStore
  workload: Workload
  memory: MemoryStore
  wake: (topic: WakeTopic) => void
}

interface House {
  startApi(): Api
  end(): void
}

function createProcesses(shared: Shared) {
  const { time, random, faults } = shared
  const all = new Set<SimulatedProcess>()
  let lastId = 0
  const tell = (topic: WakeTopic): void => {
    for (const process of all) process.hearWake(topic)
  }
  const isHealed = (): boolean => time.nowMs >= faults.endMs

  return {
    tell,
    end(): void {
      for (const process of all) process.end()
    },
    /** `onEnd`: it vanished, and somebody starts another one. */
    create(onEnd?: () => void): SimulatedProcess {
      const process: SimulatedProcess = new SimulatedProcess(++lastId, shared, () => {
        all.delete(process)
        if (onEnd) time.after(random.between(50, restartMsMax), onEnd)
      })
      all.add(process)
      return process
    },
    /** Something happens to one of these again and again, until the faults end. */
    plague(everyMs: number, strike: () => void): void {
      if (everyMs === 0) return
      const next = (): void =>
        void time.after(random.between(0.2, 1.8) * everyMs, () => {
          if (isHealed()) return
          strike()
          next()
        })
      next()
    },
    freezeMs: (): number => Math.min(random.between(100, freezeMsMax), faults.endMs - time.nowMs),
  }
}

type Processes = ReturnType<typeof createProcesses>

function startApi(shared: Shared, processes: Processes): Api {
  const process = processes.create()
  const { store, engine, estimates } = openEngine(shared, process)
  const { workload } = shared
  const wake = process.wakeBus(processes.tell)
  const submission = createJobSubmission({
    // What the engine's own transactions give is handed through as it is.
    store: { within: (tx) => tx as unknown as EngineTx },
    pipelines: {
      choose: async (_tx, { pipeline }) => {
        const pipelineVersionId = Number(pipeline)
        // Of the workload, so it is there.
        return {
          pipelineVersionId,
          definition: workload.definitions[pipelineVersionId - 1]!,
          name: 'simulated',
          number: 1,
        }
      },
    },
    catalogue: simulatedCatalogue,
    estimates,
    clock: process.clock,
  })
  const control = createJobControl({ engine, wake })
  return { process, control, submission, store, workload, memory: shared.store, wake: (topic) => wake.wake(topic) }
}

function startLeader(
  shared: Shared,
  processes: Processes,
  process: SimulatedProcess,
  queue: ReadyQueue | HandOut<ClaimedTask>,
) {
  const { random, faults } = shared
  const { engine } = openEngine(shared, process)
  const services = createMaintenance({
    database: undefined as unknown as Database, // The store is handed in.
    store: remoteScheduler(shared, process),
    quota: { releaseExpired: async () => 0 } as unknown as Quota, // Of it, maintenance asks only this.
    queue,
    engine,
    wake: process.wakeBus(processes.tell),
    clock: process.clock,
    ids: { randomHex: () => `owner-${process.id}` },
    log: silentLog,
    backstopMs: random.pick([250, 1_000]),
    dispatchLeaseMs: faults.dispatchLeaseMs,
  })
  const running = new AbortController()
  for (const service of services) void service.start(running.signal)
  return {
    /** As a process ends that is asked to. */
    async stop(): Promise<void> {
      for (const service of services.toReversed()) await service.stop(1_000).catch(() => {})
    },
  }
}

function startWorker(
  shared: Shared,
  processes: Processes,
  process: SimulatedProcess,
  queue: ReadyQueue | HandOut<ClaimedTask>,
  slots: number,
) {
  const { random, faults, checker, scheduler } = shared
  const { store, engine, estimates } = openEngine(shared, process)
  const name = `worker_${process.id}`
  const leaseMs = faults.runLeaseMs
  const wake = process.wakeBus(processes.tell)
  const desk = createTaskDesk({
    store,
    engine,
    queue,
    estimates,
    wake,
    clock: process.clock,
    log: silentLog,
    worker: name,
    leaseMs,
  })
  return startSimulatedWorker({
    process,
    desk,
    slots,
    heartbeatMs: leaseMs / 4,
    random,
    faults,
    seen: () => scheduler.seeWorker(name, slots),
    reported: (task, outcome, isWritten) => checker.reported(task, outcome, isWritten),
  })
}

function openCluster(shared: Shared): House {
  const { time, random, faults, workload, history } = shared
  const processes = createProcesses(shared)
  const transport: SimulatedTransport = createSimulatedTransport({ time, random, faults, history })
  const leaders: { process: SimulatedProcess; stop: () => Promise<void> }[] = []
  const workers: { process: SimulatedProcess; drain: () => Promise<void> }[] = []

  const addLeader = (index: number): void => {
    const process = processes.create(() => addLeader(index))
    leaders[index] = { process, ...startLeader(shared, processes, process, transport.connect(process)) }
  }
  const addWorker = (index: number): void => {
    const process = processes.create(() => addWorker(index))
    const { slots } = workload.workers[index] ?? { slots: 1 }
    workers[index] = { process, ...startWorker(shared, processes, process, transport.connect(process), slots) }
  }
  for (let index = 0; index < workload.leadersCount; index++) addLeader(index)
  for (const index of workload.workers.keys()) addWorker(index)

  processes.plague(faults.emptiedEveryMs, () => transport.empty(random.chance(faults.emptiedSilently)))
  processes.plague(faults.workerCrashEveryMs, () => random.pick(workers).process.crash())
  processes.plague(faults.workerFreezeEveryMs, () => random.pick(workers).process.freeze(processes.freezeMs()))
  processes.plague(faults.clockJumpEveryMs, () => random.pick(workers).process.jumpClock(random.between(-1e7, 1e7)))
  processes.plague(faults.workerDrainEveryMs, () => {
    const { process, drain } = random.pick(workers)
    if (!process.isDead) void drain().then(() => process.crash())
  })
  processes.plague(faults.leaderCrashEveryMs, () => {
    const { process, stop } = random.pick(leaders)
    if (process.isDead || random.chance(0.6)) process.crash()
    else void stop().then(() => process.crash())
  })
  processes.plague(faults.leaderFreezeEveryMs, () => random.pick(leaders).process.freeze(processes.freezeMs()))
  return { startApi: () => startApi(shared, processes), end: () => processes.end() }
}

/** All in one process with the queue in it, that vanishes as a whole. */
function openOneProcess(shared: Shared): House {
  const { random, faults, workload } = shared
  const processes = createProcesses(shared)
  let current: SimulatedProcess
  const open = (): void => {
    const process = processes.create(open)
    current = process
    const queue = createHandOut<ClaimedTask>({ clock: process.clock, wake: process.wakeBus(processes.tell) })
    startLeader(shared, processes, process, queue)
    startWorker(shared, processes, process, queue, workload.workers[0]?.slots ?? 1)
  }
  open()
  processes.plague(faults.workerCrashEveryMs, () => current.crash())
  processes.plague(faults.workerFreezeEveryMs, () => current.freeze(processes.freezeMs()))
  processes.plague(faults.clockJumpEveryMs, () => current.jumpClock(random.between(-1e7, 1e7)))
  return { startApi: () => startApi(shared, processes), end: () => processes.end() }
}
