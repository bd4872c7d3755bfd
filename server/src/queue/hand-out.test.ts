import { expect, it } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import { createHandOut, type Taker } from './hand-out.ts'

const taker = (max = 1): Taker => ({ worker: 'worker_1', leaseMs: 1_000, max })

function open() {
  let wakes = 0
  const handOut = createHandOut<string>({ clock: systemClock, wake: { wake: () => void wakes++ } })
  const never = new AbortController().signal
  const take = (from = taker(), { waitMs = 20_000, signal = never } = {}) => handOut.take(0, from, { waitMs, signal })
  return { handOut, take, wakes: () => wakes }
}

it('says who waits, longest first, and gives what was claimed for them', async () => {
  const { handOut, take, wakes } = open()
  expect(handOut.waiting(0)).toBeUndefined()
  const [first, second] = [taker(1), taker(2)]
  const taken = [take(first), take(second)]
  expect(wakes()).toBe(2)
  expect(handOut.waiting(0)).toBe(first)
  expect(handOut.waiting(1)).toBeUndefined()
  handOut.give(0, first, [])
  expect(handOut.waiting(0)).toBe(first)
  handOut.give(0, first, ['a'])
  expect(handOut.waiting(0)).toBe(second)
  handOut.give(0, second, ['b', 'c'])
  expect(await Promise.all(taken)).toEqual([['a'], ['b', 'c']])
  expect(handOut.waiting(0)).toBeUndefined()
})

it('gives what came for a taker that had gone to whoever waits, or takes next', async () => {
  const { handOut, take } = open()
  const controller = new AbortController()
  const gone = taker()
  const taken = take(gone, { signal: controller.signal })
  controller.abort()
  expect(await taken).toEqual([])
  handOut.give(0, gone, ['a', 'b'])
  expect(await take()).toEqual(['a', 'b'])
  const waiting = take()
  handOut.give(0, gone, ['c'])
  expect(await waiting).toEqual(['c'])
})

it('lets takers go with nothing when the time is over, and when it is closed', async () => {
  const { handOut, take } = open()
  expect(await take(taker(), { waitMs: 10 })).toEqual([])
  expect(handOut.waiting(0)).toBeUndefined()
  const waiting = take()
  await handOut.close()
  expect(await waiting).toEqual([])
  expect(await take()).toEqual([])
})
