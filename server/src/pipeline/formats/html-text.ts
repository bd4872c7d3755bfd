// The text of HTML as a reader sees it: no markup, no scripts and styles, spaces as one, a line per block.

import { open } from 'node:fs/promises'
import type { MarkupHandler } from './markup.ts'
import { readMarkup } from './markup.ts'
import { decodedChunks, detectEncoding } from './text-encoding.ts'
import type { TextPages } from './text-pages.ts'

const unseen = new Set(['script', 'style', 'template', 'noscript', 'svg', 'iframe', 'title'])
const paragraphs = new Set(['p', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'table', 'blockquote', 'pre', 'dl'])
const lines = new Set(
  'address article aside br caption dd div dt fieldset figcaption figure footer form header hr li main nav option section tr'.split(
    ' ',
  ),
)

/** A handler that writes what it is shown into `pages`; `onTitle` is told the title of the document. */
export function htmlHandler(pages: TextPages, onTitle: (title: string) => void = () => {}): MarkupHandler {
  let unseenDepth = 0
  let preDepth = 0
  let title: string | undefined
  let hasSpace = true
  const write = (text: string): void => {
    pages.text(text)
    hasSpace = /\s$/u.test(text)
  }
  const breakAt = (name: string): void => {
    if (paragraphs.has(name)) pages.paragraph()
    else if (lines.has(name)) pages.line()
    else return
    hasSpace = true
  }
  return {
    open: (name) => {
      if (name === 'title' && title === undefined) title = ''
      if (unseen.has(name)) unseenDepth += 1
      if (unseenDepth > 0) return
      if (name === 'pre') preDepth += 1
      breakAt(name)
    },
    close: (name) => {
      if (name === 'title' && title !== undefined) {
        onTitle(title.replaceAll(/\s+/gu, ' ').trim())
        title = undefined
      }
      if (unseen.has(name)) unseenDepth -= 1
      if (unseenDepth > 0) return
      if (name === 'pre') preDepth -= 1
      if (name === 'td' || name === 'th') write('\t')
      breakAt(name)
    },
    text: (text) => {
      if (title !== undefined && title.length < 1000) title += text
      if (unseenDepth > 0) return
      if (preDepth > 0) return write(text)
      const spaced = text.replaceAll(/[\s\u00a0]+/gu, ' ')
      write(hasSpace ? spaced.trimStart() : spaced)
    },
    enough: () => pages.isFull(),
  }
}

/** Writes the text of a file into `pages`. Problems: file_too_complex. */
export async function readHtml(path: string, pages: TextPages): Promise<{ title: string | null; encoding: string }> {
  let encoding = await detectEncoding(path)
  // What is not UTF-8 says itself what it is; that is worth more than a guess.
  if (encoding !== 'utf-8' && !encoding.startsWith('utf-16')) encoding = (await declaredEncoding(path)) ?? encoding
  let title: string | null = null
  const handler = htmlHandler(pages, (found) => {
    title = found || null
  })
  await readMarkup(decodedChunks(path, encoding), handler, 'html')
  return { title, encoding }
}

async function declaredEncoding(path: string): Promise<string | undefined> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, 0)
    const label = /(?:charset|encoding)\s*=\s*["']?\s*([\w-]{2,40})/iu.exec(
      buffer.toString('latin1', 0, bytesRead),
    )?.[1]
    return label === undefined ? undefined : new TextDecoder(label).encoding
  } catch {
    // A label that names no encoding.
    return undefined
  } finally {
    await file.close()
  }
}
