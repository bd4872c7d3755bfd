import { expect, it } from 'vitest'
import { systemClock } from '../../platform/clock.ts'
import { createMemoryQueue } from './memory-queue.ts'
import { describeReadyQueue } from '../ready-queue.contract.ts'

let taskId = 0
const tasks = (count: number) => Array.from({ length: count }, () => ({ taskId: ++taskId, epoch: 1, tenantId: 1 }))

describeReadyQueue('ready queue in memory', async () => {
  const queue = createMemoryQueue({ clock: systemClock })
  return { queue, dispatch: async (_, count) => tasks(count), close: () => queue.close() }
})

it('holds a task once, at its newest epoch, however often it is offered', async () => {
  const queue = createMemoryQueue({ clock: systemClock })
  const [first, second] = tasks(2)
  await queue.push(0, [first!, second!])
  await queue.push(0, [{ ...first!, epoch: 2 }])
  expect(await queue.depth(0)).toBe(2)
  const taken = await queue.take(0, { max: 9, waitMs: 0, signal: new AbortController().signal })
  expect(taken).toEqual([second, { ...first, epoch: 2 }])
})
