import { expect, test } from 'vitest'
import { run } from './archive-tier.run.ts'

const file = { name: 'a', contentType: 'text/plain', sizeBytes: 1, sha256: '', metadata: {}, depth: 0 }
const tier = (parameters: Record<string, unknown>) =>
  run({ files: [], outputFolder: '', scratchFolder: '', parameters, results: {}, file })

test('chooses the storage class that it is told, and the standard one otherwise', async () => {
  expect(await tier({})).toEqual({ kind: 'done', outputs: [], result: { kind: 'tier', storage_class: 'standard' } })
  expect(await tier({ class: 'cold' })).toMatchObject({ result: { storage_class: 'cold' } })
  expect(await tier({ class: 'frozen' })).toMatchObject({ kind: 'reject', code: 'parameters_invalid' })
})
