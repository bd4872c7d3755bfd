import { expect, it } from 'vitest'
import { storeFaults } from './testing/faulty-store.ts'
import { runStoreFaults } from './testing/store-faults.ts'

it(
  'a store that fails and lies loses nothing that was acknowledged, and no wrong byte leaves',
  { timeout: 60_000 },
  async () => {
    const report = await runStoreFaults({ operations: 800, seed: 7, probability: 0.2 })
    expect(report.faults).toEqual([])
    expect(report.lost).toBe(0)
    expect(report.acknowledged).toBeGreaterThan(50)
    expect(report.right).toBeGreaterThan(300)
    for (const fault of storeFaults) expect([fault, report.done[fault] > 0]).toEqual([fault, true])
  },
)
