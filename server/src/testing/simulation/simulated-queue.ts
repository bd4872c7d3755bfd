// A transport for hints that does what transports do: loses, doubles, delays and reorders them, and forgets all it holds.

import { createBell } from '../../queue/bell.ts'
import type { ReadyQueue, ReadyTask } from '../../queue/ready-queue.ts'
import type { Faults } from './faults.ts'
import type { History } from './history.ts'
import type { Random } from './random.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import type { SimulatedTime } from './simulated-time.ts'

export interface SimulatedTransport {
  /** The queue as this process has it. */
  connect(process: SimulatedProcess): ReadyQueue
  /** Loses everything; `silently`: nobody is told. */
  empty(silently: boolean): void
}

export function createSimulatedTransport(deps: {
  time: SimulatedTime
  random: Random
  faults: Faults
  history: History
}): SimulatedTransport {
  const { time, random, faults, history } = deps
  let hints: ReadyTask[] = []
  let losses = 0
  const ringers = new Set<() => void>()
  const isHealing = (): boolean => time.nowMs >= faults.endMs
  const happens = (probability: number): boolean => !isHealing() && random.chance(probability)

  const arrive = (hint: ReadyTask): void => {
    if (happens(faults.hintReordered)) hints.splice(random.below(hints.length + 1), 0, hint)
    else hints.push(hint)
    for (const ring of ringers) ring()
  }

  const offer = (hint: ReadyTask): void => {
    if (happens(faults.hintLost)) return history.note('hint lost', hint.taskId)
    if (happens(faults.hintDelayed)) time.after(random.between(0, 6_000), () => arrive(hint))
    else arrive(hint)
  }

  return {
    connect(process) {
      const bell = createBell(process.clock)
      const ring = (): void => void process.after(random.between(0, 1), () => bell.ring())
      ringers.add(ring)
      let lossesSeen = losses
      return {
        kind: 'bullmq',
        push: (_pool, tasks) =>
          process.call('push', async () => {
            for (const task of tasks) {
              offer(task)
              if (happens(faults.hintDoubled)) offer(task)
            }
          }),
        depth: () => process.call('depth', async () => hints.length),
        async take(_pool, { max, waitMs, signal }) {
          const end = process.clock.monotonicMs() + waitMs
          for (;;) {
            const { count } = bell
            const taken = hints.length === 0 ? [] : await process.call('pop', async () => hints.splice(0, max))
            const leftMs = end - process.clock.monotonicMs()
            if (taken.length > 0 || leftMs <= 0 || signal.aborted) return taken
            await bell.wait(count, { ms: leftMs, signal })
          }
        },
        async intact() {
          const isIntact = lossesSeen === losses
          lossesSeen = losses
          return isIntact
        },
        close: async () => {},
      }
    },
    empty(silently) {
      history.note('emptied', hints.length)
      hints = []
      if (!silently) losses += 1
    },
  }
}
