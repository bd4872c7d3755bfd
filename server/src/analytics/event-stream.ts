// What happens, told to whoever watches: one follower of the outbox per process, whatever the number of watchers.
//
// The outbox is followed in the order (xid, id), below the oldest transaction still running, so that an event that
// commits late is not passed over. A watcher joins at the follower's position: what lies between his Last-Event-ID and
// that position comes from the table, the rest from the follower. Nothing is missed and nothing comes twice.
//
// Everything is bounded: a watcher who does not keep up is ended and comes back with his Last-Event-ID.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { EventResource } from '@millrace/contract'
import { endWait, type Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import { Problem } from '../platform/problem.ts'
import type { Service } from '../platform/service.ts'
import type { WakeBus } from '../platform/wake.ts'
import { findSettledEnd, listPast, listSettled, type OutboxPosition, type OutboxRow } from './outbox.sql.ts'
import { Subscription, type StreamEvent } from './subscription.ts'

export interface SubscribeOptions {
  tenantId: number
  /** Only this job's events; they are then told from its beginning, unless after says otherwise. */
  jobRowId?: RowId<'job'>
  /** Last-Event-ID. */
  after?: string
}

export interface EventStream extends Service {
  readonly watchersCount: number
  /**
   * Begins at once; whoever calls must iterate, or call the iterator's return. The first event has no data: it is the
   * place to come back to. Throws Problem('invalid_request') for an id that is not one of ours.
   */
  subscribe(options: SubscribeOptions): Promise<AsyncIterable<StreamEvent>>
}

export interface EventStreamDependencies {
  database: Database
  wake: WakeBus
  clock: Clock
  log: Log
}

/** When a wake is lost, events are late by as much. */
const pollMs = 500
/** A busy engine wakes without end; watchers do not need more than this many looks a second. */
const spacingMs = 20
const pageRowsCount = 500
/** Watchers written to in one turn of the event loop; 10,000 at once would stop everything else for 0.1 s. */
const watchersPerTurn = 200
const beginning: OutboxPosition = { xid: '0', id: 0 }

export function createEventStream({ database, wake, clock, log }: EventStreamDependencies): EventStream {
  const byTenant = new Map<number, Set<Subscription>>()
  const byJob = new Map<number, Set<Subscription>>()
  let watchersCount = 0
  let position: OutboxPosition | undefined
  /** Rows told so far; a watcher is told those that came after he joined. */
  let rowsCount = 0
  let woken = new AbortController()
  let stopped = false

  async function tell(row: OutboxRow): Promise<void> {
    position = { xid: row.xid, id: row.id }
    const rowNumber = ++rowsCount
    const audiences = [byTenant.get(row.tenant_id), row.job_id === null ? undefined : byJob.get(row.job_id)]
    let event: StreamEvent | undefined
    let told = 0
    for (const audience of audiences) {
      for (const subscription of audience ?? []) {
        const { tenantId, joinedAt, ahead } = subscription
        if (tenantId !== row.tenant_id || joinedAt >= rowNumber || (ahead && !isAfter(row, ahead))) continue
        subscription.push((event ??= toEvent(row)))
        if (++told % watchersPerTurn === 0) await nextTurn()
      }
    }
  }

  async function advance(): Promise<void> {
    if (watchersCount === 0) {
      position = undefined // Whoever comes next begins at the end of that moment.
      return
    }
    for (let after = await findPosition(); ;) {
      const rows = await listSettled(database, after, pageRowsCount)
      for (const row of rows) await tell(row)
      const last = rows.at(-1)
      if (!last || rows.length < pageRowsCount) return
      after = last
    }
  }

  async function follow(signal: AbortSignal): Promise<void> {
    const unlisten = wake.listen('outbox', () => endWait(woken))
    while (!signal.aborted) {
      await clock.sleep(pollMs, AbortSignal.any([signal, woken.signal]))
      woken = new AbortController()
      await advance().catch((error: unknown) => log.warn('events.follow_failed', { error }))
      await clock.sleep(spacingMs, signal)
    }
    unlisten()
  }

  /** The follower's position, found now when nobody has been watching. */
  async function findPosition(): Promise<OutboxPosition> {
    const end = position ?? (await findSettledEnd(database))
    return (position ??= end)
  }

  function join(subscription: Subscription, audiences: Map<number, Set<Subscription>>, key: number): void {
    const audience = audiences.get(key) ?? new Set()
    audiences.set(key, audience.add(subscription))
    watchersCount++
  }

  function leave(subscription: Subscription, audiences: Map<number, Set<Subscription>>, key: number): void {
    const audience = audiences.get(key)
    if (!audience?.delete(subscription)) return
    watchersCount--
    if (audience.size === 0) audiences.delete(key)
  }

  async function* readPast(options: SubscribeOptions, after: OutboxPosition, until: OutboxPosition) {
    const { tenantId, jobRowId: jobId } = options
    for (let from = after; ;) {
      const limit = pageRowsCount
      const rows = await database.withTenant(tenantId, (tx) =>
        listPast(tx, { tenantId, jobId, after: from, until, limit }),
      )
      yield* rows.map(toEvent)
      const last = rows.at(-1)
      if (!last || rows.length < limit) return
      from = last
    }
  }

  return {
    name: 'event-stream',
    get watchersCount() {
      return watchersCount
    },
    async subscribe(options) {
      if (stopped) throw new Problem('shutting_down')
      const asked = options.after === undefined ? undefined : parsePosition(options.after)
      while (!position) await findPosition()
      // From here to join there is no await: the follower cannot move in between.
      const joinedPosition: OutboxPosition = position
      const after = asked ?? (options.jobRowId === undefined ? joinedPosition : beginning)
      const [audiences, key] = options.jobRowId === undefined ? [byTenant, options.tenantId] : [byJob, options.jobRowId]
      const subscription = new Subscription({
        tenantId: options.tenantId,
        joinedAt: rowsCount,
        ...(asked && isAfter(asked, joinedPosition) && { ahead: asked }),
        start: { id: formatPosition(after), data: undefined },
        past: readPast(options, after, joinedPosition),
        onEnd: (ended) => leave(ended, audiences, key),
      })
      join(subscription, audiences, key)
      return subscription
    },
    async start(signal) {
      void follow(signal)
    },
    async stop() {
      stopped = true
      for (const audience of [...byTenant.values(), ...byJob.values()]) {
        for (const subscription of audience) subscription.end()
      }
    },
  }
}

const isAfter = (a: OutboxPosition, b: OutboxPosition): boolean =>
  a.xid === b.xid ? a.id > b.id : BigInt(a.xid) > BigInt(b.xid)

const formatPosition = ({ xid, id }: OutboxPosition): string => `${xid}-${id}`

function parsePosition(text: string): OutboxPosition {
  const [, xid, id] = /^(\d{1,19})-(\d{1,15})$/.exec(text) ?? []
  if (xid === undefined) throw new Problem('invalid_request', { detail: 'Last-Event-ID is not one of ours.' })
  return { xid, id: Number(id) }
}

function toEvent(row: OutboxRow): StreamEvent {
  const data: EventResource = {
    type: row.type,
    at: row.at.toISOString(),
    ...(row.job_id !== null && { job_id: encodeId('job', row.job_id) }),
    ...(row.file_id !== null && { file_id: encodeId('file', row.file_id) }),
    data: row.data,
  }
  return { id: formatPosition(row), data }
}
