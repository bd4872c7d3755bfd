import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkMetadata, parseMetadata } from './metadata.ts'

const bytesMax = 10_000

describe('metadata', () => {
  it('are kept as they came, key for key', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 4 })), (value) => {
        const text = JSON.stringify(value)
        fc.pre(!text.includes('\\u0000') && !/\\ud[89a-f]/.test(text) && Buffer.byteLength(text) <= bytesMax)
        expect(JSON.stringify(parseMetadata(text, bytesMax))).toBe(text)
      }),
    )
  })

  it.each([
    ['a list', '[1]'],
    ['nothing', 'null'],
    ['text', '"a"'],
    ['broken JSON', '{"a":'],
    ['NUL in a value', '{"a":"\\u0000"}'],
    ['NUL in a key', '{"\\u0000":1}'],
    ['half a character', '{"a":["\\ud800"]}'],
    ['a number beyond all numbers', '{"a":1e999}'],
    ['a deep nest', `{"a":${'['.repeat(5_000)}${']'.repeat(5_000)}}`],
    ['too much', JSON.stringify({ a: 'x'.repeat(bytesMax) })],
  ])('are refused as an invalid request when they are %s', (_, text) => {
    expect(() => parseMetadata(text, bytesMax)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })

  it('may fill their limit to the byte', () => {
    const value = { a: 'x'.repeat(100) }
    expect(checkMetadata(value, JSON.stringify(value).length)).toBe(value)
    expect(() => checkMetadata(value, JSON.stringify(value).length - 1)).toThrow(/at most/)
  })
})
