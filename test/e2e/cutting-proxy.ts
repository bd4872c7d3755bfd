// A reverse proxy as people have it before a server, under a path of its own that it takes away; and a bad line: it cuts
// uploads after some bytes, as often as it is told, and may be slow.

import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface CuttingProxyOptions {
  /** Origin that it stands before. */
  target: string
  /** Path that it takes away, e.g. /millrace; empty for none. */
  prefix: string
  /** How many requests with a body are cut. */
  cutsCount?: number
  cutAfterBytes?: number
  bytesPerSecond?: number
}

export interface CuttingProxy {
  readonly url: string
  /** How often it has cut. */
  cutsCount(): number
  close(): Promise<void>
}

export async function openCuttingProxy(options: CuttingProxyOptions): Promise<CuttingProxy> {
  const target = new URL(options.target)
  let cutsLeft = options.cutsCount ?? 0
  const agent = new http.Agent({ keepAlive: false })
  const server = http.createServer((request, response) => {
    const path = request.url ?? '/'
    if (!path.startsWith(options.prefix)) return void response.writeHead(404).end()
    const onward = http.request({
      host: target.hostname,
      port: target.port,
      method: request.method,
      path: path.slice(options.prefix.length),
      headers: request.headers,
      agent,
    })
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.pipe(response)
      answer.on('error', () => response.destroy())
    })
    onward.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()))
    response.on('close', () => onward.destroy())
    void pass(request, onward, () => {
      onward.destroy()
      request.socket.destroy()
    })
  })

  async function pass(request: http.IncomingMessage, onward: http.ClientRequest, cut: () => void): Promise<void> {
    let passedBytes = 0
    try {
      for await (const piece of request as AsyncIterable<Buffer>) {
        passedBytes += piece.length
        if (cutsLeft > 0 && passedBytes > (options.cutAfterBytes ?? Infinity)) {
          cutsLeft--
          return cut()
        }
        if (!onward.write(piece)) await untilDrained(onward)
        if (options.bytesPerSecond !== undefined) await delay((piece.length * 1_000) / options.bytesPerSecond)
      }
      onward.end()
    } catch {
      onward.destroy()
    }
  }

  server.requestTimeout = 0
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  // It listens on a port, so its address is not a string.
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    cutsCount: () => (options.cutsCount ?? 0) - cutsLeft,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
        agent.destroy()
      }),
  }
}

const untilDrained = (request: http.ClientRequest): Promise<void> =>
  new Promise((resolve) => {
    const end = (): void => {
      request.off('drain', end).off('close', end)
      resolve()
    }
    request.on('drain', end).on('close', end)
  })
