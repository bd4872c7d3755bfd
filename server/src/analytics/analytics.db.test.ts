import { AdminMetrics, DoctorReport, QueueResource, WorkerResource } from '@millrace/contract'
import { Compile } from 'typebox/compile'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import { createMetrics } from '../platform/metrics.ts'
import { Problem } from '../platform/problem.ts'
import type { RequestContext } from '../platform/routes.ts'
import type { StoreProbeReport } from '../storage/probe.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { analyticsRoutes } from './analytics-routes.ts'
import { examine } from './doctor.ts'
import type { EventStream } from './event-stream.ts'
import { reportFigures } from './figures-metrics.ts'
import { createFigures } from './figures.ts'

let test: TestDatabase
let tenantId: number
let nowMs = 0
const sql = (text: string, values: unknown[] = []) => test.database.query<{ id: number }>(text, values)
const none = { params: undefined, query: undefined, body: undefined }
const hex = (n: number): string => n.toString(16).padStart(32, '0')

beforeAll(async () => {
  test = await createTestDatabase()
})
afterAll(() => test.drop())
beforeEach(async () => {
  await test.database.script(
    'truncate tenant, user_account cascade; truncate job, job_step, task, output, batch, batch_item, control_task, schedule, pool_schedule, erased_object, upload_session, worker, scheduler_lease, quota_reservation, pool_demand cascade',
  )
  tenantId = (await sql(`insert into tenant (name) values ('t') returning id`)).rows[0]!.id
  await sql(
    `insert into pipeline_version (id, tenant_id, name, number, source, definition, created_by) overriding system value
     values (1, $1, 'p', 1, '', '{}', 'system')`,
    [tenantId],
  )
})

async function insertFile(n: number, state = 'available'): Promise<number> {
  await sql(
    `insert into object (id, tenant_id, store_key, size_bytes, stored_bytes, sha256, manifest, wrapped_key, tenant_key_version)
     values ($1, $2, 'k', 1500000000, 1, repeat('a', 64), '{}', '', 1)`,
    [hex(n), tenantId],
  )
  const { rows } = await sql(
    `insert into file (tenant_id, name, content_type, size_bytes, sha256, state, object_id, created_by)
     values ($1, 'f', 'x/y', 1, '', $2, $3, 'system') returning id`,
    [tenantId, state, hex(n)],
  )
  const fileId = rows[0]!.id
  await sql(
    `insert into file_version (tenant_id, file_id, number, object_id, content_type, size_bytes, sha256, created_by)
     values ($1, $2, 1, $3, 'x/y', 1, '', 'system')`,
    [tenantId, fileId, hex(n)],
  )
  return fileId
}

async function insertJob(fileId: number, state: string, createdAgo = '0 s'): Promise<number> {
  const ended = ['completed', 'completed_with_errors', 'failed', 'cancelled'].includes(state)
  const { rows } = await sql(
    `insert into job (tenant_id, file_id, file_version, pipeline_version_id, state, steps_pending, created_by, created_at, finished_at)
     values ($1, $2, 1, 1, $3, 1, 'system', now() - $4::interval, $5) returning id`,
    [tenantId, fileId, state, createdAgo, ended ? new Date() : null],
  )
  return rows[0]!.id
}

async function insertTask(
  jobId: number,
  state: string,
  over: { lease?: string; runAt?: string; input?: unknown } = {},
) {
  const leased = state === 'running' || state === 'dispatched'
  await sql(
    `insert into task (tenant_id, job_id, step, state, rank, input, run_at, lease_until)
     values ($1, $2, 's', $3, 0, $4, now() + $5::interval, case when $6 then now() + $7::interval end)`,
    [tenantId, jobId, state, JSON.stringify(over.input ?? {}), over.runAt ?? '0 s', leased, over.lease ?? '30 s'],
  )
}

async function insertStep(jobId: number, name: string, state: string, finishedAgo?: string): Promise<void> {
  await sql(
    `insert into job_step (job_id, name, tenant_id, position, state, finished_at) values ($1, $2, $3, 0, $4, now() - $5::interval)`,
    [jobId, name, tenantId, state, finishedAgo ?? null],
  )
}

const insertBatch = ({
  told,
  planned,
  pending,
  state = 'running',
}: {
  told: string
  planned: boolean
  pending: number
  state?: string
}) =>
  sql(
    `insert into batch (tenant_id, name, lane, source, concurrency, created_by, state, created_at, told_at, planned_at, items_total, items_pending)
     values ($1, 'b', 2, '{"kind": "lines"}', 1, 'system', $2, now() - interval '1 hour', now() - $3::interval,
       case when $4 then now() end, $5, $5)`,
    [tenantId, state, told, planned, pending],
  )

const insertSchedule = ({ due, problem }: { due: string; problem: object | null }) =>
  sql(
    `insert into schedule (tenant_id, name, cron, time_zone, missed_ticks, batch, next_tick_at, created_by, problem)
     values ($1, 's', '@daily', 'UTC', 'skip', '{}', now() - $2::interval, 'system', $3)`,
    [tenantId, due, problem && JSON.stringify(problem)],
  )

const codes = async (): Promise<string[]> => {
  const report = await examine({ database: test.database, storeProbe: { reports: async () => [] }, parts: {} })
  expect(Compile(DoctorReport).Check(report)).toBe(true)
  expect(report.healthy).toBe(report.findings.every((finding) => finding.severity !== 'error'))
  return report.findings.map((finding) => finding.code)
}

describe('the doctor', () => {
  it('accounts for every job, those of rejected files as quarantined', async () => {
    const good = await insertFile(1)
    const bad = await insertFile(2, 'rejected')
    for (const state of ['completed', 'completed_with_errors', 'failed', 'cancelled', 'queued', 'running', 'paused']) {
      const jobId = await insertJob(good, state)
      if (state === 'queued' || state === 'running') await insertTask(jobId, 'queued')
    }
    await insertJob(bad, 'failed')
    const { jobs, healthy, findings } = await examine({
      database: test.database,
      storeProbe: { reports: async () => [] },
      parts: { database: 'x' },
    })
    expect(jobs).toEqual({ inputs: 8, done: 2, failed: 1, quarantined: 1, cancelled: 1, in_flight: 3 })
    expect([healthy, findings]).toEqual([true, []])
  })

  it.each<[string, () => Promise<unknown>]>([
    ['upload_without_job', () => insertFile(1)],
    [
      'file_without_version',
      async () => {
        await insertJob(await insertFile(1), 'completed')
        await sql('update file set version = 2')
      },
    ],
    [
      'task_without_object',
      async () => {
        const jobId = await insertJob(await insertFile(1), 'running')
        await insertTask(jobId, 'queued', { input: { files: [{ objectId: hex(99) }] } })
      },
    ],
    [
      'task_without_object',
      async () => {
        const jobId = await insertJob(await insertFile(1), 'running')
        await insertTask(jobId, 'queued')
        await sql('update task set input = null, output_id = 0')
      },
    ],
    [
      'task_without_object',
      async () => {
        const jobId = await insertJob(await insertFile(1), 'running')
        await insertTask(jobId, 'queued', { input: { files: [{ objectId: hex(99) }] } })
        await insertStep(jobId, 's', 'running')
        await sql('update job_step set tasks_pending = 1, input = (select input from task)')
        await sql(
          `insert into output (tenant_id, job_id, task_id, step, name, content_type, size_bytes, sha256, object_id)
           select tenant_id, $1, 0, 's', 'o', 'x/y', 1, repeat('a', 64), object_id from file`,
          [jobId],
        )
        await sql('update task set input = null, output_id = (select id from output)')
      },
    ],
    [
      'object_unreferenced',
      async () => {
        await insertJob(await insertFile(1), 'completed')
        await sql(
          `insert into object select $1, tenant_id, store_key, size_bytes, stored_bytes, sha256, manifest, wrapped_key, 1,
         now() - interval '2 hours' from object limit 1`,
          [hex(5)],
        )
      },
    ],
    [
      'erasure_stuck',
      () =>
        sql(
          `insert into erased_object (store_key, tenant_id, erased_at) values ('k', $1, now() - interval '2 hours')`,
          [tenantId],
        ),
    ],
    [
      'lease_expired',
      async () => insertTask(await insertJob(await insertFile(1), 'running'), 'running', { lease: '-60 s' }),
    ],
    ['job_without_task', async () => insertJob(await insertFile(1), 'running', '2 minutes')],
    ['ended_job_with_task', async () => insertTask(await insertJob(await insertFile(1), 'completed'), 'queued')],
    [
      'counter_wrong',
      async () => {
        const jobId = await insertJob(await insertFile(1), 'running')
        await insertTask(jobId, 'queued')
        await sql(
          `insert into job_step (job_id, name, tenant_id, position, state, tasks_total, tasks_pending) values ($1, 's', $2, 0, 'running', 2, 2)`,
          [jobId, tenantId],
        )
      },
    ],
    ['leader_missing', () => sql(`insert into scheduler_lease values (0, 'x', 1, now() - interval '1 minute')`)],
    [
      'workers_missing',
      async () => insertTask(await insertJob(await insertFile(1), 'running'), 'queued', { runAt: '-2 minutes' }),
    ],
    [
      'backlog_stuck',
      async () => {
        await sql(
          `insert into worker (id, host, sandbox, slots, busy, started_at, last_seen_at) values ('w', 'h', 's', 2, 1, now(), now())`,
        )
        await insertTask(await insertJob(await insertFile(1), 'running'), 'queued', { runAt: '-11 minutes' })
      },
    ],
    [
      'backlog_crowded',
      async () => {
        await sql(
          `insert into worker (id, host, sandbox, slots, busy, started_at, last_seen_at) values ('w', 'h', 's', 2, 2, now(), now())`,
        )
        await insertTask(await insertJob(await insertFile(1), 'running'), 'queued', { runAt: '-11 minutes' })
      },
    ],
    [
      'retry_overdue',
      async () => insertTask(await insertJob(await insertFile(1), 'running'), 'delayed', { runAt: '-2 minutes' }),
    ],
    [
      'cancel_stuck',
      async () => {
        await insertTask(await insertJob(await insertFile(1), 'cancelling'), 'running')
        await sql(`update job set cancel_requested_at = now() - interval '3 minutes'`)
      },
    ],
    [
      'step_forgotten',
      async () => {
        const jobId = await insertJob(await insertFile(1), 'running', '5 minutes')
        await insertTask(jobId, 'running')
        await insertStep(jobId, 'a', 'succeeded', '3 minutes')
        await insertStep(jobId, 'b', 'running')
        for (const name of ['c', 'd', 'e']) await insertStep(jobId, name, 'waiting')
        await sql('update pipeline_version set definition = $1', [
          JSON.stringify({
            steps: { a: {}, b: {}, c: { needs: ['a'] }, d: { needs: ['a', 'b'] }, e: { needs: ['a'], each: 'b' } },
          }),
        ])
        await sql(`update job_step set tasks_pending = 0 where name = 'b'`)
      },
    ],
    [
      'cancel_stuck',
      async () => {
        await insertTask(await insertJob(await insertFile(1), 'running'), 'running')
        await sql(`update job set cancel_requested_at = now() - interval '3 minutes'`)
      },
    ],
    ['hold_forgotten', async () => insertTask(await insertJob(await insertFile(1), 'running'), 'blocked')],
    [
      'batch_stuck',
      async () => {
        await insertBatch({ told: '6 minutes', planned: true, pending: 1 })
        await insertBatch({ told: '1 minute', planned: true, pending: 1 })
        await insertBatch({ told: '6 minutes', planned: true, pending: 1, state: 'paused' })
      },
    ],
    ['batch_stuck', async () => insertBatch({ told: '6 minutes', planned: false, pending: 0 })],
    ['batch_stuck', async () => insertBatch({ told: '6 minutes', planned: true, pending: 0, state: 'cancelling' })],
    [
      'control_task_long',
      () =>
        sql(
          `insert into control_task (tenant_id, kind, filter, matched_count, upto_id, cursor_id, created_by, created_at)
           values ($1, 'cancel_jobs', '{}', 1, 1, 1, 'system', now() - interval '2 hours')`,
          [tenantId],
        ),
    ],
    ['schedule_overdue', async () => insertSchedule({ due: '6 minutes', problem: null })],
    ['schedule_failed', async () => insertSchedule({ due: '-1 hour', problem: { code: 'not_found', detail: '' } })],
    ['job_paused', async () => insertTask(await insertJob(await insertFile(1), 'paused', '2 hours'), 'queued')],
    [
      'upload_stuck',
      () =>
        sql(
          `insert into upload_session (tenant_id, kind, state, name, object_id, store_key, wrapped_key, tenant_key_version, created_by, expires_at, lease_until)
           values ($1, 'import', 'sealing', 'x', 'o', 'k', '', 1, 'system', now() + interval '1 day', now() - interval '10 minutes')`,
          [tenantId],
        ),
    ],
    [
      'backlog_held',
      async () => {
        await sql('insert into tenant_schedule (tenant_id, paused) values ($1, true)', [tenantId])
        await sql(
          `insert into worker (id, host, sandbox, slots, busy, started_at, last_seen_at) values ('w', 'h', 's', 2, 1, now(), now())`,
        )
        await insertTask(await insertJob(await insertFile(1), 'running'), 'queued', { runAt: '-11 minutes' })
      },
    ],
    ...[
      `insert into pool_schedule (pool, paused) values (0, true)`,
      `insert into tenant_schedule (tenant_id, running_max) select id, 1 from tenant`,
      `insert into tenant_schedule (tenant_id, starts_per_second) select id, 1 from tenant`,
    ].map((text): [string, () => Promise<unknown>] => [
      'backlog_held',
      async () => {
        await sql(text)
        await sql(
          `insert into worker (id, host, sandbox, slots, busy, started_at, last_seen_at) values ('w', 'h', 's', 2, 1, now(), now())`,
        )
        const jobId = await insertJob(await insertFile(1), 'running')
        await insertTask(jobId, 'running')
        await sql('update task set ordinal = 1')
        await insertTask(jobId, 'queued', { runAt: '-11 minutes' })
      },
    ]),
    [
      'reservation_forgotten',
      () =>
        sql(`insert into quota_reservation (tenant_id, bytes, expires_at) values ($1, 1, now() - interval '1 hour')`, [
          tenantId,
        ]),
    ],
    ['dead_letters', async () => insertTask(await insertJob(await insertFile(1), 'failed'), 'dead')],
  ])('finds %s, and nothing else, and says what to do', async (code, break_) => {
    expect(await codes()).toEqual([])
    await break_()
    expect(await codes()).toEqual([code])
  })
})

describe('of the stores', () => {
  const good = {
    kind: 's3',
    durability: 'd',
    conditionalPut: true,
    range: true,
    listOrder: true,
    largeObjects: true,
  } as const
  const more = { checksums: true, smallParts: false, versioning: 'off', putMs: 1, getMs: 1 } as const
  const report: StoreProbeReport = { name: 'store', ...good, ...more, probedAt: new Date() }
  const looked = (reports: () => Promise<StoreProbeReport[]>) =>
    examine({ database: test.database, storeProbe: { reports }, parts: {} })

  it.each<[Partial<StoreProbeReport>, string[], boolean]>([
    [{}, [], true],
    [{ checksums: undefined, smallParts: undefined, versioning: undefined }, [], true],
    [{ range: false }, ['store_unfit'], false],
    [{ listOrder: false, largeObjects: false }, ['store_unfit'], false],
    [{ checksums: false }, ['store_ignores_checksums'], true],
    [{ versioning: 'on' }, ['store_keeps_versions'], true],
  ])('%j is told: %j', async (change, codes, healthy) => {
    const found = await looked(async () => [{ ...report, ...change }])
    expect(Compile(DoctorReport).Check(found)).toBe(true)
    expect(found.findings.map(({ code }) => code)).toEqual(codes)
    expect(found.healthy).toBe(healthy)
  })

  it('one that does not answer is told, and all else with it', async () => {
    const found = await looked(() => Promise.reject(new Problem('storage_unavailable')))
    expect(found).toMatchObject({ healthy: false, stores: [], findings: [{ code: 'store_unanswering' }] })
    const full = await looked(() => Promise.reject(new Problem('storage_full')))
    expect(full.findings).toMatchObject([{ code: 'store_full' }])
    expect(found.jobs.inputs).toBe(0)
  })
})

it('names the job and the step, so that they can be looked up', async () => {
  const jobId = (await insertJob(await insertFile(1), 'running')) as RowId<'job'>
  await insertTask(jobId, 'running', { lease: '-60 s' })
  const [finding] = (await examine({ database: test.database, storeProbe: { reports: async () => [] }, parts: {} }))
    .findings
  expect(finding?.detail).toContain(`e.g. ${encodeId('job', jobId)}, step s.`)
})

describe('the figures', () => {
  const figures = () =>
    createFigures({
      database: test.database,
      clock: { ...systemClock, monotonicMs: () => nowMs },
      storagePricePerGbMonth: 0.73,
    })

  it('are counted from what is there', async () => {
    await sql(`insert into user_account (email, password_hash) values ('a', ''), ('b', '')`)
    await sql(`insert into tenant (name) values ('idle')`)
    await sql(`insert into worker (id, host, sandbox, slots, busy, started_at, last_seen_at)
      values ('w1', 'h', 's', 2, 1, now(), now()), ('w2', 'h', 's', 2, 1, now(), now() - interval '2 minutes')`)
    const fileId = await insertFile(1)
    await sql('update file set deleted_at = now() where id = $1', [await insertFile(2)])
    for (const state of ['completed', 'completed', 'completed', 'failed', 'queued', 'queued', 'running']) {
      await insertJob(fileId, state)
    }
    const answer = await figures().read()
    expect(Compile(AdminMetrics).Check(answer)).toBe(true)
    expect(answer).toEqual({
      system: { active_workers: 1, queued_jobs: 2, processing_throughput: 0.8, error_rate: 0.25 },
      storage: { total_files: 1, total_size_gb: 3, storage_cost_hour: 0.003 },
      users: { active_tenants: 1, total_users: 2 },
    })
  })

  it('are zero, not undefined, where there is nothing', async () => {
    expect((await figures().read()).system).toEqual({
      active_workers: 0,
      queued_jobs: 0,
      processing_throughput: 0,
      error_rate: 0,
    })
  })

  it('are counted once for all who ask within a moment, and anew later', async () => {
    const read = figures()
    const [first, second] = await Promise.all([read.read(), read.read()])
    expect(second).toBe(first)
    await sql(`insert into user_account (email, password_hash) values ('a', '')`)
    nowMs += 1_001
    expect((await read.read()).users.total_users).toBe(1)
  })
})

describe('the routes', () => {
  const routes = () => {
    const eventStream = { subscribe: async () => (async function* () {})() } as unknown as EventStream
    const figures = createFigures({ database: test.database, clock: systemClock, storagePricePerGbMonth: 0 })
    return analyticsRoutes({
      database: test.database,
      eventStream,
      figures,
      storeProbe: { reports: async () => [] },
      parts: { database: 'pglite' },
    })
  }
  const context = (tenant: number) => ({ principal: { tenantId: tenant }, headers: {} }) as unknown as RequestContext

  it('give no stream for a job that is missing, malformed or another tenant’s', async () => {
    const jobId = (await insertJob(await insertFile(1), 'queued')) as RowId<'job'>
    const ask = (id: string, tenant = tenantId) =>
      routes()
        .jobEvents({ ...none, params: { job_id: id } }, context(tenant))
        .then(
          () => 'ok',
          (error: { code: string }) => error.code,
        )
    expect(await ask(encodeId('job', jobId))).toBe('ok')
    expect(await ask(encodeId('job', jobId), tenantId + 1)).toBe('not_found')
    expect(await ask(encodeId('job', (jobId + 9) as RowId<'job'>))).toBe('not_found')
    expect(await ask('nonsense')).toBe('not_found')
  })

  it('list the workers of the last minute', async () => {
    await sql(`insert into worker (id, host, sandbox, slots, busy, started_at, last_seen_at)
      values ('w1', 'h', 's', 2, 1, now(), now()), ('w2', 'h', 's', 2, 1, now(), now() - interval '2 minutes')`)
    const page = await routes().listWorkers(none, context(tenantId))
    if (!('items' in page)) throw new Error('answered something else')
    expect(page.items.map((item) => item.worker_id)).toEqual(['w1'])
    expect(page.items.every((item) => Compile(WorkerResource).Check(item))).toBe(true)
  })

  it('tell what waits, tenant by tenant, and the same to Prometheus', async () => {
    await sql(`insert into tenant_schedule (tenant_id, weight, running_max) values ($1, 3, 5)`, [tenantId])
    await sql(`insert into worker (id, host, sandbox, slots, busy, started_at, last_seen_at)
      values ('w1', 'h', 's', 4, 1, now(), now())`)
    await sql(
      `insert into pool_demand (pool, slots_wanted, backlog_count, drain_seconds, oldest_wait_ms) values (0, 3, 2, 1.5, 60000)`,
    )
    const fileId = await insertFile(1)
    for (const state of ['queued', 'queued', 'running'])
      await insertTask(await insertJob(fileId, 'running'), state, { runAt: '-1 minute' })
    const page = await routes().listQueues(none, context(tenantId))
    if (!('items' in page)) throw new Error('answered something else')
    expect(page.items.every((item) => Compile(QueueResource).Check(item))).toBe(true)
    expect(page.items).toMatchObject([
      {
        pool: 0,
        slots: 4,
        slots_wanted: 3,
        backlog_tasks: 2,
        drain_seconds: 1.5,
        oldest_wait_seconds: 60,
        tenants: [{ backlog_tasks: 2, in_flight_tasks: 1, weight: 3, running_max: 5, paused: false }],
      },
    ])
    expect(page.items[0]?.tenants[0]?.oldest_wait_seconds).toBeGreaterThanOrEqual(60)
    const metrics = createMetrics({ processFigures: false })
    const figures = createFigures({ database: test.database, clock: systemClock, storagePricePerGbMonth: 0 })
    reportFigures({ metrics, figures })
    const { text } = await metrics.scrape()
    expect(text).toContain('millrace_pool_demand_slots 3')
    expect(text).toContain('millrace_accounting_in_flight_jobs 3')
    for (const end of ['inputs', 'done', 'failed', 'quarantined', 'cancelled'])
      expect(text).toMatch(new RegExp(`^millrace_accounting_${end}_jobs \\d+$`, 'm'))
    expect(text).toContain('millrace_accounting_missing_jobs 0')
  })

  it('have a queue to tell of before a leader was there', async () => {
    expect(await routes().listQueues(none, context(tenantId))).toMatchObject({
      items: [{ pool: 0, slots: 0, slots_wanted: 0, updated_at: null, tenants: [] }],
    })
  })

  it('say in the doctor’s report what each part runs on', async () => {
    expect(await routes().getDoctorReport(none, context(tenantId))).toMatchObject({ parts: { database: 'pglite' } })
  })
})
