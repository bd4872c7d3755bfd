import { expect, test } from 'vitest'
import { runProcessor, type TestFile } from '../testing/run-processor.ts'
import { run } from './text-join.run.ts'

const text = (bytes: string | Uint8Array, contentType = 'text/plain'): TestFile => ({
  name: 'page.txt',
  contentType,
  bytes,
})

test('texts are joined in the order of their parts, whatever their encoding', async () => {
  const files = [
    text('one'),
    text('', 'text/plain'),
    text('<x>', 'text/html'),
    text('\ufefftwo'),
    text(Buffer.from('drei ü', 'latin1')),
  ]
  await using ran = await runProcessor(run, files)
  expect(ran.outputs[0]?.bytes.toString()).toBe('one\n\ntwo\n\ndrei ü')
  expect(ran.outcome).toMatchObject({
    outputs: [{ name: 'text.txt', contentType: 'text/plain' }],
    result: { kind: 'text-join', texts_count: 3, characters_count: 16 },
    recordsCount: 3,
    foundText: 'one\n\ntwo\n\ndrei ü',
  })
})

test('separator and name are as wished for, and no name leaves the folder', async () => {
  const wish = (parameters: Record<string, unknown>) => runProcessor(run, [text('a'), text('b')], { parameters })
  await using ran = await wish({ separator: '|', name: 'All.md' })
  expect(ran.outputs[0]).toMatchObject({ name: 'All.md', bytes: Buffer.from('a|b') })
  for (const name of ['../x', 'a/b', 'a\\b', 'a\nb', ''])
    expect((await wish({ name })).outcome).toMatchObject({ kind: 'reject', code: 'parameters_invalid' })
})

test('a step without texts joins to nothing', async () => {
  await using ran = await runProcessor(run, [text('%PDF', 'application/pdf'), text('')])
  expect(ran.outcome).toMatchObject({ kind: 'done', outputs: [], result: { texts_count: 0 }, recordsCount: 0 })
})
