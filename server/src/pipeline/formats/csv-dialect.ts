// How a CSV file is written: its delimiter and whether its first record is a header. Pure, from a sample of its text.
// DuckDB's own sniffer gives up on one ragged record or takes the whole line for a column, which would turn a small
// fault of the owner's file into a wrong table; this one counts records that agree and lets the reader find the faults.

export const delimiters = [',', ';', '\t', '|'] as const

export interface CsvDialect {
  delimiter: string
  /** What stands before the fraction of a number. */
  decimal: '.' | ','
  hasHeader: boolean
  /** Unique and never empty. */
  names: readonly string[]
}

/** Records looked at. */
const recordsLookedAtCount = 200

/** Cells of the sample's records, RFC 4180: quotes double inside quotes; a cut last record is left out. */
export function parseSample(sample: string, delimiter: string, recordsCountMax = recordsLookedAtCount): string[][] {
  const records: string[][] = []
  let record: string[] = []
  let cell = ''
  let quoted = false
  for (let at = 0; at < sample.length && records.length < recordsCountMax; at += 1) {
    const character = sample.charAt(at)
    if (quoted) {
      if (character !== '"') cell += character
      else if (sample.charAt(at + 1) === '"') {
        cell += '"'
        at += 1
      } else quoted = false
    } else if (character === '"' && cell === '') quoted = true
    else if (character === delimiter) {
      record.push(cell)
      cell = ''
    } else if (character === '\n' || character === '\r') {
      if (character === '\r' && sample.charAt(at + 1) === '\n') at += 1
      if (record.length > 0 || cell !== '') records.push([...record, cell])
      record = []
      cell = ''
    } else cell += character
  }
  return records
}

/** The dialect of the text that `sample` begins; give it a closing newline when the sample is the whole file. */
export function detectDialect(
  sample: string,
  wish: { delimiter?: string | undefined; hasHeader?: boolean | undefined } = {},
): CsvDialect {
  const candidates = wish.delimiter === undefined ? delimiters : [wish.delimiter]
  const scored = candidates.map((delimiter) => {
    const records = parseSample(sample, delimiter)
    return { delimiter, records, score: agreement(records) }
  })
  const best = scored.reduce((left, right) => (right.score > left.score ? right : left), {
    delimiter: wish.delimiter ?? ',',
    records: parseSample(sample, wish.delimiter ?? ','),
    score: 0,
  })
  const hasHeader = wish.hasHeader ?? looksLikeHeader(best.records)
  const first = best.records[0] ?? []
  const names = columnNames(hasHeader ? first : first.map(() => ''))
  const decimal = writesDecimalCommas(best.delimiter, best.records.slice(hasHeader ? 1 : 0)) ? ',' : '.'
  return { delimiter: best.delimiter, decimal, hasHeader, names }
}

/** As in much of Europe: a column of numbers has commas, and no cell is a number with a point. */
function writesDecimalCommas(delimiter: string, records: string[][]): boolean {
  if (delimiter === ',' || records.flat().some((cell) => /^[-+]?\d+\.\d+$/u.test(cell))) return false
  const width = Math.max(0, ...records.map((record) => record.length))
  return Array.from({ length: width }, (_, column) => records.map((record) => record[column] ?? '')).some((cells) => {
    const values = cells.filter((cell) => cell !== '')
    return (
      values.length > 0 &&
      values.every((cell) => /^[-+]?\d+(?:,\d+)?$/u.test(cell)) &&
      values.some((cell) => cell.includes(','))
    )
  })
}

/** Share of records as wide as the commonest width above one, with a little for width, so that a wider reading wins. */
function agreement(records: string[][]): number {
  const counts = new Map<number, number>()
  for (const { length } of records) if (length > 1) counts.set(length, (counts.get(length) ?? 0) + 1)
  let best = 0
  for (const [width, count] of counts)
    best = Math.max(best, (count / records.length) * (1 + Math.min(width, 50) / 1000))
  return best
}

const numberOrDate =
  /^\s*(?:[-+]?(?:\d[\d ',.]*)?\d(?:[eE][-+]?\d+)?%?|\d{4}-\d\d-\d\d.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}|true|false)\s*$/iu

/** A header names its columns: no cell of it is empty or a value where values of that kind follow below. */
function looksLikeHeader(records: string[][]): boolean {
  const [first, ...rest] = records
  if (first === undefined) return false
  const below = rest.slice(0, 50)
  if (
    first.some((cell, column) => !numberOrDate.test(cell) && below.some((row) => numberOrDate.test(row[column] ?? '')))
  )
    return true
  return first.every((cell) => cell.trim() !== '' && !numberOrDate.test(cell))
}

/** Cells of a header as column names: trimmed, bounded, filled in where empty, numbered where repeated. */
export function columnNames(cells: readonly string[]): string[] {
  const used = new Set<string>()
  return cells.map((cell, index) => {
    // Names go into SQL, reports and other files: control characters have no place in them.
    const base =
      cell
        .replaceAll(/\p{Cc}+/gu, ' ')
        .trim()
        .slice(0, nameCharactersMax) || `column_${index + 1}`
    let name = base
    for (let number = 2; used.has(name.toLowerCase()); number += 1) name = `${base}_${number}`
    used.add(name.toLowerCase())
    return name
  })
}

const nameCharactersMax = 200
