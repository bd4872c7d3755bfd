// One watcher: first where he stands, then what he has missed, then what is pushed to him, through a bounded queue.
// There may be ten thousand at once, so it is one object without a generator, a timer or a closure of its own.

import type { EventResource } from '@millrace/contract'
import type { OutboxPosition } from './outbox.sql.ts'

export interface StreamEvent {
  /** For Last-Event-ID. */
  id: string
  /** Left out where only the place is told. */
  data: EventResource | undefined
}

export interface SubscriptionOptions {
  /** Row id; nothing of another tenant is pushed to him, whatever he watches. */
  tenantId: number
  /** How many rows the follower had told when he joined. */
  joinedAt: number
  /** Where he already was when another process had told him more than this one has yet. */
  ahead?: OutboxPosition
  start: StreamEvent
  past: AsyncIterator<StreamEvent>
  /** Called once. */
  onEnd: (subscription: Subscription) => void
}

type Result = IteratorResult<StreamEvent, undefined>

/** What a watcher may have waiting; he is ended when it is more, and catches up from the table when he comes back. */
const queuedEventsMax = 1_000
const over: Result = { done: true, value: undefined }

/** Its own iterator, for one reader who asks for one event after the other. */
export class Subscription implements AsyncIterableIterator<StreamEvent, undefined> {
  readonly tenantId: number
  readonly joinedAt: number
  readonly ahead: OutboxPosition | undefined
  #start: StreamEvent | undefined
  #past: AsyncIterator<StreamEvent> | undefined
  #queue: StreamEvent[] | undefined
  #wakeReader: ((result: Result) => void) | undefined
  #onEnd: SubscriptionOptions['onEnd'] | undefined

  constructor(options: SubscriptionOptions) {
    this.tenantId = options.tenantId
    this.joinedAt = options.joinedAt
    this.ahead = options.ahead
    this.#start = options.start
    this.#past = options.past
    this.#onEnd = options.onEnd
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** What is waiting is still given out after the end; what was missed is not. Rejects when the past cannot be read. */
  async next(): Promise<Result> {
    const start = this.#start
    if (start) {
      this.#start = undefined
      return { done: false, value: start }
    }
    if (this.#past) {
      const past = this.#ended ? undefined : await this.#nextPast(this.#past)
      if (past) return past
      this.#past = undefined
      if (this.#ended) this.#queue = undefined // After a gap they would come out of turn.
    }
    const event = this.#queue?.shift()
    if (this.#queue?.length === 0) this.#queue = undefined
    if (event) return { done: false, value: event }
    if (this.#ended) return over
    return new Promise((resolve) => (this.#wakeReader = resolve))
  }

  async #nextPast(past: AsyncIterator<StreamEvent>): Promise<Result | undefined> {
    try {
      const { done, value } = await past.next()
      return done === true || this.#ended ? undefined : { done: false, value }
    } catch (error) {
      this.end()
      throw error
    }
  }

  async return(): Promise<Result> {
    this.end()
    return over
  }

  push(event: StreamEvent): void {
    if (this.#ended) return
    const wakeReader = this.#wakeReader
    if (wakeReader) {
      this.#wakeReader = undefined
      wakeReader({ done: false, value: event })
      return
    }
    const queue = (this.#queue ??= [])
    queue.push(event)
    if (queue.length > queuedEventsMax) this.end()
  }

  end(): void {
    const onEnd = this.#onEnd
    this.#onEnd = undefined
    onEnd?.(this)
    this.#wakeReader?.(over)
    this.#wakeReader = undefined
  }

  get #ended(): boolean {
    return this.#onEnd === undefined
  }
}
