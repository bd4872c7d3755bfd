import { buffer } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { fromBufferPromise } from 'yauzl'
import { runProcessor, type TestFile } from '../testing/run-processor.ts'
import { run } from './archive-create.run.ts'

const file = (name: string, bytes: string): TestFile => ({ name, contentType: 'text/plain', bytes })

async function membersOf(zip: Buffer): Promise<[string, string][]> {
  const opened = await fromBufferPromise(zip, { lazyEntries: true })
  const members: [string, string][] = []
  for await (const entry of opened.eachEntry())
    members.push([entry.fileName, (await buffer(await opened.openReadStreamPromise(entry))).toString()])
  return members
}

test('files stand in the zip in their order, under safe names of their own', async () => {
  const files = [file('a.txt', 'one'), file('A.txt', 'two'), file('../b\n.txt', ''), file('ü.txt', 'x'.repeat(200_000))]
  await using ran = await runProcessor(run, files, { parameters: { name: 'all.zip' } })
  expect(ran.outcome).toMatchObject({
    outputs: [{ name: 'all.zip', contentType: 'application/zip' }],
    result: { kind: 'archive', files_count: 4, content_bytes: 200_006 },
    recordsCount: 4,
  })
  const members = await membersOf(ran.outputs[0]!.bytes)
  expect(members.map(([name]) => name)).toEqual(['a.txt', 'A (2).txt', expect.not.stringMatching(/[/\n]/), 'ü.txt'])
  expect(members.map(([, text]) => text)).toEqual(['one', 'two', '', 'x'.repeat(200_000)])
  await using again = await runProcessor(run, files, { parameters: { name: 'all.zip' } })
  expect(again.outputs[0]!.bytes.equals(ran.outputs[0]!.bytes)).toBe(true)
})

test('no file gives no zip, and no name leaves the folder', async () => {
  await using ran = await runProcessor(run, [])
  expect(ran.outcome).toMatchObject({ kind: 'done', outputs: [], result: { files_count: 0 }, recordsCount: 0 })
  await using climbing = await runProcessor(run, [file('a', 'b')], { parameters: { name: '../x.zip' } })
  expect(climbing.outcome).toMatchObject({ kind: 'reject', code: 'parameters_invalid' })
})
