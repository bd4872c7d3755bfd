// What one tenant's work does to another's, and a fan-out with its join: our engine in this process, on the server that
// the environment names, tasks that sleep.

import os from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import type { RowId } from '../../src/platform/ids.ts'
import { createEngineHouse, type EngineHouse } from '../../src/processing/testing/engine-house.ts'
import { toDefinition } from '../../src/processing/testing/test-rows.ts'
import type { Row } from '../benchmark.ts'
import { addSlots, prepareFanOuts, settled, startSlots } from './ours.ts'

const slots = 50
const taskMs = 20

/** A job with that many tasks of one step, written as a bulk load would. */
async function addBacklog(house: EngineHouse, tenantId: RowId<'tenant'>, count: number): Promise<void> {
  const fileId = await house.addFile(tenantId)
  await house.usePipeline(tenantId, toDefinition({ only: { uses: 'transform.only' } }))
  const { jobRowId } = await house.submit(tenantId, fileId)
  await house.database.asSystem(
    async (tx) => {
      await tx.query(
        'update job_step set tasks_total = tasks_total + $2, tasks_pending = tasks_pending + $2 where job_id = $1',
        [jobRowId, count],
      )
      await tx.query(
        `insert into task (tenant_id, job_id, step, ordinal, lane, state, rank, cost_ms, attempts_max, input)
       select t.tenant_id, t.job_id, t.step, n, t.lane, 'queued', t.rank + n * t.cost_ms, t.cost_ms, t.attempts_max, t.input
       from task t, generate_series(1, $2::int) n where t.job_id = $1`,
        [jobRowId, count],
      )
    },
    { timeoutMs: 120_000 },
  )
}

async function withHouse(work: (house: EngineHouse) => Promise<Row>): Promise<Row> {
  const load = Math.round((os.loadavg()[0] ?? 0) * 10) / 10
  const house = await createEngineHouse()
  try {
    await addSlots(house, slots)
    return { ...(await work(house)), load }
  } finally {
    await house.close()
  }
}

/** How long tasks of tenants with a single one wait while another has that many. */
export const measureSmallTenant = (backlog: number): Promise<Row> =>
  withHouse(async (house) => {
    await addBacklog(house, await house.addTenant(), backlog)
    const waits: number[] = []
    const sentMs = new Map<number, number>()
    const small: { tenantId: RowId<'tenant'>; fileId: RowId<'file'> }[] = []
    for (let index = 0; index < 40; index++) {
      const tenantId = await house.addTenant()
      small.push({ tenantId, fileId: await house.addFile(tenantId) })
    }
    let doneCount = 0
    const running = startSlots(house, slots, async ({ tenantId }) => {
      const sent = sentMs.get(tenantId)
      if (sent !== undefined) waits.push(performance.now() - sent)
      await pause(taskMs)
      doneCount++
    })
    await pause(500)
    const startMs = performance.now()
    const before = doneCount
    for (const { tenantId, fileId } of small) {
      await house.usePipeline(tenantId, toDefinition({ only: { uses: 'transform.only' } }))
      sentMs.set(tenantId, performance.now())
      await house.submit(tenantId, fileId)
      await pause(75)
    }
    await house.until(
      async () => waits.length,
      (count) => count === small.length,
      10_000,
    )
    const rate = (doneCount - before) / ((performance.now() - startMs) / 1_000)
    await running.stop()
    waits.sort((a, b) => a - b)
    return {
      what: `one task behind ${backlog}`,
      count: waits.length,
      tasks_per_s: Math.round(rate),
      start_p50_ms: round(waits[Math.floor(waits.length / 2)] ?? 0),
      start_p99_ms: round(waits.at(-1) ?? 0),
    }
  })

/** 100 tenants of weights 1, 2 and 4, all with more to do than can be done. */
export const measureShares = (): Promise<Row> =>
  withHouse(async (house) => {
    const weights = new Map<number, number>()
    for (let index = 0; index < 100; index++) {
      const weight = [1, 2, 4][index % 3] ?? 1
      const tenantId = await house.addTenant(weight)
      weights.set(tenantId, weight)
      await addBacklog(house, tenantId, 800)
    }
    const done = new Map<number, number>()
    const running = startSlots(house, slots, async ({ tenantId }) => {
      await pause(taskMs)
      done.set(tenantId, (done.get(tenantId) ?? 0) + 1)
    })
    await pause(1_000)
    done.clear() // The first admissions found an empty queue.
    await pause(6_000)
    const shares = [...weights].map(([tenantId, weight]) => (done.get(tenantId) ?? 0) / weight)
    await running.stop()
    const sum = shares.reduce((a, b) => a + b, 0)
    const squares = shares.reduce((a, b) => a + b * b, 0)
    const total = [...done.values()].reduce((a, b) => a + b, 0)
    const ofWeight = (weight: number): number =>
      [...weights].filter(([, each]) => each === weight).reduce((a, [tenantId]) => a + (done.get(tenantId) ?? 0), 0) /
      total
    const ideal = (weight: number): number =>
      ([...weights.values()].filter((each) => each === weight).length * weight) /
      [...weights.values()].reduce((a, b) => a + b, 0)
    const off = Math.max(...[1, 2, 4].map((weight) => Math.abs(ofWeight(weight) / ideal(weight) - 1)))
    return {
      what: '100 tenants, weights 1:2:4',
      count: total,
      result: `Jain ${(sum ** 2 / (shares.length * squares)).toFixed(3)}, weights off by ${(off * 100).toFixed(1)} %`,
    }
  })

export const measureCaps = (): Promise<Row> =>
  withHouse(async (house) => {
    const cap = 10
    const capped = await house.addTenant()
    await house.database.query('update tenant_schedule set running_max = $2 where tenant_id = $1', [capped, cap])
    await addBacklog(house, capped, 5_000)
    await addBacklog(house, await house.addTenant(), 20_000)
    let now = 0
    let most = 0
    let count = 0
    const running = startSlots(house, slots, async ({ tenantId }) => {
      if (tenantId === capped) most = Math.max(most, ++now)
      await pause(taskMs)
      if (tenantId === capped) {
        now--
        count++
      }
    })
    await pause(3_000)
    await running.stop()
    return { what: `a tenant capped at ${cap}`, count, result: `at most ${most} at once` }
  })

/** A task that takes a millisecond is far too slow; whoever waits longer waits for nothing. */
const settledMsMax = (count: number): number => Math.max(60_000, count)

/** From the replay that creates the tasks to the end of the join after all of them; tasks do nothing. */
export const measureFanOut = (count: number): Promise<Row> =>
  withHouse(async (house) => {
    const { start, jobs } = await prepareFanOuts(house, 1, count, true)
    let joins = 0
    let seconds = 0
    let peakBytes = 0
    const watch = setInterval(() => (peakBytes = Math.max(peakBytes, process.memoryUsage.rss())), 100)
    const startMs = performance.now()
    const running = startSlots(house, slots, async ({ step }) => {
      if (step === 'join') joins++
    })
    try {
      await start()
      await settled(house, settledMsMax(count))
      seconds = (performance.now() - startMs) / 1_000
    } finally {
      clearInterval(watch)
      await running.stop()
    }
    if (joins !== 1) throw new Error(`the join of ${count} tasks fired ${joins} times`)
    const [job] = jobs
    const pending =
      job &&
      (await house.database.query('select from job_step where job_id = $1 and tasks_pending <> 0', [job.jobRowId]))
        .rowCount
    return {
      what: `fan-out of ${count} and one join`,
      count,
      tasks_per_s: Math.round(count / seconds),
      result: `${seconds.toFixed(1)} s, steps left ${pending ?? 'unknown'}, ${Math.round(peakBytes / 1e6)} MB`,
    }
  })

const round = (value: number): number => Math.round(value * 10) / 10
