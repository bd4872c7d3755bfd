import { expect, test } from 'vitest'
import { run } from './file-collect.run.ts'

const file = {
  name: '../../ev\u202eil\n"name".jpg',
  contentType: 'image/jpeg',
  sizeBytes: 3,
  sha256: 'ab',
  metadata: { a: 1 },
}
const collect = (depth: number) =>
  run({ files: [], outputFolder: '', scratchFolder: '', parameters: {}, results: {}, file: { ...file, depth } })

test('tells how a file arrived, its name as it was given, without opening it', async () => {
  expect(await collect(0)).toEqual({
    kind: 'done',
    outputs: [],
    result: {
      kind: 'receipt',
      name: file.name,
      size_bytes: 3,
      sha256: 'ab',
      content_type: 'image/jpeg',
      metadata: { a: 1 },
      arrived_in: 'upload',
      archive_depth: 0,
    },
  })
  expect(await collect(2)).toMatchObject({ result: { arrived_in: 'archive', archive_depth: 2 } })
})
