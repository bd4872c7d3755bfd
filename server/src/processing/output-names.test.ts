import { expect, it } from 'vitest'
import { cleanOutputName, outputNameCandidates } from './output-names.ts'

it.each([
  ['a.png', 'a.png'],
  ['../../etc/passwd', '.._.._etc_passwd'],
  ['a\r\nb.txt', 'a_b.txt'],
  ['', 'output'],
  ['..', 'output'],
  [`${'x'.repeat(300)}.tar.gz`, `${'x'.repeat(193)}.tar.gz`],
])('%j becomes %j', (given, clean) => {
  expect(cleanOutputName(given)).toBe(clean)
})

it('has other names to try, unique ones last', () => {
  expect(outputNameCandidates('page.png', { taskId: 7, ordinal: 2 }, 1)).toEqual([
    'page.png',
    'page-3.png',
    'page-7-1.png',
  ])
})
