// document.text: the text of a document, page by page.

import { Type } from 'typebox'
import { pageRange } from '../page-range.ts'
import { defineProcessor } from '../processor.ts'

export const documentText = defineProcessor({
  name: 'document.text',
  stage: 'analyze',
  version: 1,
  summary:
    'Takes the text out of PDF, Word, PowerPoint, Excel, OpenDocument, EPUB, RTF, HTML, mail and plain text, page by page, and tells which PDFs need OCR.',
  accepts: [
    'application/pdf',
    'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    'application/vnd.openxmlformats-officedocument.presentationml.presentation',
    'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
    'application/vnd.oasis.opendocument.text',
    'application/vnd.oasis.opendocument.spreadsheet',
    'application/vnd.oasis.opendocument.presentation',
    'application/epub+zip',
    'application/rtf',
    'application/xhtml+xml',
    'message/rfc822',
    'text/*',
    'application/json',
    'application/jsonl',
    'application/xml',
    'application/yaml',
    'application/sql',
    'application/x-subrip',
    'application/x-tex',
  ],
  parameters: Type.Object(
    {
      pages: Type.Optional(pageRange('Pages of a PDF to read; all when absent.')),
      characters: Type.Integer({
        minimum: 1,
        maximum: 20_000_000,
        default: 5_000_000,
        description: 'Characters taken at most; the result says when there were more.',
      }),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1536 * 1024 ** 2, timeoutMs: 300_000, outputBytesMax: 256 * 1024 ** 2, outputFilesMax: 2 },
  costClass: 'M',
  cost: { baseMs: 5, perMbMs: 45 },
  isolation: 'warm',
})
