import { gunzipSync } from 'node:zlib'
import xlsx from '@e965/xlsx'
import { expect, test } from 'vitest'
import { withDuckdb } from '../formats/duckdb.ts'
import { runProcessor, type TestFile } from '../testing/run-processor.ts'
import { run } from './data-convert.run.ts'

const csv = (bytes: TestFile['bytes'], name = 'data.csv'): TestFile => ({ name, contentType: 'text/csv', bytes })
const jsonl = (bytes: string): TestFile => ({ name: 'data.jsonl', contentType: 'application/x-ndjson', bytes })
const json = (bytes: string): TestFile => ({ name: 'data.json', contentType: 'application/json', bytes })
const xlsxType = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'
const workbook = (sheets: Record<string, unknown[][]>): TestFile => {
  const book = xlsx.utils.book_new()
  for (const [name, rows] of Object.entries(sheets))
    xlsx.utils.book_append_sheet(book, xlsx.utils.aoa_to_sheet(rows, { cellDates: true, UTC: true }), name)
  // A Buffer, because that is the type asked for.
  return {
    name: 'book.xlsx',
    contentType: xlsxType,
    bytes: xlsx.write(book, { type: 'buffer', bookType: 'xlsx' }) as Buffer,
  }
}

async function converted(file: TestFile, parameters: Record<string, unknown> = {}): Promise<string> {
  await using ran = await runProcessor(run, [file], { parameters })
  if (ran.outcome.kind !== 'done') throw new Error(JSON.stringify(ran.outcome))
  return ran.outputs[0]?.bytes.toString('utf8') ?? ''
}

async function rejected(file: TestFile, parameters: Record<string, unknown> = {}): Promise<[string, string]> {
  await using ran = await runProcessor(run, [file], { parameters })
  if (ran.outcome.kind !== 'reject') throw new Error(`expected a rejection, got ${JSON.stringify(ran.outcome)}`)
  return [ran.outcome.code, ran.outcome.detail]
}

/** Rows and types of a Parquet output, read by another instance. */
async function parquetRows(file: TestFile, parameters: Record<string, unknown> = {}) {
  await using ran = await runProcessor(run, [file], { parameters: { to: 'parquet', ...parameters } })
  if (ran.outcome.kind !== 'done') throw new Error(JSON.stringify(ran.outcome))
  const path = ran.outputs[0]?.fullPath ?? ''
  return await withDuckdb(
    { folders: [path.slice(0, path.lastIndexOf('/'))], scratchFolder: ran.scratchFolder },
    async (database) => ({
      rows: await database.rows(`FROM read_parquet('${path}')`),
      types: Object.fromEntries(
        (await database.rows(`DESCRIBE FROM read_parquet('${path}')`)).map((row) => [
          row['column_name'],
          row['column_type'],
        ]),
      ),
      recordsCount: ran.outcome.kind === 'done' ? ran.outcome.recordsCount : undefined,
    }),
  )
}

test('numbers with decimal commas become numbers, unless a point tells otherwise', async () => {
  const comma = await parquetRows(csv('town;amount\nBern;1,50\nChur;-20\n'))
  expect(JSON.stringify(comma)).toContain('1.5')
  expect(JSON.stringify(comma)).not.toContain('1,50')
  const both = await parquetRows(csv('amount;price\n1,50;2.5\n2,25;3.5\n'))
  expect(JSON.stringify(both)).toContain('1,50')
})

test('CSV becomes typed Parquet, and post codes keep their leading zeros', async () => {
  const { rows, types, recordsCount } = await parquetRows(
    csv('id,zip,when,price,note\n1,01067,2024-05-01,1.5,"a, b"\n2,80331,2024-05-02,,\n'),
  )
  expect(types).toEqual({ id: 'BIGINT', zip: 'VARCHAR', when: 'DATE', price: 'DOUBLE', note: 'VARCHAR' })
  expect(rows).toEqual([
    { id: '1', zip: '01067', when: '2024-05-01', price: 1.5, note: 'a, b' },
    { id: '2', zip: '80331', when: '2024-05-02', price: null, note: null },
  ])
  expect(recordsCount).toBe(2)
})

test('a value of another type far behind the sample widens its column instead of failing or losing rows', async () => {
  const body = Array.from({ length: 60_000 }, (_, index) => `${index},${index * 2}`).join('\n')
  const { rows, types } = await parquetRows(csv(`id,amount\n${body}\n60000,n/a\n`))
  expect(types).toEqual({ id: 'BIGINT', amount: 'VARCHAR' })
  expect(rows).toHaveLength(60_001)
})

test('CSV to CSV changes nothing but the dialect and the formulas', async () => {
  expect(await converted(csv('a;b;c\n007;1,50;"x;""y"""\n;"";ä\n'))).toBe('a,b,c\n007,"1,50","x;""y"""\n,"",ä\n')
})

test('texts that a spreadsheet would run are neutralised, numbers are not, and exact keeps them', async () => {
  const payloads = [
    '=1+1',
    '+cmd|calc',
    '-2+3',
    '@SUM(A1)',
    '\t=1',
    ' =1',
    '＝1',
    '=HYPERLINK("http://x")',
    '-5',
    '+4.5e3',
    '-12%',
  ]
  const file = json(JSON.stringify(payloads.map((value) => ({ v: value }))))
  const lines = (await converted(file)).split('\n').slice(1, -1)
  expect(lines.slice(0, 7)).toEqual(["'=1+1", "'+cmd|calc", "'-2+3", "'@SUM(A1)", "'\t=1", "' =1", "'＝1"])
  expect(lines.slice(8)).toEqual(['-5', '+4.5e3', '-12%'])
  expect((await converted(file, { exact: true })).split('\n')[1]).toBe('=1+1')
  expect((await converted(csv('=cmd(),b\n1,2\n'))).split('\n')[0]).toBe("'=cmd(),b")
})

test.each([
  ['windows-1252', Buffer.from('name,city\nJosé,Köln\nZoë,München\n', 'latin1')],
  ['utf-16le', Buffer.from('\ufeffname,city\nJosé,Köln\nZoë,München\n', 'utf16le')],
  ['utf-16le without a mark', Buffer.from('name,city\nJosé,Köln\nZoë,München\n', 'utf16le')],
  ['utf-8 with a mark', Buffer.from('\ufeffname,city\nJosé,Köln\nZoë,München\n', 'utf8')],
])('text in %s is understood', async (_, bytes) => {
  expect(await converted(csv(bytes))).toBe('name,city\nJosé,Köln\nZoë,München\n')
})

test('JSON, JSONL and nested values are written as tables', async () => {
  expect(await converted(json('[{"a":1,"b":{"c":[1,2]}},{"a":2,"b":null}]'))).toBe('a,b\n1,"{""c"":[1,2]}"\n2,\n')
  expect(await converted(jsonl('{"a":1}\n{"a":"x"}\n'), { to: 'json' })).toBe('[\n\t{"a":1},\n\t{"a":"x"}\n]\n')
  expect(JSON.parse(await converted(csv('v\n1.5\nNaN\n'), { to: 'json' }))).toEqual([{ v: 1.5 }, { v: null }])
})

test('a workbook keeps its types, dates and the sheet that was asked for', async () => {
  const file = workbook({
    First: [['x'], [1]],
    Orders: [
      ['id', 'when', 'paid', 'note'],
      [1, new Date(Date.UTC(2024, 1, 29)), true, 'a\nb'],
      [2.5, new Date(Date.UTC(2024, 2, 1, 13, 30)), false, ''],
      [3],
    ],
  })
  const { rows, types } = await parquetRows(file, { sheet: 'Orders' })
  expect(types).toEqual({ id: 'DOUBLE', when: 'TIMESTAMP', paid: 'BOOLEAN', note: 'VARCHAR' })
  expect(rows).toEqual([
    { id: 1, when: '2024-02-29 00:00:00', paid: true, note: 'a\nb' },
    { id: 2.5, when: '2024-03-01 13:30:00', paid: false, note: null },
    { id: 3, when: null, paid: null, note: null },
  ])
  expect((await rejected(file, { sheet: 'Nope' }))[0]).toBe('parameters_invalid')
})

test('outputs are compressed as asked and named for it', async () => {
  await using ran = await runProcessor(run, [csv('a\n1\n')], { parameters: { compression: 'gzip' } })
  expect(ran.outputs[0]).toMatchObject({ name: 'processed_data.csv.gz', contentType: 'application/gzip' })
  expect(gunzipSync(ran.outputs[0]?.bytes ?? '').toString()).toBe('a\n1\n')
})

test('a ragged record fails with its line, or is left out and counted', async () => {
  const file = csv('id,name\n1,"a\nb"\n2\n3,c,d\n4,e\n')
  const [code, detail] = await rejected(file)
  expect(code).toBe('data_invalid')
  expect(detail).toBe('2 records are not a row of the table: line 4: too few cells: 1; line 5: too many cells: 3.')
  await using ran = await runProcessor(run, [file], { parameters: { bad_rows: 'skip' } })
  expect(ran.outcome).toMatchObject({ kind: 'done', recordsCount: 2, result: { skipped_rows_count: 2 } })
  expect(ran.outputs[0]?.bytes.toString()).toBe('id,name\n1,"a\nb"\n4,e\n')
})

test.each<[string, TestFile, string]>([
  ['an empty file', csv(''), 'file_empty'],
  ['blank lines', csv('\n\n\n'), 'data_invalid'],
  ['binary data called CSV', csv(Buffer.alloc(5000)), 'file_unreadable'],
  ['cut JSON', json('[{"a":1},{"a":'), 'file_unreadable'],
  ['broken JSONL', jsonl('{"a":1}\nnot json\n'), 'data_invalid'],
  ['JSON nested 100,000 deep', json('['.repeat(100_000) + ']'.repeat(100_000)), 'file_too_complex'],
  [
    'a table of 10,000 columns',
    csv(`${Array.from({ length: 10_000 }, (_, n) => `c${n}`).join()}\n`),
    'file_too_complex',
  ],
  [
    'garbage called Parquet',
    { name: 'x.parquet', contentType: 'application/vnd.apache.parquet', bytes: 'hello world' },
    'file_unreadable',
  ],
  [
    'a Parquet file without its middle',
    { name: 'x.parquet', contentType: 'application/vnd.apache.parquet', bytes: 'PAR1xxxxPAR1' },
    'file_unreadable',
  ],
  [
    'a cut workbook',
    { ...workbook({ A: [['a'], [1]] }), bytes: Buffer.from(workbook({ A: [['a'], [1]] }).bytes).subarray(0, 3000) },
    'file_unreadable',
  ],
  [
    'a workbook behind a password',
    {
      name: 'x.xlsx',
      contentType: xlsxType,
      bytes: Buffer.concat([Buffer.from('d0cf11e0a1b11ae1', 'hex'), Buffer.from('EncryptedPackage', 'utf16le')]),
    },
    'file_encrypted',
  ],
  [
    'an old workbook',
    {
      name: 'x.xls',
      contentType: xlsxType,
      bytes: Buffer.concat([Buffer.from('d0cf11e0a1b11ae1', 'hex'), Buffer.alloc(512)]),
    },
    'file_type_unsupported',
  ],
  ['an empty sheet', workbook({ A: [] }), 'data_invalid'],
])('%s is rejected in words', async (_, file, code) => {
  const [found, detail] = await rejected(file)
  expect(found).toBe(code)
  expect(detail).toMatch(/^[A-Z0-9].*\.$/u)
  expect(detail).not.toMatch(/Error|\/tmp|at \w+ \(/u)
})

test('a header without rows is a table without rows', async () => {
  expect(await converted(csv('a,b\n'))).toBe('a,b\n')
  const { rows } = await parquetRows(csv('a,b\n'))
  expect(rows).toEqual([])
})

test('a file name or cell can do nothing to the SQL that reads it', async () => {
  const file = csv(`"a'); DROP TABLE x; --","b""c"\n1,"'; ATTACH '/etc/passwd'"\n`)
  expect(await converted(file)).toBe(`a'); DROP TABLE x; --,"b""c"\n1,'; ATTACH '/etc/passwd'\n`)
  const { types } = await parquetRows(file)
  expect(Object.keys(types)).toEqual(["a'); DROP TABLE x; --", 'b"c'])
})
