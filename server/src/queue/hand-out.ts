// Where leader and worker are one process, nothing is offered: whoever has room for tasks says so, and the leader hands out
// what it has admitted and claimed for it in one. A task of another tenant then waits for the next free slot, and for no
// ready queue; and its row is written once less.

import { endWait, type Clock } from '../platform/clock.ts'
import type { WakeBus } from '../platform/wake.ts'

export interface Taker {
  /** Wire id of the worker, which the leases are in the name of. */
  worker: string
  leaseMs: number
  /** Tasks that it has room for; of short tasks as many bunches. */
  max: number
}

export interface HandOut<Task> {
  readonly kind: 'in-process'
  /** Who has waited longest. */
  waiting(pool: number): Taker | undefined
  /** To whom they were claimed for; when it has gone meanwhile, to whoever waits or takes next. */
  give(pool: number, taker: Taker, tasks: readonly Task[]): void
  /** Waits up to waitMs for the first tasks. */
  take(pool: number, taker: Taker, options: { waitMs: number; signal: AbortSignal }): Promise<Task[]>
  close(): Promise<void>
}

interface Pool<Task> {
  /** Oldest first. */
  takers: Map<Taker, (tasks: readonly Task[]) => void>
  /** Given when nobody waited any more. */
  left: Task[]
}

export function createHandOut<Task>({ clock, wake }: { clock: Clock; wake: Pick<WakeBus, 'wake'> }): HandOut<Task> {
  const pools = new Map<number, Pool<Task>>()
  const closed = new AbortController()

  const poolOf = (number: number): Pool<Task> => {
    let pool = pools.get(number)
    if (pool === undefined) pools.set(number, (pool = { takers: new Map(), left: [] }))
    return pool
  }

  return {
    kind: 'in-process',
    waiting: (number) => poolOf(number).takers.keys().next().value,
    give(number, taker, tasks) {
      const { takers, left } = poolOf(number)
      if (tasks.length === 0) return
      const answer = takers.get(taker) ?? takers.values().next().value
      if (answer === undefined) left.push(...tasks)
      else answer(tasks)
    },
    async take(number, taker, { waitMs, signal }) {
      const { takers, left } = poolOf(number)
      const over = new AbortController()
      const gone = AbortSignal.any([signal, closed.signal])
      if (gone.aborted) return []
      if (left.length > 0) return left.splice(0)
      const { promise, resolve } = Promise.withResolvers<Task[]>()
      // Answered once, and in that moment no longer one who waits, or what is given then would be lost.
      takers.set(taker, (tasks) => {
        takers.delete(taker)
        endWait(over)
        resolve([...tasks])
      })
      wake.wake('backlog')
      void clock.sleep(waitMs, AbortSignal.any([gone, over.signal])).then(() => takers.get(taker)?.([]))
      return promise
    },
    close: async () => closed.abort(),
  }
}
