import { dirname } from 'node:path'
import type { Json } from '@duckdb/node-api'
import { identifier, textOf, withDuckdb, type Duckdb } from '../formats/duckdb.ts'
import { withTable } from '../formats/table-reader.ts'
import { countRows, refuseBadRecords, type TableColumn } from '../formats/table.ts'
import { defineRun, inputOf } from '../processor-run.ts'
import { done } from '../processor.ts'
import { dataProfile } from './data-profile.ts'
import type { ProfileColumn, TableProfile } from './table-profile.ts'

/** Values told are cut to this length. */
const valueCharactersMax = 100
/** Columns described in one query. */
const columnsAtOnceCount = 50

/** Result: TableProfile, bounded by columns_max, bins and top. recordsCount is the number of rows. */
export const run = defineRun(dataProfile, async ({ parameters, scratchFolder, ...rest }) => {
  const file = inputOf(rest)
  const profile = await withDuckdb({ folders: [dirname(file.path)], scratchFolder }, (database) =>
    withTable({ database, file, scratchFolder, options: parameters }, async (table): Promise<TableProfile> => {
      if (parameters.bad_rows === 'reject') refuseBadRecords(table)
      // Read once into a table, because it is walked several times.
      await database.run(`CREATE OR REPLACE TEMP TABLE profiled AS FROM ${table.relation}`)
      const rowsCount = await countRows(database, 'profiled')
      const told = table.columns.slice(0, parameters.columns_max)
      const columns: ProfileColumn[] = []
      for (let at = 0; at < told.length; at += columnsAtOnceCount)
        columns.push(
          ...(await describeColumns(database, told.slice(at, at + columnsAtOnceCount), rowsCount, parameters)),
        )
      return {
        kind: 'table-profile',
        format: table.format,
        rows_count: rowsCount,
        columns_count: table.columns.length,
        skipped_rows_count: table.bad.count,
        columns,
      }
    }),
  )
  return done([], profile, { recordsCount: profile.rows_count })
})

function kindOf(type: string): ProfileColumn['kind'] {
  if (/[[\]]|^(?:STRUCT|MAP|UNION|JSON|BLOB|BIT)/u.test(type)) return 'nested'
  if (/INT|^(?:DOUBLE|FLOAT|DECIMAL)/u.test(type) && type !== 'INTERVAL') return 'number'
  if (/^(?:DATE|TIME)/u.test(type)) return 'time'
  return type === 'BOOLEAN' ? 'bool' : 'text'
}

type Wishes = { bins: number; top: number }

async function describeColumns(
  database: Duckdb,
  columns: readonly TableColumn[],
  rowsCount: number,
  wishes: Wishes,
): Promise<ProfileColumn[]> {
  const [facts = {}] = await database.rows(`SELECT ${columns.map(statisticsSql).join(', ')} FROM profiled`)
  const number = (name: string): number | null => {
    const value = facts[name]
    const found = value === null || value === undefined ? Number.NaN : Number(value)
    return Number.isFinite(found) ? found : null
  }
  const described = columns.map(({ name, type }, index): ProfileColumn => {
    const [p25, p50, p75] = quartersOf(facts[`quarters_${index}`])
    return {
      name,
      type,
      kind: kindOf(type),
      nulls_count: rowsCount - (number(`count_${index}`) ?? 0),
      distinct_count: Math.min(number(`distinct_${index}`) ?? 0, number(`count_${index}`) ?? 0),
      min: textOf(facts[`min_${index}`]),
      max: textOf(facts[`max_${index}`]),
      mean: number(`mean_${index}`),
      standard_deviation: number(`deviation_${index}`),
      quantiles: p25 === undefined || p50 === undefined || p75 === undefined ? null : { p25, p50, p75 },
      histogram: null,
      top: [],
    }
  })
  await addHistograms(database, described, wishes.bins)
  if (wishes.top > 0)
    for (const column of described) column.top = await topValues(database, column, rowsCount, wishes.top)
  return described
}

/** None of a column without a number. */
const quartersOf = (value: Json | undefined): number[] =>
  Array.isArray(value) ? value.map(Number).filter((quarter) => Number.isFinite(quarter)) : []

function statisticsSql({ name, type }: TableColumn, index: number): string {
  const column = identifier(name)
  const kind = kindOf(type)
  const short = (expression: string): string => `left(CAST(${expression} AS VARCHAR), ${valueCharactersMax})`
  const facts = [`count(${column}) AS count_${index}`]
  if (kind === 'nested') return facts.join(', ')
  facts.push(
    `approx_count_distinct(${column}) AS distinct_${index}`,
    `${short(`min(${column})`)} AS min_${index}`,
    `${short(`max(${column})`)} AS max_${index}`,
  )
  if (kind === 'number') {
    const finite = `FILTER (isfinite(CAST(${column} AS DOUBLE)))`
    facts.push(
      `avg(CAST(${column} AS DOUBLE)) ${finite} AS mean_${index}`,
      // Of values as large as 1e200 the squares overflow, which is an error and no number.
      `stddev_samp(CAST(${column} AS DOUBLE)) FILTER (abs(CAST(${column} AS DOUBLE)) < 1e150) AS deviation_${index}`,
      // All from one digest of the values, which is what takes the time.
      `approx_quantile(CAST(${column} AS DOUBLE), [0.25, 0.5, 0.75]) ${finite} AS quarters_${index}`,
    )
  }
  return facts.join(', ')
}

async function addHistograms(database: Duckdb, columns: ProfileColumn[], bins: number): Promise<void> {
  const counted = columns.flatMap((column) => {
    const [from, to] = [Number(column.min), Number(column.max)]
    const isSpread = column.kind === 'number' && column.min !== null && Number.isFinite(to - from) && to > from
    return isSpread ? [{ column, from, to, step: (to - from) / bins }] : []
  })
  if (counted.length === 0) return
  const expressions = counted.map(({ column, from, step }, index) => {
    const value = `CAST(${identifier(column.name)} AS DOUBLE)`
    const bin = `least(greatest(CAST(floor((${value} - (${from})) / ${step}) AS INTEGER), 0), ${bins - 1})`
    return `histogram(${bin}) FILTER (isfinite(${value})) AS h${index}`
  })
  const [row = {}] = await database.rows(`SELECT ${expressions.join(', ')} FROM profiled`)
  counted.forEach(({ column, from, to, step }, index) => {
    // DuckDB's histogram is a map, which comes as a list of its entries.
    const entries = (row[`h${index}`] ?? []) as { key: number; value: string }[]
    const counts = new Map(entries.map(({ key, value }) => [key, Number(value)]))
    column.histogram = Array.from({ length: bins }, (_, bin) => ({
      from: from + bin * step,
      to: bin === bins - 1 ? to : from + (bin + 1) * step,
      count: counts.get(bin) ?? 0,
    }))
  })
}

async function topValues(
  database: Duckdb,
  column: ProfileColumn,
  rowsCount: number,
  top: number,
): Promise<ProfileColumn['top']> {
  if (column.kind === 'nested') return []
  // Of a column where nearly every value is another one, counting them all would only cost memory.
  if (column.distinct_count > 10_000 && column.distinct_count > rowsCount / 10) return []
  const name = identifier(column.name)
  const rows = await database.rows(
    `SELECT left(CAST(${name} AS VARCHAR), ${valueCharactersMax}) AS value, count(*) AS count FROM profiled
     WHERE ${name} IS NOT NULL GROUP BY ${name} ORDER BY count(*) DESC, value LIMIT ${top}`,
  )
  return rows.map((row) => ({ value: textOf(row['value']) ?? '', count: Number(row['count']) }))
}
