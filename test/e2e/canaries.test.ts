import { expect, test } from 'vitest'
import { proveCanaries } from '../prove/canaries.ts'

test('no word of a content or a name lies in clear but where it is searched', { timeout: 300_000 }, async () => {
  expect(await proveCanaries({ count: 1_000, house: {} })).toMatchObject({ canaries: 1_000, files: 10, faults: [] })
})
