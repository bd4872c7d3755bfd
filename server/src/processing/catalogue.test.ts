import { Type } from 'typebox'
import { expect, it } from 'vitest'
import { createCatalogue, type CatalogueEntry } from './catalogue.ts'

const entry = (name: string, programs: string[] = []): CatalogueEntry => ({
  name,
  stage: 'transform',
  version: 1,
  summary: '',
  accepts: ['*/*'],
  parameters: Type.Object({}),
  limits: { memoryBytes: 1, timeoutMs: 1 },
  cost: { baseMs: 1, perMbMs: 0 },
  programs,
})

it('lists processors by name, and says of one without its programs which are missing', async () => {
  const catalogue = await createCatalogue({
    processors: { 'b.one': entry('b.one', ['have', 'lack', 'want']), 'a.two': entry('a.two', ['have']) },
    hasProgram: async (name) => name === 'have',
  })
  expect(catalogue.entries.map((each) => [each.name, each.unavailableReason])).toEqual([
    ['a.two', undefined],
    ['b.one', 'Not installed: lack, want.'],
  ])
  expect(catalogue.find('a.two')?.stage).toBe('transform')
  expect(catalogue.find('c.three')).toBeUndefined()
})
