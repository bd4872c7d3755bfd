// Works off what was asked of many jobs or dead letters at once, a chunk at a time, from the newest to the oldest. A chunk
// is done before it is written down: a process that dies between does it again, which changes nothing, because what has
// been replayed or cancelled is not meant any more.

import { isJobEnded } from '@millrace/contract'
import type { Database } from '../../platform/database.ts'
import { encodeId } from '../../platform/ids.ts'
import type { Log } from '../../platform/log.ts'
import { Problem } from '../../platform/problem.ts'
import type { WakeBus } from '../../platform/wake.ts'
import type { Engine } from '../engine.ts'
import { retryBroken } from '../job-control.ts'
import { requestCancel } from '../job.sql.ts'
import {
  listDeadLetters,
  listLiveControlTasks,
  listMeantJobs,
  moveControlTask,
  type ControlTaskRow,
} from './control.sql.ts'

export interface ControlRunner {
  /** One chunk of each; answers how many went further. */
  advance(signal: AbortSignal): Promise<number>
}

export interface ControlRunnerDependencies {
  database: Database
  engine: Engine
  wake: WakeBus
  log: Log
}

const tasksCount = 50
/** Jobs that are replayed in one transaction, under their locks. */
const replayCount = 100
const cancelCount = 1_000

interface Chunk {
  /** Where the next one begins. */
  to: number
  done: number
  skipped: number
  ended: boolean
}

export function createControlRunner({ database, engine, wake, log }: ControlRunnerDependencies): ControlRunner {
  /** Those that were run again. One that breaks the chunk is told and left as it is. */
  async function replayJobs(control: ControlTaskRow, jobIds: readonly number[]): Promise<Set<number>> {
    const replayed = new Set<number>()
    const replay = (ids: readonly number[]) =>
      engine.changeJobs(ids, async (graph, tx) => {
        if (graph.job.tenantId !== control.tenant_id || !isJobEnded(graph.job.state)) return
        try {
          await retryBroken(graph, tx)
        } catch (error) {
          if (error instanceof Problem) return
          throw error
        }
        await tx.appendAudit({
          tenantId: control.tenant_id,
          actor: control.created_by,
          action: 'job.retry',
          jobId: graph.job.id,
          detail: { control_task_id: encodeId('control', control.id) },
        })
        replayed.add(graph.job.id)
      })
    try {
      await replay(jobIds)
    } catch (error) {
      log.warn('control.chunk_failed', { error })
      replayed.clear()
      for (const jobId of jobIds) {
        await replay([jobId]).catch((error: unknown) => {
          replayed.delete(jobId)
          log.warn('control.job_failed', { jobId, error })
        })
      }
    }
    return replayed
  }

  async function replayChunk(control: ControlTaskRow): Promise<Chunk> {
    const { tenant_id: tenantId, filter, cursor_id: before } = control
    const letters = await database.withTenant(tenantId, (tx) =>
      listDeadLetters(tx, { tenantId, filter, before, limit: replayCount }),
    )
    const replayed = await replayJobs(control, [...new Set(letters.map((letter) => letter.job_id))])
    const done = letters.filter((letter) => replayed.has(letter.job_id)).length
    const ended = letters.length < replayCount
    return { to: letters.at(-1)?.id ?? 0, done, skipped: letters.length - done, ended }
  }

  const cancelChunk = ({ tenant_id: tenantId, filter, cursor_id: before }: ControlTaskRow): Promise<Chunk> =>
    database.withTenant(tenantId, async (tx) => {
      const jobIds = await listMeantJobs(tx, { tenantId, filter, before, limit: cancelCount })
      const done = await requestCancel(tx, tenantId, jobIds)
      return { to: jobIds.at(-1) ?? 0, done, skipped: jobIds.length - done, ended: jobIds.length < cancelCount }
    })

  return {
    async advance(signal) {
      const live = await listLiveControlTasks(database, tasksCount)
      let movedCount = 0
      for (const control of live) {
        if (signal.aborted) break
        try {
          const replays = control.kind === 'replay_dead_letters'
          const chunk = await (replays ? replayChunk(control) : cancelChunk(control))
          await moveControlTask(database, { ...chunk, id: control.id, from: control.cursor_id })
          movedCount += 1
          wake.wake(replays ? 'backlog' : 'cancel')
          wake.wake('outbox')
        } catch (error) {
          // One that cannot be taken further must not hold up the others.
          log.warn('control.failed', { tenantId: control.tenant_id, error })
        }
      }
      return movedCount
    },
  }
}
