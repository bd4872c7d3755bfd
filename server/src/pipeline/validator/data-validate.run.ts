import { dirname } from 'node:path'
import { Problem } from '../../platform/problem.ts'
import { identifier, literal, withDuckdb, type Duckdb } from '../formats/duckdb.ts'
import { formatOf } from '../formats/table-format.ts'
import { withTable } from '../formats/table-reader.ts'
import { countRows, type BadRecord, type Table } from '../formats/table.ts'
import { defineRun, inputOf } from '../processor-run.ts'
import { done, reject } from '../processor.ts'
import { checksOf, type RuleCheck } from './column-rules.ts'
import { dataValidate, type ColumnRule } from './data-validate.ts'

interface BadRow {
  /** From 1, among the rows. */
  row: number
  /** In the file, for text formats. */
  line: number | null
  faults: { column: string; rule: string; text: string; value: string | null }[]
}

interface TableCheck {
  kind: 'table-check'
  valid: boolean
  format: string
  encoding: string | null
  delimiter: string | null
  has_header: boolean | null
  columns: Table['columns']
  rows_count: number
  good_rows_count: number
  bad_rows_count: number
  /** Records that are no rows. */
  malformed: { count: number; first: BadRecord[] }
  rules: { column: string; rule: string; text: string; bad_rows_count: number }[]
  /** What concerns the table as a whole. */
  faults: string[]
  first_bad_rows: BadRow[]
}

const valueCharactersMax = 100

/** Result: TableCheck. Rejects with data_invalid unless on_invalid is report. recordsCount is the number of rows. */
export const run = defineRun(dataValidate, async ({ parameters, scratchFolder, ...rest }) => {
  const file = inputOf(rest)
  const asText = (await formatOf(file)) === 'csv'
  const check = await withDuckdb({ folders: [dirname(file.path)], scratchFolder }, async (database) => {
    await refusePatterns(database, parameters.rules)
    return withTable({ database, file, scratchFolder, options: parameters, asText }, (table) =>
      checkTable(database, table, parameters),
    )
  })
  if (!check.valid && parameters.on_invalid === 'reject') return reject('data_invalid', sentence(check))
  return done([], check, { recordsCount: check.rows_count })
})

async function refusePatterns(database: Duckdb, rules: readonly ColumnRule[]): Promise<void> {
  for (const { pattern } of rules) {
    if (pattern === undefined) continue
    try {
      await database.run(`SELECT regexp_matches('', ${literal(pattern)})`)
    } catch (cause) {
      throw new Problem('parameters_invalid', { detail: `"${pattern}" is not a regular expression (RE2).`, cause })
    }
  }
}

interface Wishes {
  rules: ColumnRule[]
  rows_min?: number
  rows_max?: number
  bad_rows_told_max: number
}

async function checkTable(database: Duckdb, table: Table, wishes: Wishes): Promise<TableCheck> {
  const names = new Map(table.columns.map(({ name }) => [name.toLowerCase(), name]))
  const missing = wishes.rules.filter(({ column }) => !names.has(column.toLowerCase()))
  const checks = wishes.rules.flatMap((rule) => {
    const column = names.get(rule.column.toLowerCase())
    return column === undefined ? [] : checksOf({ ...rule, column })
  })
  const found =
    checks.length === 0
      ? { rowsCount: await countRows(database, table.relation), badCount: 0, counts: [], first: [] }
      : await findBadRows({ database, table, checks, toldMax: wishes.bad_rows_told_max })
  const { rowsCount } = found
  const faults = missing.map(({ column }) => `There is no column "${column}".`)
  if (wishes.rows_min !== undefined && rowsCount < wishes.rows_min)
    faults.push(`The table has ${rowsCount} rows; there must be at least ${wishes.rows_min}.`)
  if (wishes.rows_max !== undefined && rowsCount > wishes.rows_max)
    faults.push(`The table has ${rowsCount} rows; there may be at most ${wishes.rows_max}.`)
  return {
    kind: 'table-check',
    valid: faults.length === 0 && table.bad.count === 0 && found.badCount === 0,
    format: table.format,
    encoding: table.encoding ?? null,
    delimiter: table.delimiter ?? null,
    has_header: table.hasHeader ?? null,
    columns: table.columns,
    rows_count: rowsCount,
    good_rows_count: rowsCount - found.badCount,
    bad_rows_count: found.badCount + table.bad.count,
    malformed: table.bad,
    rules: checks.map(({ column, rule, text }, index) => ({
      column,
      rule,
      text,
      bad_rows_count: found.counts[index] ?? 0,
    })),
    faults,
    first_bad_rows: found.first,
  }
}

async function findBadRows(options: { database: Duckdb; table: Table; checks: RuleCheck[]; toldMax: number }): Promise<{
  rowsCount: number
  badCount: number
  counts: number[]
  first: BadRow[]
}> {
  const { database, table, checks, toldMax } = options
  const columns = [...new Set(checks.map(({ column }) => column))]
  const place = new Map(columns.map((column, index) => [column, `c${index}`]))
  const texts = columns.map((name, index) => `nullif(trim(CAST(${identifier(name)} AS VARCHAR)), '') AS c${index}`)
  const flags = checks.map(
    ({ column, brokenSql }, index) => `coalesce(${brokenSql(place.get(column) ?? '')}, false) AS f${index}`,
  )
  const any = checks.map((_, index) => `f${index}`).join(' OR ')
  await database.run(
    `CREATE OR REPLACE TEMP TABLE numbered AS SELECT row_number() OVER () AS row_number, ${texts.join(', ')} FROM ${table.relation}`,
  )
  await database.run(`CREATE OR REPLACE TEMP TABLE checked AS SELECT *, ${flags.join(', ')} FROM numbered`)
  const [counts = {}] = await database.rows(
    `SELECT count(*) AS rows_count, count(*) FILTER (${any}) AS bad_count,
     ${checks.map((_, index) => `count(*) FILTER (f${index}) AS n${index}`).join(', ')} FROM checked`,
  )
  const rows = await database.rows(`SELECT * FROM checked WHERE ${any} ORDER BY row_number LIMIT ${toldMax}`)
  const numbers = rows.map((row) => Number(row['row_number']))
  const lines = rows.length === 0 ? undefined : await table.linesOfRows?.(numbers)
  return {
    rowsCount: Number(counts['rows_count']),
    badCount: Number(counts['bad_count']),
    counts: checks.map((_, index) => Number(counts[`n${index}`])),
    first: rows.map((row, index) => ({
      row: numbers[index] ?? 0,
      line: lines?.get(numbers[index] ?? 0) ?? null,
      faults: checks
        .filter((_, check) => row[`f${check}`] === true)
        .map(({ column, rule, text }) => {
          const value = row[place.get(column) ?? '']
          return { column, rule, text, value: typeof value === 'string' ? value.slice(0, valueCharactersMax) : null }
        }),
    })),
  }
}

/** The first faults in one sentence each, for the problem of the job. */
function sentence(check: TableCheck): string {
  const places = [
    ...check.malformed.first.map(({ line, reason }) => ({ line, text: `line ${line}: ${reason}` })),
    ...check.first_bad_rows.map(({ row, line, faults }) => ({
      line: line ?? row,
      text: `${line === null ? `row ${row}` : `line ${line}`}: ${faults.map(({ column, text }) => `${column} ${text}`).join(', ')}`,
    })),
  ].sort((left, right) => left.line - right.line)
  const total = check.rows_count + check.malformed.count
  const counted = check.bad_rows_count === 0 ? [] : [`${check.bad_rows_count} of ${total} rows are bad.`]
  const told =
    places.length === 0
      ? []
      : [
          `First: ${places
            .slice(0, 5)
            .map(({ text }) => text)
            .join('; ')}.`,
        ]
  return [...check.faults.slice(0, 5), ...counted, ...told].join(' ')
}
