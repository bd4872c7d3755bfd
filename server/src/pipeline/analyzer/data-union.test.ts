import { expect, test } from 'vitest'
import { runProcessor, type TestFile } from '../testing/run-processor.ts'
import { run } from './data-union.run.ts'

const csv = (name: string, bytes: string | Uint8Array): TestFile => ({ name, contentType: 'text/csv', bytes })
const jsonl = (name: string, bytes: string): TestFile => ({ name, contentType: 'application/x-ndjson', bytes })

async function united(files: TestFile[], parameters: Record<string, unknown> = {}) {
  await using ran = await runProcessor(run, files, { parameters })
  if (ran.outcome.kind !== 'done') throw new Error(JSON.stringify(ran.outcome))
  return { ...ran.outcome, text: ran.outputs[0]?.bytes.toString() }
}
async function rejected(files: TestFile[], parameters: Record<string, unknown> = {}) {
  await using ran = await runProcessor(run, files, { parameters })
  return ran.outcome
}

test('rows come in the order of the files, columns by their names, and what a table does not have is empty', async () => {
  const files = [csv('a.csv', 'id,town\n01,Bern\n'), csv('b.csv', 'Town;extra\nChur;x\nZürich;"a;b"\n')]
  const { text, result, recordsCount, outputs } = await united(files)
  expect(text).toBe('id,town,extra\n01,Bern,\n,Chur,x\n,Zürich,a;b\n')
  expect(result).toMatchObject({ kind: 'table-union', tables_count: 2, rows_count: 3, skipped_rows_count: 0 })
  expect(recordsCount).toBe(3)
  expect(outputs).toMatchObject([{ name: 'united_data.csv', contentType: 'text/csv' }])
})

test('tables of several formats are one, in types that hold all values', async () => {
  const files = [jsonl('a.jsonl', '{"n":1,"d":"2026-01-02"}\n'), csv('b.csv', 'n,d\n2.5,never\n')]
  const { text } = await united(files, { to: 'jsonl' })
  expect(
    text
      ?.trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { n: 1, d: expect.stringContaining('2026-01-02') },
    { n: 2.5, d: 'never' },
  ])
})

test('each row tells its file when that is wished for, unless a table has such a column', async () => {
  const files = [csv("it's.csv", 'a\n1\n'), csv('=b.csv', 'a\n2\n')]
  expect((await united(files, { source_column: 'file' })).text).toBe("a,file\n1,it's.csv\n2,'=b.csv\n")
  expect(await rejected(files, { source_column: 'A' })).toMatchObject({ code: 'parameters_invalid' })
})

test('bad rows fail the step with their file and line, or are left out and counted', async () => {
  const files = [csv('good.csv', 'a,b\n1,2\n'), csv('bad.csv', 'a,b\n1,2\n3\n4,5,6\n')]
  const refusal = await rejected(files)
  expect(refusal).toMatchObject({ kind: 'reject', code: 'data_invalid' })
  expect(JSON.stringify(refusal)).toMatch(/bad\.csv: .*line 3/)
  expect((await united(files, { bad_rows: 'skip' })).result).toMatchObject({ rows_count: 2, skipped_rows_count: 2 })
})

test('hundreds of tables are united in bounded pieces', async () => {
  const files = Array.from({ length: 250 }, (_, n) => csv(`${n}.csv`, `n,c${n % 3}\n${n},x\n`))
  const { text, result } = await united(files)
  expect(result).toMatchObject({ tables_count: 250, rows_count: 250 })
  expect(
    text
      ?.split('\n')
      .slice(1, -1)
      .map((line) => Number(line.split(',')[0])),
  ).toEqual(files.map((_, n) => n))
})

test('what does not fit together is refused, and what is no table left out', async () => {
  const files = [jsonl('a.jsonl', '{"v":{"x":1}}\n'), jsonl('b.jsonl', '{"v":[1,2]}\n')]
  expect(await rejected(files, { to: 'parquet' })).toMatchObject({ kind: 'reject', code: 'data_invalid' })
  const others = [{ name: 'a.png', contentType: 'image/png', bytes: 'x' }, csv('empty.csv', '')]
  expect(await united(others)).toMatchObject({ outputs: [], result: { tables_count: 0 }, recordsCount: 0 })
})
