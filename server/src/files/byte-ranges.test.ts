import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseRange } from './byte-ranges.ts'

const whole = { kind: 'whole' }
const ranges = (...list: [number, number][]) => ({
  kind: 'ranges',
  ranges: list.map(([start, end]) => ({ start, end })),
})

describe('a Range header field', () => {
  it.each([
    [undefined, whole],
    ['bytes=0-0', ranges([0, 0])],
    ['bytes=0-', ranges([0, 999])],
    ['bytes=990-5000', ranges([990, 999])],
    ['bytes=-1', ranges([999, 999])],
    ['bytes=-5000', ranges([0, 999])],
    ['BYTES = 5-9', ranges([5, 9])],
    ['bytes=500-599, 0-9', ranges([0, 9], [500, 599])],
    ['bytes=0-99,50-149,160-169', ranges([0, 169])],
    ['bytes=0-9,5000-', ranges([0, 9])],
    ['bytes=1000-', { kind: 'unsatisfiable' }],
    ['bytes=-0', { kind: 'unsatisfiable' }],
    ['bytes=', { kind: 'unsatisfiable' }],
    ['bytes=9-5', whole],
    ['bytes=a-b', whole],
    ['bytes=-', whole],
    ['bytes=1-2-3', whole],
    ['lines=1-2', whole],
    [`bytes=${Array.from({ length: 51 }, (_, i) => `${i * 10}-${i * 10}`).join()}`, whole],
  ])('%s', (header, expected) => {
    expect(parseRange(header, 1_000)).toEqual(expected)
  })

  it('over nothing cannot be satisfied', () => {
    expect(parseRange('bytes=0-', 0)).toEqual({ kind: 'unsatisfiable' })
  })

  it('never asks for a byte that is not there, nor twice for one that is, whatever it says', () => {
    const number = fc.oneof(fc.constant(''), fc.nat(1_200).map(String), fc.constant('99999999999999999999'))
    const spec = fc.tuple(number, number).map(([first, last]) => `${first}-${last}`)
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 8 }), fc.integer({ min: 1, max: 1_000 }), (specs, sizeBytes) => {
        const wish = parseRange(`bytes=${specs.join(',')}`, sizeBytes)
        let next = 0
        for (const { start, end } of wish.kind === 'ranges' ? wish.ranges : []) {
          expect(start).toBeGreaterThanOrEqual(next)
          expect(end).toBeGreaterThanOrEqual(start)
          expect(end).toBeLessThan(sizeBytes)
          next = end + 1
        }
      }),
    )
  })
})
