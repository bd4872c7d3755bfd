import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RowId } from '../platform/ids.ts'
import { createSqlSchedulerStore } from '../maintenance/sql-scheduler-store.ts'
import { createPgQueue } from '../queue/pg.ts'
import { createEngineHouse, done, type EngineHouse } from './testing/engine-house.ts'
import { testObject, toDefinition } from './testing/test-rows.ts'
import type { TaskAssignment, TaskOutcome } from './task.ts'

let house: EngineHouse
let tenantId: RowId<'tenant'>
const signal = new AbortController().signal

const chain = toDefinition({
  first: { uses: 'collect.a' },
  second: { uses: 'transform.b', needs: ['first'] },
  third: { uses: 'archive.c', needs: ['second'] },
})

// Nobody leads but the test: what is admitted is what it admits.
beforeAll(async () => {
  house = await createEngineHouse({ maintained: false, openQueue: async (deps) => createPgQueue(deps) })
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.database.query('delete from task')
  tenantId = await house.addTenant()
  await house.usePipeline(tenantId, chain)
})

const submit = async (of = tenantId) => (await house.submit(of, await house.addFile(of))).jobRowId
/** Admits what waits of the tenant and takes it. */
async function take(of = tenantId, count = 1): Promise<TaskAssignment> {
  const store = createSqlSchedulerStore(house.database)
  await house.database.query(`update scheduler_lease set until = now() - interval '1 s'`)
  const leadership = (await store.lead({ shard: 0, owner: 'test', epoch: undefined, leaseMs: 60_000 }))!
  const orders = [{ lane: 1, tenantId: of, count }]
  await store.admit({ pool: 0, orders, leaseMs: 60_000, leadership })
  const [task] = await house.desk.take({ max: 1, waitMs: 5_000, signal })
  return task!
}
const stateOf = async (jobId: number, step: string): Promise<string | undefined> =>
  (
    await house.database.query<{ state: string }>('select state from task where job_id = $1 and step = $2', [
      jobId,
      step,
    ])
  ).rows[0]?.state
const goOn = (task: TaskAssignment, outcome: TaskOutcome = done()) => house.desk.reportAndContinue(task, outcome)
const share = (change: string) =>
  house.database.query(`update tenant_schedule set ${change} where tenant_id = $1`, [tenantId])

describe('a worker that has ended a task', () => {
  it('goes on with the only one that follows, claimed and told as any other, to the end of the job', async () => {
    const jobId = await submit()
    await house.database.query(`update file_version set declared_type = 'text/html' where tenant_id = $1`, [tenantId])
    const first = await take()
    const output = { name: 'a.txt', contentType: 'text/plain', object: testObject(tenantId), as: 'output' } as const
    const { isWritten, next } = await goOn(first, done([output], { rows: 1 }))
    expect(isWritten).toBe(true)
    expect(next).toMatchObject({
      step: 'second',
      epoch: 1,
      attempt: 1,
      results: { first: { rows: 1 } },
      input: { files: [{ name: 'a.txt' }] },
      file: { name: 'data.csv', metadata: { owner: 'me' }, declaredType: 'text/html' },
    })
    expect(next!.file).toEqual(first.file)
    expect(await house.read(tenantId, jobId)).toMatchObject({
      status: 'running',
      steps: [{ state: 'succeeded' }, { state: 'running', started_at: expect.any(String), attempts: 1 }, {}],
    })
    expect(await house.desk.heartbeat([next!])).toEqual([])
    const last = await goOn(next!)
    expect(last.next).toMatchObject({ step: 'third' })
    expect(await goOn(last.next!)).toEqual({ isWritten: true, next: undefined })
    expect(await house.read(tenantId, jobId)).toMatchObject({ status: 'completed' })
    const events = await house.database.query<{ step: string }>(
      `select data ->> 'step' as step from outbox where job_id = $1 and type = 'step.started' order by id`,
      [jobId],
    )
    expect(events.rows.map(({ step }) => step)).toEqual(['first', 'second', 'third'])
  })

  it('that is lost before it begins leaves the task to the rescuer', async () => {
    const jobId = await submit()
    const { next } = await goOn(await take())
    await house.database.query(`update task set lease_until = now() - interval '1 s' where id = $1`, [next!.taskId])
    const [lost] = await createSqlSchedulerStore(house.database).listLost(10)
    expect(lost).toMatchObject({ taskId: next!.taskId, epoch: 1, lostCount: 0 })
    await house.engine.settle([{ task: lost!, outcome: { kind: 'lost', lostCount: 0 } }])
    expect(await stateOf(jobId, 'second')).toBe('queued')
    const again = await take()
    expect(again).toMatchObject({ taskId: next!.taskId, epoch: 2 })
    expect(await house.desk.report(next!, done())).toBe(false)
    expect(await house.desk.report(again, done())).toBe(true)
  })

  it('leaves what follows to the backlog while another tenant has a task that waits, queued or offered', async () => {
    const other = await house.addTenant()
    const jobId = await submit()
    const task = await take()
    await house.usePipeline(other, chain)
    await submit(other)
    expect(await goOn(task)).toEqual({ isWritten: true, next: undefined })
    expect(await stateOf(jobId, 'second')).toBe('queued')
    const second = await take()
    await house.database.query(
      `update task set state = 'dispatched', lease_until = now() + interval '1 minute' where tenant_id = $1`,
      [other],
    )
    expect((await goOn(second)).next).toBeUndefined()
    expect(await stateOf(jobId, 'third')).toBe('queued')
  })

  it('leaves it there while its own tenant has a more urgent task that waits, queued or offered', async () => {
    await submit()
    const task = await take()
    const urgent = await submit()
    await house.database.query('update task set lane = 0 where job_id = $1', [urgent])
    expect((await goOn(task)).next).toBeUndefined()
    const second = await take()
    await house.database.query(
      `update task set state = 'dispatched', lease_until = now() + interval '1 minute' where job_id = $1`,
      [urgent],
    )
    expect((await goOn(second)).next).toBeUndefined()
  })

  it.each(['paused = true', 'running_max = 0', 'starts_per_second = 1000'])(
    'leaves it there when its own tenant has %s',
    async (change) => {
      const jobId = await submit()
      const task = await take()
      await share(change)
      expect((await goOn(task)).next).toBeUndefined()
      expect(await stateOf(jobId, 'second')).toBe('queued')
    },
  )

  it('takes the place of the ended task under a cap, and leaves what waits of its own tenant waiting', async () => {
    await share('running_max = 1')
    await submit()
    await submit()
    expect((await goOn(await take())).next).toMatchObject({ step: 'second' })
  })

  it('leaves it there when its job was paused meanwhile', async () => {
    const jobId = await submit()
    const task = await take()
    await house.control.pauseJob(tenantId, jobId, 'system')
    expect((await goOn(task)).next).toBeUndefined()
    expect(await stateOf(jobId, 'second')).toBe('blocked')
  })
})
