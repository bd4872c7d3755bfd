import { expect, test } from 'vitest'
import { withPdf } from '../formats/pdf.ts'
import { runProcessor } from '../testing/run-processor.ts'
import { run as validate } from '../validator/data-validate.run.ts'
import { run as profile } from './data-profile.run.ts'
import { run } from './report-pdf.run.ts'

const csv = { name: 'people.csv', contentType: 'text/csv' }

interface Report {
  pages: string[]
  title: string | null
  bytes: number
}

async function reported(
  results: Record<string, unknown>,
  options: { name?: string; parameters?: Record<string, unknown>; metadata?: Record<string, unknown> } = {},
): Promise<Report> {
  const file = {
    name: options.name ?? csv.name,
    contentType: csv.contentType,
    sizeBytes: 12_345,
    sha256: 'ab'.repeat(32),
    metadata: options.metadata ?? {},
    depth: 0,
  }
  await using ran = await runProcessor(run, [], { results, file, parameters: options.parameters ?? {} })
  if (ran.outcome.kind !== 'done') throw new Error(JSON.stringify(ran.outcome))
  const [output] = ran.outputs
  expect(output).toMatchObject({ name: 'analysis_report.pdf', contentType: 'application/pdf' })
  if (output === undefined) throw new Error('no output')
  const report = await withPdf({ path: output.fullPath, sizeBytes: output.bytes.length }, async (pdf) => ({
    title: pdf.title,
    bytes: output.bytes.length,
    pages: Array.from(
      { length: pdf.pagesCount },
      (_, index) => pdf.page(index + 1, (page) => page.text(100_000)) ?? '',
    ),
  }))
  return report
}

/** As one line without the places at which lines may be broken. */
const flat = (pages: string[]): string => pages.join('\n').replaceAll('\u200b', '').replaceAll(/\s+/gu, ' ')

async function resultsOf(bytes: string): Promise<Record<string, unknown>> {
  const rules = [
    { column: 'age', type: 'integer', max: 120 },
    { column: 'city', required: true },
  ]
  await using checked = await runProcessor(validate, [{ ...csv, bytes }], {
    parameters: { rules, on_invalid: 'report' },
  })
  await using profiled = await runProcessor(profile, [{ ...csv, bytes }])
  if (checked.outcome.kind !== 'done' || profiled.outcome.kind !== 'done') throw new Error('not done')
  return { check: checked.outcome.result, profile: profiled.outcome.result }
}

test('a report of a table has its facts, checks with bad rows by line, columns and charts', async () => {
  const rows = Array.from({ length: 200 }, (_, n) => `${n % 90},${['Bern', 'Basel', 'Genf'][n % 3]}`)
  rows[7] = '400,Bern'
  rows[9] = '12,'
  const { pages, title } = await reported(await resultsOf(`age,city\n${rows.join('\n')}\n`))
  const text = flat(pages)
  expect(title).toBe('Analysis report')
  expect(text).toContain('people.csv')
  expect(text).toContain(`12.3 KB (12,345 bytes)`)
  expect(text).toContain('ab'.repeat(32))
  expect(text).toContain('Failed. 2 of 200 rows (1 %) break a rule.')
  expect(text).toMatch(/line 9 age 400 must be 120 or less/u)
  expect(text).toMatch(/line 11 city empty must have a value/u)
  expect(text).toMatch(/age bigint – \d+ 0 400/u)
  expect(text).toContain('Distributions')
  expect(text).toMatch(/Bern Basel Genf 67 \(34 %\)/u)
  expect(pages.at(-1)).toContain(`Page ${pages.length} of ${pages.length}`)
})

test('whatever a file and its cells are called stands there as it is', async () => {
  const wild = '#let x = 1; #eval("2+2") $x^2$ [a] `raw` @ref *b* _i_ <lab> // /* */ \\u{41} "q" \'s\' ~ -- ...'
  const results = {
    profile: {
      kind: 'table-profile',
      rows_count: 10,
      columns_count: 1,
      columns: [
        {
          name: wild,
          type: 'VARCHAR',
          kind: 'text',
          nulls_count: 0,
          distinct_count: 2,
          min: wild,
          max: '=1+1',
          histogram: null,
          top: [{ value: '</text><script>&x;', count: 9 }],
        },
      ],
    },
    [wild]: { [wild]: wild, note: '#read("/etc/passwd") #import "@preview/x:1.0.0": *' },
  }
  const text = flat((await reported(results, { name: `${wild}.csv`, metadata: { [wild]: wild } })).pages)
  // The name, a value of the metadata and one of a result in full; the others are cut to what fits.
  expect(text.split(wild).length - 1).toBe(3)
  expect(text.split(wild.slice(0, 39)).length - 1).toBeGreaterThanOrEqual(7)
  expect(text).toContain('#read("/etc/passwd") #import "@preview/x:1.0.0": *')
  expect(text).not.toContain('root:')
  expect(text).toContain('</text><script>&x;')
})

test('text of any script, length and direction stays on its page', async () => {
  const long = 'A'.repeat(4000)
  const strange = `שלום عربي 😀 你好 \u202eevil \u0000\u0007 \ud800 line\nbreak ${long}`
  const { pages } = await reported({ step: { [strange]: strange, list: [strange, strange] } }, { name: strange })
  expect(pages.length).toBeLessThan(4)
  expect(flat(pages)).toContain('line break AAAA')
  expect(flat(pages)).not.toContain('\u202e')
})

test('a report stays bounded, and says what it leaves out', async () => {
  const column = (n: number) => ({
    name: `column ${n} ${'x'.repeat(4000)}`,
    type: 'BIGINT',
    kind: 'number',
    nulls_count: 1,
    distinct_count: 5,
    min: '1',
    max: '1e300',
    mean: 1e300,
    histogram: [
      { from: 1, to: 2, count: 3 },
      { from: 2, to: 3, count: 1 },
    ],
    top: [],
  })
  const results = {
    profile: {
      kind: 'table-profile',
      rows_count: 10,
      columns_count: 2000,
      columns: Array.from({ length: 500 }, (_, n) => column(n)),
    },
    check: {
      kind: 'table-check',
      valid: false,
      bad_rows_count: 100_000,
      rows_count: 100_000,
      rules: Array.from({ length: 500 }, () => ({ column: 'c', text: 'must be', bad_rows_count: 1 })),
      first_bad_rows: Array.from({ length: 500 }, (_, row) => ({
        row,
        line: null,
        faults: Array.from({ length: 500 }, () => ({ column: 'c', text: 't', value: 'v' })),
      })),
    },
    ...Object.fromEntries(
      Array.from({ length: 100 }, (_, n) => [
        `step${n}`,
        Object.fromEntries(Array.from({ length: 500 }, (_, k) => [`k${k}`, k])),
      ]),
    ),
  }
  const { pages, bytes } = await reported(results)
  expect(pages.length).toBeLessThan(120)
  expect(bytes).toBeLessThan(4_000_000)
  const text = flat(pages)
  for (const told of [
    '400 more rules not shown',
    '99,975 more bad rows',
    '1,800 more columns',
    '476 more columns',
    '440 more values',
  ])
    expect(text.replaceAll(',', '')).toContain(told.replaceAll(',', ''))
})

test('results of any shape make a report, and so do none', async () => {
  const shapes = {
    a: { kind: 'table-profile' },
    b: { kind: 'table-profile', columns: [null, 1, {}, { name: 5, top: [{}], histogram: [{}] }], rows_count: 'x' },
    c: { kind: 'table-check', rules: 'x', first_bad_rows: [{}, { faults: [{}] }], malformed: null, faults: [{}] },
    d: [1, { a: [2] }],
    e: null,
    f: 'text',
    g: { h: { i: { j: { k: { l: 1 } } } } },
    m: { pages_count: 1, size_bytes: 1_500_000, ok: true, none: [], nothing: null, at: 0.000001 },
  }
  const text = flat((await reported(shapes)).pages)
  expect(text).toContain('1.50 MB')
  expect(flat((await reported({})).pages)).toContain('told nothing about this file')
})
