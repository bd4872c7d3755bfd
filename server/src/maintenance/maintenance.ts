// maintenance/ is what somebody has to do so that the engine goes on: one process leads (leader.ts) and has duties, one
// file each. It must not know what tasks do (pipeline/) nor how workers run them (worker/).
// Invariants: nothing is lost when a leader dies or freezes in the middle of a duty, and nothing is done twice when two
// believe to lead: admission checks the lead in its statement, every other duty may be done by several at once.

import type { Erasure } from '../files/erasure.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import type { Ids } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { Service } from '../platform/service.ts'
import type { WakeBus } from '../platform/wake.ts'
import type { BatchRunner } from '../processing/batches/batch-runner.ts'
import type { ControlRunner } from '../processing/control/control-runner.ts'
import type { ScheduleRunner } from '../processing/schedules/schedule-runner.ts'
import type { Engine } from '../processing/engine.ts'
import type { ClaimedTask } from '../processing/engine-store.ts'
import type { HandOut } from '../queue/hand-out.ts'
import type { ReadyQueue } from '../queue/ready-queue.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import type { OldKeys } from '../storage/old-keys.ts'
import type { Vault } from '../storage/vault.ts'
import type { Quota } from '../tenants/quota.ts'
import { createAdmission, dispatchLeaseMsDefault } from './admission.ts'
import { createBatchKeeper } from './batch-keeper.ts'
import { createControlKeeper } from './control-keeper.ts'
import { createScheduleKeeper } from './schedule-keeper.ts'
import { createCanceller } from './canceller.ts'
import { createDemand } from './demand.ts'
import { createDuty } from './duty.ts'
import { createKeptHistory } from './kept-history.ts'
import { createLeader } from './leader.ts'
import { createOldKeyKeeper } from './old-key-keeper.ts'
import { createPromoter } from './promoter.ts'
import { createRescuer, settleEach } from './rescuer.ts'
import { createRetention } from './retention.ts'
import type { SchedulerStore } from './scheduler-store.ts'
import { createScrubber, type ScrubDependencies } from './scrubber.ts'
import { createSqlSchedulerStore } from './sql-scheduler-store.ts'
import { createSweeper, type SweepDependencies } from './sweeper.ts'
import { createTrash } from './trash.ts'

export interface MaintenanceDependencies {
  database: Database
  queue: ReadyQueue | HandOut<ClaimedTask>
  engine: Engine
  quota: Quota
  batchRunner?: BatchRunner
  controlRunner?: ControlRunner
  scheduleRunner?: ScheduleRunner
  wake: WakeBus
  clock: Clock
  ids: Ids
  log: Log
  pool?: number
  /** How often an idle leader looks without having been woken. Short where wakes do not cross processes. */
  backstopMs?: number
  dispatchLeaseMs?: number
  store?: SchedulerStore
  /** What care for stored bytes needs; without it there is none. */
  bytes?: { objectStore: ObjectStore; vault: Vault; metrics: Metrics; erasure: Erasure; oldKeys: OldKeys }
}

/** Where everything is one process, every wake arrives. */
export const backstopMsInProcess = 1_000
export const backstopMsDefault = 100
/** Between two looks while there is work but no room. */
const busyMs = 5
/** Between two looks while all that wait for rates do: far below the second that a bucket holds. */
const tokensMs = 50
/** After tasks were admitted: reports wake without end while there is work, and looks are better few and full. */
const spacingMs = 2

/** The leader's duties, as services to be started in this order. */
export function createMaintenance(deps: MaintenanceDependencies): Service[] {
  const { database, queue, engine, quota, wake, clock, ids, log, pool = 0 } = deps
  const store = deps.store ?? createSqlSchedulerStore(database)
  const backstopMs = deps.backstopMs ?? (queue.kind === 'in-process' ? backstopMsInProcess : backstopMsDefault)
  let restarted = queue.kind === 'in-process'
  const leader = createLeader({
    store,
    clock,
    owner: ids.randomHex(8),
    async onTaken({ epoch }) {
      log.info('leader.taken', { epoch })
      if (!restarted) return
      // The only process there is has just begun: whoever held a lease is gone, and so is what the queue held. The tasks
      // are handed back and not counted as lost, because what ended the process was no task: those run in sandboxes.
      restarted = false
      await store.expireLeases('all')
      await store.requeueExpired(leasesCountMax)
      for (let left = await store.listLost(releaseCountMax); left.length > 0;) {
        await settleEach(
          engine,
          left.map((task) => ({ task, outcome: { kind: 'release' } })),
        )
        left = await store.listLost(releaseCountMax)
      }
    },
  })
  const admission = createAdmission({
    store,
    queue,
    leader,
    clock,
    pool,
    dispatchLeaseMs: deps.dispatchLeaseMs ?? dispatchLeaseMsDefault,
  })
  const lead = createDuty({
    name: 'admission',
    topics: ['backlog'],
    clock,
    wake,
    log,
    async look(signal) {
      const dueMs = await leader.keep()
      if (leader.current() === undefined) return dueMs
      const { count, waiting } = await admission.admit()
      if (count > 0) await clock.sleep(spacingMs, signal)
      const waitMs = waiting === 'tokens' ? tokensMs : count > 0 || waiting === 'room' ? busyMs : backstopMs
      return Math.min(dueMs, waitMs)
    },
  })
  const duty = { store, leader, engine, wake, clock, log }
  return [
    {
      ...lead,
      async stop(deadlineMs) {
        await lead.stop(deadlineMs)
        await leader.resign()
      },
    },
    createRescuer(duty),
    createPromoter(duty),
    createCanceller(duty),
    ...(deps.controlRunner ? [createControlKeeper({ ...duty, controlRunner: deps.controlRunner })] : []),
    ...(deps.scheduleRunner ? [createScheduleKeeper({ ...duty, scheduleRunner: deps.scheduleRunner })] : []),
    ...(deps.batchRunner ? [createBatchKeeper({ ...duty, batchRunner: deps.batchRunner })] : []),
    createDemand({ ...duty, pool }),
    createRetention({ ...duty, quota }),
    ...(deps.bytes === undefined ? [] : createByteDuties({ ...duty, ...deps.bytes, database })),
  ]
}

const createByteDuties = (
  deps: Parameters<typeof createTrash>[0] & SweepDependencies & ScrubDependencies & { oldKeys: OldKeys },
): Service[] => [
  createTrash(deps),
  createKeptHistory(deps),
  createOldKeyKeeper(deps),
  createSweeper(deps),
  createScrubber(deps),
]

const leasesCountMax = 100_000
const releaseCountMax = 100
