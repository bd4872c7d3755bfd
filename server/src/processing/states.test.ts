import { taskStates, type TaskState } from '@millrace/contract'
import { expect, test } from 'vitest'
import { isTaskMove, taskIdleStates, taskMoves, taskOpenStates } from './states.ts'

const moves = taskStates.flatMap((from) => taskStates.filter((to) => isTaskMove(from, to)).map((to) => ({ from, to })))
const isOpen = (state: TaskState): boolean => (taskOpenStates as readonly TaskState[]).includes(state)

test('every state of a task is reached from one in which tasks are made', () => {
  const reached = new Set<TaskState>(['blocked', 'queued'])
  // A set that grows while it is walked is walked to its end.
  for (const from of reached) for (const to of taskMoves[from]) reached.add(to)
  expect([...reached].toSorted()).toEqual([...taskStates].toSorted())
})

test('a task that has ended comes back by way of the backlog only, and one that succeeded never', () => {
  expect(moves.filter(({ from }) => !isOpen(from)).map(({ from, to }) => [from, to])).toEqual([
    ['dead', 'queued'],
    ['skipped', 'queued'],
    ['cancelled', 'queued'],
  ])
})

test('a task that is open can be cancelled, and only one that is running succeeds or dies', () => {
  for (const state of taskOpenStates) expect(isTaskMove(state, 'cancelled')).toBe(true)
  for (const end of ['succeeded', 'dead'] as const)
    expect(moves.filter(({ to }) => to === end).map(({ from }) => from)).toEqual(['running'])
  expect(taskIdleStates).not.toContain('running')
})
