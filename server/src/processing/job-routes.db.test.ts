import { JobResource, JobSummary, type JobId } from '@millrace/contract'
import { Compile } from 'typebox/compile'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Database, Tx } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem } from '../platform/problem.ts'
import type { RequestContext } from '../platform/routes.ts'
import { createLocalWakeBus } from '../platform/wake.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import type { Catalogue } from './catalogue.ts'
import { jobRoutes, type JobControl, type JobRouteDependencies } from './job-routes.ts'
import type { SubmitJob } from './submission.ts'

let test: TestDatabase
let tenantId: number
let fileId: RowId<'file'>
let jobId: RowId<'job'>
const objectId = 'a'.repeat(32)
const sha256 = 'b'.repeat(64)

const entry = { version: 1, summary: '', accepts: ['*/*'], parameters: {}, limits: { memoryBytes: 1, timeoutMs: 1 } }
const cost = { baseMs: 1, perMbMs: 1 }
const entries = [
  { ...entry, cost, name: 'collect.receive', stage: 'collect' as const },
  { ...entry, cost, name: 'data.convert', stage: 'transform' as const },
]
const catalogue: Catalogue = { entries, find: (name) => entries.find((item) => item.name === name) }

beforeAll(async () => {
  test = await createTestDatabase()
})
afterAll(() => test.drop())

async function insertOne<Id>(text: string, values: unknown[]): Promise<Id> {
  const { rows } = await test.database.query<{ id: Id }>(`${text} returning id`, values)
  return rows[0]!.id
}

beforeEach(async () => {
  const { database } = test
  await database.script('truncate tenant cascade; truncate job, job_step, task, task_result, output, audit_event')
  tenantId = await insertOne(`insert into tenant (name) values ($1)`, ['t'])
  await database.query(`insert into object values ($1, $2, 'k', 2500000, 2600000, $3, '{}', '', 1, now())`, [
    objectId,
    tenantId,
    sha256,
  ])
  fileId = await insertOne(
    `insert into file (tenant_id, name, content_type, size_bytes, sha256, state, object_id, created_by)
     values ($1, 'data.csv', 'text/csv', 2500000, $2, 'available', $3, 'system')`,
    [tenantId, sha256, objectId],
  )
  const steps = {
    receive: { uses: 'collect.receive', needs: [], with: {} },
    convert: { uses: 'data.convert', needs: ['receive'], with: {} },
    each: { uses: 'data.gone', needs: ['convert'], each: 'convert', with: {} },
  }
  const pipelineVersion = await insertOne(
    `insert into pipeline_version (tenant_id, name, number, source, definition, created_by)
     values ($1, 'table', 2, '', $2, 'system')`,
    [tenantId, JSON.stringify({ name: 'table', steps })],
  )
  jobId = await insertOne(
    `insert into job (tenant_id, file_id, file_version, pipeline_version_id, state, lane, steps_pending, progress_percent,
       records_count, created_by, started_at, finished_at, problem)
     values ($1, $2, 1, $3, 'completed', 1, 0, 100, 15420, 'system', '2026-01-01T00:00:00Z', '2026-01-01T00:02:25.5Z', null)`,
    [tenantId, fileId, pipelineVersion],
  )
  for (const [position, name, total, failed] of [
    [0, 'receive', 1, 0],
    [1, 'convert', 1, 0],
    [2, 'each', 1, 1],
  ] as const) {
    await database.query(
      `insert into job_step (job_id, name, tenant_id, position, state, tasks_total, tasks_failed, problem)
       values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [
        jobId,
        name,
        tenantId,
        position,
        failed ? 'failed' : 'succeeded',
        total,
        failed,
        failed ? JSON.stringify({ code: 'file_unreadable', detail: 'Row 7 is cut.' }) : null,
      ],
    )
    const taskId = await insertOne(
      `insert into task (tenant_id, job_id, step, state, rank, attempt, input) values ($1, $2, $3, 'succeeded', 0, $4, '{}')`,
      [tenantId, jobId, name, position + 1],
    )
    await database.query(
      `insert into task_result (task_id, tenant_id, job_id, step, ordinal, epoch, result, duration_ms) values ($1, $2, $3, $4, 0, 1, $5, 5)`,
      [taskId, tenantId, jobId, name, JSON.stringify({ of: name })],
    )
  }
  for (const name of ['processed_data.csv', 'analysis_report.pdf']) {
    await database.query(
      `insert into output (tenant_id, job_id, task_id, step, name, content_type, size_bytes, sha256, object_id)
       values ($1, $2, 1, 'convert', $3, 'text/csv', 9, $4, $5)`,
      [tenantId, jobId, name, sha256, objectId],
    )
  }
})

const principal = (): Principal => ({ kind: 'system', tenantId, role: 'admin', operator: false, actor: 'system' })
const context = (as = principal()) => ({ principal: as, requestId: 'req_1', log: silentLog }) as RequestContext
const none = { params: undefined, query: undefined, body: undefined }
const named = (id: string) => ({ ...none, params: { job_id: id } })
const wireId = (): JobId => encodeId('job', jobId)

function build(over: Partial<JobRouteDependencies> = {}) {
  const nothing = async (): Promise<void> => {}
  const control: JobControl = {
    cancelJob: nothing,
    pauseJob: nothing,
    resumeJob: nothing,
    retryJob: nothing,
    replayStep: nothing,
  }
  return jobRoutes({
    database: test.database,
    catalogue,
    control,
    submission: {
      choosePipeline: () => Promise.reject(new Error('unused')),
      submitJob: () => Promise.reject(new Error('unused')),
      submitJobs: () => Promise.reject(new Error('unused')),
    },
    serveObject: () => Promise.reject(new Error('unused')),
    wake: createLocalWakeBus(),
    ...over,
  })
}

describe('a job', () => {
  it('is told with the figures of the example', async () => {
    const job = await build().getJob(named(wireId()), context())
    expect(Compile(JobResource).Check(job)).toBe(true)
    expect(job).toMatchObject({
      status: 'completed',
      progress: 100,
      pipeline: 'table',
      pipeline_version: 2,
      output_files: [`s3://results/${wireId()}/processed_data.csv`, `s3://results/${wireId()}/analysis_report.pdf`],
      metadata: { processing_time: 145.5, file_size_mb: 2.5, records_processed: 15420 },
      estimated_completion: null,
      problem: null,
    })
    expect(job).toMatchObject({
      outputs: [
        {
          name: 'processed_data.csv',
          step: 'convert',
          download_url: expect.stringMatching(/^\/api\/v1\/jobs\/job_\w+\/outputs\/out_\w+\/content$/),
        },
        {},
      ],
    })
  })

  it('has its steps in the order of the pipeline, each with its processor, result and problem', async () => {
    const job = await build().getJob(named(wireId()), context())
    expect(job).toMatchObject({
      steps: [
        {
          name: 'receive',
          stage: 'collect',
          processor: 'collect.receive',
          needs: [],
          tasks_done: 1,
          result: { of: 'receive' },
        },
        { name: 'convert', stage: 'transform', needs: ['receive'], attempts: 2, problem: null },
        {
          name: 'each',
          processor: 'data.gone',
          state: 'failed',
          tasks_done: 0,
          tasks_failed: 1,
          result: null,
          problem: { code: 'file_unreadable', detail: 'Row 7 is cut.', remedy: expect.any(String) },
        },
      ],
    })
  })

  it('takes three statements', async () => {
    let statements = 0
    const database: Database = {
      ...test.database,
      withTenant: (tenant, work) =>
        test.database.withTenant(tenant, (tx) => {
          const counted: Tx = {
            ...tx,
            query: (...args: Parameters<Tx['query']>) => (statements++, tx.query(...args) as never),
          }
          return work(counted)
        }),
    }
    await build({ database }).getJob(named(wireId()), context())
    expect(statements).toBe(3)
  })

  it('tells when it will end while it runs, and no processing time yet', async () => {
    await test.database.query(
      `update job set state = 'running', finished_at = null, estimated_end_at = '2026-01-01T00:05:00Z', progress_percent = 33.333`,
    )
    const job = await build().getJob(named(wireId()), context())
    expect(job).toMatchObject({
      estimated_completion: '2026-01-01T00:05:00.000Z',
      progress: 33.3,
      metadata: { processing_time: null },
    })
  })

  it('keeps its page when its file was erased', async () => {
    await test.database.query('delete from file')
    expect(await build().getJob(named(wireId()), context())).toMatchObject({
      file_name: '',
      metadata: { file_size_mb: 0 },
    })
  })

  it('does not exist for another tenant, under a missing or under a malformed id, for any operation', async () => {
    const stranger = context({ ...principal(), tenantId: tenantId + 1 })
    const routes = build()
    const control = Object.fromEntries(
      ['cancelJob', 'pauseJob', 'resumeJob', 'retryJob', 'replayStep'].map((name) => [
        name,
        () => Promise.reject(new Problem('not_found')),
      ]),
    ) as unknown as JobControl
    const guarded = build({ control })
    const cases: [string, RequestContext][] = [
      [wireId(), stranger],
      [encodeId('job', (jobId + 1_000) as RowId<'job'>), context()],
      ['job_', context()],
      ['', context()],
      [encodeId('file', fileId), context()],
    ]
    for (const [id, asker] of cases) {
      await expect(routes.getJob(named(id), asker)).rejects.toEqual(new Problem('not_found'))
      await expect(guarded.cancelJob(named(id), asker)).rejects.toEqual(new Problem('not_found'))
      await expect(guarded.retryJob(named(id), asker)).rejects.toEqual(new Problem('not_found'))
      const step = { ...none, params: { job_id: id, step: 'convert' } }
      await expect(guarded.replayStep(step, asker)).rejects.toEqual(new Problem('not_found'))
      const output = { ...none, params: { job_id: id, output_id: id } }
      await expect(routes.getOutputContent(output, asker)).rejects.toEqual(new Problem('not_found'))
    }
  })

  it('hands the moves to the engine with who asked, and answers with the job as it is then', async () => {
    const calls: unknown[][] = []
    const control: JobControl = {
      cancelJob: async (...args) => void calls.push(['cancel', ...args]),
      pauseJob: async (...args) => void calls.push(['pause', ...args]),
      resumeJob: async (...args) => void calls.push(['resume', ...args]),
      retryJob: async (...args) => void calls.push(['retry', ...args]),
      replayStep: async (...args) => void calls.push(['replay', ...args]),
    }
    const routes = build({ control })
    expect(await routes.cancelJob(named(wireId()), context())).toMatchObject({ job_id: wireId() })
    await routes.pauseJob(named(wireId()), context())
    await routes.resumeJob(named(wireId()), context())
    await routes.retryJob(named(wireId()), context())
    await routes.replayStep({ ...none, params: { job_id: wireId(), step: 'convert' } }, context())
    expect(calls).toEqual([
      ['cancel', tenantId, jobId, 'system'],
      ['pause', tenantId, jobId, 'system'],
      ['resume', tenantId, jobId, 'system'],
      ['retry', tenantId, jobId, 'system'],
      ['replay', tenantId, jobId, 'system', 'convert'],
    ])
  })

  it('serves the bytes of its outputs, and of no other job’s', async () => {
    const { rows } = await test.database.query<{ id: RowId<'output'> }>('select id from output order by id')
    const output_id = encodeId('output', rows[0]!.id)
    const served: unknown[] = []
    const routes = build({
      serveObject: async (_, object) => (
        served.push(object),
        { kind: 'stream', status: 200, headers: {}, body: undefined }
      ),
    })
    await routes.getOutputContent({ ...none, params: { job_id: wireId(), output_id } }, context())
    expect(served).toEqual([
      { objectId, name: 'processed_data.csv', contentType: 'text/csv', etag: `"${sha256}"`, inline: false },
    ])
    const other = encodeId('job', (jobId + 1) as RowId<'job'>)
    await expect(
      routes.getOutputContent({ ...none, params: { job_id: other, output_id } }, context()),
    ).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('the list of jobs', () => {
  const list = async (query: Parameters<ReturnType<typeof build>['listJobs']>[0]['query']) => {
    const page = await build().listJobs({ ...none, query }, context())
    if (!('items' in page)) throw new Error('answered something else')
    return page
  }

  it('is newest first, in pages that miss and double nothing', async () => {
    await test.database.query(
      `insert into job (tenant_id, file_id, file_version, pipeline_version_id, state, steps_pending, created_by)
       select tenant_id, file_id, 1, pipeline_version_id, 'queued', 3, 'system' from job, generate_series(1, 4)`,
    )
    const first = await list({ limit: 2 })
    const second = await list({ limit: 2, cursor: first.next_cursor! })
    const third = await list({ limit: 2, cursor: second.next_cursor! })
    const ids = [first, second, third].flatMap((page) => page.items.map((item) => item.job_id))
    expect([new Set(ids).size, ids.at(-1), third.next_cursor]).toEqual([5, wireId(), null])
    expect(first.items.every((item) => Compile(JobSummary).Check(item))).toBe(true)
  })

  it('is filtered by state, file and parent; a foreign or malformed id finds nothing', async () => {
    expect((await list({ status: 'completed' })).items.length).toBe(1)
    expect((await list({ status: 'failed' })).items.length).toBe(0)
    expect((await list({ file_id: encodeId('file', fileId) })).items.length).toBe(1)
    expect((await list({ file_id: 'nonsense' })).items.length).toBe(0)
    expect((await list({ parent_job_id: wireId() })).items.length).toBe(0)
    await expect(list({ cursor: 'nonsense' })).rejects.toMatchObject({ code: 'invalid_request' })
  })
})

describe('a job over a file that is already here', () => {
  const create = (over: Partial<JobRouteDependencies> = {}, id: string = encodeId('file', fileId)) =>
    build(over).createJob({ ...none, body: { file_id: id, pipeline: 'table', priority: 'bulk' } }, context())

  it('is submitted with the newest version, audited in the same transaction, and then told to the engine', async () => {
    const submissions: SubmitJob[] = []
    const woken: string[] = []
    const result = await create({
      wake: { wake: (topic) => void woken.push(topic), listen: () => () => {} },
      submission: {
        choosePipeline: () => Promise.reject(new Error('unused')),
        submitJobs: () => Promise.reject(new Error('unused')),
        submitJob: async (_, job) => {
          submissions.push(job)
          return { jobRowId: jobId, jobId: wireId(), pipeline: 'table', estimatedCompletion: new Date(0) }
        },
      },
    })
    expect(result).toMatchObject({
      job_id: wireId(),
      status: 'queued',
      estimated_completion: '1970-01-01T00:00:00.000Z',
      size_bytes: 2500000,
    })
    expect(submissions).toEqual([
      expect.objectContaining({ fileId, fileVersion: 1, objectId, lane: 'bulk', pipeline: 'table' }),
    ])
    expect(woken).toEqual(['backlog', 'outbox'])
    const { rows } = await test.database.query('select action, target from audit_event')
    expect(rows).toEqual([{ action: 'job.create', target: wireId() }])
  })

  it('leaves nothing behind when the pipeline is unknown', async () => {
    const submission = {
      choosePipeline: () => Promise.reject(new Error('unused')),
      submitJob: () => Promise.reject(new Problem('pipeline_unknown')),
      submitJobs: () => Promise.reject(new Error('unused')),
    }
    await expect(create({ submission })).rejects.toMatchObject({ code: 'pipeline_unknown' })
    const { rows } = await test.database.query('select from audit_event')
    expect(rows.length).toBe(0)
  })

  it.each([
    ['quarantined', 'file_quarantined'],
    ['rejected', 'file_rejected'],
  ])('is refused for a file that is %s', async (state, code) => {
    await test.database.query('update file set state = $1', [state])
    await expect(create()).rejects.toMatchObject({ code })
  })

  it('is refused for a file in the trash', async () => {
    await test.database.query(`update file set state = 'available', deleted_at = now()`)
    await expect(create()).rejects.toMatchObject({ code: 'not_found' })
  })

  it('is refused for a file that is not there', async () => {
    await expect(create({}, 'file_nonsense')).rejects.toMatchObject({ code: 'not_found' })
  })
})
