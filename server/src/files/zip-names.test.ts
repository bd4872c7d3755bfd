import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { zipNames } from './zip-names.ts'

describe('the names inside a zip', () => {
  it.each([
    [
      ['a.txt', 'a.txt', 'A.TXT', 'a.txt'],
      ['a.txt', 'a (2).txt', 'A (3).TXT', 'a (4).txt'],
    ],
    [
      ['../../etc/passwd', 'C:\\x'],
      ['__.._etc_passwd', 'C__x'],
    ],
    [
      ['con.txt', 'NUL', 'com1.tar.gz', 'console'],
      ['_con.txt', '_NUL', '_com1.tar.gz', 'console'],
    ],
    [
      ['a.', 'b ', '', '.'],
      ['a_', 'b', 'file', '_'],
    ],
    [
      ['é', 'e\u0301'],
      ['é', 'e\u0301 (2)'],
    ],
    [['a<b>|?*".txt'], ['a_b_____.txt']],
  ])('%j become %j', (names, expected) => {
    expect(zipNames(names)).toEqual(expected)
  })

  it('are safe and differ from each other, whatever they were', () => {
    const part = fc.constantFrom(
      'a',
      'A',
      '.',
      '/',
      '\\',
      '..',
      ' ',
      'con',
      ':',
      '\0',
      'é',
      'e\u0301',
      '(2)',
      '😀',
      '\ud800',
    )
    const name = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.array(name, { maxLength: 20 }), (names) => {
        const safe = zipNames(names)
        expect(new Set(safe.map((each) => each.normalize('NFC').toLowerCase())).size).toBe(names.length)
        for (const each of safe) expect(each).not.toMatch(/^$|^\.|[. ]$|[/\\:\p{Cc}<>"|?*]|^con(\.|$)/iu)
      }),
    )
  })

  it('are found soon when ten thousand files are called alike', () => {
    expect(new Set(zipNames(Array.from({ length: 10_000 }, () => 'page.png'))).size).toBe(10_000)
  })
})
