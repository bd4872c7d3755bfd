// Plays many histories in one thread. Several at a time: each goes one event further, then all come to rest together.

import { setImmediate } from 'node:timers/promises'
import type { Mutation } from './variants.ts'
import { importVariant, smallBounds } from './variants.ts'
import type { World, WorldResult } from './world.ts'

export interface HistoryResult extends WorldResult {
  number: number
}

export interface Histories {
  /** Plays these and tells of each that is over; ends early when `goesOn` says no. */
  play(numbers: Iterable<number>, tell: (result: HistoryResult) => void, goesOn?: () => boolean): Promise<void>
}

/** So many that the turns of the event loop are shared, and so few that their memory stays near. */
const atOnceCountDefault = 16
/** Seeds of histories, well below 2^53. */
const historiesPerSeed = 2 ** 32

type CreateWorld = (seed: number, options?: { isTraced?: boolean }) => World

export async function openHistories(options: {
  seed: number
  bug?: { name: string; mutations: readonly Mutation[] }
  isTraced?: boolean
  atOnceCount?: number
}): Promise<Histories> {
  const { seed, bug, isTraced = false, atOnceCount = atOnceCountDefault } = options
  const mutations = [...smallBounds, ...(bug?.mutations ?? [])]
  const module = await importVariant(new URL('./world.ts', import.meta.url), bug?.name ?? 'none', mutations)
  const { createWorld } = module as { createWorld: CreateWorld } // It is the module of that name.
  const open = (number: number) => ({ number, world: createWorld(seed * historiesPerSeed + number, { isTraced }) })

  return {
    async play(numbers, tell, goesOn = () => true) {
      const left = numbers[Symbol.iterator]()
      const playing: { number: number; world: World }[] = []
      for (;;) {
        while (playing.length < atOnceCount && goesOn()) {
          const next = left.next()
          if (next.done) break
          playing.push(open(next.value))
        }
        if (playing.length === 0) return
        for (let at = playing.length - 1; at >= 0; at--) {
          const entry = playing[at]
          if (entry === undefined || entry.world.step()) continue
          playing.splice(at, 1)
          tell({ number: entry.number, ...entry.world.result() })
        }
        await setImmediate()
      }
    },
  }
}
