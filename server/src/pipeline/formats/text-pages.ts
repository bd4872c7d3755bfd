// The text of a document, page by page, as its reader finds it. Readers of all formats write into one of these; it
// keeps the text bounded and clean: no control characters, no halves of characters, no runs of empty lines.

export interface TextPage {
  /** From 1; a slide, sheet, chapter or message of formats that have no pages. */
  number: number
  /** Name of the sheet, slide or chapter, where there is one. */
  title: string | null
  text: string
  /** Told by formats where it says something about the text, which may be in the image. */
  hasImages?: boolean
}

export interface TextPages {
  /** Begins a page, with the next number unless told; text before the first call belongs to page 1. */
  page(number?: number): void
  /** Names the page. */
  title(title: string): void
  text(text: string): void
  /** Ends the line, if it has begun. */
  line(): void
  /** Ends the paragraph: an empty line follows, never two. */
  paragraph(): void
  hasImages(): void
  /** Whether there is as much text as was asked for; readers stop then. */
  isFull(): boolean
  /** All pages so far, and whether text was left out. */
  finish(): { pages: TextPage[]; isCut: boolean }
}

/** Beyond it pages are left out, as text beyond `charactersMax` is. */
export const pagesCountMax = 10_000
const titleCharactersMax = 200

// Of the control characters a text has lines and tabs; U+FFFE and U+FFFF are no characters at all.
const unwanted = /[\u0000-\u0008\u000b-\u001f\u007f\ufffe\uffff]+/gu // oxlint-disable-line no-control-regex

interface PageInMaking extends Omit<TextPage, 'text'> {
  pieces: string[]
  /** The last two characters. */
  end: string
}

export function createTextPages(charactersMax: number): TextPages {
  const pages: PageInMaking[] = []
  let charactersCount = 0
  let isCut = false
  const current = (): PageInMaking => {
    const last = pages.at(-1)
    if (last !== undefined) return last
    const first: PageInMaking = { number: 1, title: null, pieces: [], end: '\n\n' }
    pages.push(first)
    return first
  }
  const add = (piece: string): void => {
    const room = charactersMax - charactersCount
    if (piece.length > room) isCut = true
    const fitting = piece.slice(0, Math.max(0, room))
    if (fitting === '') return
    const page = current()
    page.pieces.push(fitting)
    page.end = (page.end + fitting).slice(-2)
    charactersCount += fitting.length
  }
  const line = (): void => {
    if (!current().end.endsWith('\n')) add('\n')
  }
  const isFull = (): boolean => isCut || charactersCount >= charactersMax
  return {
    page(number = pages.length + 1) {
      if (pages.length >= pagesCountMax) isCut = true
      else pages.push({ number, title: null, pieces: [], end: '\n\n' })
    },
    title(title) {
      current().title = title.replaceAll(unwanted, ' ').slice(0, titleCharactersMax).trim().toWellFormed() || null
    },
    text: (text) => add(text.replaceAll(/\r\n?/gu, '\n').replaceAll(unwanted, ' ')),
    line,
    paragraph: () => {
      line()
      if (current().end !== '\n\n') add('\n')
    },
    hasImages: () => {
      current().hasImages = true
    },
    isFull,
    finish: () => ({
      pages: pages.map(({ number, title, pieces, hasImages }) => ({
        number,
        title,
        text: pieces
          .join('')
          .replaceAll(/[ \t]+\n/gu, '\n')
          .trim()
          .toWellFormed(),
        ...(hasImages === undefined ? {} : { hasImages }),
      })),
      isCut,
    }),
  }
}
