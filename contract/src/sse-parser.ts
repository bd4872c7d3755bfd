// Server-sent events out of text that arrives in pieces (WHATWG HTML, section 9.2.6).

export interface SseMessage {
  id: string
  event: string
  data: string
}

/** Bytes of one message beyond which the stream is taken for broken. */
const messageLengthMax = 1_000_000

/** Feeds pieces of a stream's text and calls back for each whole message. Throws when a message never ends. */
export function createSseParser(onMessage: (message: SseMessage) => void): (piece: string) => void {
  let rest = ''
  let lastId = ''
  let event = ''
  let data: string[] = []
  let length = 0

  function takeLine(line: string): void {
    if (line === '') {
      if (data.length > 0) onMessage({ id: lastId, event: event || 'message', data: data.join('\n') })
      event = ''
      data = []
      length = 0
      return
    }
    const colon = line.indexOf(':')
    if (colon === 0) return
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') {
      data.push(value)
      length += value.length
    } else if (field === 'event') event = value
    else if (field === 'id' && !value.includes('\0')) lastId = value
  }

  return (piece) => {
    // A carriage return at the very end may be half of a CRLF: it waits for the next piece.
    const text = rest + piece
    const held = text.endsWith('\r') ? 1 : 0
    const lines = text.slice(0, text.length - held).split(/\r\n|\n|\r/)
    rest = (lines.pop() ?? '') + (held ? '\r' : '')
    for (const line of lines) takeLine(line)
    if (rest.length + length > messageLengthMax) throw new Error('A server-sent event is longer than allowed.')
  }
}
