// Where the records of a CSV file stand: DuckDB tells faults by record or by byte, people look for lines.

import { createReadStream } from 'node:fs'

export interface CsvRecordPlace {
  /** From 1. */
  line: number
  /** Of the record's first byte, from 0. */
  offsetBytes: number
  blank: boolean
}

const lineFeed = 0x0a
const carriageReturn = 0x0d
const quote = 0x22
const chunkBytes = 1024 * 1024

/** Old Macintosh files end their lines with a carriage return alone. */
const lineEndOf = (bytes: Buffer): number =>
  bytes.includes(lineFeed) || !bytes.includes(carriageReturn) ? lineFeed : carriageReturn

/** Places of all records in file order, header and blank lines included. The file is in UTF-8. */
export async function* csvRecordPlaces(path: string, delimiter: string): AsyncGenerator<CsvRecordPlace> {
  const delimiterByte = delimiter.charCodeAt(0)
  const state = { quoted: false, justClosed: false, cellStart: true }
  let lineEnd: number | undefined
  let line = 1
  let offset = 0
  let record: CsvRecordPlace = { line, offsetBytes: 0, blank: true }
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) {
    // A Buffer, because the stream has no encoding.
    const bytes = chunk as Buffer
    lineEnd ??= lineEndOf(bytes)
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at] ?? 0
      if (byte === lineEnd) {
        line += 1
        if (state.quoted) continue
        yield record
        record = { line, offsetBytes: offset + at + 1, blank: true }
        Object.assign(state, { justClosed: false, cellStart: true })
        continue
      }
      if (byte === quote) {
        const opens = !state.quoted && (state.cellStart || state.justClosed)
        state.justClosed = state.quoted
        state.quoted = opens
      } else state.justClosed = false
      state.cellStart = !state.quoted && byte === delimiterByte
      if (byte !== carriageReturn) record.blank = false
    }
    offset += bytes.length
  }
  if (!record.blank) yield record
}

/** Lines of the records that begin at or just after each offset (DuckDB counts a blank line before to the record). */
export async function linesAt(path: string, offsetsBytes: readonly number[]): Promise<Map<number, number>> {
  const lines = new Map<number, number>()
  const waiting = [...offsetsBytes].sort((left, right) => left - right)
  let line = 1
  let offset = 0
  let lineEnd: number | undefined
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) {
    const bytes = chunk as Buffer
    lineEnd ??= lineEndOf(bytes)
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at]
      if (byte !== lineFeed && byte !== carriageReturn)
        while (offset + at >= (waiting[0] ?? Number.POSITIVE_INFINITY)) lines.set(waiting.shift() ?? 0, line)
      if (byte === lineEnd) line += 1
    }
    offset += bytes.length
    if (waiting.length === 0) break
  }
  return lines
}
