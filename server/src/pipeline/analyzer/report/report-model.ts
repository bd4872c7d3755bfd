// What a report says, ready to be typeset: every text printed, every list bounded, what was left out counted. Results
// come from steps of any version, so each is looked at before it is believed; what is not known by its kind is told as
// names and values.

import type { SandboxRun } from '../../processor.ts'
import type { ProfileColumn } from '../table-profile.ts'
import { chartOf, isDrawable } from './report-charts.ts'
import { bytesText, numberText, printed, shareText, timeText } from './report-text.ts'

export interface ReportModel {
  title: string
  paper: string
  fileName: string
  /** For the head of the pages. */
  fileNameShort: string
  facts: Entry[]
  figures: { label: string; value: string; tone: Tone }[]
  checks: ReportCheck[]
  tables: ReportTable[]
  sections: { title: string; entries: Entry[]; leftOut: number }[]
}

type Tone = 'plain' | 'good' | 'bad'

interface Entry {
  label: string
  value: string
}

interface ReportCheck {
  title: string
  valid: boolean
  sentence: string
  faults: string[]
  rules: { column: string; text: string; bad: string; isBroken: boolean }[]
  rulesLeftOut: number
  rows: { place: string; faults: { column: string; value: string | null; text: string }[] }[]
  rowsLeftOut: number
}

interface ReportTable {
  title: string
  columns: Record<'name' | 'type' | 'nulls' | 'distinct' | 'min' | 'max' | 'mean', string>[]
  columnsLeftOut: number
  charts: { title: string; note: string; svg: string }[]
  chartsLeftOut: number
}

const rulesMax = 100
const rowsMax = 25
const faultsOfRowMax = 5
const columnsMax = 200
const sectionsMax = 30
const entriesMax = 60
const depthMax = 3

type Wishes = { title: string; charts_max: number; paper: string }

/** `now` is the one thing in a report that is not of its inputs. */
export function reportModel(run: Pick<SandboxRun, 'file' | 'results'>, wishes: Wishes, now: Date): ReportModel {
  const { file, results } = run
  const told = Object.entries(results).filter((entry): entry is [string, Json] => isObject(entry[1]))
  const ofKind = (kind: string): [string, Json][] => told.filter(([, result]) => result['kind'] === kind)
  const checks = ofKind('table-check')
  const profiles = ofKind('table-profile')
  const known = new Set([...checks, ...profiles].map(([step]) => step))
  const others = Object.entries(results).filter(([step, result]) => !known.has(step) && result !== null)
  return {
    title: printed(wishes.title, 200),
    paper: wishes.paper,
    fileName: printed(file.name, 240),
    fileNameShort: printed(file.name, 60),
    facts: [
      { label: 'Type', value: printed(file.contentType, 100) },
      { label: 'Size', value: `${bytesText(file.sizeBytes)} (${numberText(file.sizeBytes)} bytes)` },
      { label: 'SHA-256', value: printed(file.sha256, 64) },
      ...Object.entries(file.metadata)
        .slice(0, 8)
        .map(([key, value]) => ({ label: printed(key, 40), value: printed(valueText(key, value), 160) })),
      { label: 'Written', value: timeText(now) },
    ],
    figures: [
      ...profiles.flatMap(([, result]) => profileFigures(result)),
      ...checks.flatMap(([, result]) => checkFigures(result)),
    ].slice(0, 8),
    checks: checks.map(([step, result]) => checkModel(checks.length > 1 ? `Checks: ${step}` : 'Checks', result)),
    tables: profiles.map(([step, result]) =>
      tableModel(profiles.length > 1 ? `Columns: ${step}` : 'Columns', result, wishes.charts_max),
    ),
    sections: others.slice(0, sectionsMax).flatMap(([step, result]) => sectionOf(step, result)),
  }
}

type Json = Record<string, unknown>
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
const listOf = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : [])
const countOf = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0)
const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''

function profileFigures(profile: Json): ReportModel['figures'] {
  const columns = listOf(profile['columns'])
  const rowsCount = countOf(profile['rows_count'])
  const nulls = columns.reduce((sum, column) => sum + countOf(column['nulls_count']), 0)
  return [
    { label: 'Rows', value: numberText(rowsCount), tone: 'plain' },
    { label: 'Columns', value: numberText(countOf(profile['columns_count'])), tone: 'plain' },
    { label: 'Empty cells', value: shareText(nulls, rowsCount * columns.length), tone: 'plain' },
  ]
}

function checkFigures(check: Json): ReportModel['figures'] {
  const bad = countOf(check['bad_rows_count'])
  const isValid = check['valid'] === true
  return [
    { label: 'Bad rows', value: numberText(bad), tone: bad === 0 ? 'good' : 'bad' },
    { label: 'Verdict', value: isValid ? 'Passed' : 'Failed', tone: isValid ? 'good' : 'bad' },
  ]
}

function checkModel(title: string, check: Json): ReportCheck {
  const rules = listOf(check['rules'])
  const malformed = isObject(check['malformed']) ? check['malformed'] : {}
  const bad = listOf(check['first_bad_rows'])
  const records = listOf(malformed['first']).map((record) => ({
    place: `line ${textOf(record['line'])}`,
    faults: [{ column: '', value: '', text: printed(textOf(record['reason']), 160) }],
  }))
  const rows = bad.map((row) => ({
    place: row['line'] === null ? `row ${textOf(row['row'])}` : `line ${textOf(row['line'])}`,
    faults: listOf(row['faults'])
      .slice(0, faultsOfRowMax)
      .map((fault) => ({
        column: printed(textOf(fault['column']), 60),
        value: fault['value'] === null ? null : printed(textOf(fault['value']), 60),
        text: printed(textOf(fault['text']), 120),
      })),
  }))
  const badCount = countOf(check['bad_rows_count'])
  const shown = [...records, ...rows].slice(0, rowsMax)
  return {
    title,
    valid: check['valid'] === true,
    sentence: checkSentence(check, rules.length),
    faults: (Array.isArray(check['faults']) ? check['faults'] : [])
      .slice(0, 20)
      .map((fault) => printed(textOf(fault), 200)),
    rules: rules.slice(0, rulesMax).map((rule) => ({
      column: printed(textOf(rule['column']), 60),
      text: printed(textOf(rule['text']), 120),
      bad: numberText(countOf(rule['bad_rows_count'])),
      isBroken: countOf(rule['bad_rows_count']) > 0,
    })),
    rulesLeftOut: Math.max(0, rules.length - rulesMax),
    rows: shown,
    rowsLeftOut: Math.max(0, badCount - shown.length),
  }
}

function checkSentence(check: Json, rulesCount: number): string {
  const rows = numberText(countOf(check['rows_count']))
  const bad = countOf(check['bad_rows_count'])
  if (check['valid'] === true) return `All ${rows} rows are sound${rulesCount === 0 ? '' : ' and keep the rules'}.`
  if (bad === 0) return 'The rows are sound, but the table as a whole is not.'
  const malformed = isObject(check['malformed']) ? countOf(check['malformed']['count']) : 0
  const all = countOf(check['rows_count']) + malformed
  return `${numberText(bad)} of ${numberText(all)} rows (${shareText(bad, all)}) break a rule${malformed === 0 ? '' : ' or are no rows of the table'}.`
}

function tableModel(title: string, profile: Json, chartsMax: number): ReportTable {
  // What data.profile promises; every use below bears what is missing.
  const columns = listOf(profile['columns']) as unknown as (ProfileColumn & Json)[]
  const rowsCount = countOf(profile['rows_count'])
  const columnsCount = Math.max(countOf(profile['columns_count']), columns.length)
  const drawable = columns.filter((column) => isDrawable(column, rowsCount))
  const charts = drawable.slice(0, chartsMax).map((column) => ({
    title: printed(textOf(column.name), 60),
    note: chartNote(column),
    svg: chartOf(column, rowsCount),
  }))
  return {
    title,
    columns: columns.slice(0, columnsMax).map((column) => {
      const isNumber = column.kind === 'number'
      const value = (text: unknown): string =>
        isNumber && textOf(text) !== '' ? numberText(Number(text)) : printed(textOf(text) || '–', 40)
      return {
        name: printed(textOf(column.name), 80),
        type: printed(textOf(column.type).toLowerCase(), 30),
        nulls:
          column.nulls_count === 0
            ? '–'
            : `${numberText(countOf(column.nulls_count))} (${shareText(countOf(column.nulls_count), rowsCount)})`,
        distinct: column.kind === 'nested' ? '–' : numberText(countOf(column.distinct_count)),
        min: value(column.min),
        max: value(column.max),
        mean: typeof column.mean === 'number' ? numberText(column.mean) : '–',
      }
    }),
    columnsLeftOut: Math.max(0, columnsCount - Math.min(columns.length, columnsMax)),
    charts,
    chartsLeftOut: drawable.length - charts.length,
  }
}

function chartNote(column: ProfileColumn): string {
  if (column.histogram === null) return `${numberText(countOf(column.distinct_count))} different values`
  const { quantiles } = column
  return isObject(quantiles)
    ? `median ${numberText(countOf(quantiles.p50))}, middle half ${numberText(countOf(quantiles.p25))} to ${numberText(countOf(quantiles.p75))}`
    : ''
}

/** Words for the kinds of results; another one is called by its step. */
const kindTitles: Record<string, string> = {
  'document-text': 'Text',
  'text-language': 'Language',
  'text-encoding': 'Encoding',
  'text-join': 'Joined text',
  'table-union': 'United tables',
  archive: 'Zip',
  manifest: 'List of files',
  'page-images': 'Page images',
  thumbnails: 'Thumbnails',
  table: 'Converted table',
}

function sectionOf(step: string, result: unknown): ReportModel['sections'] {
  const kind = isObject(result) ? textOf(result['kind']) : ''
  const entries: Entry[] = []
  let leftOut = 0
  const add = (label: string, key: string, value: unknown, depth: number): void => {
    if (entries.length >= entriesMax) {
      leftOut += 1
      return
    }
    if (isObject(value) && depth < depthMax)
      for (const [name, item] of Object.entries(value))
        add(label === '' ? name : `${label} ${name}`, name, item, depth + 1)
    else if (label !== 'kind')
      entries.push({ label: printed(words(label), 80), value: printed(valueText(key, value), 240) })
  }
  add('', step, result, 0)
  if (entries.length === 0) return []
  return [{ title: printed(kindTitles[kind] ?? words(step), 80), entries, leftOut }]
}

/** pages_count becomes Pages; language stays Language. */
function words(name: string): string {
  const text = name
    .replaceAll(/_(?:count|bytes)(?= |$)/gu, '')
    .replaceAll('_', ' ')
    .trim()
  return (text.charAt(0).toUpperCase() + text.slice(1)).replaceAll(/\b(?:ocr|gps|dpi|id|url|ip)\b/giu, (name) =>
    name.toUpperCase(),
  )
}

function valueText(key: string, value: unknown): string {
  if (value === null || value === undefined || value === '') return '–'
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'number') return key.endsWith('_bytes') ? bytesText(value) : numberText(value)
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return arrayText(key, value)
  return JSON.stringify(value)
}

const itemsMax = 12

function arrayText(key: string, items: unknown[]): string {
  if (items.length === 0) return 'none'
  const more = items.length > itemsMax ? ` and ${numberText(items.length - itemsMax)} more` : ''
  const shown = items.slice(0, itemsMax)
  if (shown.every((item) => !isObject(item) && !Array.isArray(item)))
    return `${shown.map((item) => valueText(key, item)).join(', ')}${more}`
  return `${numberText(items.length)} ${items.length === 1 ? 'entry' : 'entries'}: ${shown
    .slice(0, 5)
    .map((item) =>
      isObject(item)
        ? Object.values(item)
            .filter((part) => typeof part !== 'object')
            .slice(0, 3)
            .join(' ')
        : '',
    )
    .join('; ')}`
}
