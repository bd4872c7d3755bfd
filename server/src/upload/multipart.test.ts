import { Busboy } from '@fastify/busboy'
import fc from 'fast-check'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { boundaryOf, readForm } from './multipart.ts'
import { codeOf } from '../testing/problem-code.ts'

interface ReadPart {
  name: string
  fileName: string | null | undefined
  content: string
}

async function readAll(body: AsyncIterable<Uint8Array>, boundary: string): Promise<ReadPart[]> {
  const parts: ReadPart[] = []
  for await (const { name, fileName, content } of readForm(body, boundary)) {
    const pieces: Buffer[] = []
    for await (const piece of content) pieces.push(Buffer.from(piece))
    parts.push({ name, fileName, content: Buffer.concat(pieces).toString('latin1') })
  }
  return parts
}

async function* inPieces(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0
  for (let i = 0; at < bytes.length; i++) {
    const size = Math.max(1, sizes[i % sizes.length] ?? 1)
    yield bytes.subarray(at, at + size)
    at += size
  }
}

const whole = (bytes: Buffer | string): AsyncGenerator<Buffer> => inPieces(Buffer.from(bytes), [1 << 30])

const form = (...parts: string[]): string =>
  `${parts.map((part) => `--B\r\nContent-Disposition: form-data; ${part}\r\n`).join('')}--B--\r\n`

describe('a form', () => {
  it('is read as it was written, by a browser’s own serializer, in pieces of any size', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 }).filter((name) => name !== '' && !/%22|%0[ad]/i.test(name))
    // The serializer turns a lone line end into CR LF in names, so they come with both.
    const fileName = text.map((name) => name.replaceAll(/\r\n|\r|\n/g, '\r\n')).filter((name) => !/[\\"]$/.test(name))
    const bytes = fc.uint8Array({ maxLength: 300 })
    const part = fc.record({ name: fc.constantFrom('a', 'b', 'c'), fileName, bytes })
    const sizes = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 5 }), sizes, async (parts, sizes) => {
        const data = new FormData()
        for (const { name, fileName, bytes } of parts) data.append(name, new Blob([bytes]), fileName)
        const message = new Response(data)
        const boundary = boundaryOf(message.headers.get('content-type') ?? '')
        const body = Buffer.from(await message.arrayBuffer())
        expect(await readAll(inPieces(body, sizes), boundary)).toEqual(
          parts.map(({ name, fileName, bytes }) => ({
            name,
            fileName,
            content: Buffer.from(bytes).toString('latin1'),
          })),
        )
      }),
      { numRuns: 300 },
    )
  })

  it('is read like an independent parser reads it, however much its content looks like a delimiter', async () => {
    const piece = fc.constantFrom('\r', '\n', '\r\n', '-', '--', '--B', '\r\n--', '\r\n-', '\r\n--A', 'B', 'x', '\0')
    const content = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''))
    const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 9 })
    await fc.assert(
      fc.asyncProperty(content, content, sizes, async (first, second, sizes) => {
        fc.pre(!`\r\n${first}`.includes('\r\n--B') && !`\r\n${second}`.includes('\r\n--B'))
        const body = Buffer.from(
          form(`name="a"; filename="f"\r\n\r\n${first}`, `name="b"; filename="g"\r\n\r\n${second}`),
        )
        const parts = await readAll(inPieces(body, sizes), 'B')
        expect(parts.map((part) => part.content)).toEqual([first, second])
        expect(parts.map((part) => part.content)).toEqual(await readWithBusboy(body))
      }),
      { numRuns: 300 },
    )
  })

  it('that ends early is incomplete, wherever it ends', async () => {
    const body = Buffer.from(form('name="a"; filename="f"\r\n\r\nbytes', 'name="b"\r\n\r\nmore'))
    const end = body.length - '\r\n'.length
    for (let length = 0; length < end; length++) {
      expect(await codeOf(readAll(inPieces(body.subarray(0, length), [7]), 'B')), `cut at ${length}`).toBe(
        'upload_incomplete',
      )
    }
    expect(await codeOf(readAll(whole(body.subarray(0, end)), 'B'))).toBe('none')
  })

  it('whose connection breaks is incomplete', async () => {
    const body = Readable.from(
      (async function* () {
        yield Buffer.from(form('name="a"; filename="f"\r\n\r\nbytes').slice(0, 60))
        throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' })
      })(),
    )
    expect(await codeOf(readAll(body, 'B'))).toBe('upload_incomplete')
  })

  it('may have a preamble, padding and an epilogue, and parts without content', async () => {
    const body = `hello\r\n--B  \r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n--B\t\r\ncontent-disposition:FORM-DATA;name=b;filename=f.txt\r\nContent-Type: text/plain\r\n\r\nx\r\n--B--\r\nbye`
    expect(await readAll(whole(body), 'B')).toEqual([
      { name: 'a', fileName: undefined, content: '' },
      { name: 'b', fileName: 'f.txt', content: 'x' },
    ])
  })

  it('leaves the body open when it is given up, so that an answer can still be sent', async () => {
    const body = Readable.from([Buffer.from('--B\r\n'), Buffer.from('nonsense\r\n\r\n'), Buffer.from('x')], {
      objectMode: false,
    })
    expect(await codeOf(readAll(body, 'B'))).toBe('invalid_form')
    expect(body.destroyed).toBe(false)
    expect(body.listenerCount('readable')).toBe(0)
  })
})

async function readWithBusboy(body: Buffer): Promise<string[]> {
  const found: string[] = []
  await new Promise<void>((resolve, reject) => {
    const busboy = new Busboy({ headers: { 'content-type': 'multipart/form-data; boundary=B' } })
    busboy.on('file', (_field, stream, ...rest) => {
      const index = found.push('') - 1
      void rest
      stream.on('data', (piece: Buffer) => (found[index] += piece.toString()))
    })
    busboy.on('finish', resolve)
    busboy.on('error', reject)
    busboy.end(body)
  })
  return found
}

describe('a file name', () => {
  const nameOf = async (disposition: string): Promise<string | null | undefined> =>
    (await readAll(whole(form(`name="file"; ${disposition}\r\n\r\nx`)), 'B'))[0]?.fileName

  it.each([
    ['filename="../../etc/passwd"', '../../etc/passwd'],
    ['filename="C:\\temp\\a.txt"', 'C:\\temp\\a.txt'],
    ['filename="say %22hi%22.txt"', 'say "hi".txt'],
    ['filename="say \\"hi\\".txt"', 'say "hi".txt'],
    ['filename="two%0D%0Alines.txt"', 'two\r\nlines.txt'],
    ['filename="100%25.txt"', '100%25.txt'],
    ['filename="ends with backslash\\"', 'ends with backslash\\'],
    ['filename="a; b=c.txt"', 'a; b=c.txt'],
    ['filename="\u202egpj.exe"', '\u202egpj.exe'],
    ['filename="😀 naïve.txt"', '😀 naïve.txt'],
    ["filename=plain.txt; filename*=UTF-8''%e2%82%ac%20rates.txt", '€ rates.txt'],
    ['filename=""', ''],
    ['filename="nul\0l"', 'nul\0l'],
  ])('%s', async (disposition, expected) => {
    expect(await nameOf(disposition)).toBe(expected)
  })

  it('that is not UTF-8 is not guessed at', async () => {
    const body = Buffer.from(form('name="file"; filename="\xff\xfe"\r\n\r\nx'), 'latin1')
    expect((await readAll(whole(body), 'B'))[0]?.fileName).toBeNull()
    expect(await nameOf("filename*=UTF-8''%c0%af")).toBeNull()
    expect(await nameOf("filename*=latin1''%e4")).toBeNull()
  })
})

describe('a form that is none', () => {
  it.each([
    ['no boundary at its start', `${'x'.repeat(20_000)}\r\n--B\r\n`],
    ['a part without a disposition', '--B\r\nContent-Type: a/b\r\n\r\nx\r\n--B--'],
    ['a part with nothing', '--B\r\n\r\nx\r\n--B--'],
    ['a part without a name', form('filename="a"\r\n\r\nx')],
    ['an attachment', '--B\r\nContent-Disposition: attachment; name="a"\r\n\r\nx\r\n--B--'],
    ['two dispositions', form('name="a"\r\nContent-Disposition: form-data; name="b"\r\n\r\nx')],
    ['two names', form('name="a"; name="b"\r\n\r\nx')],
    ['an open quote', form('name="a\r\n\r\nx')],
    ['a header without a colon', form('name="a"\r\nnonsense\r\n\r\nx')],
    ['a boundary with a tail', '--BB\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--B--'],
    ['endless header fields', `--B\r\nX: ${'x'.repeat(100_000)}`],
    ['endless padding', `--B${' '.repeat(1_000)}`],
  ])('%s', async (_, body) => {
    expect(await codeOf(readAll(whole(body), 'B'))).toBe('invalid_form')
    expect(await codeOf(readAll(inPieces(Buffer.from(body), [61]), 'B'))).toBe('invalid_form')
  })

  it.each([
    undefined,
    'multipart/form-data',
    'multipart/form-data; boundary=',
    `multipart/form-data; boundary=${'x'.repeat(71)}`,
    'multipart/form-data; boundary="ä"',
  ])('%s', (contentType) => {
    expect(() => boundaryOf(contentType)).toThrow(expect.objectContaining({ code: 'invalid_form' }))
  })

  it('never fails otherwise, whatever bytes come', async () => {
    const piece = fc.constantFrom(
      '--B',
      '\r\n',
      '--',
      'Content-Disposition: form-data; name="a"',
      ';',
      '"',
      '\\',
      'x',
      ':',
    )
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 25 }), async (pieces) => {
        const code = await codeOf(readAll(whole(pieces.join('')), 'B'))
        expect(['none', 'invalid_form', 'upload_incomplete']).toContain(code)
      }),
      { numRuns: 500 },
    )
  })
})
