// One watcher: first where he stands, then what he has missed, then what is pushed to him, through a bounded queue.

import type { EventResource } from '@millrace/contract'
import type { OutboxPosition } from './outbox.sql.ts'

export interface StreamEvent {
  /** For Last-Event-ID. */
  id: string
  /** Left out where only the place is told. */
  data: EventResource | undefined
}

export interface Subscription {
  /** How many rows the follower had told when he joined. */
  readonly joinedAt: number
  /** Where he already was when another process had told him more than this one has yet. */
  readonly ahead?: OutboxPosition
  readonly events: AsyncIterable<StreamEvent>
  push(event: StreamEvent): void
  end(): void
}

export interface SubscriptionOptions {
  joinedAt: number
  ahead?: OutboxPosition
  start: StreamEvent
  past: () => AsyncIterable<StreamEvent>
  /** Called once. */
  onEnd: () => void
}

/** What a watcher may have waiting; he is ended when it is more, and catches up from the table when he comes back. */
const queuedEventsMax = 1_000

export function createSubscription(options: SubscriptionOptions): Subscription {
  const queue: StreamEvent[] = []
  let wakeReader: (() => void) | undefined
  let ended = false

  function end(): void {
    if (ended) return
    ended = true
    options.onEnd()
    wakeReader?.()
  }

  async function* read(): AsyncGenerator<StreamEvent, void> {
    try {
      yield options.start
      for await (const event of options.past()) {
        if (ended) return
        yield event
      }
      for (;;) {
        const event = queue.shift()
        if (event) yield event
        else if (ended) return
        else await new Promise<void>((resolve) => (wakeReader = resolve))
      }
    } finally {
      end()
    }
  }

  const generator = read()
  return {
    joinedAt: options.joinedAt,
    ...(options.ahead && { ahead: options.ahead }),
    end,
    push(event) {
      if (ended) return
      queue.push(event)
      wakeReader?.()
      if (queue.length > queuedEventsMax) end()
    },
    events: {
      [Symbol.asyncIterator]: () => ({
        next: () => generator.next(),
        // A generator that waits cannot be returned from outside; it is woken to find that it has ended.
        return: async () => {
          end()
          void generator.return().catch(() => {}) // What it fails with has no reader any more.
          return { done: true, value: undefined }
        },
      }),
    },
  }
}
