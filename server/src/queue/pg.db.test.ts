import { afterAll, beforeAll, expect, it } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import { createLocalWakeBus } from '../platform/wake.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { createPgQueue } from './pg.ts'
import { describeReadyQueue } from './ready-queue.contract.ts'
import type { ReadyQueue, ReadyTask } from './ready-queue.ts'
import { createTestTasks, type TestTasks } from './testing/dispatched.ts'

let test: TestDatabase
let tasks: TestTasks
beforeAll(async () => {
  test = await createTestDatabase()
  tasks = createTestTasks(test.database)
})
afterAll(() => test.drop())

const open = (): ReadyQueue =>
  createPgQueue({ database: test.database, wake: createLocalWakeBus(), clock: systemClock })
const signal = new AbortController().signal

describeReadyQueue('ready queue in PostgreSQL', async () => {
  const queue = open()
  return {
    queue,
    dispatch: (pool, count) => tasks.dispatch(pool, count),
    claim: async (taken) => void (await tasks.claim(taken)),
    close: () => queue.close(),
  }
})

it('finds what another process dispatched without a wake', async () => {
  const waiting = open().take(100, { max: 5, waitMs: 20_000, signal })
  const dispatched = await tasks.dispatch(100, 2)
  expect(await waiting).toEqual(dispatched)
})

it('hands a task out again at its next epoch, whatever stands in the row', async () => {
  const [task] = await tasks.dispatch(101, 1)
  const queue = open()
  expect(await queue.take(101, { max: 5, waitMs: 0, signal })).toEqual([task])
  expect(await queue.take(101, { max: 5, waitMs: 0, signal })).toEqual([])
  await tasks.admitAnew(101)
  expect(await queue.depth(101)).toBe(1)
  expect(await queue.take(101, { max: 5, waitMs: 0, signal })).toEqual([{ ...task, epoch: 2 }])
})

it('gives as many short parts as go in a bunch, and what is no part one by one, all in their order', async () => {
  const parts = await tasks.dispatch(104, 30)
  const whole = await tasks.dispatch(104, 6)
  const idsOf = (dispatched: readonly ReadyTask[]) => [dispatched.map(({ taskId }) => taskId)]
  // What was dispatched at one moment has no order on a clock of milliseconds.
  const short = `update task set cost_ms = 5, lease_until = lease_until + id * interval '1 ms'`
  await test.database.query(`${short} where id = any($1::bigint[])`, idsOf(parts))
  await test.database.query(`${short}, ordinal = -id where id = any($1::bigint[])`, idsOf(whole))
  const queue = open()
  const counts: number[] = []
  const taken: ReadyTask[] = []
  for (const max of [4, 4, 4, 4, 4]) {
    const some = await queue.take(104, { max, waitMs: 0, signal })
    counts.push(some.length)
    taken.push(...some)
    expect(await queue.depth(104)).toBe(36 - taken.length)
  }
  expect(counts).toEqual([4, 16, 11, 4, 1])
  expect(taken).toEqual([...parts, ...whole])
})

it('gives a task that was taken by a mark to the claim of the same epoch, once', async () => {
  await tasks.dispatch(102, 1)
  const taken = await open().take(102, { max: 5, waitMs: 0, signal })
  expect([await tasks.claim(taken), await tasks.claim(taken)]).toEqual([taken, []])
})

it('walks its own index only, however large the table and whatever is known about it', async () => {
  await test.database.query(
    `insert into task (tenant_id, job_id, step, ordinal, pool, state, rank, input)
     select 1, 999999, 'step', n, 103, 'queued', n, '{}' from generate_series(1, 20000) n`,
  )
  const dispatched = await tasks.dispatch(103, 300)
  const plan = await test.database.asSystem(async (tx) => {
    for (const setting of ['seqscan', 'bitmapscan', 'sort', 'hashjoin', 'mergejoin'])
      await tx.query(`set local enable_${setting} = off`)
    const { rows } = await tx.query<Record<string, string>>(
      `explain select q.id from task q
       where q.pool = 103::smallint and q.state = 'dispatched' and q.worker is distinct from 'taken@' || q.lease_epoch
       order by q.lease_until limit 16 for update skip locked`,
    )
    return rows.map((row) => row['QUERY PLAN']).join('\n')
  })
  expect(plan).toContain('Index Scan using task_ready')
  expect(plan).not.toMatch(/Sort|Seq Scan/)
  const taken = await open().take(103, { max: 1_000, waitMs: 0, signal })
  expect(taken).toEqual(dispatched)
})
