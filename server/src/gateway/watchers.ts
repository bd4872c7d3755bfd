// Open streams of server-sent events (WHATWG HTML, section 9.2). Cheap per watcher: no timer, no buffer of ours, each
// event framed once for all who get it. A reader that is too slow is dropped; it comes back with Last-Event-ID and
// misses nothing. A stream lives no longer than the credentials that opened it: they are looked at with each heartbeat.

import type { ServerResponse } from 'node:http'
import type { Clock } from '../platform/clock.ts'
import { Problem } from '../platform/problem.ts'
import type { EventAnswer } from '../platform/routes.ts'

export interface WatchersOptions {
  clock: Clock
  /** Streams open at the same time; one more is Problem('overloaded'). */
  watchersMax?: number
}

export interface Watchers {
  readonly count: number
  /** Throws Problem('overloaded') when there are too many. */
  admit(): void
  /** Takes the response over and writes events until either side ends it. */
  serve(answer: EventAnswer, response: ServerResponse, options: ServeOptions): void
  /** Ends every stream; clients are told to come back soon. */
  close(): void
}

export interface ServeOptions {
  headers: Record<string, string>
  /** Whether whoever opened the stream would still be let through; a doubt, such as a database away, ends nothing. */
  isStillAllowed: () => Promise<boolean>
}

interface StreamedEvent {
  id: string
  data: unknown
}

type Turn = Map<ServerResponse, ServeOptions['isStillAllowed']>

const watchersMaxDefault = 20_000
/** Proxies and NATs forget connections that are silent for longer than about 30 to 60 s. */
const heartbeatMs = 15_000
/** Watchers are spread over as many turns, so that no single turn of the event loop writes to all of them. */
const heartbeatTurns = 30
/** Bytes that may wait for a slow reader beyond the kernel's own buffers. */
const waitingBytesMax = 256 * 1024
const reconnectMs = 1_000

export function createWatchers(options: WatchersOptions): Watchers {
  const { clock, watchersMax = watchersMaxDefault } = options
  const turns = Array.from({ length: heartbeatTurns }, (): Turn => new Map())
  const frames = new WeakMap<object, string>()
  let count = 0
  let nextTurn = 0
  let closed = false
  let beating: AbortController | undefined

  async function beat(signal: AbortSignal): Promise<void> {
    for (let turn = 0; !signal.aborted; turn = (turn + 1) % heartbeatTurns) {
      await clock.sleep(heartbeatMs / heartbeatTurns, signal)
      // The index is below the length.
      for (const [response, isStillAllowed] of turns[turn]!) {
        write(response, ':\n\n')
        void isStillAllowed().then((allowed) => allowed || response.end())
      }
    }
  }

  function enter(response: ServerResponse, isStillAllowed: ServeOptions['isStillAllowed']): Turn {
    nextTurn = (nextTurn + 1) % heartbeatTurns
    const turn = turns[nextTurn]! // The index is below the length.
    turn.set(response, isStillAllowed)
    count++
    if (!beating) {
      beating = new AbortController()
      void beat(beating.signal)
    }
    return turn
  }

  function leave(response: ServerResponse, turn: Turn): void {
    turn.delete(response)
    count--
    if (count === 0) {
      beating?.abort()
      beating = undefined
    }
  }

  const frameOf = (event: StreamedEvent): string => {
    let frame = frames.get(event)
    if (frame === undefined) frames.set(event, (frame = toFrame(event)))
    return frame
  }

  return {
    get count() {
      return count
    },
    admit() {
      if (closed) throw new Problem('shutting_down')
      if (count >= watchersMax) throw new Problem('overloaded', { detail: 'Too many event streams are open.' })
    },
    serve(answer, response, { headers, isStillAllowed }) {
      response.writeHead(200, { ...headers, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
      // By itself: written together with the first event, node would keep the head as sixty pieces of string.
      response.flushHeaders()
      write(response, `retry: ${reconnectMs}\n\n`)
      const turn = enter(response, isStillAllowed)
      void pump(answer.events[Symbol.asyncIterator](), response, turn)
    },
    close() {
      closed = true
      for (const turn of turns) for (const response of turn.keys()) response.end()
    },
  }

  /** Holds nothing of the request: what stays in memory for each watcher stays ten thousand times. */
  async function pump(events: AsyncIterator<StreamedEvent>, response: ServerResponse, turn: Turn): Promise<void> {
    const end = (): void => void events.return?.().catch(() => {}) // It was told to end; how it ends changes nothing.
    if (response.destroyed) end() // Gone before we began; there will be no further event of its closing.
    response.once('close', end)
    response.on('error', end)
    try {
      for (let next = await events.next(); next.done !== true; next = await events.next()) {
        if (response.destroyed || response.writableEnded) break
        write(response, frameOf(next.value))
      }
    } catch {
      // The source gave up. The client comes back with Last-Event-ID and meets the failure, if it lasts, as a problem.
    } finally {
      leave(response, turn)
      response.off('close', end)
      end()
      response.end()
    }
  }
}

/** An event without data only tells the reader where it is, for its Last-Event-ID. */
const toFrame = (event: StreamedEvent): string =>
  event.data === undefined ? `id: ${event.id}\n\n` : `id: ${event.id}\ndata: ${JSON.stringify(event.data)}\n\n`

/** Writes, or drops a reader that lets too much wait. */
function write(response: ServerResponse, text: string): void {
  if (response.destroyed || response.writableEnded) return
  response.write(text)
  if (response.writableLength > waitingBytesMax) response.destroy()
}
