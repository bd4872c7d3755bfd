// How slowly a body may arrive. A single deadline would end an honest upload of a gigabyte over a slow line and leave
// a hostile one open for as long; so each body must keep a minimum pace instead, measured window by window. Time in
// which we ourselves do not read is not held against the client.

import type { IncomingMessage } from 'node:http'
import type { Clock } from '../platform/clock.ts'
import { Problem } from '../platform/problem.ts'

export interface BodyPace {
  /** Watches the body of this request until it is complete or the connection is gone. */
  watch(message: IncomingMessage, bytesPerSecondMin: number): void
  /** One look at all watched bodies, for the window that has just passed. */
  inspect(): void
  start(signal: AbortSignal): void
}

/** Long enough for a mobile line's pauses. */
export const paceWindowMs = 15_000
/** An honest slow line has ten times as much; a trickle has less. */
export const uploadBytesPerSecondMin = 4_096
/** A JSON body is small: it is there at once or somebody plays. */
export const jsonBytesPerSecondMin = 2_048

interface Watched {
  message: IncomingMessage
  bytesPerSecondMin: number
  bytesReadBefore: number
  /** The first look may come right after the start. */
  full: boolean
}

export function createBodyPace(options: { clock: Clock }): BodyPace {
  const watched = new Set<Watched>()

  function inspect(): void {
    for (const item of watched) {
      const { message } = item
      if (message.complete || message.destroyed) {
        watched.delete(item)
        continue
      }
      const bytesRead = message.socket.bytesRead
      const receivedBytes = bytesRead - item.bytesReadBefore
      item.bytesReadBefore = bytesRead
      const waitsForUs = message.readableLength > 0
      if (item.full && !waitsForUs && receivedBytes < (item.bytesPerSecondMin * paceWindowMs) / 1_000) {
        watched.delete(item)
        const detail = `The body came slower than ${item.bytesPerSecondMin} bytes per second.`
        message.destroy(new Problem('upload_incomplete', { detail }))
      }
      item.full = true
    }
  }

  return {
    inspect,
    watch(message, bytesPerSecondMin) {
      const item = { message, bytesPerSecondMin, bytesReadBefore: message.socket.bytesRead, full: false }
      watched.add(item)
      message.once('close', () => watched.delete(item))
    },
    start(signal) {
      void (async () => {
        while (!signal.aborted) {
          await options.clock.sleep(paceWindowMs, signal)
          if (!signal.aborted) inspect()
        }
      })()
    },
  }
}
