import { expect, test } from 'vitest'
import { runProcessor, type TestFile } from '../testing/run-processor.ts'
import { run } from './data-profile.run.ts'
import type { TableProfile } from './table-profile.ts'

const csv = (bytes: string): TestFile => ({ name: 'data.csv', contentType: 'text/csv', bytes })

async function profiled(file: TestFile, parameters: Record<string, unknown> = {}): Promise<TableProfile> {
  await using ran = await runProcessor(run, [file], { parameters })
  if (ran.outcome.kind !== 'done') throw new Error(JSON.stringify(ran.outcome))
  expect(ran.outputs).toEqual([])
  // What data.profile promises to give.
  return ran.outcome.result as TableProfile
}

test('columns are described with gaps, ranges, quantiles, histogram and frequent values', async () => {
  const rows = Array.from(
    { length: 100 },
    (_, n) => `${n},${n % 10 === 0 ? '' : ['red', 'green'][n % 2]},2024-01-${String((n % 28) + 1).padStart(2, '0')}`,
  )
  const profile = await profiled(csv(`id,colour,day\n${rows.join('\n')}\n`), { bins: 10 })
  expect(profile).toMatchObject({ kind: 'table-profile', rows_count: 100, columns_count: 3, skipped_rows_count: 0 })
  const [id, colour, day] = profile.columns
  expect(id).toMatchObject({ kind: 'number', min: '0', max: '99', mean: 49.5, nulls_count: 0 })
  expect(id?.histogram?.map(({ count }) => count)).toEqual(Array.from({ length: 10 }, () => 10))
  expect(colour).toMatchObject({ kind: 'text', nulls_count: 10, distinct_count: 2 })
  expect(colour?.top).toEqual([
    { value: 'green', count: 50 },
    { value: 'red', count: 40 },
  ])
  expect(day).toMatchObject({ kind: 'time', type: 'DATE', min: '2024-01-01', max: '2024-01-28' })
})

test('numbers that are none or huge do not break the statistics', async () => {
  const { columns } = await profiled(csv('v,w\n1.5,1e308\nNaN,-1e308\ninf,1\n2.5,2\n'))
  expect(columns[0]).toMatchObject({ kind: 'number', mean: 2 })
  expect(columns[1]).toMatchObject({ kind: 'number', nulls_count: 0 })
})

test('the result stays small for a wide table of long values', async () => {
  const names = Array.from({ length: 1000 }, (_, n) => `column_${n}`)
  const profile = await profiled(csv(`${names.join()}\n${names.map(() => 'x'.repeat(1000)).join()}\n`))
  expect(profile.columns_count).toBe(1000)
  expect(profile.columns).toHaveLength(200)
  expect(JSON.stringify(profile).length).toBeLessThan(200_000)
})

test('nested values and empty tables are described as far as they go', async () => {
  const nested = await profiled({
    name: 'a.json',
    contentType: 'application/json',
    bytes: '[{"a":{"b":1},"c":[1]},{"a":null,"c":[]}]',
  })
  expect(nested.columns.map(({ kind, nulls_count: nulls }) => [kind, nulls])).toEqual([
    ['nested', 1],
    ['nested', 0],
  ])
  expect(await profiled(csv('a,b\n'))).toMatchObject({ rows_count: 0, columns_count: 2 })
})
