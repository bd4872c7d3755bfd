import { expect, test } from 'vitest'
import { proveNames } from '../prove/names.ts'

test(
  'hostile names are kept to the letter, and are never a path, a header or a command',
  { timeout: 300_000 },
  async () => {
    const report = await proveNames({ count: 60, seed: 20_261_125, house: {} })
    expect(report).toMatchObject({ names: 60, faults: [] })
    for (const way of ['form', 'tus', 'parts'] as const) expect(report.accepted[way]).toBeGreaterThan(10)
  },
)
