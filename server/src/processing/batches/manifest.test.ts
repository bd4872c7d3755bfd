import { describe, expect, it } from 'vitest'
import { encodeId, type RowId } from '../../platform/ids.ts'
import { readManifest } from './manifest.ts'

const fileId = 7 as RowId<'file'>
const id = encodeId('file', fileId)
const read = (text: string, format: 'csv' | 'jsonl') => Array.fromAsync(readManifest([text], format))

describe('a manifest as CSV', () => {
  it('names files by id and by name, one a line', async () => {
    expect(await read(`${id}\na b.pdf\r\n\n${id},more\n`, 'csv')).toEqual([
      { line: 1, reference: id, fileId },
      { line: 2, reference: 'a b.pdf', name: 'a b.pdf' },
      { line: 4, reference: id, fileId },
    ])
  })

  it('goes by the columns of its first line', async () => {
    const text = `\ufeffsize,file_id,name\n1,${id},x\n2,,y.pdf\n3,,\n4,nonsense,z\n`
    expect(await read(text, 'csv')).toEqual([
      { line: 2, reference: id, fileId },
      { line: 3, reference: 'y.pdf', name: 'y.pdf' },
      { line: 4, reference: '', fault: 'The line names no file.' },
      { line: 5, reference: 'nonsense', fault: 'This is not the id of a file.' },
    ])
  })

  it('takes quoted names with commas, quotes and line ends in them', async () => {
    expect(await read('name\n"a ""b"", c"\n"two\nlines"\nlast', 'csv')).toEqual([
      { line: 2, reference: 'a "b", c', name: 'a "b", c' },
      { line: 3, reference: 'two\nlines', name: 'two\nlines' },
      { line: 5, reference: 'last', name: 'last' },
    ])
  })

  it('tells a quote that does not end, and goes on after it', async () => {
    const entries = await read(`name\n"open${'\nx'.repeat(40_000)}\nlast`, 'csv')
    expect(entries[0]).toMatchObject({ line: 2, fault: expect.stringContaining('longer than') })
    expect(entries.at(-1)).toMatchObject({ name: 'last' })
    expect(await read('name\na\n"open', 'csv')).toMatchObject([{ name: 'a' }, { fault: 'A quoted cell does not end.' }])
  })

  it('reads the same wherever its bytes are cut', async () => {
    const bytes = Buffer.from(`name\n"grüße, ""x""\nend"\r\nlast ☃\n`)
    const whole = await Array.fromAsync(readManifest([bytes], 'csv'))
    expect(whole).toHaveLength(2)
    for (let at = 1; at < bytes.length; at++)
      expect(await Array.fromAsync(readManifest([bytes.subarray(0, at), bytes.subarray(at)], 'csv'))).toEqual(whole)
  })
})

describe('a manifest as lines of JSON', () => {
  it('takes texts and objects, and tells what is neither', async () => {
    const text = [`"${id}"`, '"a.pdf"', `{"file_id":"${id}"}`, '{"name":"b"}', '{"x":1}', '{', '7'].join('\n')
    expect(await read(text, 'jsonl')).toMatchObject([
      { line: 1, fileId },
      { line: 2, name: 'a.pdf' },
      { line: 3, fileId },
      { line: 4, name: 'b' },
      { line: 5, fault: expect.stringContaining('neither') },
      { line: 6, fault: 'The line is not JSON.' },
      { line: 7, fault: expect.stringContaining('neither') },
    ])
  })

  it('refuses names that no file has', async () => {
    expect(await read(`"a\\u0000b"\n"${'x'.repeat(4_001)}"\n"\\ud800"`, 'jsonl')).toMatchObject([
      { fault: 'No file has such a name.' },
      { fault: 'No file has a name as long as this.' },
      { fault: 'No file has such a name.' },
    ])
  })

  it('passes over a line of any length in bounded memory', async () => {
    const chunks = [...Array.from({ length: 100 }, () => 'x'.repeat(10_000)), '\n"a"']
    expect(await Array.fromAsync(readManifest(chunks, 'jsonl'))).toMatchObject([
      { line: 1, fault: expect.stringContaining('longer than') },
      { line: 2, name: 'a' },
    ])
  })
})
