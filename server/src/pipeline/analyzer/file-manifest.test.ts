import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { runProcessor, type TestFile } from '../testing/run-processor.ts'
import { run } from './file-manifest.run.ts'

const file = (name: string, bytes: string, from = 'pages'): TestFile => ({
  name,
  contentType: 'text/plain',
  bytes,
  from,
})
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const files = [file('a "1", b.txt', 'one'), file('c.txt', '', 'ocr')]

test('each file stands in the list with its hash and its step', async () => {
  await using ran = await runProcessor(run, files)
  expect(JSON.parse(ran.outputs[0]!.bytes.toString())).toEqual({
    file: { name: 'a "1", b.txt', content_type: 'text/plain', size_bytes: 3, sha256: sha256('one') },
    files: [
      { name: 'a "1", b.txt', content_type: 'text/plain', size_bytes: 3, sha256: sha256('one'), step: 'pages' },
      { name: 'c.txt', content_type: 'text/plain', size_bytes: 0, sha256: sha256(''), step: 'ocr' },
    ],
  })
  expect(ran.outcome).toMatchObject({
    outputs: [{ name: 'manifest.json', contentType: 'application/json' }],
    result: { kind: 'manifest', files_count: 2, content_bytes: 3 },
    recordsCount: 2,
  })
})

test('the list is lines of JSON or of CSV when that is wished for', async () => {
  await using lines = await runProcessor(run, files, { parameters: { format: 'jsonl' } })
  expect(
    lines.outputs[0]!.bytes.toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).step),
  ).toEqual(['pages', 'ocr'])
  await using csv = await runProcessor(run, files, { parameters: { format: 'csv' } })
  expect(csv.outputs[0]!.bytes.toString()).toBe(
    `name,content_type,size_bytes,sha256,step\r\n"a ""1"", b.txt",text/plain,3,${sha256('one')},pages\r\nc.txt,text/plain,0,${sha256('')},ocr\r\n`,
  )
})

test('no file gives an empty list', async () => {
  await using ran = await runProcessor(run, [])
  expect(JSON.parse(ran.outputs[0]!.bytes.toString())).toMatchObject({ files: [] })
})
