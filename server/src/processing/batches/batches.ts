// batches/ is one pipeline over many files: ordered in one request, listed and started in the background (batch-runner.ts).
// It must not know how a job runs: it submits jobs, and looks at what became of them.
// Invariants: every line and every file that was meant is an item, and every item ends; the counters of a batch are those of
// its items, because both change in one transaction under the batch's lock; a batch has never more live jobs than it may.
//
//   item   pending ──started──▶ running ──its job ended──▶ succeeded | failed | cancelled
//          (bad line, no such file, not accepted: failed at once)      └──redrive──▶ pending
//   batch  running ⇄ paused ──all ended──▶ completed | completed_with_errors
//             └──too many failures──▶ stopping ──▶ stopped      └──cancel──▶ cancelling ──▶ cancelled

import {
  isBatchEnded,
  lanes,
  type BatchChange,
  type BatchOrder,
  type BatchPlan,
  type BatchRedrive,
} from '@millrace/contract'
import { requireCleared } from '../../files/clearance.ts'
import { findFileContent } from '../../files/file.sql.ts'
import { writeAudit } from '../../platform/audit.ts'
import type { Database, Tx } from '../../platform/database.ts'
import { decodeId, encodeId, type RowId } from '../../platform/ids.ts'
import type { Principal } from '../../platform/principal.ts'
import { Problem } from '../../platform/problem.ts'
import type { WakeBus } from '../../platform/wake.ts'
import { findObject } from '../../storage/object.sql.ts'
import type { Vault } from '../../storage/vault.ts'
import type { PipelineStore } from '../pipelines.ts'
import { pinPlans } from '../pinned-plans.sql.ts'
import type { BatchSource } from './batch-source.ts'
import { countQueried } from './batch-item.sql.ts'
import {
  addCounts,
  countLiveBatches,
  findBatch,
  insertBatch,
  lockBatch,
  reopenBatch,
  setPlanned,
  setRedriven,
  updateBatch,
  type BatchRow,
} from './batch.sql.ts'
import { enterLines } from './listed-items.ts'
import { readManifest } from './manifest.ts'

export interface BatchAct {
  principal: Pick<Principal, 'tenantId' | 'actor'>
  requestId?: string
}

export interface Batches {
  /**
   * Takes an order. Throws Problem invalid_request, manifest_invalid, batch_too_large, too_many_batches, pipeline_unknown,
   * and not_found or those of requireCleared for the file of a manifest; nothing is kept then.
   */
  create(act: BatchAct, order: BatchOrder): Promise<{ row: BatchRow; plan: BatchPlan }>
  /** The same for a schedule, inside the transaction of its tick; only orders with a query. */
  createWithin(tx: Tx, act: BatchAct, order: BatchOrder, scheduleId: RowId<'schedule'>): Promise<BatchRow>
  get(tenantId: number, batchId: RowId<'batch'>): Promise<BatchRow>
  /** Throws Problem('batch_ended'). */
  change(act: BatchAct, batchId: RowId<'batch'>, change: BatchChange): Promise<BatchRow>
  /** Throws Problem('batch_ended'). Doing it twice is doing it once. */
  cancel(act: BatchAct, batchId: RowId<'batch'>): Promise<BatchRow>
  /** Throws Problem('batch_not_ended'), and conflict when there is nothing to run again. */
  redrive(act: BatchAct, batchId: RowId<'batch'>, wish: BatchRedrive): Promise<BatchRow>
}

export interface BatchDependencies {
  database: Database
  vault: Pick<Vault, 'read'>
  pipelines: Pick<PipelineStore, 'find'>
  wake: WakeBus
}

export const itemsCountMax = 10_000_000
/** Keeps every worker of a large installation busy, and the tables of the engine small. */
export const concurrencyDefault = 1_000
const liveBatchesCountMax = 100
/** Rows of one statement. */
export const chunkItemsCount = 5_000
const errorsTold = 20
/** A list longer than this is one of ten million names. */
const manifestBytesMax = 1024 ** 3

export function createBatches({ database, vault, pipelines, wake }: BatchDependencies): Batches {
  async function insert(tx: Tx, act: BatchAct, order: BatchOrder, source: BatchSource, scheduleId?: RowId<'schedule'>) {
    const { tenantId, actor } = act.principal
    if (order.pipeline !== undefined && (await pipelines.find(tx, tenantId, order.pipeline)) === undefined)
      throw new Problem('pipeline_unknown', { detail: `There is no pipeline "${order.pipeline.slice(0, 120)}".` })
    if ((await countLiveBatches(tx, tenantId)) >= liveBatchesCountMax)
      throw new Problem('too_many_batches', { detail: `At most ${liveBatchesCountMax} are live at once.` })
    const batchId = await insertBatch(tx, {
      tenantId,
      name: order.name ?? nameOf(source),
      pipeline: order.pipeline ?? null,
      lane: lanes.indexOf(order.priority ?? 'bulk'),
      source,
      concurrency: order.concurrency ?? concurrencyDefault,
      toleratedFailurePercent: order.tolerated_failure_percent ?? null,
      scheduleId: scheduleId ?? null,
      createdBy: actor,
    })
    await audit(tx, act, 'batch.create', batchId, { source: source.kind })
    return batchId
  }

  const read = async (tx: Tx, tenantId: number, batchId: RowId<'batch'>): Promise<BatchRow> => {
    const row = await findBatch(tx, tenantId, batchId)
    if (row === undefined) throw new Problem('not_found')
    return row
  }

  async function createByQuery(tx: Tx, act: BatchAct, order: BatchOrder, scheduleId?: RowId<'schedule'>) {
    const { tenantId } = act.principal
    const { query = {} } = order
    const found = await countQueried(tx, tenantId, query, itemsCountMax + 1)
    if (found.count > itemsCountMax) throw tooLarge()
    const source = { kind: 'query' as const, query, upToFileId: found.newest_id }
    const row = await read(tx, tenantId, await insert(tx, act, order, source, scheduleId))
    // How many of them hold the text is found when they are listed.
    return { row, plan: { items: query.text === undefined ? found.count : null, bad_lines: 0, errors: [] } }
  }

  async function createByLines(act: BatchAct, order: BatchOrder, content: string): Promise<Created> {
    const { tenantId } = act.principal
    const format = order.manifest?.format ?? 'csv'
    const plan = await planOf([content], format)
    return database.withTenant(tenantId, async (tx) => {
      const batchId = await insert(tx, act, order, { kind: 'lines', format })
      await pinPlans(tx)
      let to = 0
      for await (const entries of chunksOf(readManifest([content], format), chunkItemsCount)) {
        await addCounts(tx, batchId, await enterLines(tx, { tenantId, batchId, entries }))
        to = entries.at(-1)?.line ?? to
      }
      await setPlanned(tx, { batchId, to, ended: true })
      return { row: await read(tx, tenantId, batchId), plan }
    })
  }

  async function createByFile(act: BatchAct, order: BatchOrder, wireId: string): Promise<Created> {
    const { tenantId } = act.principal
    const format = order.manifest?.format ?? 'csv'
    const fileId = decodeId('file', wireId)
    if (fileId === undefined)
      throw new Problem('not_found', { detail: 'There is no file with the id of the manifest.' })
    const object = await database.withTenant(tenantId, async (tx) => {
      const file = await findFileContent(tx, { tenantId, fileId })
      if (file === undefined || file.deleted_at !== null)
        throw new Problem('not_found', { detail: 'There is no file with the id of the manifest.' })
      requireCleared(file.state)
      return findObject(tx, file.object_id)
    })
    if (object === undefined) throw new Problem('not_found')
    if (object.sizeBytes > manifestBytesMax) throw tooLarge()
    const plan = await planOf(await vault.read(object), format)
    return database.withTenant(tenantId, async (tx) => {
      const { objectId } = object
      const batchId = await insert(tx, act, order, { kind: 'file', format, fileId, objectId })
      return { row: await read(tx, tenantId, batchId), plan }
    })
  }

  async function changeBatch(act: BatchAct, batchId: RowId<'batch'>, apply: (tx: Tx, row: BatchRow) => Promise<void>) {
    const { tenantId } = act.principal
    const row = await database.withTenant(tenantId, async (tx) => {
      const locked = await lockBatch(tx, { tenantId, batchId, wait: true })
      if (locked === undefined) throw new Problem('not_found')
      await apply(tx, locked)
      return read(tx, tenantId, batchId)
    })
    wake.wake('batch')
    return row
  }

  return {
    async create(act, order) {
      if ((order.query === undefined) === (order.manifest === undefined))
        throw new Problem('invalid_request', { detail: 'Give either query or manifest.' })
      const { content, file_id: fileId } = order.manifest ?? {}
      if (order.manifest !== undefined && (content === undefined) === (fileId === undefined))
        throw new Problem('invalid_request', { detail: 'Give either content or file_id of the manifest.' })
      const created =
        content !== undefined
          ? await createByLines(act, order, content)
          : fileId !== undefined
            ? await createByFile(act, order, fileId)
            : await database.withTenant(act.principal.tenantId, (tx) => createByQuery(tx, act, order))
      wake.wake('batch')
      return created
    },
    createWithin: async (tx, act, order, scheduleId) => (await createByQuery(tx, act, order, scheduleId)).row,
    get: (tenantId, batchId) => database.withTenant(tenantId, (tx) => read(tx, tenantId, batchId)),
    change: (act, batchId, change) =>
      changeBatch(act, batchId, async (tx, row) => {
        if (isBatchEnded(row.state) || row.state === 'stopping' || row.state === 'cancelling')
          throw new Problem('batch_ended', { detail: `The batch is ${row.state.replaceAll('_', ' ')}.` })
        const { paused } = change
        const state = paused === undefined ? row.state : paused ? 'paused' : 'running'
        await updateBatch(tx, { ...changed(row, change), state })
        await audit(tx, act, 'batch.update', batchId, { ...change })
      }),
    cancel: (act, batchId) =>
      changeBatch(act, batchId, async (tx, row) => {
        if (isBatchEnded(row.state)) throw new Problem('batch_ended')
        if (row.state === 'cancelling') return
        await updateBatch(tx, { ...changed(row, {}), state: 'cancelling' })
        // What is not put back yet stays what it is, with its problem.
        if (row.redrive_states !== null) await setRedriven(tx, { batchId, to: row.redriven_to, ended: true })
        await audit(tx, act, 'batch.cancel', batchId, {})
      }),
    redrive: (act, batchId, wish) =>
      changeBatch(act, batchId, async (tx, row) => {
        if (!isBatchEnded(row.state)) throw new Problem('batch_not_ended')
        const { cancelled = false } = wish
        if (row.items_failed + (cancelled ? row.items_cancelled : 0) === 0)
          throw new Problem('conflict', { detail: 'No item of the batch failed.' })
        await reopenBatch(tx, batchId, cancelled ? ['failed', 'cancelled'] : ['failed'])
        await updateBatch(tx, { ...changed(row, wish), state: 'running' })
        await audit(tx, act, 'batch.redrive', batchId, { ...wish, cancelled })
      }),
  }
}

interface Created {
  row: BatchRow
  plan: BatchPlan
}

/** Reads a manifest once, before anything is kept. Throws Problem('manifest_invalid') when not one line of it is good. */
async function planOf(
  content: AsyncIterable<Uint8Array> | Iterable<string>,
  format: 'csv' | 'jsonl',
): Promise<BatchPlan> {
  const plan: BatchPlan = { items: 0, bad_lines: 0, errors: [] }
  let items = 0
  for await (const { line, fault } of readManifest(content, format)) {
    items += 1
    if (items > itemsCountMax) throw tooLarge()
    if (fault === undefined) continue
    plan.bad_lines += 1
    if (plan.errors.length < errorsTold) plan.errors.push({ path: '/body/manifest', line, message: fault })
  }
  const [first] = plan.errors
  if (items === plan.bad_lines)
    throw new Problem('manifest_invalid', {
      detail: first ? `No line of it names a file. Line ${first.line}: ${first.message}` : 'It has no lines.',
      errors: plan.errors,
    })
  return { ...plan, items }
}

export async function* chunksOf<T>(items: AsyncIterable<T>, count: number): AsyncGenerator<T[]> {
  let chunk: T[] = []
  for await (const item of items) {
    chunk.push(item)
    if (chunk.length < count) continue
    yield chunk
    chunk = []
  }
  if (chunk.length > 0) yield chunk
}

const nameOf = (source: BatchSource): string =>
  source.kind === 'query' ? 'Files found by a query' : 'Files listed in a manifest'

/** What its owner may change, as it is or as it is wished for. */
function changed(
  row: BatchRow,
  { concurrency, tolerated_failure_percent: tolerated }: Pick<BatchChange, 'concurrency' | 'tolerated_failure_percent'>,
) {
  return {
    batchId: row.id,
    concurrency: concurrency ?? row.concurrency,
    toleratedFailurePercent: tolerated === undefined ? row.tolerated_failure_percent : tolerated,
  }
}

const tooLarge = (): Problem =>
  new Problem('batch_too_large', { detail: `At most ${itemsCountMax.toLocaleString('en')} items.` })

const audit = (
  tx: Tx,
  { principal: { tenantId, actor }, requestId }: BatchAct,
  action: string,
  batchId: RowId<'batch'>,
  detail: Record<string, unknown>,
): Promise<void> =>
  writeAudit(tx, {
    tenantId,
    actor,
    action,
    target: encodeId('batch', batchId),
    detail,
    ...(requestId !== undefined && { requestId }),
  })
