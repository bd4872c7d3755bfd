// Pages as people write them: 1-20, 3, 7-. Used by every step that takes some pages of a document.

import { Type } from 'typebox'
import { Problem } from '../platform/problem.ts'

/** The schema of a parameter that names pages, with a default where one is given. */
export const pageRange = (description: string, unlessTold?: string) =>
  Type.String({
    ...(unlessTold !== undefined && { default: unlessTold }),
    pattern: '^\\d{1,6}(?:-\\d{0,6})?(?:,\\d{1,6}(?:-\\d{0,6})?){0,99}$',
    description: `${description} For example 1-20 or 1,3,7-.`,
  })

/** A damaged document may claim any number of pages; of more than these none is worked on. */
const pagesNamedMax = 100_000

/**
 * Numbers of the pages that are there, ascending, each once, at most 100,000 of them.
 * Problems: parameters_invalid when none is.
 */
export function pagesOf(range: string, pagesCount: number): number[] {
  const numbers = new Set<number>()
  for (const part of range.split(',')) {
    const [from = '', to] = part.split('-')
    const first = Math.max(1, Number(from))
    const last = Math.min(pagesCount, to === undefined ? first : to === '' ? pagesCount : Number(to))
    for (let number = first; number <= last && numbers.size < pagesNamedMax; number += 1) numbers.add(number)
  }
  if (numbers.size === 0)
    throw new Problem('parameters_invalid', {
      detail: `The document has ${pagesCount} ${pagesCount === 1 ? 'page' : 'pages'}; "${range}" names none of them.`,
    })
  return [...numbers].sort((left, right) => left - right)
}
