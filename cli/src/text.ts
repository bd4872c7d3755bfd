// Text as a terminal shows it: harmless, of a known width, in columns.

import { stripVTControlCharacters } from 'node:util'

/**
 * The text without anything that a terminal would obey. Names of files and messages of servers pass through here: an
 * escape sequence in one could move the cursor, rename the window or forge the line above.
 */
export function printable(text: string): string {
  return text.replaceAll(hazards, (character) => {
    if (character === '\n') return '⏎'
    if (character === '\t') return ' '
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
  })
}
// C0, DEL and C1 controls, line separators, and the marks that reverse the direction of what follows.
// eslint-disable-next-line no-control-regex
const hazards = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** Columns that the text takes; styles take none. */
export function widthOf(text: string): number {
  let width = 0
  for (const { segment } of graphemes.segment(stripVTControlCharacters(text))) width += wide.test(segment) ? 2 : 1
  return width
}
const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' })
const wide =
  /\p{Emoji_Presentation}|\ufe0f|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u

/** At most so many columns; what is cut off is told by an ellipsis in the middle, so that an extension stays. */
export function shorten(text: string, columnsMax: number): string {
  if (widthOf(text) <= columnsMax) return text
  const segments = [...graphemes.segment(text)].map(({ segment }) => segment)
  let head = 0
  let tail = segments.length
  let columns = 1
  // Two from the front for one from the back.
  for (let turn = 0; head < tail; turn++) {
    const segment = turn % 3 === 2 ? segments[tail - 1] : segments[head]
    columns += widthOf(segment ?? '')
    if (columns > columnsMax) break
    if (turn % 3 === 2) tail--
    else head++
  }
  return `${segments.slice(0, head).join('')}…${segments.slice(tail).join('')}`
}

export const padEnd = (text: string, columns: number): string => text + ' '.repeat(Math.max(columns - widthOf(text), 0))
export const padStart = (text: string, columns: number): string =>
  ' '.repeat(Math.max(columns - widthOf(text), 0)) + text

export interface Column<Row> {
  title: string
  value: (row: Row) => string
  /** Figures stand on the right. */
  align?: 'right'
  columnsMax?: number
}

/** Lines of a table, the title line first; every value is made printable. */
export function tableLines<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string[] {
  const cells = rows.map((row) =>
    columns.map(({ value, columnsMax = 60 }) => shorten(printable(value(row)), columnsMax)),
  )
  const lines = [columns.map(({ title }) => title), ...cells]
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => widthOf(line[index] ?? ''))))
  return lines.map((line) =>
    line
      .map((cell, index) =>
        columns[index]?.align === 'right' ? padStart(cell, widths[index] ?? 0) : padEnd(cell, widths[index] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
}

const sizeUnits = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** 0 B, 1.5 kB, 24 MB: decimal units, as disks and networks are sold. */
export function formatBytes(sizeBytes: number): string {
  let value = sizeBytes
  let unit = 0
  while (value >= 999.5 && unit < sizeUnits.length - 1) {
    value /= 1_000
    unit++
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toPrecision(2)} ${sizeUnits[unit]}`
}

/** 0.04, 1.3, 12, 340: seconds, as many figures as mean something. */
export function formatSeconds(durationMs: number): string {
  const seconds = Math.max(durationMs, 0) / 1_000
  if (seconds < 1) return seconds.toFixed(2)
  return seconds < 10 ? seconds.toFixed(1) : Math.round(seconds).toString()
}

/** 1 file, 2 files. */
export const formatCount = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString('en')} ${count === 1 ? one : many}`

/** 2026-11-25 13:40:07, in the reader's own time zone. */
export function formatTime(at: string): string {
  const date = new Date(at)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}
