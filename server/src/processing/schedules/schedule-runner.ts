// Fires the ticks of schedules that are due. A tick is a row whose key is the schedule and its time, written in the
// transaction that starts its batch: whoever else believes to lead finds it written, and starts nothing.

import type { Clock } from '../../platform/clock.ts'
import type { Database, Tx } from '../../platform/database.ts'
import type { Log } from '../../platform/log.ts'
import type { Principal } from '../../platform/principal.ts'
import { Problem } from '../../platform/problem.ts'
import type { WakeBus } from '../../platform/wake.ts'
import type { Batches } from '../batches/batches.ts'
import type { StoredProblem } from '../engine-store.ts'
import { parseCron } from './cron.ts'
import {
  endTick,
  hasLiveBatch,
  insertTick,
  listDueSchedules,
  lockDueSchedule,
  setNextTick,
  type ScheduleRow,
  type TickOutcome,
} from './schedule.sql.ts'

export interface ScheduleRunner {
  /** Fires at most one tick of each schedule that is due; answers how many there were. */
  fire(signal: AbortSignal): Promise<number>
}

export interface ScheduleRunnerDependencies {
  database: Database
  batches: Pick<Batches, 'createWithin'>
  clock: Clock
  wake: WakeBus
  log: Log
}

const schedulesCount = 100
/** A leader changes hands, a transaction waits: that is not a tick missed. */
export const onTimeMs = 60_000
/** Ticks that are older are not fired any more, whatever the policy. */
export const missedKeptMs = 7 * 24 * 60 * 60_000

export function createScheduleRunner(deps: ScheduleRunnerDependencies): ScheduleRunner {
  const { database, batches, clock, wake, log } = deps

  async function start(tx: Tx, row: ScheduleRow): Promise<{ batchId: number | null; problem: StoredProblem | null }> {
    // The column was written from a principal's.
    const actor = row.created_by as Principal['actor']
    try {
      const principal = { tenantId: row.tenant_id, actor }
      const { id } = await batches.createWithin(tx, { principal }, row.batch, row.id)
      return { batchId: id, problem: null }
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      return { batchId: null, problem: { code: error.code, detail: error.detail ?? '' } }
    }
  }

  async function fireOne(tx: Tx, row: ScheduleRow, now: Date): Promise<void> {
    const { at, next, missed } = chooseTick(row, now)
    const tick = { tenantId: row.tenant_id, scheduleId: row.id, at }
    const blocked = !row.overlap && (await hasLiveBatch(tx, row.id))
    // All of them means one after the other: this one waits until the batch before it has ended.
    if (blocked && row.missed_ticks === 'all') return
    let problem: StoredProblem | null = null
    if (await insertTick(tx, tick)) {
      let outcome: TickOutcome = missed ? 'skipped_missed' : 'skipped_overlap'
      let batchId: number | null = null
      if (!missed && !blocked) {
        ;({ batchId, problem } = await start(tx, row))
        outcome = batchId === null ? 'failed' : 'started'
      }
      await endTick(tx, { scheduleId: row.id, at, outcome, batchId })
    }
    await setNextTick(tx, { scheduleId: row.id, at: next ?? null, problem })
  }

  return {
    async fire(signal) {
      const now = clock.now()
      const due = await listDueSchedules(database, now, schedulesCount)
      for (const { id, tenant_id: tenantId } of due) {
        if (signal.aborted) break
        // One that cannot be fired must not hold up the others.
        await database
          .withTenant(tenantId, async (tx) => {
            const row = await lockDueSchedule(tx, id, now)
            if (row !== undefined) await fireOne(tx, row, now)
          })
          .catch((error: unknown) => log.warn('schedule.failed', { tenantId, error }))
      }
      if (due.length > 0) wake.wake('batch')
      return due.length
    },
  }
}

/** Which of the ticks that are due is dealt with now, and which is the next to be due. */
export function chooseTick(
  row: Pick<ScheduleRow, 'cron' | 'time_zone' | 'missed_ticks' | 'next_tick_at'>,
  now: Date,
): { at: Date; next: Date | undefined; missed: boolean } {
  const times = parseCron(row.cron, row.time_zone)
  const first = row.next_tick_at ?? now
  const oldest = new Date(now.getTime() - missedKeptMs)
  if (row.missed_ticks === 'all') {
    const at = first < oldest ? (times.next(oldest) ?? first) : first
    return { at, next: times.next(at), missed: at > now }
  }
  // What lies before the last tick that is due is passed over.
  const justAfter = new Date(now.getTime() + 1)
  const last = times.previous(justAfter)
  const at = last !== undefined && last > first && last <= now ? last : first
  const missed = row.missed_ticks === 'skip' && now.getTime() - at.getTime() > onTimeMs
  return { at, next: times.next(now), missed }
}
