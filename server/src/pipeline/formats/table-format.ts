// Which kind of table a file holds: by its first bytes where the format has some, else by its type and name.

import { open } from 'node:fs/promises'
import { Problem } from '../../platform/problem.ts'
import type { InputFile } from '../processor.ts'

export type TableFormat = 'csv' | 'json' | 'jsonl' | 'parquet' | 'xlsx'

const byType: Record<string, TableFormat> = {
  'text/csv': 'csv',
  'text/tab-separated-values': 'csv',
  'application/json': 'json',
  'application/jsonl': 'jsonl',
  'application/x-ndjson': 'jsonl',
  'application/vnd.apache.parquet': 'parquet',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': 'xlsx',
}
const byExtension: Record<string, TableFormat> = {
  csv: 'csv',
  tsv: 'csv',
  tab: 'csv',
  json: 'json',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  parquet: 'parquet',
  xlsx: 'xlsx',
}
const binary = new Set<TableFormat>(['parquet', 'xlsx'])

/** Problems: file_empty, file_encrypted, file_unreadable, file_type_unsupported. */
export async function formatOf(file: InputFile): Promise<TableFormat> {
  if (file.sizeBytes === 0) throw new Problem('file_empty', { detail: 'The file has no bytes, so it holds no table.' })
  const told = byType[file.contentType] ?? byExtension[file.name.split('.').at(-1)?.toLowerCase() ?? '']
  const start = await firstBytes(file.path)
  if (start.subarray(0, 4).toString('latin1') === 'PAR1') return 'parquet'
  if (start.readUInt32BE(0) === 0x504b0304) return 'xlsx'
  if (start.readUInt32BE(0) === 0xd0cf11e0) throw await oldOfficeFile(file)
  if (told === undefined)
    throw new Problem('file_type_unsupported', { detail: `"${file.contentType}" is not a kind of table.` })
  if (binary.has(told)) {
    const name = told === 'xlsx' ? 'an Excel workbook' : 'a Parquet file'
    throw new Problem('file_unreadable', { detail: `The file is called ${name}, but its content is something else.` })
  }
  return told
}

async function firstBytes(path: string): Promise<Buffer> {
  const file = await open(path)
  try {
    const { buffer } = await file.read(Buffer.alloc(8), 0, 8, 0)
    return buffer
  } finally {
    await file.close()
  }
}

/** An OLE container: a workbook that a password protects, or one of the format before 2007. */
export async function oldOfficeFile(file: Pick<InputFile, 'path'>): Promise<Problem> {
  const marker = Buffer.from('EncryptedPackage', 'utf16le')
  const handle = await open(file.path)
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(oleBytesMax), 0, oleBytesMax, 0)
    if (buffer.subarray(0, bytesRead).includes(marker))
      return new Problem('file_encrypted', { detail: 'The document is protected by a password.' })
  } finally {
    await handle.close()
  }
  return new Problem('file_type_unsupported', {
    detail: 'The file is of an Office format from before 2007 (.xls, .doc, .ppt). Save it in the current format.',
  })
}

/** The directory of the container lies near its start or its end; this much of it is looked at. */
const oleBytesMax = 8 * 1024 ** 2
