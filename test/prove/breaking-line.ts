// A line between client and server that carries bytes and knows nothing of what they mean. It breaks after so many bytes,
// again and again, in the three ways that lines break: closed, reset, and dead on the client's side only, so that the
// server hears nothing of it and goes on waiting.

import net, { type AddressInfo } from 'node:net'
import type { Random } from '../fixtures/random.ts'

export interface BreakingLine {
  readonly url: string
  /** How often it has broken, by the way it did. */
  readonly cuts: Readonly<Record<Cut, number>>
  close(): Promise<void>
}

const cutKinds = ['closed', 'reset', 'dead'] as const
type Cut = (typeof cutKinds)[number]

/** Breaks `cutsCount` times within `sizeBytes` that go up, at places that the random numbers choose. */
export async function openBreakingLine(options: {
  target: string
  sizeBytes: number
  cutsCount: number
  random: Random
}): Promise<BreakingLine> {
  const target = new URL(options.target)
  const cuts: Record<Cut, number> = { closed: 0, reset: 0, dead: 0 }
  const lengths = cutLengths(options)
  const open = new Set<net.Socket>()
  // What has gone up since the last break, over whichever connection.
  let sinceBytes = 0

  const server = net.createServer((client) => {
    const onward = net.connect(Number(target.port), target.hostname)
    const sockets = [client, onward]
    for (const socket of sockets) {
      open.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => open.delete(socket))
    }
    let dead = false
    client.on('close', () => dead || onward.destroy())
    onward.on('close', () => client.destroy())
    onward.on('data', (piece: Buffer) => {
      if (!dead && !client.write(piece)) pauseUntilDrained(onward, client)
    })
    client.on('data', (piece: Buffer) => {
      sinceBytes += piece.length
      const [length = Infinity] = lengths
      if (sinceBytes < length) {
        if (!onward.write(piece)) pauseUntilDrained(client, onward)
        return
      }
      // A part of the piece still arrives, so that breaks fall anywhere in it.
      onward.write(piece.subarray(0, options.random.below(piece.length)))
      lengths.shift()
      sinceBytes = 0
      const kind = cutKinds[options.random.below(cutKinds.length)] ?? 'closed'
      cuts[kind]++
      dead = kind === 'dead'
      if (kind === 'reset') for (const socket of sockets) socket.resetAndDestroy()
      else client.destroy()
    })
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  // It listens on a port, so its address is not a string.
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    cuts,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of open) socket.destroy()
      }),
  }
}

function pauseUntilDrained(from: net.Socket, to: net.Socket): void {
  from.pause()
  to.once('drain', () => from.resume())
}

/** Lengths between breaks, of which all fit into the size: from nearly none to several times the mean. */
function cutLengths({ sizeBytes, cutsCount, random }: { sizeBytes: number; cutsCount: number; random: Random }) {
  const weights = Array.from({ length: cutsCount }, () => 0.05 + random.next())
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights.map((weight) => Math.floor((weight / sum) * sizeBytes * 0.98))
}
