import { expect, test } from 'vitest'
import { runProcessor, type TestFile } from '../testing/run-processor.ts'
import { run } from './data-validate.run.ts'

const csv = (bytes: string): TestFile => ({ name: 'data.csv', contentType: 'text/csv', bytes })

async function checked(file: TestFile, parameters: Record<string, unknown> = {}) {
  await using ran = await runProcessor(run, [file], { parameters: { on_invalid: 'report', ...parameters } })
  if (ran.outcome.kind !== 'done') throw new Error(JSON.stringify(ran.outcome))
  expect(ran.outputs).toEqual([])
  return ran.outcome
}

test('a whole table is good, and told with its dialect', async () => {
  expect(await checked(csv('id;name\n1;a\n2;b\n'))).toMatchObject({
    recordsCount: 2,
    result: {
      valid: true,
      delimiter: ';',
      encoding: 'utf-8',
      has_header: true,
      rows_count: 2,
      good_rows_count: 2,
      bad_rows_count: 0,
    },
  })
})

test('ragged records are counted and told with their lines, behind values with line breaks too', async () => {
  const { result } = await checked(csv('id,note\n1,"a\nb"\n2\n\n3,x,y\n4,z\n'))
  expect(result).toMatchObject({
    valid: false,
    rows_count: 2,
    bad_rows_count: 2,
    malformed: {
      count: 2,
      first: [
        { line: 4, reason: 'too few cells: 1' },
        { line: 6, reason: 'too many cells: 3' },
      ],
    },
  })
})

test('each rule finds its rows, with line, rule and value', async () => {
  const file = csv(
    'id,age,mail,day,country\n1,30,a@x,2024-01-01,DE\n1,x,"b\n",2024-13-01,XX\n3,-4,,,DE\n\n4,200,d@x,1999-01-01,\n',
  )
  const rules = [
    { column: 'id', type: 'integer', unique: true, required: true },
    { column: 'age', type: 'number', min: 0, max: 150 },
    { column: 'mail', required: true, pattern: '@' },
    { column: 'day', type: 'date', min: '2000-01-01' },
    { column: 'Country', values: ['DE', 'FR'] },
  ]
  const { result } = await checked(file, { rules })
  expect(result).toMatchObject({ valid: false, rows_count: 4, good_rows_count: 0, bad_rows_count: 4 })
  // What data.validate promises to give.
  const { first_bad_rows: bad } = result as {
    first_bad_rows: { line: number; faults: { column: string; rule: string; value: string | null }[] }[]
  }
  expect(bad.map(({ line, faults }) => [line, faults.map(({ column, rule }) => `${column} ${rule}`)])).toEqual(
    [
      [2, ['id unique']],
      [
        3,
        [
          'id unique',
          'age type',
          'age min',
          'age max',
          'mail pattern',
          'day type',
          'day min',
          'country values',
        ].toSorted(),
      ],
      [5, ['age min', 'mail required'].toSorted()],
      [7, ['age max', 'day min'].toSorted()],
    ].map(([line, faults]) => [line, expect.arrayContaining(faults as string[])]),
  )
  expect(bad[2]?.faults).toContainEqual(expect.objectContaining({ column: 'age', rule: 'min', value: '-4' }))
})

test('rows are found behind ragged records as well', async () => {
  const { result } = await checked(csv('id,n\n1\n1,5\n\n2\n2,x\n'), { rules: [{ column: 'n', type: 'integer' }] })
  expect(result).toMatchObject({ first_bad_rows: [{ row: 2, line: 6 }], malformed: { count: 2 } })
})

test('bad data fails the step with the first faults in words', async () => {
  await using ran = await runProcessor(run, [csv('id,n\n1,a\n2\n3,7\n')], {
    parameters: {
      rules: [
        { column: 'n', type: 'integer' },
        { column: 'gone', required: true },
      ],
      rows_min: 5,
    },
  })
  expect(ran.outcome).toEqual({
    kind: 'reject',
    code: 'data_invalid',
    detail:
      'There is no column "gone". The table has 2 rows; there must be at least 5. 2 of 3 rows are bad. First: line 2: n must be a whole number; line 3: too few cells: 1.',
  })
})

test('rules hold for JSONL and JSON too', async () => {
  const rules = [{ column: 'n', type: 'integer', max: 5 }]
  const lines = { name: 'a.jsonl', contentType: 'application/x-ndjson', bytes: '{"n":1}\n\nbroken\n{"n":9}\n' }
  expect((await checked(lines, { rules })).result).toMatchObject({
    first_bad_rows: [{ row: 2, line: 4 }],
    malformed: { count: 1, first: [{ line: 3 }] },
  })
  const json = { name: 'a.json', contentType: 'application/json', bytes: '[{"n":1.0},{"n":2.5}]' }
  expect((await checked(json, { rules })).result).toMatchObject({ first_bad_rows: [{ row: 2, line: null }] })
})

test('rules that make no sense are told before anything is read', async () => {
  for (const rule of [
    { column: 'a', pattern: '(' },
    { column: 'a', min: 'soon' },
    { column: 'a', colour: 'red' },
  ]) {
    await using ran = await runProcessor(run, [csv('a\n1\n')], { parameters: { rules: [rule] } })
    expect(ran.outcome).toMatchObject({ kind: 'reject', code: 'parameters_invalid' })
  }
})

test('a pattern may end with a dollar sign, and a value may be one', async () => {
  const rules = [{ column: 'a', pattern: '^[a-z$]+$', values: ['ab', '$'] }]
  expect((await checked(csv('a\nab\n$\nab1\n'), { rules })).result).toMatchObject({
    bad_rows_count: 1,
    good_rows_count: 2,
  })
})

test('a rule cannot smuggle SQL in', async () => {
  const evil = "x'; DROP TABLE numbered; --"
  const rules = [{ column: 'a', pattern: evil, values: [evil, '$$'], min: 0 }]
  expect((await checked(csv('a\n1\n'), { rules })).result).toMatchObject({ bad_rows_count: 1 })
})
