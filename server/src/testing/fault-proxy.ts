// A TCP proxy on loopback that can be told to misbehave: for tests of deadlines and recovery.

import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface FaultProxy {
  readonly port: number
  /**
   * Stops passing bytes on, both ways, as a frozen server or a cut cable would. Connections stay open; that one was closed
   * is not heard on the other side either.
   */
  freeze(): void
  thaw(): void
  /** Ends every connection at once. */
  cut(): void
  close(): Promise<void>
}

export async function openFaultProxy(target: { host: string; port: number }): Promise<FaultProxy> {
  const sockets = new Set<Socket>()
  const pairs: [Socket, Socket][] = []
  let frozen = false
  const server = createServer((client) => {
    const upstream = connect(target)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      pairs.push([from, to])
      from.on('data', (bytes) => to.write(bytes))
      from.on('close', () => {
        sockets.delete(from)
        if (!frozen) to.destroy()
      })
      from.on('error', () => to.destroy())
      if (frozen) from.pause()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port, // Listening on TCP, so it is not a pipe's name.
    freeze() {
      frozen = true
      for (const socket of sockets) socket.pause()
    },
    thaw() {
      frozen = false
      for (const [from, to] of pairs) if (from.destroyed) to.destroy()
      for (const socket of sockets) socket.resume()
    },
    cut() {
      for (const socket of sockets) socket.destroy()
    },
    close() {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
