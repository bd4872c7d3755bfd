// What can be asked of the command, and what its threads tell each other.

import { readNumber, type ValuesOf } from '../../../../test/harness/command-line.ts'
import type { Violation } from './history.ts'

export const help = `npm run simulate -- [--histories N] [--minutes M] [--seed S] [--bug NAME] [--replay HISTORY] [--threads T]

Plays histories of the engine in simulated time, with faults, and checks what must hold in each.

  --histories N   so many histories (default: 10000), or fewer when the minutes are over
  --minutes M     for so long at most (default: 10)
  --seed S        of all histories (default: 1); the same seed gives the same histories, bit by bit. A bug that is
                  planted with all others has a seed of its own that shows it soon
  --replay H      plays history H of the seed twice, compares the two, and prints what happened
  --bug NAME      plants this bug; "all": each of them in turn, until it is caught
  --list FILE     with --bug all: writes the list of what caught each (docs/reference/planted-bugs.md)
  --threads T     processors to use (default: all)`

export const options = {
  histories: { type: 'string', default: '10000' },
  minutes: { type: 'string', default: '10' },
  seed: { type: 'string' },
  bug: { type: 'string' },
  replay: { type: 'string' },
  list: { type: 'string' },
  threads: { type: 'string' },
} as const

export const defaultSeed = 1

export interface Arguments {
  historiesCount: number
  minutes: number
  /** Left out: 1, and for a bug among all of them its own. */
  seed: number | undefined
  bug: string | undefined
  replay: number | undefined
  listFile: string | undefined
  threadsCount: number | undefined
}

export const readArguments = ({
  histories,
  minutes,
  seed,
  bug,
  replay,
  list,
  threads,
}: ValuesOf<typeof options>): Arguments => ({
  historiesCount: readNumber('histories', histories, { max: 2 ** 32 - 1 }),
  minutes: readNumber('minutes', minutes, { min: 0, max: 10_000, fractions: true }),
  seed: readNumber('seed', seed, { min: 0, max: 2 ** 20 }),
  bug,
  replay: readNumber('replay', replay, { min: 0, max: 2 ** 32 - 1 }),
  listFile: list,
  threadsCount: readNumber('threads', threads, { max: 256 }),
})

/** A planted bug, and of which histories it is looked for in. */
export interface Prey {
  name: string
  seed: number
}

export interface ThreadOrders {
  seed: number
  bug: string | undefined
  /** Plays every so-manieth history, from this one on. */
  first: number
  step: number
  count: number
  untilMs: number
  /** To be hunted one after the other instead. */
  hunt: readonly Prey[]
}

export interface Tally {
  historiesCount: number
  jobsCount: number
  eventsCount: number
  simulatedMs: number
}

export interface Caught {
  bug: string
  seed: number
  /** How many histories had been played; left out: it was not caught. */
  after?: number
  history?: number
  violation?: Violation
}

export type ThreadMessage =
  | { kind: 'tally'; tally: Tally }
  | { kind: 'violated'; history: number; violation: Violation }
  | { kind: 'caught'; caught: Caught }
