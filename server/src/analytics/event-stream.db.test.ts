import { EventResource } from '@millrace/contract'
import { Compile } from 'typebox/compile'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import type { RowId } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { createLocalWakeBus } from '../platform/wake.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { createEventStream, type EventStream } from './event-stream.ts'
import { listSettled } from './outbox.sql.ts'
import type { StreamEvent } from './subscription.ts'

let test: TestDatabase
let stream: EventStream
const wake = createLocalWakeBus()
const running = new AbortController()

beforeAll(async () => {
  test = await createTestDatabase()
})
afterAll(async () => {
  running.abort()
  await test.drop()
})

const open = async (): Promise<EventStream> => {
  const made = createEventStream({ database: test.database, wake, clock: systemClock, log: silentLog })
  await made.start(running.signal)
  return made
}
let tenant = 0
beforeEach(async () => {
  tenant += 10
  stream = await open()
})
afterEach(() => stream.stop(100))

async function happen(n: number, options: { tenantId?: number; jobId?: number; xid?: string } = {}): Promise<void> {
  await test.database.query(
    `insert into outbox (xid, tenant_id, type, job_id, data) values (coalesce($1::xid8, pg_current_xact_id()), $2, 'job.progress', $3, $4)`,
    [options.xid ?? null, options.tenantId ?? tenant, options.jobId ?? null, JSON.stringify({ n })],
  )
  wake.wake('outbox')
}

/** Uses up that many transaction ids in one go: each block with a handler that writes is a transaction of its own. */
const useTransactionIds = (count: number): Promise<unknown> =>
  test.database.query(`do $$ begin
    create temporary table spent (n int);
    for n in 1..${count} loop
      begin insert into spent values (n); exception when division_by_zero then null; end;
    end loop;
    drop table spent;
  end $$`)

/** Whether no transaction, of any database of the server, is older than the last event. */
const hasSettled = async (): Promise<boolean | undefined> => {
  const { rows } = await test.database.query<{ settled: boolean }>(
    'select max(xid::text::bigint) < pg_snapshot_xmin(pg_current_snapshot())::text::bigint as settled from outbox where tenant_id = $1',
    [tenant],
  )
  return rows[0]?.settled
}

class Watcher {
  readonly received: StreamEvent[] = []
  readonly iterator: AsyncIterator<StreamEvent>
  ended = false
  constructor(events: AsyncIterable<StreamEvent>) {
    this.iterator = events[Symbol.asyncIterator]()
    void this.read()
  }
  async read(): Promise<void> {
    for (let next = await this.iterator.next(); next.done !== true; next = await this.iterator.next()) {
      this.received.push(next.value)
    }
    this.ended = true
  }
  get numbers(): unknown[] {
    return this.received.flatMap((event) => (event.data ? [event.data.data['n']] : []))
  }
  get lastId(): string {
    return this.received.at(-1)?.id ?? ''
  }
}
const watch = async (options: Partial<Parameters<EventStream['subscribe']>[0]> = {}, on = stream): Promise<Watcher> =>
  new Watcher(await on.subscribe({ tenantId: tenant, ...options }))
const job = (id: number) => (tenant * 1_000 + id) as RowId<'job'>

describe('a watcher of a tenant', () => {
  it('is told what happens from now on, in order, and nothing of another tenant', async () => {
    await happen(0)
    await expect.poll(hasSettled).toBe(true)
    const watcher = await watch()
    const stranger = await watch({ tenantId: tenant + 1 })
    for (let n = 1; n <= 20; n++) await happen(n, { tenantId: n % 2 ? tenant : tenant + 1 })
    await expect.poll(() => watcher.numbers).toEqual([1, 3, 5, 7, 9, 11, 13, 15, 17, 19])
    await expect.poll(() => stranger.numbers).toEqual([2, 4, 6, 8, 10, 12, 14, 16, 18, 20])
    expect(watcher.received.slice(1).every((event) => Compile(EventResource).Check(event.data))).toBe(true)
  })

  it('comes back with the id of the last event and misses and doubles nothing, in another process too', async () => {
    const first = await watch()
    await happen(1)
    await happen(2)
    await expect.poll(() => first.numbers).toEqual([1, 2])
    await first.iterator.return?.()
    await happen(3)
    const other = await open()
    const second = await watch({ after: first.lastId }, other)
    await happen(4)
    await expect.poll(() => second.numbers).toEqual([3, 4])
    const behind = await watch({ after: second.lastId })
    await happen(5)
    await expect.poll(() => behind.numbers).toEqual([5])
    await other.stop(100)
  })

  it('knows where to come back to before anything has happened', async () => {
    const watcher = await watch()
    await expect.poll(() => watcher.received.length).toBe(1)
    await watcher.iterator.return?.()
    await happen(1)
    const again = await watch({ after: watcher.lastId })
    await expect.poll(() => again.numbers).toEqual([1])
  })

  it('catches up over many pages while more is happening', async () => {
    const watcher = await watch()
    await expect.poll(() => watcher.received.length).toBe(1)
    await watcher.iterator.return?.()
    await test.database.query(
      `insert into outbox (tenant_id, type, data) select $1, 'job.progress', jsonb_build_object('n', n) from generate_series(1, 1700) n`,
      [tenant],
    )
    let again = await watch({ after: watcher.lastId })
    for (let n = 1701; n <= 1710; n++) await happen(n)
    const numbers: unknown[] = []
    // One who is slower than all that comes meanwhile is ended, and comes back.
    const seen = async (): Promise<number> => {
      if (again.ended) {
        numbers.push(...again.numbers)
        again = await watch({ after: again.lastId })
      }
      return numbers.length + again.numbers.length
    }
    await expect.poll(seen).toBe(1_710)
    expect([...numbers, ...again.numbers]).toEqual(Array.from({ length: 1_710 }, (_, i) => i + 1))
  })

  it('is ended when he does not read, and finds the rest when he comes back', async () => {
    const events = await stream.subscribe({ tenantId: tenant })
    const slow = events[Symbol.asyncIterator]()
    const start = await slow.next()
    await test.database.query(
      `insert into outbox (tenant_id, type, data) select $1, 'job.progress', jsonb_build_object('n', n) from generate_series(1, 1500) n`,
      [tenant],
    )
    wake.wake('outbox')
    await expect.poll(() => stream.watchersCount).toBe(0)
    const again = await watch({ after: start.done === true ? '' : start.value.id })
    await expect.poll(() => again.numbers.length).toBe(1_500)
  })

  it('is not told again what a faster process has told him already', async () => {
    const behind = await watch()
    const { rows } = await test.database.query<{ xid: string }>(`select pg_current_xact_id()::text as xid`)
    const xid = BigInt(rows[0]!.xid)
    const ahead = await watch({ after: `${xid + 5n}-999999` })
    await happen(1, { xid: String(xid + 2n) })
    await happen(2, { xid: String(xid + 7n) })
    for (let i = 0; i < 10; i++) await test.database.query('select pg_current_xact_id()')
    wake.wake('outbox')
    await expect.poll(() => behind.numbers).toEqual([1, 2])
    await expect.poll(() => ahead.numbers).toEqual([2])
  })

  it('gets a 400 for an id that is not one of ours', async () => {
    for (const after of ['x', '1', '1-', '-1', '1-2-3', '99999999999999999999-1', "1-1'"]) {
      await expect(stream.subscribe({ tenantId: tenant, after })).rejects.toMatchObject({ code: 'invalid_request' })
    }
  })
})

describe('a watcher of a job', () => {
  it('is told everything about it from its beginning, and nothing of another', async () => {
    await happen(1, { jobId: job(1) })
    await happen(2, { jobId: job(2) })
    const watcher = await watch({ jobRowId: job(1) })
    await happen(3, { jobId: job(2) })
    await happen(4, { jobId: job(1) })
    await expect.poll(() => watcher.numbers).toEqual([1, 4])
  })

  it('sees nothing of a job that another tenant has', async () => {
    await happen(1, { jobId: job(1), tenantId: tenant + 1 })
    const watcher = await watch({ jobRowId: job(1) })
    await happen(2, { jobId: job(1) })
    await expect.poll(() => watcher.numbers).toEqual([2])
  })
})

describe('an event', () => {
  it('that commits late is told in its turn, though later ids were there before it', async () => {
    const watcher = await watch()
    const { rows } = await test.database.query<{ xid: string }>(`select pg_current_xact_id()::text as xid`)
    // As of a transaction that is not over yet; far ahead, for other databases of the server use numbers up meanwhile.
    const later = String(BigInt(rows[0]!.xid) + 20_000n)
    await happen(2, { xid: later })
    await happen(1)
    await expect.poll(() => watcher.numbers).toEqual([1])
    await useTransactionIds(20_001)
    wake.wake('outbox')
    await expect.poll(() => watcher.numbers).toEqual([1, 2])
  })

  it('comes in the order of transactions when their number gets another digit, and once', async () => {
    await happen(1, { xid: '9' })
    await happen(2, { xid: '10' })
    await happen(3, { xid: '99' })
    await happen(4, { xid: '100' })
    const watcher = await watch({ after: '1-0' })
    await expect.poll(() => watcher.numbers).toEqual([1, 2, 3, 4])
    const settled = await listSettled(test.database, { xid: '1', id: 0 }, 4)
    expect(settled.map(({ xid }) => xid)).toEqual(['9', '10', '99', '100'])
  })

  it('is told to thousands of watchers once each', async () => {
    const watchers: Watcher[] = []
    for (let i = 0; i < 3_000; i++) watchers.push(await watch({ jobRowId: job(i % 3) }))
    await happen(1, { jobId: job(0) })
    await happen(2, { jobId: job(1) })
    const told = (n: number) =>
      watchers.filter((watcher) => watcher.numbers.length === 1 && watcher.numbers[0] === n).length
    await expect.poll(() => [told(1), told(2)]).toEqual([1_000, 1_000])
    expect(stream.watchersCount).toBe(3_000)
    for (const watcher of watchers) await watcher.iterator.return?.()
    expect(stream.watchersCount).toBe(0)
  })
})

describe('the stream', () => {
  it('ends its watchers when it stops, and takes no new ones', async () => {
    const watcher = await watch()
    await stream.stop(100)
    await expect.poll(() => watcher.ended).toBe(true)
    await expect(stream.subscribe({ tenantId: tenant })).rejects.toMatchObject({ code: 'shutting_down' })
  })

  it('goes on after the database was away', async () => {
    let away = false
    const database: typeof test.database = {
      ...test.database,
      query: (...args: Parameters<typeof test.database.query>) =>
        (away ? Promise.reject(new Error('away')) : test.database.query(...args)) as never,
    }
    const made = createEventStream({ database, wake, clock: systemClock, log: silentLog })
    await made.start(running.signal)
    const watcher = await watch({}, made)
    away = true
    await happen(1)
    away = false
    await expect.poll(() => watcher.numbers).toEqual([1])
    await made.stop(100)
  })
})
