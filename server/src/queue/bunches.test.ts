import { expect, test } from 'vitest'
import { toBunches } from './bunches.ts'

const bunchesOf = (...costs: (number | undefined)[]): number[][] =>
  toBunches(costs.map((costMs, taskId) => ({ taskId, epoch: 1, tenantId: 1, ...(costMs !== undefined && { costMs }) })))
    .map((bunch) => bunch.map(({ taskId }) => taskId))
    .toArray()

test('neighbours are together up to what a slot is done with in a moment', () => {
  expect(bunchesOf(10, 10, 10)).toEqual([[0, 1], [2]])
  expect(bunchesOf(1, 19, 1)).toEqual([[0, 1], [2]])
})

test('a long task, and one of which nothing is known, is alone', () => {
  expect(bunchesOf(1, 5_000, 1, 1)).toEqual([[0], [1], [2, 3]])
  expect(bunchesOf(undefined, undefined)).toEqual([[0], [1]])
})

test('a bunch is not larger than one message bears, and of nothing there is none', () => {
  expect(bunchesOf(...Array.from({ length: 120 }, () => 0)).map(({ length }) => length)).toEqual([50, 50, 20])
  expect(bunchesOf()).toEqual([])
})
