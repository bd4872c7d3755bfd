// The tenant's events for as long as a command wants them: resumed after the last one seen, and honest about whether
// it stands, so that whoever depends on it can ask instead while it does not.

import { ApiProblem, createSseParser, type EventResource } from '@millrace/contract'
import type { Api } from './api.ts'
import type { Patience } from './retry.ts'

export interface EventFeed {
  readonly isLive: boolean
  /** Ends when the signal aborts; throws only for refused credentials. */
  run(signal: AbortSignal): Promise<void>
}

export interface EventFeedDependencies extends Patience {
  api: Api
  onEvent: (event: EventResource) => void
  /** It stands, or it no longer does. */
  onChange: () => void
}

const delayFirstMs = 500
const delayMaxMs = 10_000
/** The server says something at least every 30 s; silence for so long is a dead line. */
const silenceMaxMs = 75_000

export function createEventFeed({ api, sleep, random, onEvent, onChange }: EventFeedDependencies): EventFeed {
  let isLive = false
  let lastEventId = ''

  function setLive(value: boolean): void {
    if (value === isLive) return
    isLive = value
    onChange()
  }

  async function read(signal: AbortSignal): Promise<void> {
    const silence = new AbortController()
    const timer = setTimeout(() => silence.abort(), silenceMaxMs)
    const headers = lastEventId === '' ? {} : { 'last-event-id': lastEventId }
    try {
      const either = AbortSignal.any([signal, silence.signal])
      const response = await api.once.stream('tenantEvents', { headers, signal: either })
      setLive(true)
      const parse = createSseParser(({ id, data }) => {
        const event = parseEvent(data)
        if (event) onEvent(event)
        if (id !== '') lastEventId = id
      })
      for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        timer.refresh()
        parse(piece)
      }
    } finally {
      clearTimeout(timer)
      setLive(false)
    }
  }

  return {
    get isLive() {
      return isLive
    },
    async run(signal) {
      let failuresCount = 0
      while (!signal.aborted) {
        const wasLive = await read(signal).then(
          () => true,
          (error: unknown) => {
            if (error instanceof ApiProblem && [401, 403].includes(error.problem.status)) throw error
            return false
          },
        )
        if (signal.aborted) return
        failuresCount = wasLive ? 0 : failuresCount + 1
        const delayMs = Math.min(delayFirstMs * 2 ** failuresCount, delayMaxMs) * (0.5 + random() / 2)
        await sleep(delayMs, signal).catch(() => undefined)
      }
    },
  }
}

function parseEvent(data: string): EventResource | undefined {
  try {
    const value = JSON.parse(data) as EventResource
    return typeof value === 'object' && value !== null && typeof value.type === 'string' ? value : undefined
  } catch {
    return undefined
  }
}
