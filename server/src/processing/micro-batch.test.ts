import { describe, expect, it } from 'vitest'
import type { Clock } from '../platform/clock.ts'
import { createMicroBatch } from './micro-batch.ts'

function manualClock() {
  let wake = (): void => {}
  const clock: Clock = {
    now: () => new Date(0),
    monotonicMs: () => 0,
    sleep: () => new Promise((resolve) => (wake = resolve)),
  }
  return { clock, tick: () => wake() }
}

describe('a micro-batch', () => {
  it('runs when it is full, or when its time is over', async () => {
    const { clock, tick } = manualClock()
    const batches: number[][] = []
    const add = createMicroBatch<number, number>({
      clock,
      countMax: 2,
      waitMs: 4,
      parallelMax: 1,
      run: async (items) => {
        batches.push([...items])
        return items.map((item) => item * 10)
      },
    })
    expect(await Promise.all([add(1), add(2)])).toEqual([10, 20])
    const last = add(3)
    expect(batches).toEqual([[1, 2]])
    tick()
    expect(await last).toBe(30)
    expect(batches).toEqual([[1, 2], [3]])
  })

  it('gathers while a batch is under way, and then waits no longer', async () => {
    const { clock } = manualClock()
    const gates: (() => void)[] = []
    const sizes: number[] = []
    const add = createMicroBatch<number, number>({
      clock,
      countMax: 2,
      waitMs: 4,
      parallelMax: 1,
      run: async (items) => {
        sizes.push(items.length)
        await new Promise<void>((resolve) => gates.push(resolve))
        return items
      },
    })
    const all = [add(1), add(2), add(3)]
    gates[0]?.()
    await all[0]
    gates[1]?.()
    expect(await Promise.all(all)).toEqual([1, 2, 3])
    expect(sizes).toEqual([2, 1])
  })

  it('waits for its time only while others are about to come', async () => {
    const { clock } = manualClock()
    const batches: number[][] = []
    let othersCome = true
    const add = createMicroBatch<number, number>({
      clock,
      countMax: 3,
      waitMs: 4,
      othersCome: () => othersCome,
      parallelMax: 1,
      run: async (items) => {
        batches.push([...items])
        return items
      },
    })
    const first = add(1)
    expect(batches).toEqual([])
    othersCome = false
    await Promise.all([first, add(2)])
    await add(3)
    expect(batches).toEqual([[1, 2], [3]])
  })

  it('that need not wait runs at once, and gathers only while a batch is under way', async () => {
    const { clock } = manualClock()
    const gates: (() => void)[] = []
    const batches: number[][] = []
    const add = createMicroBatch<number, number>({
      clock,
      countMax: 3,
      waitMs: 0,
      parallelMax: 1,
      run: async (items) => {
        batches.push([...items])
        await new Promise<void>((resolve) => gates.push(resolve))
        return items
      },
    })
    const first = add(1)
    expect(batches).toEqual([[1]])
    const others = [add(2), add(3)]
    gates[0]?.()
    await first
    gates[1]?.()
    await Promise.all(others)
    expect(batches).toEqual([[1], [2, 3]])
    void add(4)
    expect(batches).toEqual([[1], [2, 3], [4]])
  })

  it('fails all of a batch that throws, and goes on with the next', async () => {
    const { clock } = manualClock()
    let failing = true
    const add = createMicroBatch<number, number>({
      clock,
      countMax: 1,
      waitMs: 4,
      parallelMax: 1,
      run: async (items) => {
        if (failing) throw new Error('planned')
        return items
      },
    })
    await expect(add(1)).rejects.toThrow('planned')
    failing = false
    expect(await add(2)).toBe(2)
  })
})
