// A ready queue in memory, for tests of what is built on one. A task stands in it once; offered again, only the newest epoch
// counts.

import type { Clock } from '../../platform/clock.ts'
import { createBell, type Bell } from '../bell.ts'
import { toBunches } from '../bunches.ts'
import type { OfferedTask, ReadyQueue, ReadyTask } from '../ready-queue.ts'

interface Pool {
  /** By task id, oldest first. */
  tasks: Map<number, OfferedTask>
  bell: Bell
}

export function createMemoryQueue({ clock }: { clock: Clock }): ReadyQueue {
  const pools = new Map<number, Pool>()
  let closed = false

  const poolOf = (number: number): Pool => {
    let pool = pools.get(number)
    if (pool === undefined) pools.set(number, (pool = { tasks: new Map(), bell: createBell(clock) }))
    return pool
  }

  const shift = ({ tasks }: Pool, max: number): ReadyTask[] => {
    const taken = toBunches(tasks.values()).take(max).toArray().flat()
    for (const task of taken) tasks.delete(task.taskId)
    return taken
  }

  return {
    kind: 'bullmq',
    push: async (number, tasks) => {
      if (closed || tasks.length === 0) return
      const pool = poolOf(number)
      for (const task of tasks) {
        pool.tasks.delete(task.taskId)
        pool.tasks.set(task.taskId, task)
      }
      pool.bell.ring()
    },
    depth: async (number) => pools.get(number)?.tasks.size ?? 0,
    take: async (number, { max, waitMs, signal }) => {
      const pool = poolOf(number)
      const end = clock.monotonicMs() + waitMs
      for (;;) {
        const { count } = pool.bell
        const taken = closed || signal.aborted ? [] : shift(pool, max)
        const leftMs = end - clock.monotonicMs()
        if (taken.length > 0 || leftMs <= 0 || closed || signal.aborted) return taken
        await pool.bell.wait(count, { ms: leftMs, signal })
      }
    },
    intact: async () => true,
    close: async () => {
      closed = true
      for (const { bell } of pools.values()) bell.ring()
    },
  }
}
