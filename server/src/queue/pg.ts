// The ready queue that is the task table itself: what admission has dispatched is offered. Nothing is pushed but a tap
// on the shoulder, so nothing can be lost, and every process that reaches the database takes part.
//
// Taking marks the row with the epoch that was handed out, in one statement with SKIP LOCKED, and leaves the claim to
// whoever took it. Without a mark all idle workers would be given the same oldest rows again and again until one of
// them had claimed them, and all claims but one would be lost work. A mark in lease_until, the other place there is,
// would shift the row behind younger ones and change what the rescuer goes by. The mark decides nothing: a taker that
// dies leaves a row whose lease runs out like any other's, and the next epoch is handed out anew.
//
// How many tasks go in a bunch is told by those that were taken last, and what is too many then is offered again.

import type { Clock } from '../platform/clock.ts'
import type { Sql } from '../platform/database.ts'
import type { WakeBus } from '../platform/wake.ts'
import { createBell } from './bell.ts'
import { toBunches } from './bunches.ts'
import { countReady, offerAgain, takeReady } from './pg.sql.ts'
import type { ReadyQueue, ReadyTask } from './ready-queue.ts'

/** Looking again while nothing comes: at first soon, then less often. Wakes do not reach other processes without Redis. */
const pollMsMin = 25
const pollMsMax = 250

export function createPgQueue(deps: { database: Sql; wake: WakeBus; clock: Clock }): ReadyQueue {
  const { database, wake, clock } = deps
  const bell = createBell(clock)
  const unlisten = wake.listen('ready', () => bell.ring())
  let bunchCount = 1
  let closed = false

  async function takeBunches(pool: number, max: number): Promise<ReadyTask[]> {
    const taken = await takeReady(database, pool, max * bunchCount)
    if (taken.length === 0) return []
    const bunches = toBunches(taken).toArray()
    bunchCount = Math.floor(taken.length / bunches.length)
    const surplus = bunches.splice(max).flat()
    if (surplus.length > 0) await offerAgain(database, surplus)
    return bunches.flat().map(({ taskId, epoch, tenantId }) => ({ taskId, epoch, tenantId }))
  }

  return {
    kind: 'pg',
    push: async (_, tasks) => {
      if (tasks.length > 0) wake.wake('ready')
    },
    depth: (pool) => countReady(database, pool),
    take: async (pool, { max, waitMs, signal }) => {
      const end = clock.monotonicMs() + waitMs
      for (let pollMs = pollMsMin; ; pollMs = Math.min(pollMsMax, pollMs * 2)) {
        const { count } = bell
        if (closed || signal.aborted) return []
        const taken = await takeBunches(pool, max)
        const leftMs = end - clock.monotonicMs()
        if (taken.length > 0 || leftMs <= 0) return taken
        await bell.wait(count, { ms: Math.min(pollMs, leftMs), signal })
        if (bell.count !== count) pollMs = pollMsMin
      }
    },
    intact: async () => true,
    close: async () => {
      closed = true
      unlisten()
      bell.ring()
    },
  }
}
