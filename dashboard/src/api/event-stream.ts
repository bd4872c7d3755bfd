// One stream of the tenant's events, kept open: it resumes after the last event it saw, waits longer after each
// failure, and always says how it stands. Knows nothing of what an event means.
//
//   stopped ──start──▶ connecting ──answer──▶ live ──cut, silent──▶ waiting ──delay over, retryNow──▶ connecting

import { ApiProblem, createSseParser, type EventResource, type SseMessage } from '@millrace/contract'

export type ConnectionState =
  | { kind: 'stopped' }
  | { kind: 'connecting'; failuresCount: number }
  | { kind: 'live' }
  | { kind: 'waiting'; failuresCount: number; delayMs: number }

export interface EventStreamDependencies {
  /** Opens the stream after the given event id (null: from now on). */
  open: (lastEventId: string | null, signal: AbortSignal) => Promise<Response>
  /** Resolves after the delay; rejects when the signal aborts. */
  delay: (delayMs: number, signal: AbortSignal) => Promise<void>
  random: () => number
}

export interface EventStream {
  getState: () => ConnectionState
  subscribe: (listener: () => void) => () => void
  onEvent: (listener: (event: EventResource) => void) => () => void
  start: () => void
  /** Ends the stream and forgets its place. */
  stop: () => void
  /** Tries at once instead of waiting out the delay. */
  retryNow: () => void
}

const delayFirstMs = 1_000
const delayMaxMs = 30_000
/** A stream silent for so long is taken for dead; the server says something at least every 30 s. */
const silenceMaxMs = 75_000

/** Half fixed, half random, doubling from one second up to thirty. */
export function reconnectDelayMs(failuresCount: number, random: number): number {
  const fullMs = Math.min(delayFirstMs * 2 ** (failuresCount - 1), delayMaxMs)
  return Math.round(fullMs / 2 + (fullMs / 2) * random)
}

export function createEventStream({ open, delay, random }: EventStreamDependencies): EventStream {
  let state: ConnectionState = { kind: 'stopped' }
  let lastEventId: string | null = null
  let running: AbortController | null = null
  let waiting: AbortController | null = null
  const stateListeners = new Set<() => void>()
  const eventListeners = new Set<(event: EventResource) => void>()

  function setState(next: ConnectionState): void {
    state = next
    for (const listener of stateListeners) listener()
  }

  function take(message: SseMessage): void {
    const event = parseEvent(message.data)
    if (event) for (const listener of eventListeners) listener(event)
    // Only after everyone has it, so that a failing listener sees the event again.
    if (message.id !== '') lastEventId = message.id
  }

  async function read(signal: AbortSignal): Promise<void> {
    const silence = new AbortController()
    const either = AbortSignal.any([signal, silence.signal])
    const response = await open(lastEventId, either)
    if (!response.body) throw new Error('The event stream has no body.')
    setState({ kind: 'live' })
    const parse = createSseParser(take)
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    for (;;) {
      const piece = await readWithin(reader, silence, either)
      if (piece === null) return
      parse(piece)
    }
  }

  async function readWithin(
    reader: ReadableStreamDefaultReader<string>,
    silence: AbortController,
    signal: AbortSignal,
  ): Promise<string | null> {
    const heard = new AbortController()
    const timer = delay(silenceMaxMs, AbortSignal.any([signal, heard.signal])).then(
      () => silence.abort(new Error('The event stream fell silent.')),
      () => undefined,
    )
    try {
      const { done, value } = await reader.read()
      return done ? null : value
    } finally {
      heard.abort()
      await timer
    }
  }

  async function run(signal: AbortSignal): Promise<void> {
    let failuresCount = 0
    while (!signal.aborted) {
      setState({ kind: 'connecting', failuresCount })
      try {
        await read(signal)
      } catch (error) {
        // Refused credentials will not get better by repeating; the session tells the person.
        if (error instanceof ApiProblem && error.problem.status === 401) return refuse()
      }
      if (signal.aborted) return
      // A stream that was live and then ended starts counting anew.
      failuresCount = state.kind === 'live' ? 1 : failuresCount + 1
      const delayMs = reconnectDelayMs(failuresCount, random())
      setState({ kind: 'waiting', failuresCount, delayMs })
      waiting = new AbortController()
      await delay(delayMs, AbortSignal.any([signal, waiting.signal])).catch(() => undefined)
    }
  }

  function refuse(): void {
    running = null
    setState({ kind: 'stopped' })
  }

  return {
    getState: () => state,
    subscribe(listener) {
      stateListeners.add(listener)
      return () => stateListeners.delete(listener)
    },
    onEvent(listener) {
      eventListeners.add(listener)
      return () => eventListeners.delete(listener)
    },
    start() {
      if (running) return
      running = new AbortController()
      void run(running.signal)
    },
    stop() {
      running?.abort()
      running = null
      lastEventId = null
      setState({ kind: 'stopped' })
    },
    retryNow: () => waiting?.abort(),
  }
}

function parseEvent(data: string): EventResource | null {
  try {
    const value: unknown = JSON.parse(data)
    if (typeof value !== 'object' || value === null) return null
    if (!('type' in value) || typeof value.type !== 'string') return null
    // The server validates what it sends against the same schema; readers treat an unknown type as news of any kind.
    const event = value as EventResource
    return { ...event, data: event.data ?? {} }
  } catch {
    return null
  }
}
