// Which kind of document a file is: by its content where its format can be told, else by its type and name.

import { open } from 'node:fs/promises'
import { Problem } from '../../platform/problem.ts'
import type { InputFile } from '../processor.ts'
import { oldOfficeFile } from './table-format.ts'
import { withZip, type ZipParts } from './zip.ts'

export type DocumentFormat =
  | 'pdf'
  | 'docx'
  | 'pptx'
  | 'xlsx'
  | 'odt'
  | 'ods'
  | 'odp'
  | 'epub'
  | 'rtf'
  | 'html'
  | 'mail'
  | 'text'

const byType: Record<string, DocumentFormat> = {
  'application/pdf': 'pdf',
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'docx',
  'application/vnd.openxmlformats-officedocument.presentationml.presentation': 'pptx',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': 'xlsx',
  'application/vnd.oasis.opendocument.text': 'odt',
  'application/vnd.oasis.opendocument.spreadsheet': 'ods',
  'application/vnd.oasis.opendocument.presentation': 'odp',
  'application/epub+zip': 'epub',
  'application/rtf': 'rtf',
  'text/rtf': 'rtf',
  'text/html': 'html',
  'application/xhtml+xml': 'html',
  'message/rfc822': 'mail',
}
const names: Partial<Record<DocumentFormat, string>> = {
  pdf: 'a PDF',
  docx: 'a Word document',
  pptx: 'a presentation',
  xlsx: 'an Excel workbook',
  odt: 'an OpenDocument text',
  ods: 'an OpenDocument spreadsheet',
  odp: 'an OpenDocument presentation',
  epub: 'an EPUB',
  rtf: 'an RTF document',
}

/** A PDF may have a little of something else in front (ISO 32000-1, annex H.3.4.1). */
const startBytes = 1024

/** Problems: file_empty, file_encrypted, file_unreadable, file_type_unsupported, file_too_complex. */
export async function documentFormatOf(file: InputFile): Promise<DocumentFormat> {
  if (file.sizeBytes === 0) throw new Problem('file_empty', { detail: 'The file has no bytes, so it holds no text.' })
  const start = await readStart(file.path)
  const told = byType[file.contentType] ?? 'text'
  if (start.includes('%PDF-')) return 'pdf'
  if (start.startsWith('PK\x03\x04')) return withZip(file.path, async (parts) => packageFormat(parts, file))
  if (start.startsWith('\xd0\xcf\x11\xe0')) throw await oldOfficeFile(file)
  if (start.startsWith('{\\rtf')) return 'rtf'
  const name = names[told]
  if (name !== undefined)
    throw new Problem('file_unreadable', {
      detail: `The file is called ${name}, but its content is something else or was cut off at the beginning.`,
    })
  return told
}

async function readStart(path: string): Promise<string> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(startBytes), 0, startBytes, 0)
    return buffer.toString('latin1', 0, bytesRead)
  } finally {
    await file.close()
  }
}

async function packageFormat(parts: ZipParts, file: InputFile): Promise<DocumentFormat> {
  const declared = (await parts.whole('mimetype', startBytes)).trim()
  const format = byType[declared.replace(/-template$/u, '')]
  if (format !== undefined) return format
  if (parts.has('META-INF/container.xml') && parts.names.some((name) => name.endsWith('.opf'))) return 'epub'
  if (parts.has('[Content_Types].xml') || parts.has('_rels/.rels')) {
    if (parts.names.some((name) => name.startsWith('word/'))) return 'docx'
    if (parts.has('ppt/presentation.xml')) return 'pptx'
    if (parts.names.some((name) => name.startsWith('xl/'))) return 'xlsx'
  }
  const told = byType[file.contentType]
  if (told !== undefined && names[told] !== undefined)
    throw new Problem('file_unreadable', { detail: `The file is called ${names[told]}, but lacks the parts of one.` })
  throw new Problem('file_type_unsupported', { detail: 'The file is a zip archive, not a document.' })
}
