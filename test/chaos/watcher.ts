// A watcher of a tenant's events who comes back with his Last-Event-ID whenever the line is lost, and keeps what he heard.

import type { Client } from '@millrace/contract'
import { setTimeout as delay } from 'node:timers/promises'
import { readMessages } from '../e2e/event-reader.ts'

export interface Watcher {
  /** Ids of the events he was told, in the order in which he was. */
  readonly told: readonly string[]
  /** Resolves once he has a place to come back to. */
  readonly ready: Promise<void>
  stop(): Promise<void>
}

/** Between two events of a tenant; heartbeats are no events. */
const silenceMsMax = 120_000
const returnMs = 250

export function startWatcher(client: Client): Watcher {
  const told: string[] = []
  const stopping = new AbortController()
  const ready = Promise.withResolvers<void>()
  let lastId: string | undefined

  async function listen(): Promise<void> {
    const silent = new AbortController()
    const timer = setTimeout(() => silent.abort(), silenceMsMax)
    try {
      const answer = await client.stream('tenantEvents', {
        signal: AbortSignal.any([stopping.signal, silent.signal]),
        headers: lastId === undefined ? {} : { 'last-event-id': lastId },
      })
      for await (const { id, data } of readMessages(answer)) {
        timer.refresh()
        lastId = id
        ready.resolve()
        if (data !== '') told.push(id)
      }
    } finally {
      clearTimeout(timer)
    }
  }
  const running = (async () => {
    while (!stopping.signal.aborted) {
      await listen().catch(() => undefined)
      await delay(returnMs)
    }
  })()
  return {
    told,
    ready: ready.promise,
    async stop() {
      stopping.abort()
      await running
    },
  }
}
