// XML and HTML as a stream of tags and text. No document tree is built, no entity but the predefined ones and
// characters is expanded and nothing outside the document is looked at, so the usual XML attacks find nothing to do.

import { Parser } from 'htmlparser2'
import { Problem } from '../../platform/problem.ts'

/** Deeper documents cost time in proportion to the square of their depth. */
const depthMax = 1000

export interface MarkupHandler {
  /** Name without its namespace prefix. */
  open?(name: string, attributes: Record<string, string>): void
  close?(name: string): void
  text?(text: string): void
  /** Asked after each chunk; true ends the reading early. */
  enough?(): boolean
}

const localName = (name: string): string => name.slice(name.indexOf(':') + 1)

/** A reader to push chunks into. Its write throws file_too_complex for nesting without measure. */
export function markupReader(
  handler: MarkupHandler,
  kind: 'xml' | 'html' = 'xml',
): { write(chunk: string): void; end(): void } {
  let depth = 0
  const parser = new Parser(
    {
      onopentag: (name, attributes) => {
        depth += 1
        if (depth > depthMax)
          throw new Problem('file_too_complex', { detail: `The document is nested deeper than ${depthMax} levels.` })
        handler.open?.(localName(name), attributes)
      },
      onclosetag: (name) => {
        depth -= 1
        handler.close?.(localName(name))
      },
      ontext: (text) => handler.text?.(text),
    },
    { xmlMode: kind === 'xml', decodeEntities: true },
  )
  return parser
}

/** Reads `chunks` to their end or until there is enough. Problems: file_too_complex. */
export async function readMarkup(
  chunks: AsyncIterable<string> | Iterable<string>,
  handler: MarkupHandler,
  kind: 'xml' | 'html' = 'xml',
): Promise<void> {
  const reader = markupReader(handler, kind)
  for await (const chunk of chunks) {
    reader.write(chunk)
    if (handler.enough?.() === true) return
  }
  reader.end()
}
