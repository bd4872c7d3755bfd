// Thirty days on compressed time, on one PostgreSQL: each day is a batch over so many files and single files of another
// tenant, then the clock of all rows is set back a day, and retention does in one go what it does in a day. The tenant keeps
// its jobs for a week; from the second week on, tables must not grow; how long statements take is told day by day.

import { forgetSome } from '../src/maintenance/kept-history.ts'
import { listKeptDays } from '../src/maintenance/kept-history.sql.ts'
import { attemptsKeptMs, eventsKeptMs, tasksKeptMs } from '../src/maintenance/retention.ts'
import { createSqlSchedulerStore } from '../src/maintenance/sql-scheduler-store.ts'
import type { RowId } from '../src/platform/ids.ts'
import { listJobs } from '../src/processing/job-read.sql.ts'
import { createEngineHouse, type EngineHouse } from '../src/processing/testing/engine-house.ts'
import { toDefinition } from '../src/processing/testing/test-rows.ts'
import { addSlots } from '../bench/engine/ours.ts'
import { percentile } from '../bench/house/measured-house.ts'
import { addFiles, runAndWatch, settingsOf, slots, toMb } from './batch.ts'

export interface MonthReport {
  filesPerDay: number
  settings: Record<string, string>
  days: Day[]
}

export interface Day {
  day: number
  filesPerSecond: number
  /** From the submission of another tenant's single file until its job's end is committed. */
  other: { p50Ms: number; p99Ms: number }
  /** Medians of statements that everybody waits for. */
  statementsMs: { backlog: number; demand: number; jobs: number; job: number }
  /** After retention. */
  rows: Record<string, number>
  tablesMb: number
  retentionSeconds: number
}

const days = 30
const jobsKeptDays = 7
const chunk = 5_000
/** Of the tasks of a day, as failures are in a good installation. */
const failedShare = 0.01
const runs = 21
const tables = [
  'task',
  'task_attempt',
  'task_result',
  'job',
  'job_step',
  'batch_item',
  'outbox',
  'audit_event',
] as const

export async function runMonth(filesPerDay: number, tell: (line: string) => void): Promise<MonthReport> {
  const house = await createEngineHouse()
  try {
    await addSlots(house, slots)
    const otherTenantId = await house.addTenant()
    const otherFileId = await house.addFile(otherTenantId)
    const tenantId = await house.addTenant()
    await house.database.query(`update tenant set limits = limits || $1`, [
      JSON.stringify({ jobs_kept_days: jobsKeptDays, audit_kept_days: jobsKeptDays }),
    ])
    await addFiles(house, tenantId, filesPerDay)
    await house.usePipeline(tenantId, toDefinition({ only: { uses: 'transform.nothing' } }))
    const report: MonthReport = { filesPerDay, settings: await settingsOf(house), days: [] }
    for (let day = 1; day <= days; day++) {
      const run = await runAndWatch(house, {
        tenantId,
        filesCount: filesPerDay,
        minutesMax: Infinity,
        otherTenantId,
        otherFileId,
        tell: () => {},
      })
      const statementsMs = await timeStatements(house, tenantId)
      await failSome(house, tenantId, Math.ceil(filesPerDay * failedShare))
      await setBackADay(house)
      const startMs = performance.now()
      await retain(house)
      const retentionSeconds = round((performance.now() - startMs) / 1_000)
      await house.database.script(`vacuum analyze`) // As autovacuum does meanwhile.
      const waitsMs = run.waitsMs.toSorted((a, b) => a - b)
      const seen: Day = {
        day,
        filesPerSecond: Math.round(run.succeeded / run.seconds),
        other: { p50Ms: percentile(waitsMs, 50), p99Ms: percentile(waitsMs, 99) },
        statementsMs,
        ...(await measureTables(house)),
        retentionSeconds,
      }
      report.days.push(seen)
      tell(lineOf(seen))
    }
    return report
  } finally {
    await house.close()
  }
}

function lineOf({ day, filesPerSecond, other, statementsMs, rows, tablesMb, retentionSeconds }: Day): string {
  const times = Object.entries(statementsMs).map(([name, ms]) => `${name} ${ms}`)
  return (
    `day ${String(day).padStart(2)}  ${filesPerSecond} files/s, others wait ${other.p50Ms} ms; ${times.join(', ')} ms; ` +
    `${rows['task']} tasks, ${rows['job']} jobs, ${tablesMb} MB; retention ${retentionSeconds} s`
  )
}

async function timeStatements(
  { database, read }: EngineHouse,
  tenantId: RowId<'tenant'>,
): Promise<Day['statementsMs']> {
  const [last] = await database.withTenant(tenantId, (tx) => listJobs(tx, { tenantId, limit: 1 }))
  const time = async (run: () => Promise<unknown>): Promise<number> => {
    const tookMs: number[] = []
    for (let index = 0; index < runs; index++) {
      const startMs = performance.now()
      await run()
      tookMs.push(performance.now() - startMs)
    }
    return round(tookMs.toSorted((a, b) => a - b)[Math.floor(runs / 2)] ?? NaN)
  }
  const scheduler = createSqlSchedulerStore(database) // Which pins the plans of its statements.
  return {
    backlog: await time(() => scheduler.listBacklog(0, 1_000)),
    demand: await time(() => scheduler.writeDemand(0, slots)),
    jobs: await time(() => database.withTenant(tenantId, (tx) => listJobs(tx, { tenantId, limit: 50 }))),
    job: await time(async () => last && (await read(tenantId, last.id))),
  }
}

/** As the engine writes it when a task is to be tried again. */
const failSome = ({ database }: EngineHouse, tenantId: RowId<'tenant'>, count: number) =>
  database.query(
    `insert into task_attempt (task_id, tenant_id, epoch, attempt, outcome)
     select coalesce((select max(task_id) from task_attempt), 0) + n, $1, 1, 1, 'retry' from generate_series(1, $2::int) n`,
    [tenantId, count],
  )

const setBackADay = ({ database }: EngineHouse): Promise<void> =>
  database.script(`
    update job set created_at = created_at - interval '1 day', started_at = started_at - interval '1 day',
      finished_at = finished_at - interval '1 day', archived_at = archived_at - interval '1 day';
    update batch set finished_at = finished_at - interval '1 day' where finished_at is not null;
    update task_attempt set ended_at = ended_at - interval '1 day';
    update outbox set at = at - interval '1 day';
    update audit_event set at = at - interval '1 day'`)

async function retain({ database }: EngineHouse): Promise<void> {
  const scheduler = createSqlSchedulerStore(database)
  for (;;) {
    const { tasks, jobs } = await scheduler.archiveTasks(tasksKeptMs, chunk)
    const attempts = await scheduler.deleteOldAttempts(attemptsKeptMs, chunk)
    const events = await scheduler.deleteOldEvents(eventsKeptMs, chunk)
    if (tasks + jobs + attempts + events === 0) break
  }
  for (const kept of await listKeptDays(database)) while (await forgetSome(database, kept, chunk));
}

async function measureTables({ database }: EngineHouse): Promise<Pick<Day, 'rows' | 'tablesMb'>> {
  const rows: Record<string, number> = {}
  for (const table of tables) {
    const counted = await database.query<{ count: number }>(`select count(*)::int as count from ${table}`)
    rows[table] = counted.rows[0]?.count ?? 0
  }
  const { rows: sizes } = await database.query<{ bytes: number }>(
    'select sum(pg_total_relation_size(name::regclass))::bigint as bytes from unnest($1::text[]) name',
    [tables],
  )
  return { rows, tablesMb: toMb(sizes[0]?.bytes ?? 0) }
}

/** From the second week on no table has more rows than it had then; attempts are kept for thirty days. */
export function isBounded({ days: all }: MonthReport): boolean {
  const first = all[jobsKeptDays]
  const last = all.at(-1)
  if (first === undefined || last === undefined) return false
  return tables.every((table) => table === 'task_attempt' || (last.rows[table] ?? 0) <= (first.rows[table] ?? 0) * 1.05)
}

const round = (value: number): number => Math.round(value * 10) / 10
