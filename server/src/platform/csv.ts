// Reading lines and cells (RFC 4180) out of a stream of any length, in bounded memory; and writing a line.

/** A name of 4,000 characters, each escaped as JSON may do, with room for other columns. */
export const recordLengthMax = 64 * 1024

/** Records with the lines where they begin; no text for one that is too long. With quotes, a quoted cell may hold line ends. */
export async function* splitRecords(
  chunks: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
  quotes: boolean,
): AsyncGenerator<{ line: number; text: string | undefined }> {
  const decoder = new TextDecoder()
  let line = 1
  let begun = 1
  let open = ''
  let tooLong = false
  let inQuotes = false
  let rest = ''
  /** One physical line; answers the record that ended with it. */
  const take = (text: string): { line: number; text: string | undefined } | undefined => {
    if (open === '' && !tooLong) begun = line
    line += 1
    if (quotes && countQuotes(text) % 2 === 1) inQuotes = !inQuotes
    open = open === '' ? text : `${open}\n${text}`
    if (open.length > recordLengthMax) {
      // Whatever the quotes were to hold, the next line begins anew.
      open = ''
      inQuotes = false
      tooLong = true
    }
    if (inQuotes) return undefined
    const record = { line: begun, text: tooLong ? undefined : open }
    open = ''
    tooLong = false
    return record
  }
  for await (const chunk of chunks) {
    rest += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
    let from = 0
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', from)) {
      const record = take(rest.slice(from, rest[end - 1] === '\r' ? end - 1 : end))
      from = end + 1
      if (record) yield record
    }
    rest = rest.slice(from)
    if (rest.length > recordLengthMax) {
      tooLong = true
      rest = ''
    }
  }
  rest += decoder.decode()
  if (rest !== '' || tooLong) {
    const record = take(rest)
    if (record) yield record
  }
  if (inQuotes) yield { line: begun, text: open }
}

function countQuotes(text: string): number {
  let count = 0
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) count += 1
  return count
}

/** Cells of one record by RFC 4180; nothing for a quote that is not closed. */
export function parseCells(text: string): string[] | undefined {
  if (!text.includes('"')) return text.split(',')
  const cells: string[] = []
  for (let at = 0; at <= text.length;) {
    if (text[at] !== '"') {
      const comma = text.indexOf(',', at)
      const end = comma < 0 ? text.length : comma
      cells.push(text.slice(at, end))
      at = end + 1
      continue
    }
    let cell = ''
    for (at += 1; ;) {
      const quote = text.indexOf('"', at)
      if (quote < 0) return undefined
      cell += text.slice(at, quote)
      at = quote + 1
      if (text[at] !== '"') break
      cell += '"'
      at += 1
    }
    const comma = text.indexOf(',', at)
    cells.push(cell)
    at = comma < 0 ? text.length + 1 : comma + 1
  }
  return cells
}

/** With its end. */
export const toCsvLine = (cells: readonly string[]): string =>
  `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\r\n`
