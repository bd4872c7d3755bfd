import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkFileName, contentDisposition, downloadNameOf } from './file-name.ts'

/** What a client makes of the header field: RFC 6266 with RFC 8187, by the book. */
function parseDisposition(header: string): { kind: string; name: string } {
  const match =
    /^(\w+); filename="([\x20-\x21\x23-\x5b\x5d-\x7e]*)"(?:; filename\*=UTF-8''([A-Za-z0-9!#$&+.^_`|~%-]*))?$/.exec(
      header,
    )
  if (match?.[1] === undefined || match[2] === undefined) throw new Error(`Not a Content-Disposition: ${header}`)
  return { kind: match[1], name: match[3] === undefined ? match[2] : decodeURIComponent(match[3]) }
}

const hostile = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      '"',
      '\\',
      '/',
      '\r',
      '\n',
      ';',
      '%',
      "'",
      '*',
      '..',
      '\u202e',
      '\u200b',
      '\0',
      '😀',
      'ß',
      ' ',
      '=',
      'CON',
    ),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    fc.string({ minLength: 1, maxLength: 1 }),
  ),
  maxLength: 300,
})

describe('the name of a download', () => {
  it('reaches the client through the header as it was meant, for any name', () => {
    fc.assert(
      fc.property(hostile, (name) => {
        expect(parseDisposition(contentDisposition('attachment', name))).toEqual({
          kind: 'attachment',
          name: downloadNameOf(name),
        })
      }),
      { numRuns: 2_000 },
    )
  })

  it('is never a path, a hidden file, a control character, or longer than file systems take', () => {
    fc.assert(
      fc.property(hostile, (name) => {
        const safe = downloadNameOf(name)
        expect(safe).not.toMatch(/^$|^\.|[/\\\p{Cc}\u202a-\u202e]/u)
        expect(Buffer.byteLength(safe)).toBeLessThanOrEqual(200)
      }),
      { numRuns: 2_000 },
    )
  })

  it.each([
    ['report 2024.pdf', 'report 2024.pdf'],
    ['Größe – 数据 😀.csv', 'Größe – 数据 😀.csv'],
    ['it’s "quoted" & 100%.txt', 'it’s "quoted" & 100%.txt'],
    ['../../etc/passwd', '__.._etc_passwd'],
    ['photo\u202egpj.exe', 'photo_gpj.exe'],
    [`${'ä'.repeat(4_000)}.tar`, `${'ä'.repeat(98)}.tar`],
    ['.htaccess', '_htaccess'],
    ['\ud800.txt', '\ufffd.txt'],
  ])('%j is offered as %j', (name, expected) => {
    expect(downloadNameOf(name)).toBe(expected)
  })
})

describe('the name of a file', () => {
  it.each(['a', '../x', 'a\r\nb', '"\\', '\u202e', '😀'.repeat(4_000)])('may be %j', (name) => {
    expect(checkFileName(name)).toBe(name)
  })

  it.each(['', 'a\0b', 'x'.repeat(4_001), '😀'.repeat(4_001), '\ud800'])('may not be %j', (name) => {
    expect(() => checkFileName(name)).toThrow(expect.objectContaining({ code: 'file_name_invalid' }))
  })
})
