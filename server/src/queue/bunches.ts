// Short tasks are handed out together: what carries a task, a job of Redis or a claim, costs more than a short task does.
// A bunch is what one slot is expected to be done with in a moment. Fairness is decided before, by the order in which tasks
// are offered, and a task of another tenant waits that moment longer at most.

import type { OfferedTask } from './ready-queue.ts'

/** Expected work of a bunch. */
export const bunchMs = 20
const bunchCountMax = 50

/** Neighbours, in their order; a task of which nothing is known is alone. */
export function* toBunches(tasks: Iterable<OfferedTask>): Generator<OfferedTask[], undefined> {
  let bunch: OfferedTask[] = []
  let sumMs = 0
  for (const task of tasks) {
    const { costMs = bunchMs } = task
    if (bunch.length > 0 && (sumMs + costMs > bunchMs || bunch.length === bunchCountMax)) {
      yield bunch
      bunch = []
      sumMs = 0
    }
    bunch.push(task)
    sumMs += costMs
  }
  if (bunch.length > 0) yield bunch
}
