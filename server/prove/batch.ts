// One batch over very many files on one PostgreSQL, with steps that do nothing, so that what is seen is the engine: how fast
// it goes, whether memory stays flat, how large the database gets, and what another tenant, who sends one file a second
// meanwhile, notices of it. The files' rows are made by one statement: a million uploads would measure uploads.

import { setTimeout as pause } from 'node:timers/promises'
import { addSlots, startSlots } from '../bench/engine/ours.ts'
import { percentile } from '../bench/house/measured-house.ts'
import type { RowId } from '../src/platform/ids.ts'
import { createEngineHouse, type EngineHouse } from '../src/processing/testing/engine-house.ts'
import { toDefinition } from '../src/processing/testing/test-rows.ts'

export interface BatchReport {
  files: number
  succeeded: number
  /** Whether it was let run to its end. */
  ended: boolean
  settings: Record<string, string>
  seconds: number
  filesPerSecond: number
  /** In each tenth of the batch: equal figures mean that the cost of a file does not depend on how many there are. */
  filesPerSecondByTenth: number[]
  processorMsPerFile: number
  memoryMb: { start: number; firstHalfMost: number; secondHalfMost: number }
  databaseMb: { before: number; after: number; bytesPerFile: number }
  /** Of another tenant's single files, from before the submission until the job's end is committed. */
  other: { jobs: number; ended: number; p50Ms: number; p99Ms: number; mostMs: number }
}

/** Of the worker of these proofs. */
export const slots = 50
const tellEveryMs = 5_000

export interface BatchOptions {
  filesCount: number
  /** When it is over before the batch has ended, what has been done until then is told. */
  minutesMax: number
  tell: (line: string) => void
}

export async function runBatch({ filesCount, minutesMax, tell }: BatchOptions): Promise<BatchReport> {
  const house = await createEngineHouse()
  try {
    await addSlots(house, slots)
    const otherTenantId = await house.addTenant()
    const otherFileId = await house.addFile(otherTenantId)
    const tenantId = await house.addTenant()
    await addFiles(house, tenantId, filesCount)
    await house.usePipeline(tenantId, toDefinition({ only: { uses: 'transform.nothing' } }))
    const databaseBefore = await databaseBytes(house)
    const run = await runAndWatch(house, { tenantId, filesCount, minutesMax, otherTenantId, otherFileId, tell })
    const { seconds, memory, waitsMs, tenths } = run
    const sorted = waitsMs.toSorted((a, b) => a - b)
    const at = (percent: number): number => percentile(sorted, percent)
    const half = Math.ceil(memory.length / 2)
    const databaseAfter = await databaseBytes(house)
    return {
      files: filesCount,
      succeeded: run.succeeded,
      ended: run.ended,
      settings: await settingsOf(house),
      seconds: Math.round(seconds * 10) / 10,
      filesPerSecond: Math.round(run.succeeded / seconds),
      filesPerSecondByTenth: tenths,
      processorMsPerFile: Math.round((run.processorMs / run.succeeded) * 1_000) / 1_000,
      memoryMb: {
        start: toMb(memory[0] ?? 0),
        firstHalfMost: toMb(Math.max(...memory.slice(0, half))),
        secondHalfMost: toMb(Math.max(...memory.slice(half))),
      },
      databaseMb: {
        before: toMb(databaseBefore),
        after: toMb(databaseAfter),
        bytesPerFile: Math.round((databaseAfter - databaseBefore) / run.succeeded),
      },
      other: { jobs: run.othersCount, ended: waitsMs.length, p50Ms: at(50), p99Ms: at(99), mostMs: at(100) },
    }
  } finally {
    await house.close()
  }
}

/** As many as uploads would have left them: an object, a file that is cleared, its version. */
export async function addFiles(
  { database }: EngineHouse,
  tenantId: RowId<'tenant'>,
  filesCount: number,
): Promise<void> {
  const chunkCount = 100_000
  for (let from = 0; from < filesCount; from += chunkCount)
    await database.asSystem(
      async (tx) => {
        // Rows that are made together refer to each other; a look for each would take longer than they do.
        await tx.query(`select set_config('session_replication_role', 'replica', true)`)
        await tx.query(
          `with objects as (
             insert into object select md5($1::bigint || '/' || n), $1::bigint, 'k', 100, 110, repeat('b', 64), '{}', '', 1, now()
             from generate_series($2::int + 1, $3::int) n returning id
           ), files as (
             insert into file (tenant_id, name, content_type, size_bytes, sha256, state, object_id, created_by)
             select $1::bigint, 'data-' || id || '.csv', 'text/csv', 100, repeat('b', 64), 'available', id, 'system'
             from objects returning id, object_id
           )
           insert into file_version (tenant_id, file_id, number, object_id, content_type, size_bytes, sha256, created_by)
           select $1::bigint, id, 1, object_id, 'text/csv', 100, repeat('b', 64), 'system' from files`,
          [tenantId, from, Math.min(filesCount, from + chunkCount)],
        )
      },
      { timeoutMs: 120_000 },
    )
}

interface Run extends BatchOptions {
  tenantId: RowId<'tenant'>
  otherTenantId: RowId<'tenant'>
  otherFileId: RowId<'file'>
}

/** A batch over all files of the tenant, and what the other one notices. */
export async function runAndWatch(house: EngineHouse, run: Run) {
  const { tenantId, filesCount, minutesMax, otherTenantId, otherFileId, tell } = run
  const principal = { tenantId, actor: 'system' as const }
  const sentMs: number[] = []
  const waitsMs: number[] = []
  const memory: number[] = [process.memoryUsage.rss()]
  const tenths: number[] = []
  let written = 0
  let othersCount = 0
  let tenthMs = performance.now()
  const working = startSlots(
    house,
    slots,
    async () => {},
    (task) => {
      if (task.tenantId === otherTenantId) return void waitsMs.push(performance.now() - (sentMs.shift() ?? NaN))
      written++
      if (written % Math.ceil(filesCount / 10) > 0 && written < filesCount) return
      const now = performance.now()
      tenths.push(Math.round((filesCount / 10 / (now - tenthMs)) * 1_000))
      tenthMs = now
    },
  )
  const startMs = performance.now()
  const processor = process.cpuUsage()
  const { row } = await house.batches.create({ principal }, { query: {} })
  const ended = new AbortController()
  const sendOthers = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      sentMs.push(performance.now())
      othersCount++
      await house.submit(otherTenantId, otherFileId)
      await pause(1_000)
    }
  }
  const sending = sendOthers()
  let toldMs = startMs
  let batch = row
  while (batch.finished_at === null && performance.now() - startMs < minutesMax * 60_000) {
    await pause(200)
    memory.push(process.memoryUsage.rss())
    batch = await house.batches.get(tenantId, row.id)
    const now = performance.now()
    if (now - toldMs < tellEveryMs && batch.finished_at === null) continue
    toldMs = now
    const elapsed = (now - startMs) / 1_000
    tell(
      `${elapsed.toFixed(0).padStart(4)} s  ${String(batch.items_succeeded).padStart(8)} of ${filesCount}` +
        `  ${Math.round(batch.items_succeeded / elapsed)} files/s  ${toMb(memory.at(-1) ?? 0)} MB of memory`,
    )
  }
  const { user, system } = process.cpuUsage(processor)
  const seconds = (performance.now() - startMs) / 1_000
  ended.abort()
  await sending
  await house.until(
    async () => waitsMs.length,
    (count) => count === othersCount,
  )
  await working.stop()
  return {
    seconds,
    processorMs: (user + system) / 1_000,
    succeeded: batch.items_succeeded,
    ended: batch.finished_at !== null,
    memory,
    waitsMs,
    tenths,
    othersCount,
  }
}

async function databaseBytes({ database }: EngineHouse): Promise<number> {
  const { rows } = await database.query<{ bytes: number }>('select pg_database_size(current_database()) as bytes')
  return rows[0]?.bytes ?? 0
}

/** What the figures depend on. */
export async function settingsOf({ database }: EngineHouse): Promise<Record<string, string>> {
  const { rows } = await database.query<{ name: string; setting: string }>(
    `select name, current_setting(name) as setting from unnest(array['server_version', 'fsync', 'synchronous_commit',
       'shared_buffers']) name`,
  )
  return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))
}

export const toMb = (bytes: number): number => Math.round(bytes / 1e6)
