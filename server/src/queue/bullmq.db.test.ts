import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it, test } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import { systemIds } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { openRedis, type RedisConnection } from '../platform/redis.ts'
import { createLocalWakeBus } from '../platform/wake.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { openFaultProxy, type FaultProxy } from '../testing/fault-proxy.ts'
import { openTestRedis, testRedisUrl } from '../testing/redis.ts'
import { createBullmqQueue } from './bullmq.ts'
import { createFailoverQueue } from './failover.ts'
import { createPgQueue } from './pg.ts'
import { describeReadyQueue } from './ready-queue.contract.ts'
import type { ReadyQueue, ReadyTask } from './ready-queue.ts'
import { createTestTasks, type TestTasks } from './testing/dispatched.ts'

const server = testRedisUrl()
const signal = new AbortController().signal
const deps = { clock: systemClock, ids: systemIds, log: silentLog }

let taskId = 0
const makeTasks = (count: number): ReadyTask[] =>
  Array.from({ length: count }, () => ({ taskId: ++taskId, epoch: 1, tenantId: 7 }))

if (server === undefined) {
  // Nothing to run on, and said so; the harness names what it could not start.
  test('no Redis server is named in MILLRACE_TEST_REDIS_URL', () => {
    expect(server).toBeUndefined()
  })
} else {
  describeReadyQueue('ready queue on Redis', async () => {
    const { url, client } = await openTestRedis(server)
    const redis = await openRedis({ url, log: silentLog })
    const queue = await createBullmqQueue({ ...deps, redis })
    return {
      queue,
      dispatch: async (_, count) => makeTasks(count),
      close: async () => {
        await queue.close()
        await redis.close()
        client.disconnect()
      },
    }
  })
  onServer(server)
}

function onServer(serverUrl: string): void {
  let proxy: FaultProxy
  let client: Redis
  let url: string
  const open: { close(): Promise<unknown> }[] = []

  beforeAll(async () => {
    ;({ url, client } = await openTestRedis(serverUrl))
    const { hostname, port } = new URL(serverUrl)
    proxy = await openFaultProxy({ host: hostname, port: Number(port) })
  })
  afterEach(async () => {
    proxy.thaw()
    for (const each of open.splice(0).toReversed()) await each.close()
    await client.flushdb()
  })
  afterAll(async () => {
    await proxy.close()
    client.disconnect()
  })

  const connect = async (through: 'proxy' | 'directly'): Promise<RedisConnection> => {
    const target = new URL(url)
    if (through === 'proxy') target.port = String(proxy.port)
    const redis = await openRedis({ url: target.href, log: silentLog })
    open.push(redis)
    return redis
  }
  const openQueue = async (through: 'proxy' | 'directly' = 'directly'): Promise<ReadyQueue> => {
    const queue = await createBullmqQueue({ ...deps, redis: await connect(through) })
    open.push(queue)
    return queue
  }
  const take = (queue: ReadyQueue, max: number, waitMs = 0): Promise<ReadyTask[]> =>
    queue.take(0, { max, waitMs, signal })
  const fetchWaits = async (): Promise<boolean> => {
    const [clients, self] = [String(await client.client('LIST')), await client.client('INFO')]
    const database = / db=\d+ /.exec(self)?.[0] ?? ''
    return clients.split('\n').some((each) => each.includes(database) && each.includes(' flags=b '))
  }

  describe('on Redis', () => {
    it('an offer that is sent twice is one, and a later epoch is another', async () => {
      const queue = await openQueue()
      const [task] = makeTasks(1)
      await queue.push(0, [task!])
      await queue.push(0, [task!, { ...task!, epoch: 2 }])
      expect(await take(queue, 9)).toEqual([task, { ...task, epoch: 2 }])
    })

    it('short tasks are one job together, as much work as one slot is done with in a moment', async () => {
      const queue = await openQueue()
      const offered = makeTasks(9)
      await queue.push(
        0,
        offered.map((task, index) => ({ ...task, costMs: index < 7 ? 10 : 1_000 })),
      )
      expect(await client.llen('{millrace}:ready-0:wait')).toBe(4 + 2) // 4 × 20 ms, and each of the long ones.
      expect(await queue.depth(0)).toBe(9)
      expect(await take(queue, 100)).toEqual(offered)
    })

    it.each(['goes on', 'closes'])('a taker that fetched for nobody and %s leaves it to others', async (then) => {
      const [one, other] = [await openQueue(), await openQueue()]
      // Its fetch goes on waiting at the server.
      await expect.poll(async () => [await take(one, 1, 20), await fetchWaits()]).toEqual([[], true])
      const offered = makeTasks(3)
      await other.push(
        0,
        offered.map((task) => ({ ...task, costMs: 5 })),
      )
      await expect.poll(() => other.depth(0), { timeout: 20_000 }).toBe(0)
      if (then === 'closes') await one.close()
      expect(await take(other, 9, 20_000)).toEqual(offered)
    })

    it('what is no offer of ours is dropped', async () => {
      const queue = await openQueue()
      const strange = new Queue('ready-0', { connection: client, prefix: '{millrace}' })
      await strange.add('tasks', { t: 7, more: [[1, 2], 'three', [4, 1, 'x'], [5, 1, 7]] }, { jobId: 'no-task' })
      await strange.add('tasks', { t: 7, more: 'none' }, { jobId: '6-1-9' })
      expect(await take(queue, 9)).toEqual([
        { taskId: 5, epoch: 1, tenantId: 7 },
        { taskId: 6, epoch: 1, tenantId: 7 },
      ])
      await strange.close()
    })

    it('processes share what is offered, and a waiting one is woken by another', async () => {
      const [one, two, three] = [await openQueue(), await openQueue(), await openQueue()]
      const waiting = [take(two, 9, 20_000), take(three, 9, 20_000)]
      const offered = makeTasks(20)
      await one.push(0, offered)
      const taken = (await Promise.all(waiting)).flat()
      taken.push(...(await take(one, 20)))
      expect(new Set(taken.map((each) => each.taskId))).toEqual(new Set(offered.map((each) => each.taskId)))
      expect(taken.length).toBe(20)
    })

    it('nothing is kept of what was taken, and all keys lie in one slot of a cluster', async () => {
      const queue = await openQueue()
      await queue.push(0, makeTasks(50))
      await take(queue, 50)
      await expect
        .poll(async () => (await client.keys('*')).filter((key) => /ready-0:(\d|active)/.test(key)))
        .toEqual([])
      const keys = await client.keys('*')
      expect(keys.length).toBeGreaterThan(0)
      expect(keys.filter((key) => !key.startsWith('{millrace}:'))).toEqual([])
    })

    it('an emptied server is noticed once, by every process', async () => {
      const [one, two] = [await openQueue(), await openQueue()]
      expect([await one.intact(), await two.intact()]).toEqual([true, true])
      await client.flushdb()
      expect([await one.intact(), await two.intact()]).toEqual([false, false])
      expect([await one.intact(), await two.intact()]).toEqual([true, true])
      const offered = makeTasks(3)
      await one.push(0, offered)
      expect(await take(two, 9, 5_000)).toEqual(offered)
    })

    it('a server that evicts keys is refused at the start, by name of the setting', async () => {
      const redis = await connect('directly')
      const evicting = { ...redis, call: async () => '# Memory\r\nmaxmemory_policy:allkeys-lru\r\n' as never }
      await expect(createBullmqQueue({ ...deps, redis: evicting })).rejects.toMatchObject({
        code: 'setting_invalid',
        detail: expect.stringContaining('maxmemory-policy allkeys-lru'),
      })
    })

    it('a server that is not there fails calls at once instead of the start', async () => {
      const redis = await openRedis({ url: 'redis://127.0.0.1:9/0', log: silentLog })
      open.push(redis)
      const queue = await createBullmqQueue({ ...deps, redis })
      open.push(queue)
      await expect(queue.push(0, makeTasks(1))).rejects.toMatchObject({ code: 'queue_unavailable' })
      await expect(take(queue, 1, 5_000)).rejects.toMatchObject({ code: 'queue_unavailable' })
      await expect(queue.intact()).rejects.toMatchObject({ code: 'queue_unavailable' })
    })

    it('a frozen server fails calls after their deadline, and is used again when it answers', async () => {
      const queue = await openQueue('proxy')
      await queue.push(0, makeTasks(1))
      expect((await take(queue, 9)).length).toBe(1)
      proxy.freeze()
      await expect(queue.push(0, makeTasks(1))).rejects.toMatchObject({ code: 'queue_unavailable' })
      await expect(take(queue, 1, 100)).rejects.toMatchObject({ code: 'queue_unavailable' })
      proxy.thaw()
      const offered = makeTasks(1)
      await expect
        .poll(
          () =>
            queue.push(0, offered).then(
              () => 'pushed',
              () => 'failed',
            ),
          { timeout: 20_000 },
        )
        .toBe('pushed')
      const taken: ReadyTask[] = []
      await expect.poll(async () => taken.push(...(await take(queue, 9, 500).catch(() => [])))).toBeGreaterThan(0)
      expect(taken).toContainEqual(offered[0])
    })

    it('a cut connection is made again, and waiting takers go on', async () => {
      const [queue, other] = [await openQueue('proxy'), await openQueue()]
      const waiting = take(queue, 9, 30_000).catch((error: unknown) => error)
      await expect.poll(() => client.client('LIST').then((list) => String(list).includes('cmd=bzpopmin'))).toBe(true)
      proxy.cut()
      await other.push(0, makeTasks(1))
      const taken = await waiting
      // Either it has learnt of the task, or of the cut; never neither.
      if (!Array.isArray(taken)) expect(taken).toMatchObject({ code: 'queue_unavailable' })
      else expect(taken.length).toBe(1)
    })
  })

  describe('on Redis with the table behind it', () => {
    let database: TestDatabase
    let tasks: TestTasks
    let pool = 0
    beforeAll(async () => {
      database = await createTestDatabase()
      tasks = createTestTasks(database.database)
    })
    afterAll(() => database.drop())

    const openPair = async (through: 'proxy' | 'directly'): Promise<ReadyQueue> => {
      const wake = createLocalWakeBus()
      const fallback = createPgQueue({ database: database.database, wake, clock: systemClock })
      const primary = await createBullmqQueue({ ...deps, redis: await connect(through) })
      const queue = createFailoverQueue({ primary, fallback, clock: systemClock, log: silentLog, sweepMs: 300 })
      open.push(queue)
      return queue
    }

    it.each([
      ['frozen for everybody', 'proxy', 'proxy', () => proxy.freeze()],
      ['frozen for the leader alone', 'proxy', 'directly', () => proxy.freeze()],
      ['frozen for the workers alone', 'directly', 'proxy', () => proxy.freeze()],
      ['cut', 'proxy', 'proxy', () => proxy.cut()],
      ['emptied', 'directly', 'directly', () => client.flushdb()],
    ] as const)('no push fails and every task is won once while Redis is %s', async (_, leaderBy, workerBy, fault) => {
      const [leader, ...workers] = [await openPair(leaderBy), await openPair(workerBy), await openPair(workerBy)]
      pool += 1
      const over = AbortSignal.timeout(20_000) // Far below a lease of 30 s, which would bring back what was forgotten.
      const offered: ReadyTask[] = []
      const won: ReadyTask[] = []
      const lead = async (): Promise<void> => {
        for (let round = 0; round < 12; round += 1) {
          if (round === 4) await fault()
          const some = await tasks.dispatch(pool, 10)
          offered.push(...some)
          await leader.push(pool, some)
        }
        while (won.length < 120 && !over.aborted) {
          // What the leader does when hints are missing.
          if (!(await leader.intact())) await leader.push(pool, await tasks.admitAnew(pool))
          await leader.depth(pool)
          await systemClock.sleep(50)
        }
      }
      const work = async (queue: ReadyQueue): Promise<void> => {
        while (won.length < 120 && !over.aborted) {
          won.push(...(await tasks.claim(await queue.take(pool, { max: 5, waitMs: 1_000, signal }))))
        }
      }
      await Promise.all([lead(), ...workers.map(work)])
      const ids = (list: ReadyTask[]): number[] => list.map((each) => each.taskId).sort((a, b) => a - b)
      expect(ids(won)).toEqual(ids(offered))
    })
  })
}
