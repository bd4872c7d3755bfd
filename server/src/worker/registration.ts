// A worker's sign of life in table worker, with what it is and what it uses.

import { hostname } from 'node:os'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import type { Service } from '../platform/service.ts'
import { createResourceMonitor } from './resources.ts'
import type { Sandbox } from './sandbox/sandbox.ts'
import type { TaskLoop } from './task-loop.ts'
import { deleteWorker, upsertWorker } from './worker.sql.ts'

export interface WorkerRegistrationDependencies {
  database: Database
  /** Wire id of the worker, the same that its tasks are claimed with. */
  worker: string
  sandbox: Pick<Sandbox, 'level'>
  loop: Pick<TaskLoop, 'slotsCount' | 'busyCount'>
  clock: Clock
  log: Log
}

export const signOfLifeMs = 5_000

/** Present from start to stop; the row of a worker that was killed grows old and is removed by the leader. */
export function createWorkerRegistration(deps: WorkerRegistrationDependencies): Service {
  const { database, worker, clock, log, loop } = deps
  const monitor = createResourceMonitor()
  const ending = new AbortController()
  let background: Promise<void> = Promise.resolve()
  let isRegistered = false

  const register = (): Promise<void> =>
    upsertWorker(database, {
      id: worker,
      host: hostname(),
      sandbox: deps.sandbox.level,
      slots: loop.slotsCount,
      busy: loop.busyCount(),
      ...monitor.sample(),
    })

  const keepRegistered = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(signOfLifeMs, ending.signal)
      if (ending.signal.aborted) return
      await register().catch((error: unknown) => log.warn('worker.registration_failed', { error }))
    }
  }

  return {
    name: 'worker-registration',
    async start() {
      await register()
      isRegistered = true
      background = keepRegistered()
    },
    async stop() {
      ending.abort()
      await background
      if (!isRegistered) return
      isRegistered = false
      await deleteWorker(database, worker).catch((error: unknown) => log.warn('worker.registration_failed', { error }))
    },
  }
}
