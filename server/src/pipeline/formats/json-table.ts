// JSON and JSONL as a table. Nesting is measured before DuckDB sees the file, because its reader recurses.

import { createReadStream, createWriteStream } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Problem } from '../../platform/problem.ts'
import { literal } from './duckdb.ts'
import type { BadRecord, Table, TableSource } from './table.ts'

/** Deeper documents are no tables; the reader overflows its stack at some thousands. */
const depthMax = 200
const badLinesToldMax = 20

/** Problems: file_too_complex for nesting deeper than a table has. */
export async function refuseDeepJson(path: string, isPerLine: boolean): Promise<void> {
  let depth = 0
  let inString = false
  let escaped = false
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    // A Buffer, because the stream has no encoding.
    for (const byte of chunk as Buffer) {
      if (isPerLine && byte === 0x0a) {
        // Whatever was left open in a faulty line ends with it.
        depth = 0
        inString = false
        escaped = false
      } else if (inString) {
        if (escaped) escaped = false
        else if (byte === 0x5c) escaped = true
        else if (byte === 0x22) inString = false
      } else if (byte === 0x22) inString = true
      else if (byte === 0x5b || byte === 0x7b) {
        depth += 1
        if (depth > depthMax)
          throw new Problem('file_too_complex', { detail: `The JSON is nested deeper than ${depthMax} levels.` })
      } else if (byte === 0x5d || byte === 0x7d) depth -= 1
    }
  }
}

/** Types from all values, and for JSONL the lines that are no records apart. Problems: file_unreadable. */
export async function stageJson(
  source: TableSource,
  format: 'json' | 'jsonl',
  objectBytesMax: number,
): Promise<Omit<Table, 'columns'>> {
  const clean =
    format === 'jsonl'
      ? await cleanLines(source.file.path, join(source.scratchFolder, 'clean.jsonl'))
      : { path: source.file.path, bad: { count: 0, first: [] } }
  const relation = `read_json(${literal(clean.path)}, format = '${format === 'jsonl' ? 'newline_delimited' : 'auto'}', sample_size = -1, maximum_object_size = ${objectBytesMax})`
  try {
    await source.database.run(`CREATE OR REPLACE TEMP TABLE staged AS FROM ${relation}`)
  } catch (cause) {
    const place = /in (?:line|record\/value) (\d+)/u.exec(cause instanceof Error ? cause.message : '')?.[1]
    const where =
      place === undefined ? '' : ` The first fault is in ${format === 'jsonl' ? 'line' : 'record'} ${place}.`
    throw new Problem('file_unreadable', { detail: `The file is not valid JSON, or it was cut off.${where}`, cause })
  }
  return { format, relation: 'staged', bad: clean.bad, ...(format === 'jsonl' ? jsonlLines(source.file.path) : {}) }
}

/** Where the rows of a JSONL file stand; blank and faulty lines are no rows. */
export const jsonlLines = (path: string): Required<Pick<Table, 'linesOfRows'>> => ({
  linesOfRows: async (rows) => {
    const wanted = new Set(rows)
    const lines = new Map<number, number>()
    let [row, line] = [0, 0]
    for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
      line += 1
      if (text.trim() === '' || faultOf(text) !== undefined) continue
      row += 1
      if (wanted.has(row)) lines.set(row, line)
      if (lines.size === wanted.size) break
    }
    return lines
  },
})

async function cleanLines(path: string, target: string): Promise<{ path: string; bad: Table['bad'] }> {
  const first: BadRecord[] = []
  let count = 0
  let line = 0
  const output = createWriteStream(target)
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    line += 1
    if (text.trim() === '') continue
    const reason = faultOf(text)
    if (reason === undefined) {
      if (!output.write(`${text}\n`)) await once(output, 'drain')
      continue
    }
    count += 1
    if (first.length < badLinesToldMax) first.push({ line, reason })
  }
  output.end()
  await once(output, 'finish')
  return { path: target, bad: { count, first } }
}

function faultOf(text: string): string | undefined {
  try {
    JSON.parse(text)
    return undefined
  } catch {
    return 'not valid JSON'
  }
}
