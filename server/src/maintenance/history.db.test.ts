// Thirty days on compressed time: a day's jobs are run by hand, the clock of their rows is set back a day, and what retention
// does in a day is done. What is live is what has to stay small; sizes are counted, nothing is timed.

import { afterAll, beforeAll, expect, it } from 'vitest'
import type { RowId } from '../platform/ids.ts'
import { createEngineHouse, done, type EngineHouse } from '../processing/testing/engine-house.ts'
import { toDefinition } from '../processing/testing/test-rows.ts'
import { attemptsKeptMs, eventsKeptMs, tasksKeptMs } from './retention.ts'
import { createSqlSchedulerStore } from './sql-scheduler-store.ts'

const days = 30
const jobsPerDay = 8
const chunk = 7 // Small, so that a day takes many.
let house: EngineHouse
let tenantId: RowId<'tenant'>
let fileId: RowId<'file'>

const query = async <Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> =>
  (await house.database.query<Row>(text, values)).rows
const countOf = async (table: string): Promise<number> =>
  (await query<{ count: number }>(`select count(*)::int as count from ${table}`))[0]!.count
const ended = (jobRowId: RowId<'job'>) =>
  house.until(
    () => house.read(tenantId, jobRowId),
    (job) => job.finished_at !== null,
  )

async function retain(): Promise<void> {
  const store = createSqlSchedulerStore(house.database)
  for (;;) {
    const { tasks, jobs } = await store.archiveTasks(tasksKeptMs, chunk)
    expect(tasks).toBeLessThanOrEqual(chunk)
    const attempts = await store.deleteOldAttempts(attemptsKeptMs, chunk)
    const events = await store.deleteOldEvents(eventsKeptMs, chunk)
    if (tasks + jobs + attempts + events === 0) return
  }
}

const aDayLater = (): Promise<void> =>
  house.database.script(`
    update job set created_at = created_at - interval '1 day', started_at = started_at - interval '1 day',
      finished_at = finished_at - interval '1 day', archived_at = archived_at - interval '1 day';
    update task_attempt set ended_at = ended_at - interval '1 day';
    update outbox set at = at - interval '1 day'`)

beforeAll(async () => {
  house = await createEngineHouse()
  tenantId = await house.addTenant()
  fileId = await house.addFile(tenantId)
  await house.usePipeline(
    tenantId,
    toDefinition({ first: { uses: 'transform.first' }, second: { uses: 'analyze.second', needs: ['first'] } }),
  )
  await query(`update file set state = 'available' returning id`) // Results of other files are not told.
  house.startWorker()
})
afterAll(() => house.close())

it('keeps the tables of work as small on the thirtieth day as on the second', async () => {
  house.work['second'] = (task) => done([], { attempt: task.attempt })
  const sizes: Record<string, number>[] = []
  for (let day = 0; day < days; day++) {
    const jobs = await Promise.all(Array.from({ length: jobsPerDay }, () => house.submit(tenantId, fileId)))
    for (const { jobRowId } of jobs) await ended(jobRowId)
    // A try that failed on each day, as the engine writes it.
    await query(
      `insert into task_attempt (task_id, tenant_id, epoch, attempt, outcome) values ($1, $2, 1, 1, 'retry') returning task_id`,
      [day, tenantId],
    )
    await aDayLater()
    await retain()
    sizes.push({
      task: await countOf('task'),
      task_attempt: await countOf('task_attempt'),
      outbox: await countOf('outbox'),
    })
  }
  expect(sizes.at(-1)).toEqual({ task: 0, task_attempt: days - 1, outbox: 0 })
  expect(new Set(sizes.map(({ task, outbox }) => `${task} ${outbox}`))).toEqual(new Set(['0 0']))
  expect(await countOf('job')).toBe(days * jobsPerDay)
  expect(await countOf(`job where archived_at is null or archived_at < finished_at`)).toBe(0)
}, 180_000)

it('still tells everything of an old job, and runs one again', async () => {
  const [job] = await query<{ id: RowId<'job'> }>('select min(id) as id from job')
  const before = await house.read(tenantId, job!.id)
  expect(before).toMatchObject({
    status: 'completed',
    steps: [
      { name: 'first', tasks_total: 1, tasks_done: 1, attempts: 1 },
      { name: 'second', tasks_total: 1, tasks_done: 1, attempts: 1, result: { attempt: 1 } },
    ],
  })
  await house.control.replayStep(tenantId, job!.id, 'system', 'second')
  house.wake.wake('backlog')
  const again = await ended(job!.id)
  expect(again.steps).toEqual([
    before.steps[0],
    expect.objectContaining({ name: 'second', tasks_done: 1, attempts: 1, result: { attempt: 1 } }),
  ])
  expect(await countOf('task')).toBe(1)
  await aDayLater()
  await retain()
  expect(await countOf('task')).toBe(0)
})

it('leaves what somebody may want to run again', async () => {
  house.work['second'] = () => ({ kind: 'reject', code: 'data_invalid', detail: 'no', durationMs: 1 })
  const { jobRowId } = await house.submit(tenantId, fileId)
  await ended(jobRowId)
  await aDayLater()
  await retain()
  expect(await query('select step, state from task')).toEqual([{ step: 'second', state: 'dead' }])
  house.work['second'] = () => done([], 2)
  await house.control.retryJob(tenantId, jobRowId, 'system')
  house.wake.wake('backlog')
  expect(await ended(jobRowId)).toMatchObject({ status: 'completed' })
})
