// Fires the ticks of schedules that are due. A tick is a row whose key is the schedule and its time, written in the
// transaction that starts its batch or import: whoever else believes to lead finds it written, and starts nothing.

import type { Clock } from '../../platform/clock.ts'
import type { Database, Tx } from '../../platform/database.ts'
import type { Log } from '../../platform/log.ts'
import type { Principal } from '../../platform/principal.ts'
import { invariant, Problem } from '../../platform/problem.ts'
import type { WakeBus } from '../../platform/wake.ts'
import type { Batches } from '../batches/batches.ts'
import type { StoredProblem } from '../engine-store.ts'
import { parseCron } from './cron.ts'
import {
  endTick,
  findImportSource,
  hasLiveBatch,
  insertTick,
  listDueSchedules,
  lockDueSchedule,
  setNextTick,
  startImport,
  type DueSchedule,
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

  async function start(tx: Tx, row: ScheduleRow): Promise<Started> {
    const { tenant_id: tenantId, batch, import_source_id: sourceId } = row
    try {
      if (sourceId !== null) {
        const { state } = await requireSource(tx, tenantId, sourceId)
        if (state === 'paused') throw new Problem('conflict', { detail: 'The import source is paused.' })
        await startImport(tx, tenantId, sourceId)
        return { outcome: 'started', batchId: null, problem: null }
      }
      invariant(batch !== null, 'a schedule starts one of two')
      // The column was written from a principal's.
      const principal = { tenantId, actor: row.created_by as Principal['actor'] }
      const { id: batchId } = await batches.createWithin(tx, { principal }, batch, row.id)
      return { outcome: 'started', batchId, problem: null }
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      return { outcome: 'failed', batchId: null, problem: { code: error.code, detail: error.detail ?? '' } }
    }
  }

  async function fireOne(tx: Tx, row: ScheduleRow, { now, start }: Firing): Promise<void> {
    const { at, next, missed } = chooseTick(row, now)
    const tick = { tenantId: row.tenant_id, scheduleId: row.id, at }
    const blocked = await isBlocked(tx, row)
    // All of them means one after the other: this one waits until the batch before it has ended.
    if (blocked && row.missed_ticks === 'all') return
    let problem: StoredProblem | null = null
    if (await insertTick(tx, tick)) {
      let outcome: TickOutcome = missed ? 'skipped_missed' : 'skipped_overlap'
      let batchId: number | null = null
      if (!missed && !blocked) ({ outcome, batchId, problem } = await start(tx, row))
      await endTick(tx, { scheduleId: row.id, at, outcome, batchId })
    }
    await setNextTick(tx, { scheduleId: row.id, at: next ?? null, problem })
  }

  /** One that cannot be fired must not hold up the others, nor be tried for ever. */
  async function fireSafely({ id, tenant_id: tenantId, next_tick_at: dueAt }: DueSchedule, now: Date): Promise<void> {
    const fire = (firing: Firing): Promise<void> =>
      database.withTenant(tenantId, async (tx) => {
        const row = await lockDueSchedule(tx, id, now)
        if (row !== undefined) await fireOne(tx, row, firing)
      })
    try {
      await fire({ now, start })
    } catch (error) {
      log.warn('schedule.failed', { tenantId, error })
      if (now.getTime() - dueAt.getTime() > onTimeMs) await fire({ now, start: giveUp }).catch(() => undefined)
    }
  }

  return {
    async fire(signal) {
      const now = clock.now()
      let count = 0
      for (let after = 0, more = true; more && !signal.aborted;) {
        const due = await listDueSchedules(database, { now, after, limit: schedulesCount })
        for (const schedule of due) if (!signal.aborted) await fireSafely(schedule, now)
        count += due.length
        after = due.at(-1)?.id ?? after
        more = due.length === schedulesCount
      }
      if (count > 0) wake.wake('batch')
      return count
    },
  }
}

interface Started {
  outcome: TickOutcome
  batchId: number | null
  problem: StoredProblem | null
}

interface Firing {
  now: Date
  start: (tx: Tx, row: ScheduleRow) => Promise<Started>
}

const giveUp: Firing['start'] = async () => ({
  outcome: 'failed',
  batchId: null,
  problem: { code: 'internal', detail: 'It could not be started; the log of the maintenance role says why.' },
})

async function isBlocked(tx: Tx, row: ScheduleRow): Promise<boolean> {
  if (row.import_source_id === null) return !row.overlap && (await hasLiveBatch(tx, row.id))
  const source = await findImportSource(tx, row.tenant_id, row.import_source_id)
  return source?.state === 'active' && source.isBusy
}

async function requireSource(tx: Tx, tenantId: number, id: number) {
  const source = await findImportSource(tx, tenantId, id)
  if (source === undefined) throw new Problem('not_found', { detail: 'There is no such import source.' })
  return source
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
