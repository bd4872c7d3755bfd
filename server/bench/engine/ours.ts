// Our engine as a side: tasks of fan-outs of ten tenants, through admission, ready queue, claim and fenced report. The first
// process leads as well.

import { silentLog } from '../../src/platform/log.ts'
import { systemIds, type RowId } from '../../src/platform/ids.ts'
import { openRedis } from '../../src/platform/redis.ts'
import { createRedisWakeBus } from '../../src/platform/redis-wake.ts'
import { createEngineHouse, done, type EngineHouse } from '../../src/processing/testing/engine-house.ts'
import { toDefinition } from '../../src/processing/testing/test-rows.ts'
import type { TaskAssignment } from '../../src/processing/task.ts'
import { createBullmqQueue } from '../../src/queue/bullmq.ts'
import { createPgQueue } from '../../src/queue/pg.ts'
import { createSlots, reportsAheadMax, shortMs } from '../../src/worker/slots.ts'
import type { OpenSide, Side, SideOptions } from './side.ts'

export type QueueKind = 'in-process' | 'pg' | 'bullmq'
const tenantsCount = 10
const slotsCount = 50
const partBytes = 10

export const openOurs =
  (kind: QueueKind): OpenSide =>
  async (options) => {
    const { house, end } = await openHouse(kind, options)
    if (options.databaseUrl === undefined) await addSlots(house, slotsCount)
    return { side: createSide(house, end), databaseUrl: house.databaseUrl }
  }

async function openHouse(kind: QueueKind, { databaseUrl, redisUrl }: SideOptions) {
  const joining = {
    maintained: databaseUrl === undefined,
    worker: `worker_${process.pid}`,
    ...(databaseUrl && { databaseUrl }),
  }
  if (kind === 'in-process') return { house: await createEngineHouse(joining), end: async () => {} }
  if (kind === 'pg') {
    const openQueue = async (deps: Parameters<typeof createPgQueue>[0]) => createPgQueue(deps)
    return { house: await createEngineHouse({ ...joining, openQueue }), end: async () => {} }
  }
  if (redisUrl === undefined) throw new Error('bullmq needs a Redis')
  const redis = await openRedis({ url: redisUrl, log: silentLog })
  const wake = createRedisWakeBus({ redis, ids: systemIds })
  const openQueue = ({ clock }: { clock: Parameters<typeof createBullmqQueue>[0]['clock'] }) =>
    createBullmqQueue({ redis, clock, ids: systemIds, log: silentLog })
  const house = await createEngineHouse({ ...joining, wake, openQueue })
  return {
    house,
    end: async () => {
      await wake.close()
      await redis.close()
    },
  }
}

export const addSlots = (house: EngineHouse, slots: number) =>
  house.database.query(
    `insert into worker (id, host, sandbox, slots, busy, started_at, last_seen_at)
     values ('worker_bench', 'bench', 'none', $1, 0, now(), now() + interval '1 hour')`,
    [slots],
  )

/** Takes tasks as worker/task-loop.ts does, until stopped. */
export function startSlots(
  house: EngineHouse,
  slotsCount: number,
  run: (task: TaskAssignment) => Promise<void>,
  /** Once per task whose result was written. */
  written: (task: TaskAssignment) => void = () => {},
): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const slots = createSlots(slotsCount)
  const held = new Set<Promise<void>>()
  let reportsAheadCount = 0
  let freed = Promise.withResolvers<void>()
  const freeCount = (): number => slotsCount - held.size + Math.min(reportsAheadCount, reportsAheadMax)
  const handle = async (task: TaskAssignment): Promise<void> => {
    let begunMs = 0
    const work = (): Promise<void> => {
      begunMs = performance.now()
      return run(task)
    }
    await slots.use(work, { signal: new AbortController().signal }) // A worker's tasks are stopped one by one, too.
    const isAhead = task.ordinal > 0 && performance.now() - begunMs <= shortMs
    if (isAhead) reportsAheadCount++
    freed.resolve()
    if (await house.desk.report(task, done())) written(task)
    if (isAhead) reportsAheadCount--
  }
  const begin = (task: TaskAssignment): void => {
    const ended: Promise<void> = handle(task).finally(() => {
      held.delete(ended)
      freed.resolve()
    })
    held.add(ended)
  }
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      if (freeCount() <= 0) {
        freed = Promise.withResolvers()
        await freed.promise
        continue
      }
      const tasks = await house.desk.take({ max: freeCount(), waitMs: 200, signal: stopping.signal })
      for (const task of tasks) begin(task)
    }
  })()
  return {
    async stop() {
      stopping.abort()
      await loop
      await Promise.allSettled(held)
    },
  }
}

/** An installation that has run for a while knows how short these tasks are; short ones are handed out together. */
async function learnTimes({ estimates }: EngineHouse): Promise<void> {
  estimates.learn('transform.part', partBytes, 1)
  await estimates.refresh()
}

/** A job of each tenant whose second step will have `each` tasks, replayed when `start` is called. */
export async function prepareFanOuts(house: EngineHouse, tenants: number, each: number, join = false) {
  const jobs: { tenantId: RowId<'tenant'>; jobRowId: RowId<'job'> }[] = []
  const slots = startSlots(house, slotsCount, async () => {})
  for (let index = 0; index < tenants; index++) {
    const tenantId = await house.addTenant()
    const fileId = await house.addFile(tenantId)
    await house.usePipeline(
      tenantId,
      toDefinition({
        split: { uses: 'transform.split' },
        part: { uses: 'transform.part', needs: ['split'], each: 'split' },
        // Parts that make nothing would have it read all that they were made from, and one task reads no more than 10,000 files.
        ...(join && { join: { uses: 'transform.join', needs: ['part'], inputs: ['original'] } }),
      }),
    )
    const { jobRowId } = await house.submit(tenantId, fileId)
    jobs.push({ tenantId, jobRowId })
  }
  await settled(house)
  await slots.stop()
  await learnTimes(house)
  for (const { tenantId, jobRowId } of jobs) {
    await house.database.query(
      `insert into output (tenant_id, job_id, task_id, step, name, content_type, size_bytes, sha256, object_id)
       select $1, $2, 0, 'split', 'part-' || n, 'text/plain', $4, repeat('c', 64), (select object_id from file where tenant_id = $1)
       from generate_series(1, $3::int) n`,
      [tenantId, jobRowId, each, partBytes],
    )
  }
  return {
    jobs,
    start: async (): Promise<void> => {
      for (const { tenantId, jobRowId } of jobs) await house.control.replayStep(tenantId, jobRowId, 'system', 'part')
      house.wake.wake('cancel') // Whoever continues large fan-outs listens to this.
      house.wake.wake('backlog')
    },
  }
}

/** Waits until no job is under way; the index behind the question holds only those that are. */
export async function settled(house: EngineHouse, timeoutMs = 60_000): Promise<void> {
  const open = async (): Promise<number> =>
    (await house.database.query('select from job where finished_at is null limit 1')).rowCount
  await house.until(open, (count) => count === 0, timeoutMs)
}

function createSide(house: EngineHouse, end: () => Promise<void>): Side {
  let slots: { stop(): Promise<void> } | undefined
  let single: { tenantId: RowId<'tenant'>; fileId: RowId<'file'> } | undefined
  const sent: number[] = []
  return {
    async enqueue(count) {
      const { start } = await prepareFanOuts(house, tenantsCount, count / tenantsCount)
      await start()
    },
    async enqueueOne(sentMs) {
      if (single === undefined) {
        const tenantId = await house.addTenant()
        single = { tenantId, fileId: await house.addFile(tenantId) }
        await house.usePipeline(tenantId, toDefinition({ only: { uses: 'transform.only' } }))
      }
      sent.push(sentMs) // One at a time, so first in is first out.
      await house.submit(single.tenantId, single.fileId)
    },
    async work(count, tell) {
      slots = startSlots(
        house,
        count,
        async () => {
          const sentMs = sent.shift()
          if (sentMs !== undefined) tell.started(sentMs)
        },
        () => tell.done(1),
      )
    },
    async close() {
      await slots?.stop()
      await house.close()
      await end()
    },
  }
}
