import { randomBytes } from 'node:crypto'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { readForm } from './multipart.ts'
import { peekContent } from './received-content.ts'
import { requestPieces, wholeBody } from './request-pieces.ts'

/** Socket takes what a stream takes, though its types do not say so. */
const oneAtATime = { allowHalfOpen: false, highWaterMark: 1 }

/** A request whose body comes in buffers of their own, as Node makes them, one after the other. */
class TestRequest extends IncomingMessage {
  #left: Buffer
  readonly #pieceBytes: number
  constructor(body: Buffer, pieceBytes: number) {
    super(new Socket(oneAtATime))
    this.#left = body
    this.#pieceBytes = pieceBytes
  }
  override _read(): void {
    const part = this.#left.subarray(0, this.#pieceBytes)
    this.#left = this.#left.subarray(part.length)
    const piece = Buffer.allocUnsafeSlow(part.length)
    part.copy(piece)
    this.push(part.length === 0 ? null : piece)
  }
}

test('the memory of a piece of a request is given back when the next one is asked for', async () => {
  const seen: Uint8Array[] = []
  for await (const piece of requestPieces(new TestRequest(Buffer.alloc(70_000, 1), 30_000))) {
    expect(seen.every(({ length }) => length === 0)).toBe(true)
    expect(piece.every((byte) => byte === 1)).toBe(true)
    seen.push(piece)
  }
  expect(seen).toHaveLength(3)
})

test('a small body comes in one piece, whose memory is given back when it has been used', async () => {
  const content = randomBytes(70_000)
  const seen: Uint8Array[] = []
  for await (const piece of wholeBody(new TestRequest(content, 30_000))) {
    expect(content.equals(piece)).toBe(true)
    seen.push(piece)
  }
  expect(seen.map(({ length }) => length)).toEqual([0])
})

test.each([new Error('cut'), undefined])('a small body that breaks (%s) is no body', async (cause) => {
  const request = new TestRequest(Buffer.alloc(70_000), 30_000)
  request.once('data', () => request.destroy(cause))
  await expect(wholeBody(request).next()).rejects.toThrow(cause?.message ?? 'closed')
})

test('that of any other body is left alone', async () => {
  const content = Buffer.alloc(70_000, 1)
  for await (const piece of requestPieces(Readable.from([content]))) expect(piece).toBe(content)
  expect(content).toHaveLength(70_000)
})

test('a body that breaks after it was given up ends nothing', async () => {
  const body = Readable.from([Buffer.alloc(10), Buffer.alloc(10)], { objectMode: false })
  const pieces = requestPieces(body)
  await pieces.next()
  await pieces.return?.()
  const closed = new Promise((resolve) => body.once('close', resolve)) // once() of events would hear errors.
  body.destroy(new Error('cut')) // An error that nobody hears fails the whole run.
  await closed
  expect(body.errored).toEqual(new Error('cut'))
})

test('a form reads the same, wherever its pieces are cut and however much of it is looked at first', async () => {
  const content = randomBytes(3_000)
  // Beginnings of delimiters, so that pieces are held over to the next; none goes on as one.
  for (let at = 0; at + 5 < content.length; at += 97) content.write('\r\n--A', at)
  const body = Buffer.concat([
    Buffer.from('--B\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'),
    content,
    Buffer.from('\r\n--B--\r\n'),
  ])
  for (const pieceBytes of [1, 7, 64, 500, 10_000]) {
    for (const peekBytes of [1, 600, 5_000]) {
      const found: Buffer[] = []
      let head = Buffer.alloc(0)
      const request = new TestRequest(body, pieceBytes)
      for await (const part of readForm(peekBytes === 1 ? wholeBody(request) : request, 'B')) {
        const peeked = await peekContent(part.content, peekBytes)
        head = Buffer.from(peeked.head)
        for await (const piece of peeked.whole) found.push(Buffer.from(piece))
      }
      expect(Buffer.concat(found).equals(content), `pieces of ${pieceBytes}, ${peekBytes} looked at`).toBe(true)
      expect(content.subarray(0, head.length).equals(head)).toBe(true)
      expect(head.length).toBeGreaterThanOrEqual(Math.min(peekBytes, content.length))
    }
  }
})
