import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { runProcessor } from '../testing/run-processor.ts'
import { run } from './text-encoding.run.ts'

const converted = async (bytes: Uint8Array | string, parameters: Record<string, unknown> = {}) => {
  await using ran = await runProcessor(run, [{ name: 'notes.txt', contentType: 'text/plain', bytes }], { parameters })
  const { outcome, outputs } = ran
  if (outcome.kind !== 'done') return { code: outcome.kind === 'reject' ? outcome.code : outcome.kind }
  return {
    result: outcome.result,
    text: outputs[0]?.bytes.toString(),
    name: outputs[0]?.name,
    lines: outcome.recordsCount,
  }
}

test('text of any encoding comes out in UTF-8, and what it was is told', async () => {
  expect(await converted(Buffer.from('Zürich\r\nGenève\r\n', 'latin1'))).toEqual({
    name: 'notes.txt',
    text: 'Zürich\r\nGenève\r\n',
    lines: 2,
    result: {
      kind: 'text-encoding',
      encoding: 'windows-1252',
      byte_order_mark: false,
      line_ends: 'crlf',
      lines_count: 2,
      characters_count: 16,
      replaced_count: 0,
    },
  })
  const utf16 = Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from('a\nżółw', 'utf16le').swap16()])
  expect(await converted(utf16)).toMatchObject({
    text: 'a\nżółw',
    lines: 2,
    result: { encoding: 'utf-16be', byte_order_mark: true, line_ends: 'lf' },
  })
})

test('the mark of UTF-8 is taken off, and line ends are kept or made one', async () => {
  expect(await converted('\ufeffa\r\nb\rc\nd')).toMatchObject({
    text: 'a\r\nb\rc\nd',
    result: { encoding: 'utf-8', byte_order_mark: true, line_ends: 'mixed', lines_count: 4 },
  })
  expect(await converted('a\r\nb\rc\n', { line_ends: 'lf' })).toMatchObject({ text: 'a\nb\nc\n' })
  expect(await converted('a\nb', { line_ends: 'crlf' })).toMatchObject({ text: 'a\r\nb' })
  // A line end that lies across two chunks of the file is one.
  expect(await converted(`${'x'.repeat(1024 * 1024 - 1)}\r\ny`)).toMatchObject({
    result: { line_ends: 'crlf', lines_count: 2 },
  })
})

test('an encoding that is told is believed, and places without meaning are counted', async () => {
  expect(await converted(Buffer.from([0xcf, 0xf0, 0xe8]), { encoding: 'windows-1251' })).toMatchObject({ text: 'При' })
  expect(await converted(Buffer.from('ok \xff\xfe ok', 'latin1'), { encoding: 'utf-8' })).toMatchObject({
    result: { replaced_count: 2 },
  })
  expect(await converted('x', { encoding: 'klingon' })).toEqual({ code: 'parameters_invalid' })
})

test('what is no text is refused', async () => {
  expect(await converted(randomBytes(50_000))).toEqual({ code: 'file_unreadable' })
  expect(await converted('')).toEqual({ code: 'file_empty' })
})
