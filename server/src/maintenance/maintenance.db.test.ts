import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RowId } from '../platform/ids.ts'
import { requestCancel } from '../processing/job.sql.ts'
import { createEngineHouse, done, type EngineHouse } from '../processing/testing/engine-house.ts'
import { testObject, toDefinition } from '../processing/testing/test-rows.ts'
import type { TaskAssignment, TaskOutput } from '../processing/task.ts'
import { createPgQueue } from '../queue/pg.ts'
import type { ReadyQueue } from '../queue/ready-queue.ts'
import { createSqlSchedulerStore } from './sql-scheduler-store.ts'

let house: EngineHouse
let tenantId: RowId<'tenant'>
let fileId: RowId<'file'>
const signal = new AbortController().signal

const one = toDefinition({ only: { uses: 'transform.x' } })
const splitting = toDefinition({
  split: { uses: 'transform.split' },
  part: { uses: 'transform.part', needs: ['split'], each: 'split' },
})
const output = (name: string, as: TaskOutput['as'] = 'output'): TaskOutput => ({
  name,
  contentType: 'text/plain',
  object: testObject(tenantId),
  as,
})

const query = async <Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> =>
  (await house.database.query<Row>(text, values)).rows
const count = async (text: string, values: unknown[] = []): Promise<number> =>
  (await query<{ count: number }>(`select count(*)::int as count from ${text}`, values))[0]!.count
const read = (jobRowId: RowId<'job'>) => house.read(tenantId, jobRowId)
const ended = (jobRowId: RowId<'job'>) =>
  house.until(
    () => read(jobRowId),
    (job) => job.finished_at !== null,
  )
const endLeases = () =>
  query(`update task set lease_until = now() - interval '1 s' where lease_until is not null returning id`)
async function takeOne(): Promise<TaskAssignment> {
  const taken: TaskAssignment[] = []
  await house.until(
    async () => taken.push(...(await house.desk.take({ max: 1, waitMs: 500, signal }))),
    () => taken.length > 0,
  )
  return taken[0]!
}

async function arrive(weight = 1): Promise<void> {
  tenantId = await house.addTenant(weight)
  fileId = await house.addFile(tenantId)
}

describe('the lead', () => {
  beforeAll(async () => {
    house = await createEngineHouse({ maintained: false })
  })
  afterAll(() => house.close())

  it('is one process’ at a time, passes on when it runs out, and admits nothing under an old epoch', async () => {
    const store = createSqlSchedulerStore(house.database)
    const wanted = (owner: string, epoch?: number) => ({ shard: 0, owner, epoch, leaseMs: 60_000 })
    const first = await store.lead(wanted('a'))
    expect(first).toMatchObject({ epoch: 1 })
    expect(await store.lead(wanted('b'))).toBeUndefined()
    expect(await store.lead(wanted('a', 1))).toMatchObject({ epoch: 1 })
    await query(`update scheduler_lease set until = now() - interval '1 s' returning shard`)
    const second = await store.lead(wanted('b'))
    expect(second).toMatchObject({ owner: 'b', epoch: 2 })
    expect(await store.lead(wanted('a', 1))).toBeUndefined()

    await arrive()
    await house.usePipeline(tenantId, one)
    await house.submit(tenantId, fileId)
    const admit = (leadership: typeof first) =>
      store.admit({ pool: 0, orders: [{ lane: 1, tenantId, count: 5 }], leaseMs: 1_000, leadership: leadership! })
    expect(await admit(first)).toEqual([])
    expect(await admit(second)).toMatchObject([{ tenantId, epoch: 1 }])
    expect(await admit(second)).toEqual([])
    await store.resign(second!)
    expect(await store.lead(wanted('a'))).toMatchObject({ epoch: 3 })
  })

  it('finds the tenants of a backlog by single steps of one index', async () => {
    const store = createSqlSchedulerStore(house.database)
    await query(`delete from task returning id`)
    const tenants = [await house.addTenant(), await house.addTenant(3), await house.addTenant()]
    await query(
      `insert into task (tenant_id, job_id, step, ordinal, lane, state, rank, input)
       select t, t, 's', n, n % 3, 'queued', n, '{}' from unnest($1::bigint[]) t, generate_series(1, 300) n returning id`,
      [tenants],
    )
    await query('update tenant_schedule set paused = true where tenant_id = $1 returning tenant_id', [tenants[0]])
    const backlog = await store.listBacklog(0, 100)
    expect(backlog.map(({ lane, tenantId: tenant, weight }) => [lane, tenant, weight])).toEqual(
      [0, 1, 2].flatMap((lane) => [
        [lane, tenants[2], 1],
        [lane, tenants[1], 3],
      ]),
    )
    await query(`delete from task returning id`)
  })

  it('and tells what the next costs, however much of the backlog is done and not vacuumed yet', async () => {
    const store = createSqlSchedulerStore(house.database)
    const tenant = await house.addTenant()
    await query(
      `insert into task (tenant_id, job_id, step, ordinal, state, rank, cost_ms, input)
       select $1, $1, 's', n, 'queued', n, n, '{}' from generate_series(1, 5000) n returning id`,
      [tenant],
    )
    await query(`update task set state = 'succeeded' where tenant_id = $1 and rank < 4900 returning id`, [tenant])
    await query(`update tenant_schedule set virtual_ms = '{0,4899,0}' where tenant_id = $1 returning tenant_id`, [
      tenant,
    ])
    expect(await store.listBacklog(0, 100)).toMatchObject([{ tenantId: tenant, costMs: 4_900 }])
    const [plan] = await query<{ 'QUERY PLAN': { Plan: { 'Shared Hit Blocks': number } }[] }>(
      'explain (analyze, buffers, format json) select * from list_backlog(0::smallint, 100)',
    )
    expect(plan!['QUERY PLAN'][0]!.Plan['Shared Hit Blocks']).toBeLessThan(100)
    await query(`update task set rank = rank - 1000 where tenant_id = $1 and state = 'queued' returning id`, [tenant])
    expect(await store.listBacklog(0, 100)).toMatchObject([{ tenantId: tenant, costMs: 5_000 }])
    await query(`delete from task returning id`)
  })
})

describe('the duties', () => {
  beforeAll(async () => {
    house = await createEngineHouse()
  })
  afterAll(() => house.close())
  beforeEach(() => arrive())

  it('give the task of a lost worker to another, and let nothing that the first still says count', async () => {
    await house.usePipeline(tenantId, one)
    const { jobRowId } = await house.submit(tenantId, fileId)
    const zombie = await takeOne()
    await endLeases()
    const second = await takeOne()
    expect(second).toMatchObject({ taskId: zombie.taskId, epoch: zombie.epoch + 1, attempt: 1 })
    expect(await house.desk.heartbeat([zombie])).toEqual([{ taskId: zombie.taskId, stop: 'lost' }])
    expect(await house.desk.report(zombie, done([output('zombie.txt')]))).toBe(false)
    expect(await house.desk.report(second, done([output('good.txt')]))).toBe(true)
    expect((await ended(jobRowId)).outputs.map(({ name }) => name)).toEqual(['good.txt'])
  })

  it('call a task dead that has cost three workers', async () => {
    await house.usePipeline(tenantId, one)
    const { jobRowId } = await house.submit(tenantId, fileId)
    for (let times = 0; times < 3; times++) {
      await takeOne()
      await endLeases()
    }
    expect(await ended(jobRowId)).toMatchObject({ status: 'failed', problem: { code: 'worker_lost' } })
  })

  it('hand back what the only process there is held when it was killed, however often that is', async () => {
    await house.usePipeline(tenantId, one)
    const { jobRowId } = await house.submit(tenantId, fileId)
    for (let times = 0; times < 4; times++) {
      await takeOne()
      await house.restart()
    }
    const last = await takeOne()
    expect(last.attempt).toBe(1)
    expect(await house.desk.report(last, done([output('good.txt')]))).toBe(true)
    expect(await ended(jobRowId)).toMatchObject({ status: 'completed' })
  })

  it('offer a task again whose hint was lost, without using an attempt', async () => {
    const inOneProcess = house
    const queues: ReadyQueue[] = []
    house = await createEngineHouse({
      openQueue: async (deps) => {
        const queue = createPgQueue(deps)
        queues.push(queue)
        return queue
      },
    })
    await arrive()
    await house.usePipeline(tenantId, one)
    const { jobRowId } = await house.submit(tenantId, fileId)
    await house.until(
      async () => (await queues[0]?.take(0, { max: 1, waitMs: 100, signal })) ?? [],
      (hints) => hints.length > 0,
    )
    await endLeases()
    const task = await takeOne()
    expect(task).toMatchObject({ epoch: 2, attempt: 1 })
    await house.desk.report(task, done())
    expect((await ended(jobRowId)).status).toBe('completed')
    await house.close()
    house = inOneProcess
  })

  it('take a task back that is released, for the next worker', async () => {
    await house.usePipeline(tenantId, one)
    await house.submit(tenantId, fileId)
    const task = await takeOne()
    expect(await house.desk.report(task, { kind: 'release' })).toBe(true)
    const again = await takeOne()
    expect(again).toMatchObject({ taskId: task.taskId, attempt: 1 })
    await house.desk.report(again, done())
  })

  it('end a cancelled job whose worker is silent', async () => {
    await house.usePipeline(tenantId, one)
    const { jobRowId } = await house.submit(tenantId, fileId)
    const silent = await takeOne()
    await house.control.cancelJob(tenantId, jobRowId, 'system')
    await query(`update job set cancel_requested_at = now() - interval '10 s' where id = $1 returning id`, [jobRowId])
    expect((await ended(jobRowId)).status).toBe('cancelled')
    expect(await house.desk.report(silent, done([output('late.txt')]))).toBe(false)
    expect((await read(jobRowId)).outputs).toEqual([])
  })

  it('hold and let go the tasks of a large job piece by piece', async () => {
    const tasksCount = 25_000
    await house.usePipeline(tenantId, one)
    await query('update tenant_schedule set paused = true where tenant_id = $1 returning tenant_id', [tenantId])
    const { jobRowId } = await house.submit(tenantId, fileId)
    await query(
      `insert into task (tenant_id, job_id, step, ordinal, state, rank, input)
       select $1, $2, 'only', n, 'queued', n, '{}' from generate_series(1, $3::int - 1) n returning id`,
      [tenantId, jobRowId, tasksCount],
    )
    const countOf = (state: string) => count(`task where job_id = $1 and state = $2`, [jobRowId, state])
    await house.control.pauseJob(tenantId, jobRowId, 'system')
    await house.until(
      () => countOf('blocked'),
      (held) => held === tasksCount,
      40_000,
    )
    await house.control.resumeJob(tenantId, jobRowId, 'system')
    await house.until(
      () => countOf('queued'),
      (queued) => queued === tasksCount,
      40_000,
    )
    await query(`delete from task where job_id = $1 returning id`, [jobRowId])
    await query(`delete from job where id = $1 returning id`, [jobRowId])
  }, 100_000)

  it('wind up many jobs together, and those of them that still run when their workers say so', async () => {
    const jobsCount = 600
    await house.usePipeline(tenantId, one)
    const { jobRowId: first } = await house.submit(tenantId, fileId)
    const running = await takeOne()
    await query('update tenant_schedule set paused = true where tenant_id = $1 returning tenant_id', [tenantId])
    for (let index = 1; index < jobsCount; index++) await house.submit(tenantId, fileId)
    const jobIds = (await query<{ id: number }>('select id from job where tenant_id = $1', [tenantId])).map(
      ({ id }) => id,
    )
    expect(await house.database.withTenant(tenantId, (tx) => requestCancel(tx, tenantId, jobIds))).toBe(jobsCount)
    house.wake.wake('cancel')
    const countOf = (state: string) => count(`job where tenant_id = $1 and state = $2`, [tenantId, state])
    await house.until(
      () => countOf('cancelled'),
      (cancelled) => cancelled === jobsCount - 1,
    )
    expect(await count(`audit_event where tenant_id = $1 and action = 'job.end'`, [tenantId])).toBe(jobsCount - 1)
    expect(await house.desk.heartbeat([running])).toEqual([{ taskId: running.taskId, stop: 'cancelled' }])
    expect(await house.desk.report(running, { kind: 'cancelled' })).toBe(true)
    expect((await ended(first)).status).toBe('cancelled')
  })

  it('create a large fan-out piece by piece, and cancel one', async () => {
    const partsCount = 25_000
    await house.usePipeline(tenantId, splitting)
    const { jobRowId } = await house.submit(tenantId, fileId)
    const split = await takeOne()
    await query(
      `insert into output (tenant_id, job_id, task_id, step, name, content_type, size_bytes, sha256, object_id)
       select $1, $2, $3, 'split', 'part-' || n, 'text/plain', 10, repeat('c', 64), (select object_id from file where id = $4)
       from generate_series(1, $5::int) n returning id`,
      [tenantId, jobRowId, split.taskId, fileId, partsCount],
    )
    await house.desk.report(split, done())
    const created = () => count(`task where job_id = $1 and step = 'part'`, [jobRowId])
    await house.until(created, (tasks) => tasks === partsCount, 40_000)
    expect(await count(`task where job_id = $1 and step = 'part' and ordinal < $2`, [jobRowId, partsCount])).toBe(
      partsCount,
    )
    expect((await read(jobRowId)).steps[1]).toMatchObject({ tasks_total: partsCount, state: 'waiting' })
    await house.control.cancelJob(tenantId, jobRowId, 'system')
    await house.until(
      () => read(jobRowId),
      (job) => job.status === 'cancelled',
      40_000,
    )
    expect(await count(`task where job_id = $1 and state = 'cancelled'`, [jobRowId])).toBe(partsCount)
  }, 100_000)
})

describe('admission', () => {
  beforeAll(async () => {
    house = await createEngineHouse()
  })
  afterAll(() => house.close())
  beforeEach(() => arrive())

  const split = (tasksCount: number) => {
    house.work['split'] = () => done(Array.from({ length: tasksCount }, (_, part) => output(`part-${part}`)))
  }

  it('never lets more of a tenant run than its cap', async () => {
    await query('update tenant_schedule set running_max = 3 where tenant_id = $1 returning tenant_id', [tenantId])
    let running = 0
    let peak = 0
    split(30)
    house.work['part'] = async () => {
      peak = Math.max(peak, ++running)
      await pause(5)
      running -= 1
      return done()
    }
    house.startWorker(10)
    await house.usePipeline(tenantId, splitting)
    const { jobRowId } = await house.submit(tenantId, fileId)
    expect((await ended(jobRowId)).status).toBe('completed')
    expect(peak).toBe(3)
  })

  it('lets a tenant’s only file, and the same tenant’s small one, pass a large backlog', async () => {
    const order: number[] = []
    split(400)
    house.work['part'] = async (task) => {
      order.push(task.jobId)
      await pause(2)
      return done()
    }
    house.work['only'] = (task) => {
      order.push(task.jobId)
      return done()
    }
    await house.usePipeline(tenantId, splitting)
    const large = await house.submit(tenantId, fileId)
    await house.until(
      async () => order.length,
      (length) => length > 20,
    )
    const begun = order.length
    await house.usePipeline(tenantId, one)
    const small = await house.submit(tenantId, fileId)
    const other = await house.addTenant()
    await house.usePipeline(other, one)
    const foreign = await house.submit(other, await house.addFile(other))
    await ended(large.jobRowId)
    for (const { jobRowId } of [small, foreign]) {
      expect(order).toContain(jobRowId)
      expect(order.indexOf(jobRowId) - begun).toBeLessThan(200)
    }
  })

  it('makes files of an archive’s members, each with a job, within the quota', async () => {
    house.work['only'] = (task) =>
      task.file.depth === 0 ? done([output('a.txt', 'file'), output('b.txt', 'file')]) : done()
    await house.usePipeline(tenantId, one)
    const { jobRowId } = await house.submit(tenantId, fileId)
    expect((await ended(jobRowId)).status).toBe('completed')
    expect(await count('file where parent_file_id = $1 and depth = 1', [fileId])).toBe(2)
    await house.until(
      () => count(`job where parent_job_id = $1 and state = 'completed'`, [jobRowId]),
      (jobs) => jobs === 2,
    )
    const usage = await query(
      'select files_count, stored_bytes, reserved_bytes from tenant_usage where tenant_id = $1',
      [tenantId],
    )
    expect(usage).toEqual([{ files_count: 2, stored_bytes: 20, reserved_bytes: 0 }])

    await query(`update tenant set limits = '{"files_count_max": 3}' where id = $1 returning id`, [tenantId])
    const refused = await house.submit(tenantId, fileId)
    expect(await ended(refused.jobRowId)).toMatchObject({ status: 'failed', problem: { code: 'quota_exceeded' } })
    expect(await count('file where parent_file_id = $1', [fileId])).toBe(2)
  })

  it('tells how many slots there is work for', async () => {
    const store = createSqlSchedulerStore(house.database)
    await query(
      `insert into task (tenant_id, job_id, step, ordinal, pool, state, rank, cost_ms, input)
       select $1, $1, 's', n, 7, 'queued', n, 100, '{}' from generate_series(1, 50) n returning id`,
      [tenantId],
    )
    await query('update tenant_schedule set running_max = 20 where tenant_id = $1 returning tenant_id', [tenantId])
    await store.writeDemand(7, 10)
    expect(await query('select slots_wanted, backlog_count, drain_seconds from pool_demand where pool = 7')).toEqual([
      { slots_wanted: 20, backlog_count: 50, drain_seconds: 0.5 },
    ])
  })
})
