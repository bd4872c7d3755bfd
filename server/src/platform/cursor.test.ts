import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeCursor, encodeCursor } from './cursor.ts'
import { Problem } from './problem.ts'

const question = ['files', { name: 'a' }]

describe('a cursor', () => {
  it('leads back to its position', () => {
    expect(decodeCursor(encodeCursor(question, [0.1, 'ü', 7]), question, [0.5, '', 0])).toEqual([0.1, 'ü', 7])
  })

  it('belongs to its question', () => {
    const cursor = encodeCursor(question, [7])
    expect(() => decodeCursor(cursor, ['files', { name: 'b' }], [0])).toThrow(/other filters/)
    expect(() => decodeCursor(cursor, question, [''])).toThrow(/not one of ours/)
    expect(() => decodeCursor(encodeCursor(question, [1.5]), question, [0])).toThrow(/not one of ours/)
  })

  it('is refused as an invalid request, whatever text it is', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.base64String(),
          fc.json().map((json) => Buffer.from(json).toString('base64url')),
        ),
        (text) => {
          expect(() => decodeCursor(text, question, [0])).toThrow(Problem)
        },
      ),
    )
  })
})
