import { expect, test } from 'vitest'
import { declaredTypeOf } from './declared-type.ts'

test.each([
  [undefined, undefined],
  ['', undefined],
  ['text', undefined],
  ['text/plain', 'text/plain'],
  [' Text/CSV; charset=utf-8', 'text/csv'],
  ['image/svg+xml', 'image/svg+xml'],
  ['text/pl ain', undefined],
  ['text/plain\0', undefined],
  ['../../etc', undefined],
  [`text/${'x'.repeat(195)}`, `text/${'x'.repeat(195)}`],
  [`text/${'x'.repeat(196)}`, undefined],
])('%j is %j', (given, type) => {
  expect(declaredTypeOf(given)).toBe(type)
})
