// Randomness from a seed: the same seed gives the same numbers on every machine (sfc32, Chris Doty-Humphrey 2010).

export interface Random {
  /** 0 to 1, never 1. */
  next(): number
  /** From 0 to below the bound. */
  below(bound: number): number
  between(min: number, max: number): number
  chance(probability: number): boolean
  pick<T>(from: readonly T[]): T
}

export function createRandom(seed: number): Random {
  let a = 0x9e3779b9 ^ (seed | 0)
  let b = 0x243f6a88 ^ Math.floor(seed / 2 ** 32)
  let c = 0xb7e15162
  let counter = 1
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }
  for (let round = 0; round < 12; round++) next()
  const below = (bound: number): number => Math.floor(next() * bound)
  return {
    next,
    below,
    between: (min, max) => min + next() * (max - min),
    chance: (probability) => probability > 0 && next() < probability,
    // The caller's list is not empty.
    pick: (from) => from[below(from.length)]!,
  }
}
