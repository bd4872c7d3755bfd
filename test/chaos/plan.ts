// Which rounds of faults a command means: one by its name, all single faults, or pairs drawn from a seed.

import { createRandom } from '../fixtures/random.ts'
import type { Round } from './experiment.ts'
import { faults, type Fault } from './faults.ts'

/** Numbered from 1, in the order of the catalogue. */
export const planSingles = (): Round[] => possible().map((fault, index) => ({ number: index + 1, faults: [fault] }))

/** Pairs of faults that hurt different things; the same seed gives the same ones. */
export function planPairs(count: number, seed: number): Round[] {
  const random = createRandom(seed)
  const known = possible().filter(({ isLong }) => isLong !== true)
  const drawn = new Set<string>()
  const pairs: Round[] = []
  // There are far more pairs than anybody asks for; this ends all the same.
  for (let tries = 0; pairs.length < count && tries < count * 100; tries++) {
    const [first, second] = [known[random.below(known.length)], known[random.below(known.length)]]
    if (first === undefined || second === undefined || first.hurts === second.hurts) continue
    const name = [first.name, second.name].toSorted().join(' ')
    if (drawn.has(name)) continue
    drawn.add(name)
    pairs.push({ number: pairs.length + 1, faults: [first, second] })
  }
  return pairs
}

/** One fault, or several at once: kill-api, or pg-frozen+redis-flush. */
export function planNamed(names: string): Round | undefined {
  const chosen = names.split('+').map((name) => faults.find((fault) => fault.name === name))
  const known = chosen.filter((fault): fault is Fault => fault !== undefined && fault.missing === undefined)
  return known.length === chosen.length ? { number: 1, faults: known } : undefined
}

const possible = (): Fault[] => faults.filter(({ missing }) => missing === undefined)
