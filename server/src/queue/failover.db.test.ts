import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import { silentLog } from '../platform/log.ts'
import { createLocalWakeBus } from '../platform/wake.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { createFailoverQueue } from './failover.ts'
import { createPgQueue } from './pg.ts'
import { describeReadyQueue } from './ready-queue.contract.ts'
import type { ReadyQueue, ReadyTask } from './ready-queue.ts'
import { createTestTasks, type TestTasks } from './testing/dispatched.ts'
import { createMemoryQueue } from './testing/memory-queue.ts'

let test: TestDatabase
let tasks: TestTasks
let pool = 1_000 // Beyond those of the contract suite.
beforeAll(async () => {
  test = await createTestDatabase()
  tasks = createTestTasks(test.database)
})
afterAll(() => test.drop())
beforeEach(() => void (pool += 1))

const signal = new AbortController().signal

/** A primary that can be broken, in the process. */
function openQueue(sweepMs = 50) {
  const faults = { down: false, lost: false }
  const inner = createMemoryQueue({ clock: systemClock })
  const guard = async <T>(call: () => Promise<T>): Promise<T> => {
    if (faults.down) throw new Error('down')
    return call()
  }
  const primary: ReadyQueue = {
    kind: 'bullmq',
    push: (...args) => guard(() => inner.push(...args)),
    depth: (...args) => guard(() => inner.depth(...args)),
    take: (...args) => guard(() => inner.take(...args)),
    intact: () =>
      guard(async () => {
        const { lost } = faults
        faults.lost = false
        return !lost
      }),
    close: () => inner.close(),
  }
  const fallback = createPgQueue({ database: test.database, wake: createLocalWakeBus(), clock: systemClock })
  const queue = createFailoverQueue({ primary, fallback, clock: systemClock, log: silentLog, sweepMs })
  return { faults, inner, queue }
}
const take = (queue: ReadyQueue, waitMs = 0): Promise<ReadyTask[]> => queue.take(pool, { max: 100, waitMs, signal })

describeReadyQueue('ready queue with a fallback, on its fallback', async () => {
  const { faults, queue } = openQueue()
  faults.down = true
  return {
    queue,
    dispatch: (pool, count) => tasks.dispatch(pool, count),
    claim: async (taken) => void (await tasks.claim(taken)),
    close: () => queue.close(),
  }
})

describe('while the primary is down', () => {
  it('nothing fails: what was pushed is taken from the table', async () => {
    const { faults, queue } = openQueue()
    faults.down = true
    const offered = await tasks.dispatch(pool, 3)
    await queue.push(pool, offered)
    expect([await queue.depth(pool), await queue.intact(), queue.kind]).toEqual([3, true, 'pg'])
    expect(await take(queue, 5_000)).toEqual(offered)
  })

  it('a taker that was waiting on it goes on at the table', async () => {
    const { faults, queue } = openQueue()
    const waiting = take(queue, 20_000)
    faults.down = true
    const offered = await tasks.dispatch(pool, 1)
    expect(await waiting).toEqual(offered)
  })
})

describe('when the primary is back', () => {
  it('it is used again, and the leader is told once that hints are missing', async () => {
    const { faults, inner, queue } = openQueue()
    faults.down = true
    await queue.push(pool, await tasks.dispatch(pool, 1))
    faults.down = false
    await expect.poll(async () => ((await queue.intact()) ? queue.kind : 'told')).toBe('told')
    expect([queue.kind, await queue.intact()]).toEqual(['bullmq', true])
    const anew = await tasks.admitAnew(pool)
    await queue.push(pool, anew)
    expect(await inner.depth(pool)).toBe(1)
    expect(await take(queue)).toEqual(anew)
  })

  it('what the primary itself lost is told as well', async () => {
    const { faults, queue } = openQueue()
    expect(await queue.intact()).toBe(true)
    faults.lost = true
    expect([await queue.intact(), await queue.intact()]).toEqual([false, true])
  })
})

describe('while the primary works', () => {
  it('a task whose hint was lost is found by an idle taker', async () => {
    const { queue } = openQueue()
    const offered = await tasks.dispatch(pool, 2)
    expect(await take(queue, 20_000)).toEqual(offered)
  })

  it('hints that are all stale do not count as depth', async () => {
    const { queue } = openQueue()
    const offered = await tasks.dispatch(pool, 2)
    await queue.push(pool, offered)
    await tasks.claim(offered)
    expect(await queue.depth(pool)).toBe(0)
  })

  it('tasks that are told twice are won once, and none is forgotten', async () => {
    const { faults, queue } = openQueue(1)
    const offered: ReadyTask[] = []
    const won: ReadyTask[] = []
    const producing = (async () => {
      for (let round = 0; round < 30; round += 1) {
        faults.down = round % 3 === 2
        const some = await tasks.dispatch(pool, 10)
        offered.push(...some)
        await queue.push(pool, some)
      }
      faults.down = false
    })()
    const consume = async (): Promise<void> => {
      while (won.length < 300) {
        const taken = await queue.take(pool, { max: 7, waitMs: 20, signal })
        won.push(...(await tasks.claim(taken)))
      }
    }
    await Promise.all([producing, consume(), consume(), consume()])
    const ids = (list: ReadyTask[]): number[] => list.map(({ taskId }) => taskId).sort((a, b) => a - b)
    expect(ids(won)).toEqual(ids(offered))
  })
})
