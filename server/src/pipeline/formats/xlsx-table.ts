// A sheet of a workbook as a table: written once as CSV with the types that its cells have, and read by DuckDB.

import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Problem } from '../../platform/problem.ts'
import { columnNames } from './csv-dialect.ts'
import { csvRelation } from './csv-table.ts'
import { refuseWide, type Table, type TableColumn, type TableSource } from './table.ts'
import { withWorkbook, type Workbook, type XlsxCell, type XlsxRow } from './xlsx.ts'

/** A few shared strings, each used a million times, unpack to any size. */
const csvBytesMax = 2 * 1024 ** 3

/** Problems: file_unreadable, file_encrypted, file_too_complex, parameters_invalid, data_invalid. */
export async function xlsxTable(source: TableSource): Promise<Table> {
  const textPath = join(source.scratchFolder, 'sheet.csv')
  return withWorkbook(source.file.path, async (workbook) => {
    const sheet = chooseSheet(workbook, source.options.sheet)
    const { hasHeader, columns } = await writeSheet({ workbook, sheet, header: source.options.header, path: textPath })
    refuseWide(columns.length)
    const dialect = { delimiter: ',', decimal: '.', hasHeader: false, names: [] } as const
    return {
      format: 'xlsx',
      relation: csvRelation(textPath, dialect, columns, ', null_padding = true, parallel = false'),
      columns,
      bad: { count: 0, first: [] },
      hasHeader,
      sheet,
      sheets: workbook.sheets,
    }
  })
}

function chooseSheet({ sheets }: Workbook, wanted: string | undefined): string {
  const sheet = wanted === undefined ? sheets[0] : sheets.find((name) => name === wanted)
  if (sheet !== undefined) return sheet
  throw new Problem('parameters_invalid', {
    detail: `The workbook has no sheet called "${wanted}"; it has ${sheets.slice(0, 10).join(', ')}.`,
  })
}

/** What the cells of a column have been so far. */
type Kind = 'integer' | 'number' | 'bool' | 'date' | 'timestamp' | 'time' | 'text'

async function writeSheet(options: {
  workbook: Workbook
  sheet: string
  header: boolean | undefined
  path: string
}): Promise<{ hasHeader: boolean; columns: TableColumn[] }> {
  const output = createWriteStream(options.path)
  const kinds: (Kind | undefined)[] = []
  let names: string[] | undefined
  let hasHeader = false
  let bytes = 0
  for await (const row of options.workbook.readRows(options.sheet)) {
    if (names === undefined) {
      hasHeader = options.header ?? looksLikeHeader(row)
      names = hasHeader ? columnNames(Array.from(row, (cell) => (cell === undefined ? '' : cellText(cell)))) : []
      if (hasHeader) continue
    }
    const line = `${Array.from(row, (cell, column) => writeCell(cell, column, kinds)).join(',')}\n`
    bytes += line.length
    if (bytes > csvBytesMax)
      throw new Problem('file_too_complex', {
        detail: `The sheet holds more than ${csvBytesMax / 1024 ** 3} GiB of text.`,
      })
    if (!output.write(line)) await once(output, 'drain')
  }
  output.end()
  await once(output, 'finish')
  if (names === undefined) throw new Problem('data_invalid', { detail: `The sheet "${options.sheet}" is empty.` })
  const width = Math.max(names.length, kinds.length)
  const all = columnNames(Array.from({ length: width }, (_, column) => names[column] ?? ''))
  return { hasHeader, columns: all.map((name, column) => ({ name, type: typeOf(kinds[column]) })) }
}

const looksLikeHeader = (row: XlsxRow): boolean =>
  Array.from(row).every((cell) => cell === undefined || cell.kind === 'text')

/** The cell in CSV, with its column's kind widened to it. */
function writeCell(cell: XlsxCell | undefined, column: number, kinds: (Kind | undefined)[]): string {
  if (cell === undefined) return ''
  const text = cellText(cell)
  const kind = kindOf(cell, text)
  const known = kinds[column]
  if (known !== kind) kinds[column] = known === undefined ? kind : widened(known, kind)
  return kind === 'text' ? `"${text.replaceAll('"', '""')}"` : text
}

/** As people see it: dates in ISO form. */
export function cellText(cell: XlsxCell): string {
  switch (cell.kind) {
    case 'text':
      return cell.text
    case 'number':
    case 'bool':
      return String(cell.value)
    case 'date':
      return dateText(cell.serial)
  }
}

function kindOf(cell: XlsxCell, text: string): Kind {
  switch (cell.kind) {
    case 'text':
    case 'bool':
      return cell.kind
    case 'number':
      return Number.isSafeInteger(cell.value) ? 'integer' : 'number'
    case 'date':
      if (text.includes(' ')) return 'timestamp'
      return text.includes(':') ? 'time' : text.includes('-') ? 'date' : 'number'
  }
}

function widened(left: Kind, right: Kind): Kind {
  const pair = new Set([left, right])
  if (pair.has('integer') && pair.has('number')) return 'number'
  if (pair.has('date') && pair.has('timestamp')) return 'timestamp'
  return 'text'
}

function typeOf(kind: Kind | undefined): string {
  switch (kind) {
    case 'integer':
      return 'BIGINT'
    case 'number':
      return 'DOUBLE'
    case 'bool':
      return 'BOOLEAN'
    case 'date':
      return 'DATE'
    case 'timestamp':
      return 'TIMESTAMP'
    case 'time':
      return 'TIME'
    case 'text':
    case undefined:
      return 'VARCHAR'
  }
}

const dayMs = 86_400_000
/** 1899-12-30: counts as if 1900 had been a leap year, as Excel does from 1900-03-01 on. */
const epochMs = Date.UTC(1899, 11, 30)
/** 9999-12-31, the last day that Excel knows. */
const serialMax = 2_958_466

/** ISO date, date with time, or time of day; the number itself when it lies outside of Excel's calendar. */
function dateText(serial: number): string {
  if (serial < 0 || serial >= serialMax) return String(serial)
  const iso = new Date(epochMs + Math.round(serial * dayMs)).toISOString()
  const time = iso.slice(11, 23).replace('.000', '')
  if (serial < 1) return time
  return Number.isInteger(serial) ? iso.slice(0, 10) : `${iso.slice(0, 10)} ${time}`
}
