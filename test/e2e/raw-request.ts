// A request as bytes, for what no client library would send.

import { connect } from 'node:net'

const answerDeadlineMs = 15_000

export interface RawRequest {
  /** Origin of the server. */
  url: string
  /** Pieces that are sent one after the other. */
  pieces: readonly (string | Uint8Array)[]
  /** Ends the sending side, as a client does whose line is cut, after the last piece. */
  cut?: boolean
}

/** Everything that the server says until it closes the connection, or has said a whole answer. */
export function sendRaw({ url, pieces, cut = false }: RawRequest): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(Number(port), hostname, () => {
      for (const piece of pieces) socket.write(piece)
      if (cut) socket.end()
    })
    socket.setTimeout(answerDeadlineMs, () => socket.destroy(new Error(`no answer; so far: ${answer}`)))
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1')
      if (isWhole(answer)) {
        socket.destroy()
        resolve(answer)
      }
    })
    socket.on('error', (error) => (answer === '' ? reject(error) : resolve(answer)))
    socket.on('close', () => resolve(answer))
  })
}

function isWhole(answer: string): boolean {
  const head = answer.indexOf('\r\n\r\n')
  const length = /^content-length: (\d+)\r$/im.exec(answer.slice(0, head + 1))?.[1]
  return head > 0 && length !== undefined && answer.length >= head + 4 + Number(length)
}
