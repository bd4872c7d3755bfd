// Days pass by setting the clock of rows back; what is kept is counted, nothing is timed.

import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { RowId } from '../platform/ids.ts'
import { createEngineHouse, done, type EngineHouse } from '../processing/testing/engine-house.ts'
import { testObject, toDefinition } from '../processing/testing/test-rows.ts'
import { forgetSome } from './kept-history.ts'
import { listKeptDays } from './kept-history.sql.ts'

const jobsPerDay = 3
const chunk = 4 // Small, so that a day takes many.
let house: EngineHouse
let tenantId: RowId<'tenant'>
let fileId: RowId<'file'>

const query = async <Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> =>
  (await house.database.query<Row>(text, values)).rows
const countOf = async (table: string): Promise<number> =>
  (await query<{ count: number }>(`select count(*)::int as count from ${table} where tenant_id = $1`, [tenantId]))[0]!
    .count

async function runJob(): Promise<RowId<'job'>> {
  const { jobRowId } = await house.submit(tenantId, fileId)
  await house.until(
    () => house.read(tenantId, jobRowId),
    (job) => job.finished_at !== null,
  )
  return jobRowId
}

const aDayLater = (): Promise<void> =>
  house.database.script(`
    update job set finished_at = finished_at - interval '1 day' where finished_at is not null;
    update tenant_schedule set results_forgotten_to = results_forgotten_to - interval '1 day';
    update batch set finished_at = finished_at - interval '1 day' where finished_at is not null;
    update audit_event set at = at - interval '1 day'`)

async function forgetAll(): Promise<void> {
  for (const kept of await listKeptDays(house.database)) while (await forgetSome(house.database, kept, chunk));
}

const keep = (limits: object) =>
  query('update tenant set limits = $2 where id = $1 returning id', [tenantId, JSON.stringify(limits)])

beforeAll(async () => {
  house = await createEngineHouse()
  house.work['first'] = (task) =>
    done([{ as: 'output', name: 'a', contentType: 'text/plain', object: testObject(task.tenantId) }], 1)
  house.startWorker()
})
afterAll(() => house.close())
beforeEach(async () => {
  tenantId = await house.addTenant()
  fileId = await house.addFile(tenantId)
  await house.usePipeline(
    tenantId,
    toDefinition({ first: { uses: 'transform.first' }, second: { uses: 'analyze.second', needs: ['first'] } }),
  )
})

it('keeps as much on the tenth day as on the sixth, and everything of who has set nothing', async () => {
  await keep({ results_kept_days: 2, jobs_kept_days: 4, audit_kept_days: 3 })
  const sizes: number[][] = []
  for (let day = 0; day < 10; day++) {
    for (let index = 0; index < jobsPerDay; index++) await runJob()
    await aDayLater()
    await forgetAll()
    sizes.push(await Promise.all(['job', 'job_step', 'task', 'task_result', 'output', 'audit_event'].map(countOf)))
  }
  const [jobs, results, audit] = [3 * jobsPerDay, jobsPerDay, 2 * jobsPerDay]
  expect(sizes.slice(5)).toEqual(
    Array.from({ length: 5 }, () => [jobs, jobs * 2, jobs * 2, results * 2, results, audit]),
  )

  await keep({})
  await aDayLater()
  await forgetAll()
  expect(await countOf('job')).toBe(jobs)
}, 60_000)

it('forgets what a job made when it ran again, and a job of many tasks in pieces', async () => {
  await keep({ results_kept_days: 1 })
  const jobRowId = await runJob()
  await aDayLater()
  await forgetAll()
  expect(await countOf('task_result')).toBe(0)
  await expect(house.control.replayStep(tenantId, jobRowId, 'system', 'second')).rejects.toMatchObject({
    code: 'conflict',
  })
  await house.control.replayStep(tenantId, jobRowId, 'system', 'first')
  house.wake.wake('backlog')
  await house.until(
    () => countOf('task_result'),
    (count) => count === 2,
  )
  await house.until(
    () => house.read(tenantId, jobRowId),
    (job) => job.finished_at !== null,
  )
  await query(
    `insert into task_result (task_id, tenant_id, job_id, step, ordinal, epoch, duration_ms)
     select -n, $1, $2, 'first', n, 1, 1 from generate_series(1, 25) n returning task_id`,
    [tenantId, jobRowId],
  )
  await aDayLater()
  const [kept] = (await listKeptDays(house.database)).filter(({ tenant_id: id }) => id === tenantId)
  expect(await forgetSome(house.database, kept!, 10)).toBe(true)
  expect(await countOf('task_result')).toBe(17)
  await forgetAll()
  expect([await countOf('task_result'), await countOf('output'), await countOf('job')]).toEqual([0, 0, 1])
})

it('forgets ended batches with their items', async () => {
  await keep({ jobs_kept_days: 1 })
  await query(`update file set state = 'available' where tenant_id = $1 returning id`, [tenantId])
  const act = { principal: { tenantId, actor: 'system' as const } }
  const { row } = await house.batches.create(act, { query: {} })
  await house.until(
    () => house.batches.get(tenantId, row.id),
    (batch) => batch.finished_at !== null,
  )
  await forgetAll()
  expect(await countOf('batch_item')).toBe(1)
  await aDayLater()
  await forgetAll()
  expect([await countOf('batch'), await countOf('batch_item'), await countOf('job')]).toEqual([0, 0, 0])
})
