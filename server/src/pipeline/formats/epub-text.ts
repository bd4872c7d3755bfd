// The text of an EPUB (W3C EPUB 3, also 2): a page per chapter, in reading order. References lead to parts of the
// container only; one that leads elsewhere leads to nothing.

import { posix } from 'node:path'
import { Problem } from '../../platform/problem.ts'
import { htmlHandler } from './html-text.ts'
import { readMarkup } from './markup.ts'
import type { DocumentProperties } from './office-text.ts'
import type { TextPages } from './text-pages.ts'
import type { ZipParts } from './zip.ts'

const listBytesMax = 16 * 1024 ** 2

/** Problems: file_unreadable, file_encrypted. */
export async function readEpub(parts: ZipParts, pages: TextPages): Promise<DocumentProperties> {
  const { chapters, ...properties } = await readPackage(parts, await packageName(parts))
  if (chapters.length === 0) throw new Problem('file_unreadable', { detail: 'The book has no chapter.' })
  const locked = await lockedParts(parts)
  if (chapters.some((name) => locked.has(name)))
    throw new Problem('file_encrypted', { detail: 'The book is protected against copying (DRM).' })
  for (const name of chapters) {
    if (pages.isFull()) break
    pages.page()
    await readMarkup(
      parts.text(name),
      htmlHandler(pages, (title) => pages.title(title)),
      'html',
    )
  }
  return properties
}

async function packageName(parts: ZipParts): Promise<string> {
  let name: string | undefined
  await readMarkup([await parts.whole('META-INF/container.xml', listBytesMax)], {
    open: (tag, attributes) => {
      if (tag === 'rootfile') name ??= attributes['full-path']
    },
  })
  if (name === undefined || !parts.has(name))
    throw new Problem('file_unreadable', { detail: 'The book does not name its contents.' })
  return name
}

async function readPackage(parts: ZipParts, name: string): Promise<DocumentProperties & { chapters: string[] }> {
  const hrefs = new Map<string, string>()
  const chapters: string[] = []
  const found = { title: '', creator: '' }
  let told: keyof typeof found | undefined
  await readMarkup([await parts.whole(name, listBytesMax)], {
    open: (tag, { id, href, idref }) => {
      if (tag === 'item' && id !== undefined && href !== undefined) hrefs.set(id, href)
      else if (tag === 'itemref') {
        const part = partName(name, hrefs.get(idref ?? '') ?? '')
        if (parts.has(part)) chapters.push(part)
      } else if ((tag === 'title' || tag === 'creator') && found[tag] === '') told = tag
    },
    text: (text) => {
      if (told !== undefined) found[told] = `${found[told]}${text}`.slice(0, 1000)
    },
    close: () => {
      told = undefined
    },
  })
  return { chapters, title: found.title.trim() || null, author: found.creator.trim() || null }
}

/** References are relative URLs; names of parts are not. */
function partName(from: string, href: string): string {
  const path = href.replace(/#.*$/su, '')
  try {
    return posix.join(posix.dirname(from), decodeURIComponent(path))
  } catch {
    return posix.join(posix.dirname(from), path)
  }
}

/** Fonts are often scrambled, which locks nobody out; text that is encrypted does. */
async function lockedParts(parts: ZipParts): Promise<Set<string>> {
  const names = new Set<string>()
  await readMarkup([await parts.whole('META-INF/encryption.xml', listBytesMax)], {
    open: (tag, attributes) => {
      if (tag === 'CipherReference') names.add(partName('.', attributes['URI'] ?? ''))
    },
  })
  return names
}
