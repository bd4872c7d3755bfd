import { expect, test } from 'vitest'
import { runProcessor } from '../testing/run-processor.ts'
import { run } from './search-index.run.ts'

const file = { name: 'a.pdf', contentType: 'application/pdf', sizeBytes: 1, sha256: '0', depth: 0 }

async function entry(metadata: Record<string, unknown>, results: Record<string, unknown>): Promise<unknown> {
  // No file is given: the index stage never opens one.
  await using ran = await runProcessor(run, [], { file: { ...file, metadata }, results })
  if (ran.outcome.kind !== 'done') throw new Error(JSON.stringify(ran.outcome))
  expect(ran.outputs).toEqual([])
  return ran.outcome.result
}

test('what people look for is taken from the results, counts are not', async () => {
  const results = {
    text: {
      kind: 'document-text',
      title: 'Minutes',
      author: null,
      pages_count: 3,
      mail: { from: 'Ada', to: ['Bob', 'Eve'] },
    },
    language: { language: 'en', candidates: [{ language: 'en' }, { language: 'fr' }] },
    each: [{ labels: ['invoice'] }, { labels: ['invoice', 'paid'] }],
  }
  expect(await entry({ project: 'x', title: 'Mine' }, results)).toEqual({
    kind: 'search-entry',
    metadata: {
      project: 'x',
      title: 'Mine',
      from: ['Ada'],
      to: ['Bob', 'Eve'],
      language: ['en'],
      labels: ['invoice', 'paid'],
    },
  })
})

test('a camera is found, though its tags are written with capitals', async () => {
  const results = { metadata: { kind: 'image', tags: { ifd0: { Make: 'Fixture', Model: 'Fixture One' } } } }
  expect(await entry({}, results)).toMatchObject({ metadata: { make: ['Fixture'], model: ['Fixture One'] } })
})

test('results without measure give a bounded entry', async () => {
  let deep: unknown = 'x'
  for (let level = 0; level < 10_000; level += 1) deep = { title: deep }
  const wide = Array.from({ length: 50_000 }, (_, n) => ({ title: `${n} ${'x'.repeat(1000)}` }))
  expect(JSON.stringify(await entry({}, { deep, wide })).length).toBeLessThan(10_000)
})
