// The text of OpenDocument files (OASIS ODF 1.3): a page for the document, each sheet, each slide.

import { Problem } from '../../platform/problem.ts'
import { readMarkup } from './markup.ts'
import { readProperties, type DocumentProperties } from './office-text.ts'
import type { TextPages } from './text-pages.ts'
import type { ZipParts } from './zip.ts'

const manifestBytesMax = 16 * 1024 ** 2
/** Spaces in a row that are written as a number. */
const spacesCountMax = 100

/** Problems: file_unreadable, file_encrypted. */
export async function readOpenDocument(
  parts: ZipParts,
  kind: 'odt' | 'ods' | 'odp',
  pages: TextPages,
): Promise<DocumentProperties> {
  if (!parts.has('content.xml')) throw new Problem('file_unreadable', { detail: 'The document has no content part.' })
  await refuseEncrypted(parts)
  const pageTag = { odt: undefined, ods: 'table', odp: 'page' }[kind]
  if (pageTag === undefined) pages.page()
  let isBody = false
  let paragraphDepth = 0
  let leftOutDepth = 0
  let tableDepth = 0
  await readMarkup(parts.text('content.xml'), {
    open: (tag, attributes) => {
      if (tag === 'body') isBody = true
      // Text that was deleted while changes were recorded.
      if (tag === 'tracked-changes') leftOutDepth += 1
      if (!isBody || leftOutDepth > 0) return
      if (tag === 'table') tableDepth += 1
      if (tag === pageTag && (tag !== 'table' || tableDepth === 1)) {
        pages.page()
        pages.title(attributes['table:name'] ?? attributes['draw:name'] ?? '')
      } else if (tag === 'p' || tag === 'h') paragraphDepth += 1
      else if (tag === 'tab') pages.text('\t')
      else if (tag === 'line-break') pages.line()
      else if (tag === 's') pages.text(' '.repeat(Math.min(Number(attributes['text:c'] ?? 1) || 1, spacesCountMax)))
      else if (tag === 'image') pages.hasImages()
    },
    text: (text) => {
      if (paragraphDepth > 0 && leftOutDepth === 0) pages.text(text.replaceAll(/\s+/gu, ' '))
    },
    close: (tag) => {
      if (tag === 'tracked-changes') leftOutDepth -= 1
      if (!isBody || leftOutDepth > 0) return
      if (tag === 'table') tableDepth -= 1
      if (tag === 'p' || tag === 'h') {
        paragraphDepth -= 1
        if (tableDepth === 0) pages.line()
      } else if (tag === 'table-cell' || tag === 'covered-table-cell') pages.text('\t')
      else if (tag === 'table-row') pages.line()
    },
    enough: () => pages.isFull(),
  })
  return readProperties(parts, 'meta.xml')
}

async function refuseEncrypted(parts: ZipParts): Promise<void> {
  await readMarkup([await parts.whole('META-INF/manifest.xml', manifestBytesMax)], {
    open: (tag) => {
      if (tag === 'encryption-data')
        throw new Problem('file_encrypted', { detail: 'The document is protected by a password.' })
    },
  })
}
