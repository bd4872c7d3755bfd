import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeId, encodeId, type RowId } from './ids.ts'

describe('ids', () => {
  it('come back from the wire as the row id they were', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (rowId) => {
        expect(decodeId('job', encodeId('job', rowId as RowId<'job'>))).toBe(rowId)
      }),
    )
  })

  it('never change', () => {
    const numbers = [0, 1, 2, 2 ** 32, Number.MAX_SAFE_INTEGER]
    expect(numbers.map((rowId) => encodeId('job', rowId as RowId<'job'>))).toEqual([
      'job_3vvvqryk8tvgy',
      'job_ewwjqs8yk50az',
      'job_57h3bbgc8p7rx',
      'job_7eje0hyyhzfct',
      'job_8h7grg3smmk54',
    ])
  })

  it('are not ids when prefix, length or alphabet differ, or when the number is none of ours', () => {
    const id = encodeId('job', 1 as RowId<'job'>)
    for (const text of [
      id.replace('job', 'file'),
      `${id}0`,
      id.slice(0, -1),
      id.replace(/.$/, 'u'),
      '',
      'job_',
      'job_zzzzzzzzzzzzz',
    ]) {
      expect(decodeId('job', text)).toBeUndefined()
    }
  })

  it('do not let neighbours be told from each other', () => {
    const texts = [1, 2, 3, 4].map((rowId) => encodeId('job', rowId as RowId<'job'>).slice(4, 8))
    expect(new Set(texts).size).toBe(4)
  })
})
