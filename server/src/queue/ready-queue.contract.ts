// What every ready queue promises. A test hands in an empty one, and the way in which tasks come to be dispatched.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ReadyQueue, ReadyTask } from './ready-queue.ts'

export interface ReadyQueueUnderTest {
  queue: ReadyQueue
  /** So many tasks as the truth knows them just after admission, in this order; not yet pushed. */
  dispatch(pool: number, count: number): Promise<ReadyTask[]>
  /** What a claim does: from now on the truth knows them as running. Left out where there is no other truth. */
  claim?(tasks: readonly ReadyTask[]): Promise<void>
  close(): Promise<void>
}

export function describeReadyQueue(name: string, open: () => Promise<ReadyQueueUnderTest>): void {
  describe(name, () => {
    let under: ReadyQueueUnderTest
    let pool = 0
    beforeEach(async () => {
      under = await open()
      pool += 1
    })
    afterEach(() => under.close())

    const never = new AbortController().signal
    const offer = async (count: number, inPool = pool): Promise<ReadyTask[]> => {
      const tasks = await under.dispatch(inPool, count)
      await under.queue.push(inPool, tasks)
      return tasks
    }
    const take = (max: number, waitMs = 0, signal = never): Promise<ReadyTask[]> =>
      under.queue.take(pool, { max, waitMs, signal })

    it('gives tasks in the order in which they were offered, as many as are wanted', async () => {
      const first = await offer(5)
      const second = await offer(3)
      const taken = [...(await take(4)), ...(await take(2)), ...(await take(100))]
      expect(taken).toEqual([...first, ...second])
      expect(await take(1)).toEqual([])
    })

    it('gives short tasks in their order as well, a bunch of them to whoever wants one', async () => {
      const offered = await under.dispatch(pool, 40)
      await under.queue.push(
        pool,
        offered.map((task, index) => ({ ...task, costMs: index === 20 ? 5_000 : 5 })),
      )
      expect(await under.queue.depth(pool)).toBe(40)
      const taken: ReadyTask[] = []
      for (const max of [1, 3, 30, 100]) {
        const some = await take(max)
        expect(some.length).toBeLessThanOrEqual(max * 4)
        taken.push(...some)
      }
      expect(taken.map(({ taskId }) => taskId)).toEqual(offered.map(({ taskId }) => taskId))
      expect(await under.queue.depth(pool)).toBe(0)
    })

    it('gives each task to one taker only, and all of them, however many take at once', async () => {
      const offered = await offer(60)
      const takers = await Promise.all(
        Array.from({ length: 6 }, async () => {
          const mine: ReadyTask[] = []
          for (let more = await take(3); more.length > 0; more = await take(3)) mine.push(...more)
          return mine
        }),
      )
      const ids = (tasks: ReadyTask[]): number[] => tasks.map((task) => task.taskId).sort((a, b) => a - b)
      expect(ids(takers.flat())).toEqual(ids(offered))
    })

    it('wakes a taker that waits when tasks come', async () => {
      const waiting = take(10, 20_000)
      const offered = await offer(1)
      expect(await waiting).toEqual(offered)
    })

    it('keeps a task for the taker that still waits when another has found nothing', async () => {
      const short = take(1, 30)
      const long = take(1, 20_000)
      expect(await short).toEqual([])
      const offered = await offer(1)
      expect(await long).toEqual(offered)
    })

    it('lets a taker go with nothing when the time is over', async () => {
      expect(await take(10, 50)).toEqual([])
    })

    it('lets a taker go when its signal aborts, and loses nothing of what comes later', async () => {
      const abort = new AbortController()
      const waiting = take(10, 20_000, abort.signal)
      abort.abort()
      expect(await waiting).toEqual([])
      const offered = await offer(2)
      expect(await take(10, 5_000)).toEqual(offered)
    })

    it('keeps pools apart', async () => {
      pool += 1
      const other = await offer(2)
      pool -= 1
      expect(await take(10)).toEqual([])
      pool += 1
      expect(await take(10)).toEqual(other)
    })

    it('counts what is offered and not yet taken', async () => {
      expect(await under.queue.depth(pool)).toBe(0)
      await offer(5)
      expect(await under.queue.depth(pool)).toBe(5)
      const taken = await take(2)
      expect(await under.queue.depth(pool)).toBe(3)
      await under.claim?.(taken)
      expect(await under.queue.depth(pool)).toBe(3)
    })

    it('bears an empty offer, and says that it has lost nothing', async () => {
      await under.queue.push(pool, [])
      expect(await take(1)).toEqual([])
      expect(await under.queue.intact()).toBe(true)
      expect(await under.queue.intact()).toBe(true)
    })

    it('lets its takers go when it is closed, and can be closed twice', async () => {
      const waiting = take(1, 20_000)
      await under.queue.close()
      expect(await waiting).toEqual([])
      await under.queue.close()
    })
  })
}
