// Reads a list of files, one a line: ids or names, as CSV or as lines of JSON. It is a stream: a list of a million lines
// takes no more memory than one of ten. A line that cannot be understood is told and passed over, never the end.
//
//   CSV    a first line with file_id or name (other columns are passed over), or without one the first cell of each line
//   JSONL  "file_…", "a name.pdf", { "file_id": "file_…" } or { "name": "a name.pdf" }

import type { ManifestFormat } from '@millrace/contract'
import { decodeId, type RowId } from '../../platform/ids.ts'

export interface ManifestEntry {
  /** Where it begins, from 1. */
  line: number
  /** What stands there, shortened. */
  reference: string
  /** An entry names a file by id or by name, or has a fault. */
  fileId?: RowId<'file'>
  name?: string
  fault?: string
}

/** A name of 4,000 characters, each escaped as JSON may do, with room for other columns. */
const recordLengthMax = 64 * 1024
export const referenceLengthMax = 4_000

export async function* readManifest(
  chunks: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
  format: ManifestFormat,
): AsyncGenerator<ManifestEntry> {
  const parse = format === 'csv' ? createCsvParser() : parseJson
  for await (const { line, text } of splitRecords(chunks, format === 'csv')) {
    if (text === undefined) {
      yield { line, reference: '', fault: `The line is longer than ${recordLengthMax} characters.` }
    } else if (text.trim() !== '') {
      const found = parse(text)
      if (found !== undefined)
        yield checkEntry({ ...found, line, reference: found.reference.slice(0, referenceLengthMax) })
    }
  }
}

type Found = Omit<ManifestEntry, 'line'>

/** NUL stands in no name, and the database could not hold it. */
function checkEntry(entry: ManifestEntry): ManifestEntry {
  const { line, name } = entry
  const reference = entry.reference.replaceAll('\0', '\ufffd').toWellFormed()
  if (name === undefined) return { ...entry, reference }
  if (name.length > referenceLengthMax) return { line, reference, fault: 'No file has a name as long as this.' }
  if (name.includes('\0') || !name.isWellFormed()) return { line, reference, fault: 'No file has such a name.' }
  return { ...entry, reference }
}

/** Records with the lines where they begin; no text for one that is too long. A quoted cell may hold line ends. */
async function* splitRecords(
  chunks: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
  quotes: boolean,
): AsyncGenerator<{ line: number; text: string | undefined }> {
  const decoder = new TextDecoder()
  let line = 1
  let begun = 1
  let open = ''
  let tooLong = false
  let inQuotes = false
  let rest = ''
  /** One physical line; answers the record that ended with it. */
  const take = (text: string): { line: number; text: string | undefined } | undefined => {
    if (open === '' && !tooLong) begun = line
    line += 1
    if (quotes && countQuotes(text) % 2 === 1) inQuotes = !inQuotes
    open = open === '' ? text : `${open}\n${text}`
    if (open.length > recordLengthMax) {
      // Whatever the quotes were to hold, the next line begins anew.
      open = ''
      inQuotes = false
      tooLong = true
    }
    if (inQuotes) return undefined
    const record = { line: begun, text: tooLong ? undefined : open }
    open = ''
    tooLong = false
    return record
  }
  for await (const chunk of chunks) {
    rest += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
    let from = 0
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', from)) {
      const record = take(rest.slice(from, rest[end - 1] === '\r' ? end - 1 : end))
      from = end + 1
      if (record) yield record
    }
    rest = rest.slice(from)
    if (rest.length > recordLengthMax) {
      tooLong = true
      rest = ''
    }
  }
  rest += decoder.decode()
  if (rest !== '' || tooLong) {
    const record = take(rest)
    if (record) yield record
  }
  if (inQuotes) yield { line: begun, text: open }
}

function countQuotes(text: string): number {
  let count = 0
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) count += 1
  return count
}

const byteOrderMark = '\ufeff'

function createCsvParser(): (text: string) => Found | undefined {
  let columns: { fileId: number; name: number } | undefined
  let first = true
  return (text) => {
    const cells = parseCells(first && text.startsWith(byteOrderMark) ? text.slice(1) : text)
    if (cells === undefined) return { reference: text, fault: 'A quoted cell does not end.' }
    if (first) {
      first = false
      const names = cells.map((cell) => cell.trim().toLowerCase())
      const found = { fileId: names.indexOf('file_id'), name: names.indexOf('name') }
      if (found.fileId >= 0 || found.name >= 0) {
        columns = found
        return undefined
      }
    }
    if (columns === undefined) return refer(cells[0] ?? '')
    const id = columns.fileId < 0 ? '' : (cells[columns.fileId] ?? '').trim()
    return id === '' ? referByName(columns.name < 0 ? '' : (cells[columns.name] ?? '')) : referById(id)
  }
}

/** Cells of one record by RFC 4180; nothing for a quote that is not closed. */
function parseCells(text: string): string[] | undefined {
  if (!text.includes('"')) return text.split(',')
  const cells: string[] = []
  for (let at = 0; at <= text.length;) {
    if (text[at] !== '"') {
      const comma = text.indexOf(',', at)
      const end = comma < 0 ? text.length : comma
      cells.push(text.slice(at, end))
      at = end + 1
      continue
    }
    let cell = ''
    for (at += 1; ;) {
      const quote = text.indexOf('"', at)
      if (quote < 0) return undefined
      cell += text.slice(at, quote)
      at = quote + 1
      if (text[at] !== '"') break
      cell += '"'
      at += 1
    }
    const comma = text.indexOf(',', at)
    cells.push(cell)
    at = comma < 0 ? text.length + 1 : comma + 1
  }
  return cells
}

function parseJson(text: string): Found {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { reference: text, fault: 'The line is not JSON.' }
  }
  if (typeof value === 'string') return refer(value)
  if (typeof value === 'object' && value !== null) {
    if ('file_id' in value && typeof value.file_id === 'string') return referById(value.file_id)
    if ('name' in value && typeof value.name === 'string') return referByName(value.name)
  }
  return { reference: text, fault: 'The line is neither a text nor an object with file_id or name.' }
}

function refer(text: string): Found {
  const fileId = decodeId('file', text.trim())
  return fileId === undefined ? referByName(text) : { reference: text.trim(), fileId }
}

function referById(text: string): Found {
  const fileId = decodeId('file', text)
  return fileId === undefined
    ? { reference: text, fault: 'This is not the id of a file.' }
    : { reference: text, fileId }
}

const referByName = (name: string): Found =>
  name === '' ? { reference: '', fault: 'The line names no file.' } : { reference: name, name }
