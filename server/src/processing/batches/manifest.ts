// Reads a list of files, one a line: ids or names, as CSV or as lines of JSON. It is a stream: a list of a million lines
// takes no more memory than one of ten. A line that cannot be understood is told and passed over, never the end.
//
//   CSV    a first line with file_id or name (other columns are passed over), or without one the first cell of each line
//   JSONL  "file_…", "a name.pdf", { "file_id": "file_…" } or { "name": "a name.pdf" }

import type { ManifestFormat } from '@millrace/contract'
import { parseCells, recordLengthMax, splitRecords } from '../../platform/csv.ts'
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
