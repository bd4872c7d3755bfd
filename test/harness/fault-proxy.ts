// A line between two programs that can be made to fail: cut, dead, slow, deaf on one side, or answered by somebody else.
// It stands before one server for one client, so that each of them can lose the other alone.
//
// What has been received and not passed on is held back, not lost, as by a network that is down for a while; a line that
// is forgotten swallows what comes, as behind a router that has lost its table.

import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** up: from the client to the server. */
export type Direction = 'up' | 'down'

export type Trouble =
  /** Every connection is reset, and so is every new one. */
  | { kind: 'reset' }
  /** Connections are taken and nothing passes, in one direction or in both. */
  | { kind: 'hang'; direction?: Direction }
  /** Each piece is late by so much. */
  | { kind: 'slow'; delayMs: number }
  /** Connections end after so many bytes from the server, in the middle of whatever they are. */
  | { kind: 'cut'; afterBytes: number }
  /** Whoever asks gets these bytes, and the connection ends. */
  | { kind: 'answer'; bytes: string }

export interface FaultProxy {
  readonly port: number
  /** Of connections that are open and of those to come. */
  set(trouble: Trouble | undefined): void
  /** Connections that are open are dead from now on, without a word to either side; new ones are not. */
  forget(): void
  /** Where the server is from now on; connections to the old place are reset. */
  moveTo(port: number): void
  close(): Promise<void>
}

interface Link {
  client: Socket
  server: Socket | undefined
  forgotten: boolean
  passedBytes: number
}

export async function openFaultProxy(target: number): Promise<FaultProxy> {
  let trouble: Trouble | undefined
  let targetPort = target
  let changed = Promise.withResolvers<void>()
  const links = new Set<Link>()

  const cut = (link: Link): void => {
    links.delete(link)
    link.client.resetAndDestroy()
    link.server?.resetAndDestroy()
  }

  /** Resolves when a piece may pass; false: the line is cut meanwhile. */
  async function passage(link: Link, direction: Direction): Promise<boolean> {
    while (links.has(link)) {
      if (link.forgotten || (trouble?.kind === 'hang' && (trouble.direction ?? direction) === direction))
        await changed.promise
      else {
        if (trouble?.kind === 'slow') await delay(trouble.delayMs)
        return links.has(link)
      }
    }
    return false
  }

  async function pump(link: Link, from: Socket, to: Socket, direction: Direction): Promise<void> {
    try {
      for await (const piece of from as AsyncIterable<Buffer>) {
        if (!(await passage(link, direction))) return
        if (direction === 'down') link.passedBytes += piece.length
        if (trouble?.kind === 'cut' && link.passedBytes > trouble.afterBytes) {
          // All but the end of it, which then looks like an honest one.
          to.end(piece.subarray(0, Math.floor(piece.length / 2)))
          link.server?.destroy()
          return
        }
        if (!to.write(piece)) await new Promise((resolve) => to.once('drain', resolve).once('close', resolve))
      }
      if (await passage(link, direction)) to.end()
    } catch {
      // That a connection broke is news as well, and travels as far as other news does.
      if (await passage(link, direction)) cut(link)
    }
  }

  const listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const link: Link = { client, server: undefined, forgotten: false, passedBytes: 0 }
    const settle = (): void => {
      if (client.destroyed && link.server?.destroyed !== false) links.delete(link)
    }
    links.add(link)
    // pump learns of an error by what it reads.
    client.on('error', () => {}).on('close', settle)
    if (trouble?.kind === 'reset') return cut(link)
    if (trouble?.kind === 'answer') {
      const { bytes } = trouble
      client.once('data', () => client.end(bytes)).resume()
      return
    }
    const server = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    link.server = server
    server.on('error', () => {}).on('close', settle)
    void pump(link, client, server, 'up')
    void pump(link, server, client, 'down')
  })
  await new Promise<void>((resolve, reject) => listener.once('error', reject).listen(0, '127.0.0.1', resolve))

  const announce = (): void => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  return {
    // It listens on a port, so its address is not a string.
    port: (listener.address() as AddressInfo).port,
    set(wanted) {
      trouble = wanted
      if (wanted?.kind === 'reset' || wanted?.kind === 'answer') for (const link of links) cut(link)
      announce()
    },
    forget() {
      for (const link of links) link.forgotten = true
    },
    moveTo(port) {
      targetPort = port
      for (const link of links) cut(link)
      announce()
    },
    close: () =>
      new Promise((resolve) => {
        for (const link of links) cut(link)
        announce()
        listener.close(() => resolve())
      }),
  }
}
