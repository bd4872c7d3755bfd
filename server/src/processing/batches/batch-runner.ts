// Takes live batches further, a bounded piece at a time: lists the next items, puts back what is driven again, ends items
// whose jobs have ended, cancels, starts the next ones, ends the batch. Each piece is one transaction under the batch's
// lock, and leaves everything as it was when it fails; several processes may do this at once.
//
// Counting is done here and not where jobs end: a job's end would have to wait for the row of its batch, which all workers
// would take turns on. What is looked through instead are the running items, never more than the batch's concurrency.

import { isBatchEnded, problems } from '@millrace/contract'
import { refusalCodeOf } from '../../files/clearance.ts'
import { writeAudit } from '../../platform/audit.ts'
import type { Database, Tx } from '../../platform/database.ts'
import { encodeId, type RowId } from '../../platform/ids.ts'
import type { Log } from '../../platform/log.ts'
import { Problem } from '../../platform/problem.ts'
import type { WakeBus } from '../../platform/wake.ts'
import type { SearchIndex } from '../../search/search-index.ts'
import { findObject } from '../../storage/object.sql.ts'
import type { Vault } from '../../storage/vault.ts'
import type { StoredProblem } from '../engine-store.ts'
import { pinPlans } from '../pinned-plans.sql.ts'
import { requestCancel } from '../job.sql.ts'
import type { JobSubmission, SubmitJob } from '../submission.ts'
import type { BatchSource } from './batch-source.ts'
import { toBatchEvent, laneOf } from './batch-resource.ts'
import {
  cancelPending,
  endItems,
  hasEndedItems,
  insertQueried,
  listPending,
  listRunningJobs,
  putBack,
  startItems,
  type PendingItemRow,
  type StartedItem,
} from './batch-item.sql.ts'
import {
  addCounts,
  endBatch,
  findBatch,
  insertBatchEvent,
  listLiveBatches,
  lockBatch,
  setPlanned,
  setRedriven,
  setStopping,
  touchTold,
  type BatchRow,
} from './batch.sql.ts'
import { chunkItemsCount, chunksOf, itemsCountMax } from './batches.ts'
import { enterLines } from './listed-items.ts'
import { readManifest, type ManifestEntry } from './manifest.ts'

export interface BatchRunner {
  /** One round over live batches: how many there are in sight, and whether there is more to do at once. */
  advance(signal: AbortSignal): Promise<{ live: number; busy: boolean }>
}

export interface BatchRunnerDependencies {
  database: Database
  vault: Pick<Vault, 'read'>
  searchIndex: SearchIndex
  submission: Pick<JobSubmission, 'submitJobs'>
  wake: WakeBus
  log: Log
}

/** Jobs written in one transaction: some tens of milliseconds. */
const startCount = 500
const batchesCount = 100
const progressEveryMs = 1_000

export function createBatchRunner(deps: BatchRunnerDependencies): BatchRunner {
  const { database, wake, log } = deps
  const readers = createManifestReaders(deps)
  let after = 0

  /** A piece under the lock; does nothing when the batch has gone on since, or another process has it. */
  const locked = (
    batch: BatchRow,
    work: (tx: Tx, row: BatchRow) => Promise<boolean>,
    isStill: (row: BatchRow) => boolean = (row) => row.state === batch.state,
  ): Promise<boolean> =>
    database.withTenant(batch.tenant_id, async (tx) => {
      await pinPlans(tx)
      const row = await lockBatch(tx, { tenantId: batch.tenant_id, batchId: batch.id, wait: false })
      return row !== undefined && isStill(row) ? work(tx, row) : false
    })

  async function plan(batch: BatchRow): Promise<boolean> {
    const { source } = batch
    if (source.kind === 'lines') return false
    const entries = source.kind === 'file' ? await readers.next(batch, source) : undefined
    const done = await locked(
      batch,
      async (tx, row) => {
        const chunk =
          source.kind === 'query' ? await listQueried(tx, row, source, deps) : await listLines(tx, row, entries ?? [])
        await addCounts(tx, row.id, chunk.counts)
        const total = row.items_total + (chunk.counts.pending ?? 0) + (chunk.counts.failed ?? 0)
        await setPlanned(tx, { batchId: row.id, to: chunk.to, ended: chunk.ended })
        if (total > itemsCountMax)
          await setStopping(tx, row.id, { code: 'batch_too_large', detail: `At most ${itemsCountMax} items.` })
        return true
      },
      (row) => row.planned_at === null && row.planned_to === batch.planned_to && !isBatchEnded(row.state),
    )
    if (!done) readers.forget(batch.id)
    return done
  }

  /** A source that cannot be read any more ends the batch: what was listed has been run, the rest is not known. */
  async function planOrStop(batch: BatchRow): Promise<boolean> {
    try {
      return await plan(batch)
    } catch (error) {
      readers.forget(batch.id)
      if (!(error instanceof Problem) || !endingCodes.has(error.code)) throw error
      const { code, detail = '' } = error
      return locked(
        batch,
        async (tx, row) => {
          await setStopping(tx, row.id, { code, detail })
          return true
        },
        (row) => row.planned_at === null,
      )
    }
  }

  const redrive = (batch: BatchRow): Promise<boolean> =>
    locked(batch, async (tx, row) => {
      if (row.redrive_states === null) return false
      const seen = await putBack(tx, {
        batchId: row.id,
        round: row.round,
        states: row.redrive_states,
        after: row.redriven_to,
        limit: chunkItemsCount,
      })
      await addCounts(tx, row.id, {
        pending: seen.failed + seen.cancelled,
        failed: -seen.failed,
        cancelled: -seen.cancelled,
      })
      await setRedriven(tx, { batchId: row.id, to: seen.last ?? row.redriven_to, ended: seen.seen < chunkItemsCount })
      return true
    })

  async function settle(batch: BatchRow): Promise<boolean> {
    if (batch.items_running === 0) return false
    const hasEnded = await database.withTenant(batch.tenant_id, async (tx) => {
      await pinPlans(tx)
      return hasEndedItems(tx, batch.id)
    })
    if (!hasEnded) return false
    return locked(
      batch,
      async (tx, row) => {
        const counts = await endItems(tx, row.id, chunkItemsCount)
        const { succeeded = 0, failed = 0, cancelled = 0 } = counts
        await addCounts(tx, row.id, { ...counts, running: -(succeeded + failed + cancelled) })
        return true
      },
      () => true,
    )
  }

  const stopForFailures = (batch: BatchRow): Promise<boolean> =>
    locked(batch, async (tx, row) => {
      if (!hasFailedTooOften(row)) return false
      const detail = `${row.items_failed} of ${row.items_total} items failed; ${row.tolerated_failure_percent} % are tolerated.`
      await setStopping(tx, row.id, { code: 'batch_failures_exceeded', detail })
      return true
    })

  /** Nothing of it is started any more; jobs that are live are cancelled, or run to their end when it is only stopped. */
  const wind = async (batch: BatchRow): Promise<boolean> => {
    let jobs = 0
    const more = await locked(batch, async (tx, row) => {
      if (row.state === 'cancelling') jobs = await requestCancel(tx, row.tenant_id, await listRunningJobs(tx, row.id))
      if (row.planned_at === null) await setPlanned(tx, { batchId: row.id, to: row.planned_to, ended: true })
      const cancelled = await cancelPending(tx, row.id, chunkItemsCount)
      await addCounts(tx, row.id, { pending: -cancelled, cancelled })
      return cancelled > 0
    })
    // After the commit: who is woken looks at once.
    if (jobs > 0) wake.wake('cancel')
    return more
  }

  const start = (batch: BatchRow): Promise<boolean> =>
    locked(batch, async (tx, row) => {
      const room = Math.min(startCount, row.concurrency - row.items_running)
      if (room <= 0 || row.redrive_states !== null) return false
      const items = await listPending(tx, row.id, room)
      if (items.length === 0) return false
      const started = await submitItems(tx, row, items, deps.submission)
      await startItems(tx, { batchId: row.id, round: row.round, items: started })
      const running = started.filter(({ jobId }) => jobId !== null).length
      await addCounts(tx, row.id, { pending: -started.length, running, failed: started.length - running })
      return true
    })

  const end = (batch: BatchRow): Promise<boolean> =>
    locked(batch, async (tx, row) => {
      const state = endStateOf(row)
      if (state === undefined) return false
      await endBatch(tx, row.id, state)
      const ended = await findBatch(tx, row.tenant_id, row.id)
      if (ended !== undefined) await tell(tx, ended, 'batch.ended')
      const detail = { state, failed: row.items_failed, total: row.items_total }
      const target = encodeId('batch', row.id)
      await writeAudit(tx, { tenantId: row.tenant_id, actor: 'system', action: 'batch.end', target, detail })
      return true
    })

  async function tellProgress(batch: BatchRow): Promise<void> {
    await locked(
      batch,
      async (tx, row) => {
        if (!isBatchEnded(row.state) && (await touchTold(tx, row.id, progressEveryMs)))
          await tell(tx, row, 'batch.progress')
        return true
      },
      () => true,
    )
    wake.wake('outbox')
  }

  async function advanceOne(tenantId: number, batchId: RowId<'batch'>): Promise<boolean> {
    const read = () => database.withTenant(tenantId, (tx) => findBatch(tx, tenantId, batchId))
    let batch = await read()
    if (batch === undefined || isBatchEnded(batch.state)) return false
    const moved: boolean[] = []
    const next = async (piece: (batch: BatchRow) => Promise<boolean>): Promise<boolean> => {
      if (batch === undefined) return false
      const done = await piece(batch)
      moved.push(done)
      if (done) batch = await read()
      return done
    }
    if (batch.planned_at === null && (batch.state === 'running' || batch.state === 'paused')) await next(planOrStop)
    if (batch.redrive_states !== null) await next(redrive)
    const settled = await next(settle)
    if (hasFailedTooOften(batch)) await next(stopForFailures)
    if (batch.state === 'cancelling' || batch.state === 'stopping') await next(wind)
    if (batch.state === 'running' && batch.items_pending > 0 && batch.items_running < batch.concurrency) {
      if (await next(start)) wake.wake('backlog')
    }
    if (endStateOf(batch) !== undefined) await next(end)
    const any = moved.some(Boolean)
    if (any) await tellProgress(batch)
    return any && (settled || moved.length > 1)
  }

  return {
    async advance(signal) {
      const live = await listLiveBatches(database, { after, limit: batchesCount })
      after = live.length < batchesCount ? 0 : (live.at(-1)?.id ?? 0)
      let busy = false
      for (const { id, tenant_id: tenantId } of live) {
        if (signal.aborted) break
        // One that cannot be taken further must not hold up the others.
        const moved = await advanceOne(tenantId, id).catch((error: unknown) => {
          if (!signal.aborted) log.warn('batch.failed', { batchId: encodeId('batch', id), tenantId, error })
          return false
        })
        busy ||= moved
      }
      return { live: live.length, busy }
    },
  }
}

/** What no further attempt will help; a store that does not answer may answer later. */
const endingCodes = new Set(['object_damaged', 'not_found', 'key_destroyed', 'manifest_invalid'])

const hasFailedTooOften = (row: BatchRow): boolean =>
  row.tolerated_failure_percent !== null &&
  row.planned_at !== null &&
  row.redrive_states === null &&
  (row.state === 'running' || row.state === 'paused') &&
  row.items_pending > 0 &&
  row.items_failed * 100 > row.tolerated_failure_percent * row.items_total

function endStateOf(row: BatchRow): BatchRow['state'] | undefined {
  if (row.planned_at === null || row.redrive_states !== null) return undefined
  if (isBatchEnded(row.state) || row.items_pending + row.items_running > 0) return undefined
  if (row.state === 'cancelling') return 'cancelled'
  if (row.state === 'stopping') return 'stopped'
  return row.items_failed + row.items_cancelled === 0 ? 'completed' : 'completed_with_errors'
}

const tell = (tx: Tx, row: BatchRow, type: 'batch.progress' | 'batch.ended'): Promise<void> =>
  insertBatchEvent(tx, { tenantId: row.tenant_id, type, data: toBatchEvent(row) })

interface Listed {
  counts: { pending?: number; failed?: number }
  to: number
  ended: boolean
}

async function listQueried(
  tx: Tx,
  row: BatchRow,
  source: Extract<BatchSource, { kind: 'query' }>,
  { searchIndex }: BatchRunnerDependencies,
): Promise<Listed> {
  const limit = chunkItemsCount
  const chunk = { tenantId: row.tenant_id, batchId: row.id, query: source.query, ordinal: row.items_total }
  const range = { after: row.planned_to, upTo: source.upToFileId, limit }
  if (source.query.text === undefined) {
    const { count, last_id: last } = await insertQueried(tx, { ...chunk, ...range })
    return { counts: { pending: count }, to: last ?? row.planned_to, ended: count < limit }
  }
  const fileIds = await searchIndex.match(tx, { text: source.query.text, afterFileId: row.planned_to, limit })
  const { count } = await insertQueried(tx, { ...chunk, ...range, fileIds })
  const last = fileIds.at(-1) ?? row.planned_to
  return { counts: { pending: count }, to: last, ended: fileIds.length < limit || last >= source.upToFileId }
}

async function listLines(tx: Tx, row: BatchRow, entries: readonly ManifestEntry[]): Promise<Listed> {
  if (entries.length === 0) return { counts: {}, to: row.planned_to, ended: true }
  const counts = await enterLines(tx, { tenantId: row.tenant_id, batchId: row.id, entries })
  return { counts, to: entries.at(-1)?.line ?? row.planned_to, ended: entries.length < chunkItemsCount }
}

async function submitItems(
  tx: Tx,
  row: BatchRow,
  items: readonly PendingItemRow[],
  submission: Pick<JobSubmission, 'submitJobs'>,
): Promise<StartedItem[]> {
  const fit = items.flatMap((item) => {
    const job = toJob(row, item)
    return job === undefined ? [] : [{ ordinal: item.ordinal, job }]
  })
  const submitted = await submission.submitJobs(
    tx,
    fit.map(({ job }) => job),
  )
  const outcomes = new Map(fit.map(({ ordinal }, index) => [ordinal, submitted[index]]))
  return items.map((item) => {
    const { ordinal } = item
    const outcome = outcomes.get(ordinal) ?? refusal(item)
    if ('jobRowId' in outcome) return { ordinal, jobId: outcome.jobRowId, problem: null }
    return { ordinal, jobId: null, problem: { code: outcome.code, detail: outcome.detail ?? '' } }
  })
}

function toJob(row: BatchRow, item: PendingItemRow): SubmitJob | undefined {
  if (item.file_id === null || item.version === null || item.file_state !== 'available') return undefined
  return {
    tenantId: row.tenant_id,
    fileId: item.file_id,
    fileVersion: item.version,
    fileName: item.name,
    contentType: item.content_type,
    sizeBytes: item.size_bytes,
    sha256: item.sha256,
    objectId: item.object_id,
    metadata: item.metadata,
    depth: item.depth,
    ...(row.pipeline !== null && { pipeline: row.pipeline }),
    lane: laneOf(row),
    actor: row.created_by,
  }
}

function refusal(item: PendingItemRow): StoredProblem {
  if (item.version === null) return { code: 'not_found', detail: 'The file has been deleted since.' }
  const code = refusalCodeOf(item.file_state) ?? 'file_quarantined'
  return { code, detail: problems[code].title }
}

/** Keeps a manifest open from one piece to the next; whoever takes over reads it again from its beginning. */
function createManifestReaders({ database, vault }: BatchRunnerDependencies) {
  const open = new Map<number, { to: number; chunks: AsyncGenerator<ManifestEntry[]>; end: AbortController }>()

  function forget(batchId: number): void {
    open.get(batchId)?.end.abort()
    open.delete(batchId)
  }

  async function begin(batch: BatchRow, source: Extract<BatchSource, { kind: 'file' }>) {
    const object = await database.withTenant(batch.tenant_id, (tx) => findObject(tx, source.objectId))
    if (object === undefined) throw new Problem('not_found', { detail: 'The manifest has been erased.' })
    const end = new AbortController()
    const content = await vault.read(object, { signal: end.signal })
    const entries = skipTo(readManifest(content, source.format), batch.planned_to)
    const reader = { to: batch.planned_to, chunks: chunksOf(entries, chunkItemsCount), end }
    open.set(batch.id, reader)
    return reader
  }

  return {
    forget,
    /** The lines after those that are listed; none at its end. */
    async next(batch: BatchRow, source: Extract<BatchSource, { kind: 'file' }>): Promise<ManifestEntry[]> {
      const known = open.get(batch.id)
      if (known !== undefined && known.to !== batch.planned_to) forget(batch.id)
      const reader = open.get(batch.id) ?? (await begin(batch, source))
      const { value = [] } = await reader.chunks.next()
      reader.to = value.at(-1)?.line ?? reader.to
      if (value.length < chunkItemsCount) open.delete(batch.id)
      return value
    },
  }
}

async function* skipTo(entries: AsyncIterable<ManifestEntry>, line: number): AsyncGenerator<ManifestEntry> {
  for await (const entry of entries) if (entry.line > line) yield entry
}
