import { buffer, text } from 'node:stream/consumers'
import type { BatchItemState, BatchOrder } from '@millrace/contract'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeId, type RowId } from '../../platform/ids.ts'
import { createEngineHouse, done, type EngineHouse } from '../testing/engine-house.ts'
import { toDefinition } from '../testing/test-rows.ts'
import { listItems } from './batch-item.sql.ts'
import type { BatchRow } from './batch.sql.ts'
import { readReport } from './batch-report.ts'
import type { BatchAct } from './batches.ts'

let house: EngineHouse
let tenantId: RowId<'tenant'>
let act: BatchAct

beforeAll(async () => {
  house = await createEngineHouse()
  house.startWorker(50)
})
afterAll(() => house.close())
beforeEach(async () => {
  for (const name of Object.keys(house.work)) delete house.work[name]
  tenantId = await house.addTenant()
  act = { principal: { tenantId, actor: 'system' }, requestId: 'r' }
  await house.usePipeline(tenantId, toDefinition({ work: { uses: 'transform.copy' } }, { accept: ['text/*'] }))
})

/** Files named 1.csv, 2.csv … in one statement; answers their row ids. */
async function addFiles(count: number, of = tenantId): Promise<RowId<'file'>[]> {
  const first = await house.addFile(of)
  const { rows } = await house.database.query<{ id: RowId<'file'> }>(
    `insert into file (tenant_id, name, content_type, size_bytes, sha256, state, object_id, created_by, metadata)
     select tenant_id, n || '.csv', content_type, size_bytes, sha256, 'available', object_id, created_by,
       jsonb_build_object('odd', n % 2 = 1)
     from file, generate_series(1, $2) n where id = $1 returning id`,
    [first, count],
  )
  return rows.map(({ id }) => id).toSorted((a, b) => a - b)
}

const order = async (rest: Partial<BatchOrder>) => house.batches.create(act, { query: {}, ...rest })
const manifest = (lines: readonly string[]): Partial<BatchOrder> => ({
  query: undefined as never,
  manifest: { format: 'csv', content: lines.join('\n') },
})
const get = (row: Pick<BatchRow, 'id'>) => house.batches.get(tenantId, row.id)
const until = (row: Pick<BatchRow, 'id'>, holds: (row: BatchRow) => boolean, timeoutMs?: number) =>
  house.until(() => get(row), holds, timeoutMs)
const ended = (row: Pick<BatchRow, 'id'>, timeoutMs?: number) =>
  until(row, ({ finished_at: finishedAt }) => finishedAt !== null, timeoutMs)
const items = (row: Pick<BatchRow, 'id'>) =>
  house.database.withTenant(tenantId, (tx) => listItems(tx, { tenantId, batchId: row.id, after: 0, limit: 100_000 }))

/** The counters as the rows have them. */
async function counted(row: Pick<BatchRow, 'id'>): Promise<Record<string, number>> {
  const counts: Partial<Record<BatchItemState, number>> = {}
  for (const { state } of await items(row)) counts[state] = (counts[state] ?? 0) + 1
  return counts
}

describe('a batch over a query', () => {
  it('runs one job per file that is found and ends completed', async () => {
    await addFiles(30)
    await addFiles(3, await house.addTenant())
    const { row, plan } = await order({ query: { metadata: { odd: true }, name_prefix: '1' } })
    expect(plan).toEqual({ items: 6, bad_lines: 0, errors: [] })
    const batch = await ended(row)
    expect(batch).toMatchObject({ state: 'completed', items_total: 6, items_succeeded: 6, items_running: 0 })
    expect((await items(row)).map(({ file_name: name }) => name)).toEqual(
      ['1', '11', '13', '15', '17', '19'].map((name) => `${name}.csv`),
    )
    const { rows } = await house.database.query(
      `select data->>'status' as status from outbox where tenant_id = $1 and type = 'batch.ended'`,
      [tenantId],
    )
    expect(rows).toEqual([{ status: 'completed' }])
  })

  it('is refused where a hundred others are live', async () => {
    await house.database.query(
      `insert into batch (tenant_id, name, lane, source, concurrency, created_by, state)
       select $1, 'b', 2, '{"kind": "lines"}', 1, 'system', 'paused' from generate_series(1, 100)`,
      [tenantId],
    )
    await expect(order({})).rejects.toMatchObject({ code: 'too_many_batches' })
    await house.database.query('delete from batch where tenant_id = $1', [tenantId])
  })

  it('finds files by the text in them', async () => {
    const [first, second] = await addFiles(3)
    for (const [fileId, body] of [
      [first, 'an invoice of march'],
      [second, 'a letter'],
    ] as const)
      await house.database.withTenant(tenantId, (tx) =>
        house.searchIndex.put(tx, tenantId, {
          fileId: fileId!,
          name: 'n',
          contentType: 'text/csv',
          metadata: {},
          body,
        }),
      )
    const { row, plan } = await order({ query: { text: 'invoice' } })
    expect(plan.items).toBeNull()
    expect(await ended(row)).toMatchObject({ items_total: 1, items_succeeded: 1 })
    expect((await items(row))[0]).toMatchObject({ file_id: first })
  })

  it('ends at once when nothing is found', async () => {
    const { row } = await order({ query: { name: 'nothing is called so' } })
    expect(await ended(row)).toMatchObject({ state: 'completed', items_total: 0 })
  })

  it('refuses a pipeline that is not there and an order without a source', async () => {
    await expect(order({ pipeline: 'gone' })).rejects.toMatchObject({ code: 'pipeline_unknown' })
    await expect(house.batches.create(act, {})).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(house.batches.create(act, { query: {}, manifest: { format: 'csv' } })).rejects.toMatchObject({
      code: 'invalid_request',
    })
  })
})

describe('a batch over a manifest', () => {
  it('counts bad lines and missing files item by item, and runs the rest', async () => {
    const files = await addFiles(3)
    const other = await addFiles(1, await house.addTenant())
    const lines = [
      'file_id,name',
      encodeId('file', files[0]!),
      ',2.csv',
      'nonsense',
      ',gone.csv',
      encodeId('file', other[0]!),
    ]
    const { row, plan } = await order(manifest(lines))
    expect(plan).toMatchObject({ items: 5, bad_lines: 1, errors: [{ line: 4 }] })
    const batch = await ended(row)
    expect(batch).toMatchObject({ state: 'completed_with_errors', items_total: 5, items_succeeded: 2, items_failed: 3 })
    const report = await text(readReport(house.database, { tenantId, batchId: row.id }))
    const rows = report.trimEnd().split('\r\n')
    expect(rows).toHaveLength(6)
    expect(rows[3]).toBe(`4,nonsense,,,failed,manifest_invalid,This is not the id of a file.,,1,${finished(rows[3]!)}`)
    expect(rows[4]).toContain('5,gone.csv,,,failed,not_found,')
    expect(rows[5]).toContain('failed,not_found,')
    const parquet = await buffer(readReport(house.database, { tenantId, batchId: row.id }, 'parquet'))
    expect(parquet.subarray(0, 4).toString() + parquet.subarray(-4).toString()).toBe('PAR1PAR1')
    expect(parquet.includes('millrace')).toBe(true) // Cell by cell: platform/parquet.db.test.ts.
  })

  it('means the newest of several files with one name', async () => {
    await addFiles(1)
    const [newest] = await addFiles(1)
    const { row } = await order(manifest(['1.csv']))
    await ended(row)
    expect((await items(row))[0]).toMatchObject({ file_id: newest, state: 'succeeded' })
  })

  it('fails files that are not cleared or not accepted, and stops nobody', async () => {
    const files = await addFiles(3)
    await house.database.query(`update file set state = 'quarantined' where id = $1`, [files[0]])
    await house.database.query(`update file set content_type = 'image/png' where id = $1`, [files[1]])
    const { row } = await order(manifest(files.map((id) => encodeId('file', id))))
    await ended(row)
    expect((await items(row)).map(({ state, problem }) => problem?.code ?? state)).toEqual([
      'file_quarantined',
      'pipeline_not_accepted',
      'succeeded',
    ])
  })

  it('is refused when no line of it is good', async () => {
    await expect(order(manifest(['file_id', 'x', 'y']))).rejects.toMatchObject({
      code: 'manifest_invalid',
      errors: [{ line: 2 }, { line: 3 }],
    })
    await expect(order(manifest(['name']))).rejects.toMatchObject({ code: 'manifest_invalid' })
  })

  it('is read from a file, and a file that is damaged later stops the batch with what was listed', async () => {
    const [listed, ...files] = await addFiles(12_000)
    const { rows } = await house.database.query<{ object_id: string }>('select object_id from file where id = $1', [
      listed,
    ])
    const objectId = rows[0]!.object_id
    await house.database.query(
      `insert into file_version (tenant_id, file_id, number, object_id, content_type, size_bytes, sha256, created_by)
       select tenant_id, id, 1, object_id, content_type, size_bytes, sha256, created_by from file where id = $1`,
      [listed],
    )
    house.contents.set(objectId, [files.map((id) => JSON.stringify({ file_id: encodeId('file', id) })).join('\n')])
    const ask = { manifest: { format: 'jsonl' as const, file_id: encodeId('file', listed!) }, concurrency: 1 }
    const { row, plan } = await house.batches.create(act, ask)
    expect(plan).toMatchObject({ items: 11_999, bad_lines: 0 })
    const planned = await until(row, ({ planned_at: plannedAt }) => plannedAt !== null)
    expect(planned.items_total).toBe(11_999)
    await house.batches.cancel(act, row.id)
    expect(await ended(row)).toMatchObject({ state: 'cancelled', items_pending: 0, items_running: 0 })
    const broken = await house.batches.create(act, ask)
    house.contents.delete(objectId)
    expect(await ended(broken.row)).toMatchObject({ state: 'stopped', problem: { code: 'object_damaged' } })
  })
})

const finished = (line: string): string => line.slice(line.lastIndexOf(',') + 1)

describe('a batch that runs', () => {
  it('keeps to its concurrency, also when that is changed', async () => {
    await addFiles(60)
    let live = 0
    let most = 0
    house.work['work'] = async () => {
      most = Math.max(most, ++live)
      await new Promise((resolve) => setTimeout(resolve, 5))
      live -= 1
      return done()
    }
    const { row } = await order({ concurrency: 2 })
    await until(row, ({ items_succeeded: count }) => count >= 6)
    expect(most).toBeLessThanOrEqual(2)
    await house.batches.change(act, row.id, { concurrency: 20 })
    expect(await ended(row)).toMatchObject({ items_succeeded: 60, concurrency: 20 })
    expect(most).toBeGreaterThan(2)
    expect(most).toBeLessThanOrEqual(20)
  })

  it('starts nothing while it is paused, and goes on when it is resumed', async () => {
    await addFiles(20)
    const { row } = await order({ concurrency: 2 })
    await house.batches.change(act, row.id, { paused: true })
    const paused = await until(row, (batch) => batch.planned_at !== null && batch.items_running === 0)
    await house.batchRunner.advance(new AbortController().signal)
    expect((await get(row)).items_pending).toBe(paused.items_pending)
    await house.batches.change(act, row.id, { paused: false })
    expect(await ended(row)).toMatchObject({ state: 'completed', items_succeeded: 20 })
    await expect(house.batches.change(act, row.id, { paused: true })).rejects.toMatchObject({ code: 'batch_ended' })
  })

  it('stops when more fail than it tolerates, and runs failed and unstarted items again when it is driven anew', async () => {
    await addFiles(40)
    let broken = true
    let runs = 0
    house.work['work'] = () => {
      runs += 1
      return broken ? { kind: 'reject', code: 'data_invalid', detail: 'bad', durationMs: 1 } : done()
    }
    const { row } = await order({ concurrency: 4, tolerated_failure_percent: 10 })
    const stopped = await ended(row)
    expect(stopped).toMatchObject({ state: 'stopped', problem: { code: 'batch_failures_exceeded' } })
    expect(stopped.items_failed).toBeGreaterThan(4)
    expect(stopped.items_cancelled).toBeGreaterThan(0)
    broken = false
    await house.batches.redrive(act, row.id, { cancelled: true })
    const again = await ended(row)
    expect(again).toMatchObject({ state: 'completed', round: 2, items_succeeded: 40, items_failed: 0 })
    expect(runs).toBe(40 + stopped.items_failed)
    await expect(house.batches.redrive(act, row.id, { cancelled: true })).rejects.toMatchObject({ code: 'conflict' })
  })

  it('may tolerate more when it is driven anew, where bad lines alone would stop it at once', async () => {
    await addFiles(2)
    const { row } = await order({
      ...manifest(['1.csv', '2.csv', 'gone.csv', 'lost.csv']),
      tolerated_failure_percent: 10,
    })
    expect(await ended(row)).toMatchObject({ state: 'stopped', items_failed: 2, items_cancelled: 2 })
    await house.batches.redrive(act, row.id, { cancelled: true })
    expect(await ended(row)).toMatchObject({ state: 'stopped', items_cancelled: 2 })
    const again = await house.batches.redrive(act, row.id, {
      cancelled: true,
      tolerated_failure_percent: null,
      concurrency: 1,
    })
    expect(again).toMatchObject({ concurrency: 1, tolerated_failure_percent: null, problem: null })
    expect(await ended(row)).toMatchObject({ state: 'completed_with_errors', items_succeeded: 2, items_failed: 2 })
  })

  it('runs only what failed when it is redriven', async () => {
    await addFiles(10)
    let broken = true
    let runs = 0
    house.work['work'] = ({ file }) => {
      runs += 1
      return broken && file.name.startsWith('1')
        ? { kind: 'reject', code: 'data_invalid', detail: 'bad', durationMs: 1 }
        : done()
    }
    const { row } = await order({})
    expect(await ended(row)).toMatchObject({ items_failed: 2, items_succeeded: 8, state: 'completed_with_errors' })
    broken = false
    await house.batches.redrive(act, row.id, { cancelled: false })
    await expect(house.batches.redrive(act, row.id, { cancelled: false })).rejects.toMatchObject({
      code: 'batch_not_ended',
    })
    expect(await ended(row)).toMatchObject({ state: 'completed', items_succeeded: 10 })
    expect(runs).toBe(12)
    expect((await items(row)).filter(({ round }) => round === 2)).toHaveLength(2)
  })

  it('cancels what is pending and what is live', async () => {
    await addFiles(30)
    house.work['work'] = () => new Promise((resolve) => setTimeout(() => resolve(done()), 100))
    const { row } = await order({ concurrency: 5 })
    await until(row, ({ items_running: count }) => count === 5)
    await house.batches.cancel(act, row.id)
    await house.batches.cancel(act, row.id).catch(() => undefined)
    const batch = await ended(row)
    expect(batch).toMatchObject({ state: 'cancelled', items_pending: 0, items_running: 0, items_total: 30 })
    expect(await counted(row)).toEqual({
      ...(batch.items_succeeded > 0 && { succeeded: batch.items_succeeded }),
      cancelled: batch.items_cancelled,
    })
    await expect(house.batches.cancel(act, row.id)).rejects.toMatchObject({ code: 'batch_ended' })
  })

  it('is not seen by another tenant', async () => {
    const { row } = await order({})
    const stranger: BatchAct = { principal: { tenantId: await house.addTenant(), actor: 'system' } }
    await expect(house.batches.get(stranger.principal.tenantId, row.id)).rejects.toMatchObject({ code: 'not_found' })
    await expect(house.batches.cancel(stranger, row.id)).rejects.toMatchObject({ code: 'not_found' })
  })
})

it('that is cancelled while it is driven anew keeps what failed, and why', async () => {
  const idle = await createEngineHouse({ maintained: false })
  try {
    const of = { principal: { tenantId: await idle.addTenant(), actor: 'system' } } as const
    const { tenantId } = of.principal
    const fileId = await idle.addFile(tenantId)
    const { row } = await idle.batches.create(of, { query: {} })
    await idle.database.query(
      `insert into batch_item (batch_id, tenant_id, ordinal, state, file_id, round, problem, finished_at)
       values ($1, $2, 1, 'failed', $3, 1, '{"code": "data_invalid", "detail": ""}', now())`,
      [row.id, tenantId, fileId],
    )
    await idle.database.query(
      `update batch set state = 'completed_with_errors', planned_at = now(), finished_at = now(), items_total = 1, items_failed = 1
       where id = $1`,
      [row.id],
    )
    await idle.batches.redrive(of, row.id, {})
    await idle.batches.cancel(of, row.id)
    await idle.batchRunner.advance(new AbortController().signal)
    expect(await idle.batches.get(tenantId, row.id)).toMatchObject({ state: 'cancelled', items_failed: 1 })
    const page = { tenantId, batchId: row.id, after: 0, limit: 10 }
    const rows = await idle.database.withTenant(tenantId, (tx) => listItems(tx, page))
    expect(rows).toMatchObject([{ state: 'failed', problem: { code: 'data_invalid' } }])
  } finally {
    await idle.close()
  }
})

it('lists 20,000 files, and its counters are those of its rows whoever takes it further', async () => {
  await addFiles(20_000)
  const { row } = await order({ concurrency: 100 })
  // A second one who believes to lead.
  const signal = new AbortController().signal
  await house.until(
    async () => {
      await house.batchRunner.advance(signal)
      return get(row)
    },
    ({ planned_at: plannedAt, items_succeeded: count }) => plannedAt !== null && count >= 200,
    60_000,
  )
  await house.batches.change(act, row.id, { paused: true })
  const paused = await until(row, ({ items_running: count }) => count === 0, 60_000)
  expect(paused.items_total).toBe(20_000)
  expect(await counted(row)).toEqual({ pending: paused.items_pending, succeeded: paused.items_succeeded })
  const { rows } = await house.database.query<{ jobs: number; files: number }>(
    'select count(*)::int as jobs, count(distinct file_id)::int as files from job where tenant_id = $1',
    [tenantId],
  )
  expect(rows[0]).toEqual({ jobs: paused.items_succeeded, files: paused.items_succeeded })
  await house.batches.cancel(act, row.id)
  expect(await ended(row, 60_000)).toMatchObject({ state: 'cancelled', items_pending: 0 })
}, 120_000)
