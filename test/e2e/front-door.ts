// The proxy that stands before a split installation, as docs/operating/README.md asks for one: uploads go to the upload
// role, everything else to the api role. Bodies stream both ways, and a client that leaves is told on.

import http from 'node:http'
import type { AddressInfo } from 'node:net'

export interface FrontDoor {
  readonly url: string
  close(): Promise<void>
}

const formPath = /^\/api\/v1\/files(?:\/[^/]+\/versions)?$/
const uploadPath = /^\/api\/v1\/(?:uploads|imports|import-sources)(?:\/|$)/

/** More than the server takes, so that it is the server who refuses. */
const headerSizeBytesMax = 64 * 1024

/** Whether the role closes its connection says nothing of the client's: closed under a body, it would take the answer with it. */
const withoutConnection = (rawHeaders: readonly string[]): string[] =>
  rawHeaders.filter((_, index) => !/^(?:connection|keep-alive)$/i.test(rawHeaders[index - (index % 2)] ?? ''))

export async function openFrontDoor(ports: { api: number; upload: number }, port: number): Promise<FrontDoor> {
  const agent = new http.Agent({ keepAlive: false })
  const server = http.createServer({ maxHeaderSize: headerSizeBytesMax }, (request, response) => {
    const path = request.url?.split('?')[0] ?? ''
    const isUpload = uploadPath.test(path) || (request.method === 'POST' && formPath.test(path))
    const onward = http.request({
      host: '127.0.0.1',
      port: isUpload ? ports.upload : ports.api,
      method: request.method,
      path: request.url,
      headers: request.headers,
      agent,
    })
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, withoutConnection(answer.rawHeaders))
      answer.pipe(response)
      answer.on('error', () => response.destroy())
    })
    // Once the answer has been handed on whole, nothing behind it matters: a refusal comes before its body has ended,
    // and what the client still sends is read to nowhere, so that he gets to see it.
    onward.on('error', () => {
      if (!response.headersSent) response.writeHead(502).end()
      else if (!response.writableEnded) response.destroy()
    })
    response.on('finish', () => {
      request.unpipe(onward)
      request.resume()
    })
    response.on('close', () => onward.destroy())
    request.on('error', () => onward.destroy())
    request.pipe(onward)
  })
  server.requestTimeout = 0
  server.keepAliveTimeout = 0 // The client closes what it does not need; who closes on both sides cuts a request off.
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  // It listens on a port, so its address is not a string.
  const { port: bound } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${bound}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
        agent.destroy()
      }),
  }
}
