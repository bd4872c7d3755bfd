// What a proof is: something the suite shows on a small scale, done in full size, from a seed that is printed, with a
// report of what was done and a verdict.

import type { ServerKey } from '../../test/harness/parts.ts'

export interface ProofOptions {
  count: number
  /** The same seed makes the same choices; what takes turns with the clock may still fall otherwise. */
  seed: number
  /** For proofs that can tell how far they came. */
  minutesMax: number
  shape: 'one-process' | 'split'
  /** A line for people, while it goes on. */
  tell: (line: string) => void
}

export interface Proof {
  readonly summary: string
  readonly countDefault: number
  /** Servers that it takes when they are here; it does without those that are missing, and says so. */
  readonly uses?: readonly ServerKey[]
  /** Whether it can also run over a product that is split by role on real servers. */
  readonly splits?: boolean
  run(options: ProofOptions): Promise<{ report: object; holds: boolean }>
}
