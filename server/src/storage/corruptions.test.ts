import { expect, it } from 'vitest'
import { runCorruptions } from './testing/corruptions.ts'

it(
  'whatever is changed in the store or in the row is refused, and no wrong byte leaves',
  { timeout: 60_000 },
  async () => {
    const report = await runCorruptions({ count: 1_500, seed: 20_261_125 })
    expect(report.faults).toEqual([])
    expect(report).toMatchObject({ count: 1_500, detected: 1_500 })
    // Each kind was tried, or this proves less than it says.
    expect(Object.keys(report.kinds)).toHaveLength(25)
  },
)
