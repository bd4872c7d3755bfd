// P3, P4, P5: what the engine itself costs. No-op tasks go the whole way: submission, admission, in-process queue, claim,
// report with a result row. Once as tasks of a few large fan-outs, once as jobs of a single task, and, idle, how long it
// takes from a submission's commit to the start of its task.

import type { RowId } from '../src/platform/ids.ts'
import { createEngineHouse, done, type EngineHouse } from '../src/processing/testing/engine-house.ts'
import { toDefinition } from '../src/processing/testing/test-rows.ts'

const tenantsCount = 10
const tasksCount = 20_000
const jobsCount = 3_000
const latencySamples = 200
const slots = 50

type Row = Record<string, string | number>

export const benchmark = {
  name: 'engine',
  summary: `${tasksCount} no-op tasks through submission, admission, claim and report on the in-process queue`,
  run: async (): Promise<{ rows: Row[] }> => {
    const house = await createEngineHouse()
    try {
      await house.database.query(
        `insert into worker (id, host, sandbox, slots, busy, started_at, last_seen_at)
         values ('worker_bench', 'bench', 'none', $1, 0, now(), now() + interval '1 hour')`,
        [slots],
      )
      house.startWorker(slots)
      const database = `${house.database.kind} ${house.database.version}`
      return {
        rows: [
          { what: 'tasks of fan-outs', database, ...(await fanOuts(house)) },
          { what: 'jobs of one task', database, ...(await singles(house)) },
          { what: 'idle: submission to start', database, ...(await latency(house)) },
        ],
      }
    } finally {
      await house.close()
    }
  },
}

/** Tasks or jobs per second, and the CPU of this process (with the database in it, where that is embedded). */
async function measure(count: number, unit: string, work: () => Promise<void>): Promise<Row> {
  const cpu = process.cpuUsage()
  const from = performance.now()
  await work()
  const seconds = (performance.now() - from) / 1_000
  const used = process.cpuUsage(cpu)
  return {
    count,
    seconds: round(seconds),
    [`${unit}_per_second`]: Math.round(count / seconds),
    cpu_ms_each: round((used.user + used.system) / 1_000 / count),
  }
}

async function fanOuts(house: EngineHouse): Promise<Row> {
  const each = tasksCount / tenantsCount
  const jobs: { tenantId: RowId<'tenant'>; jobRowId: RowId<'job'> }[] = []
  house.work['split'] = () => done()
  for (let index = 0; index < tenantsCount; index++) {
    const tenantId = await house.addTenant()
    const fileId = await house.addFile(tenantId)
    await house.usePipeline(
      tenantId,
      toDefinition({
        split: { uses: 'transform.split' },
        part: { uses: 'transform.part', needs: ['split'], each: 'split' },
      }),
    )
    const { jobRowId } = await house.submit(tenantId, fileId)
    jobs.push({ tenantId, jobRowId })
  }
  // Outputs of the first step, so that the second, replayed, has as many tasks.
  for (const { tenantId, jobRowId } of jobs) {
    await settled(house)
    await house.database.query(
      `insert into output (tenant_id, job_id, task_id, step, name, content_type, size_bytes, sha256, object_id)
       select $1, $2, 0, 'split', 'part-' || n, 'text/plain', 10, repeat('c', 64), (select object_id from file where tenant_id = $1)
       from generate_series(1, $3::int) n`,
      [tenantId, jobRowId, each],
    )
  }
  return measure(tasksCount, 'tasks', async () => {
    for (const { tenantId, jobRowId } of jobs) await house.control.replayStep(tenantId, jobRowId, 'system', 'part')
    await settled(house)
  })
}

async function singles(house: EngineHouse): Promise<Row> {
  const tenants: {
    tenantId: Awaited<ReturnType<EngineHouse['addTenant']>>
    fileId: Awaited<ReturnType<EngineHouse['addFile']>>
  }[] = []
  for (let index = 0; index < tenantsCount; index++) {
    const tenantId = await house.addTenant()
    tenants.push({ tenantId, fileId: await house.addFile(tenantId) })
  }
  return measure(jobsCount, 'jobs', async () => {
    for (const { tenantId, fileId } of tenants) {
      await house.usePipeline(tenantId, toDefinition({ only: { uses: 'transform.only' } }))
      for (let index = 0; index < jobsCount / tenantsCount; index++) await house.submit(tenantId, fileId)
    }
    await settled(house)
  })
}

async function latency(house: EngineHouse): Promise<Row> {
  const tenantId = await house.addTenant()
  const fileId = await house.addFile(tenantId)
  await house.usePipeline(tenantId, toDefinition({ only: { uses: 'transform.only' } }))
  const samples: number[] = []
  for (let index = 0; index < latencySamples; index++) {
    const started = Promise.withResolvers<number>()
    house.work['only'] = () => {
      started.resolve(performance.now())
      return done()
    }
    await house.submit(tenantId, fileId)
    const from = performance.now()
    samples.push((await started.promise) - from)
    await settled(house)
  }
  samples.sort((a, b) => a - b)
  const at = (share: number): number => round(samples[Math.floor(share * (samples.length - 1))] ?? 0)
  return { count: samples.length, p50_ms: at(0.5), p99_ms: at(0.99) }
}

/** Waits until no job is under way; the index behind the question holds only those that are. */
async function settled(house: EngineHouse): Promise<void> {
  const open = async (): Promise<number> =>
    (await house.database.query('select from job where finished_at is null limit 1')).rowCount
  await house.until(open, (count) => count === 0, 60_000)
}

const round = (value: number): number => Math.round(value * 1_000) / 1_000
