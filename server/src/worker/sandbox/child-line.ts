// The supervisor's end of the line to one child. Whatever comes over it is taken for hostile: bounded, and answered
// only to the one request that waits.

import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { SandboxRun } from '../../pipeline/processor.ts'
import { readyLine, replyBytesMax, type ChildReply, type ChildRequest } from './protocol.ts'

export interface ChildLine {
  /** Resolves when the child can take its first task. */
  readonly ready: Promise<void>
  /** Resolves when the line was misused, with the reason, or closed; ready and ask may then never resolve. */
  readonly broken: Promise<{ misuse?: string }>
  /** Whether it has been misused or closed. */
  isBroken(): boolean
  ask(processor: string, run: SandboxRun): Promise<ChildReply>
}

const newline = 0x0a

export function createChildLine(line: Duplex): ChildLine {
  const ready = Promise.withResolvers<void>()
  const broken = Promise.withResolvers<{ misuse?: string }>()
  let state: 'starting' | 'idle' | { token: string; resolve: (reply: ChildReply) => void } = 'starting'
  let pieces: Buffer[] = []
  let piecesBytes = 0

  let isBroken = false

  const breakLine = (reason?: string): void => {
    isBroken = true
    broken.resolve(reason === undefined ? {} : { misuse: reason })
    line.destroy()
    pieces = []
  }

  const take = (text: string): void => {
    if (state === 'starting' && text === readyLine) {
      state = 'idle'
      return ready.resolve()
    }
    const reply = typeof state === 'object' ? readReply(text, state.token) : undefined
    if (reply === undefined || typeof state !== 'object') return breakLine('it spoke out of turn')
    const { resolve } = state
    state = 'idle'
    resolve(reply)
  }

  line.on('data', (piece: Buffer) => {
    if (state === 'idle') return breakLine('it spoke without being asked')
    const end = piece.indexOf(newline)
    piecesBytes += piece.length
    if (piecesBytes > replyBytesMax) return breakLine('its answer is too long')
    pieces.push(end < 0 ? piece : piece.subarray(0, end))
    if (end < 0) return
    const text = Buffer.concat(pieces).toString('utf8')
    const hasMore = end < piece.length - 1
    pieces = []
    piecesBytes = 0
    if (hasMore) breakLine('it spoke without being asked')
    else take(text)
  })
  line.on('error', () => breakLine())
  line.on('close', () => breakLine())

  return {
    ready: ready.promise,
    broken: broken.promise,
    isBroken: () => isBroken,
    ask(processor, run) {
      const request: ChildRequest = { token: randomBytes(16).toString('hex'), processor, run }
      return new Promise((resolve) => {
        state = { token: request.token, resolve }
        line.write(`${JSON.stringify(request)}\n`)
      })
    },
  }
}

function readReply(text: string, token: string): ChildReply | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || !('token' in value) || value.token !== token) return undefined
  const rssBytes = 'rssBytes' in value && typeof value.rssBytes === 'number' ? value.rssBytes : 0
  if ('crashed' in value) return { token, rssBytes, crashed: String(value.crashed).slice(0, 500) }
  return 'outcome' in value ? { token, rssBytes, outcome: value.outcome } : undefined
}
