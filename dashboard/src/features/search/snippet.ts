export interface SnippetPart {
  text: string
  found: boolean
}

/** Splits a snippet at the marks « and » that the server puts around found words. A mark without its pair is text. */
export function splitSnippet(snippet: string): SnippetPart[] {
  return snippet
    .split(/(«[^«»]*»)/)
    .filter((text) => text !== '')
    .map((text) =>
      text.startsWith('«') && text.endsWith('»') && text.length > 1
        ? { text: text.slice(1, -1), found: true }
        : { text, found: false },
    )
}

/** The words of a query inside a text, marked without regard to case; used where the server marks nothing. */
export function markWords(text: string, query: string): SnippetPart[] {
  const words = query
    .split(/\s+/)
    .filter((word) => word.length > 1)
    .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
  if (words.length === 0) return [{ text, found: false }]
  return text
    .split(new RegExp(`(${words.join('|')})`, 'i'))
    .map((part, index) => ({ text: part, found: index % 2 === 1 }))
    .filter((part) => part.text !== '')
}
