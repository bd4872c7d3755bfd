// What all checks are made of.

import type { MemoryStore } from '../../processing/testing/memory-store.ts'
import type { EngineRows } from './engine-rows.ts'

/** Notes that an invariant does not hold, with what was seen. */
export type Expect = (holds: boolean, invariant: string, detail: () => string) => void

export interface CheckDependencies {
  store: MemoryStore
  rows: EngineRows
  expect: Expect
}
