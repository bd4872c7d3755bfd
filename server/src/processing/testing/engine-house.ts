// A whole engine over a test database, with a worker whose processors are functions of the test.

import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import type { StageName } from '@millrace/contract'
import { createMaintenance } from '../../maintenance/maintenance.ts'
import { systemClock, type Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'
import { systemIds, type RowId } from '../../platform/ids.ts'
import { Problem } from '../../platform/problem.ts'
import { startServices } from '../../platform/lifecycle.ts'
import { silentLog } from '../../platform/log.ts'
import { openPostgres } from '../../platform/postgres.ts'
import { createLocalWakeBus, type WakeBus } from '../../platform/wake.ts'
import { createHandOut, type HandOut } from '../../queue/hand-out.ts'
import type { ReadyQueue } from '../../queue/ready-queue.ts'
import { createPostgresSearch } from '../../search/postgres.ts'
import type { Vault } from '../../storage/vault.ts'
import { createQuota } from '../../tenants/quota.ts'
import { createTestDatabase, type TestDatabase } from '../../testing/database.ts'
import type { Catalogue } from '../catalogue.ts'
import { acceptRank } from '../content-type.ts'
import type { PipelineDefinition } from '../definition.ts'
import { createBatchRunner } from '../batches/batch-runner.ts'
import { createBatches } from '../batches/batches.ts'
import { createControlRunner } from '../control/control-runner.ts'
import { createTaskDesk } from '../desk.ts'
import { createEngine } from '../engine.ts'
import type { ClaimedTask } from '../engine-store.ts'
import { createEstimateStore } from '../estimate.sql.ts'
import { createEstimates } from '../estimates.ts'
import { createJobControl } from '../job-control.ts'
import { readJob } from '../job-resource.ts'
import { createJobSubmission } from '../job-submission.ts'
import type { PipelineStore } from '../pipelines.ts'
import { createSqlStore } from '../sql-store.ts'
import type { TaskAssignment, TaskOutcome, TaskOutput } from '../task.ts'
import { testObject } from './test-rows.ts'

export type Work = (task: TaskAssignment) => TaskOutcome | Promise<TaskOutcome>

export const done = (outputs: TaskOutput[] = [], result: unknown = null, extra: object = {}): TaskOutcome => ({
  kind: 'done',
  outputs,
  result,
  durationMs: 1,
  ...extra,
})

/** A processor is named stage.anything. */
export const testCatalogue: Catalogue = {
  entries: [],
  find: (name) => ({
    name,
    stage: (name === 'search.index' ? 'index' : name.split('.')[0]) as StageName,
    version: 1,
    summary: '',
    accepts: ['*/*'],
    parameters: {},
    limits: { memoryBytes: 1, timeoutMs: 1_000 },
    cost: { baseMs: 10, perMbMs: 0 },
  }),
}

export interface EngineHouseOptions {
  maintained?: boolean
  /** Of another house, whose work this one takes part in; left out: a new one. */
  databaseUrl?: string
  openQueue?: (deps: { database: Database; wake: WakeBus; clock: Clock }) => Promise<ReadyQueue>
  wake?: WakeBus
  worker?: string
}

export async function createEngineHouse(options: EngineHouseOptions = {}) {
  const { maintained = true, worker = 'worker_test' } = options
  const test = options.databaseUrl === undefined ? await createTestDatabase() : await joinDatabase(options.databaseUrl)
  const { database } = test
  const clock = systemClock
  const wake = options.wake ?? createLocalWakeBus()
  const queue: ReadyQueue | HandOut<ClaimedTask> =
    (await options.openQueue?.({ database, wake, clock })) ?? createHandOut<ClaimedTask>({ clock, wake })
  const quota = createQuota({ database })
  const work: Record<string, Work> = {}
  let pipeline: { pipelineVersionId: number; definition: PipelineDefinition } | undefined
  const pipelines: Pick<PipelineStore, 'choose' | 'find'> = {
    choose: async (_, { contentType }) => {
      if (pipeline === undefined) throw new Error('the test has no pipeline')
      if (acceptRank(pipeline.definition.accept, contentType) === 0) throw new Problem('pipeline_not_accepted')
      return { ...pipeline, name: pipeline.definition.name, number: 1 }
    },
    find: async () => undefined,
  }
  const searchIndex = createPostgresSearch()
  const store = createSqlStore({ database, pipelines, quota, searchIndex })
  const estimates = createEstimates({
    store: createEstimateStore(database),
    catalogue: testCatalogue,
    clock,
    log: silentLog,
  })
  const deps = { store, catalogue: testCatalogue, estimates, random: () => 0 }
  const engine = createEngine(deps)
  const submission = createJobSubmission({ ...deps, pipelines, clock })
  const control = createJobControl({ engine, wake })
  /** By file. */
  const objectIds = new Map<RowId<'file'>, string>()
  /** What objects hold, for those that are read. */
  const contents = new Map<string, Iterable<string | Uint8Array>>()
  const vault: Pick<Vault, 'read'> = {
    read: async ({ objectId }) => {
      const content = contents.get(objectId)
      if (content === undefined) throw new Problem('object_damaged')
      return Readable.from(content)
    },
  }
  const batchRunner = createBatchRunner({ database, vault, searchIndex, submission, wake, log: silentLog })
  const controlRunner = createControlRunner({ database, engine, wake, log: silentLog })
  const batches = createBatches({ database, vault, pipelines, wake })
  const desk = createTaskDesk({ store, engine, queue, estimates, wake, clock, log: silentLog, worker })
  const maintenance = {
    database,
    queue,
    engine,
    quota,
    wake,
    clock,
    ids: systemIds,
    log: silentLog,
    batchRunner,
    controlRunner,
  }
  const stopping = new AbortController()
  const startMaintenance = () =>
    startServices(maintained ? createMaintenance(maintenance) : [], { clock, log: silentLog })
  let services = await startMaintenance()
  const working: Promise<void>[] = []

  async function insertOne<Id extends number>(text: string, values: unknown[]): Promise<Id> {
    const { rows } = await database.query<{ id: Id }>(`${text} returning id`, values)
    // An insert that does not throw returns its row.
    return rows[0]!.id
  }

  async function runTask(task: TaskAssignment): Promise<void> {
    const run = work[task.step] ?? (() => done())
    await desk.report(task, await run(task))
  }

  return {
    database,
    databaseUrl: test.url,
    desk,
    engine,
    store,
    queue,
    control,
    submission,
    batches,
    batchRunner,
    contents,
    searchIndex,
    wake,
    estimates,
    work,

    /** Takes what is ready, as a worker does, until the house is closed. */
    startWorker(max = 10): void {
      const loop = async (): Promise<void> => {
        while (!stopping.signal.aborted) {
          const tasks = await desk.take({ max, waitMs: 200, signal: stopping.signal })
          for (const task of tasks) working.push(runTask(task))
        }
      }
      working.push(loop())
    },

    addTenant: async (weight = 1): Promise<RowId<'tenant'>> => {
      const tenantId = await insertOne<RowId<'tenant'>>('insert into tenant (name) values ($1)', ['t'])
      await database.query('insert into tenant_schedule (tenant_id, weight) values ($1, $2)', [tenantId, weight])
      await database.query('insert into tenant_usage (tenant_id) values ($1)', [tenantId])
      return tenantId
    },

    async addFile(tenantId: number): Promise<RowId<'file'>> {
      const { objectId } = testObject(tenantId)
      await database.query(
        `insert into object values ($1, $2, 'k', 100, 110, repeat('b', 64), '{}', '', 1, now() - interval '2 hours')`,
        [objectId, tenantId],
      )
      const fileId = await insertOne<RowId<'file'>>(
        `insert into file (tenant_id, name, content_type, size_bytes, sha256, state, object_id, created_by, metadata)
         values ($1, 'data.csv', 'text/csv', 100, repeat('b', 64), 'quarantined', $2, 'system', '{"owner":"me"}')`,
        [tenantId, objectId],
      )
      objectIds.set(fileId, objectId)
      await database.query(
        `insert into file_version (tenant_id, file_id, number, object_id, content_type, size_bytes, sha256, created_by)
         values ($1, $2, 1, $3, 'text/csv', 100, repeat('b', 64), 'system')`,
        [tenantId, fileId, objectId],
      )
      return fileId
    },

    async usePipeline(tenantId: number, definition: PipelineDefinition): Promise<number> {
      const pipelineVersionId = await insertOne(
        `insert into pipeline_version (tenant_id, name, number, source, definition, created_by)
         select $1, 'test', coalesce(max(number), 0) + 1, '', $2, 'system' from pipeline_version where tenant_id = $1`,
        [tenantId, JSON.stringify(definition)],
      )
      pipeline = { pipelineVersionId, definition }
      return pipelineVersionId
    },

    async submit(tenantId: number, fileId: RowId<'file'>, lane: 'interactive' | 'normal' | 'bulk' = 'normal') {
      const objectId = objectIds.get(fileId)!
      const job = await database.withTenant(tenantId, (tx) =>
        submission.submitJob(tx, {
          tenantId,
          fileId,
          fileVersion: 1,
          fileName: 'data.csv',
          contentType: 'text/csv',
          sizeBytes: 100,
          sha256: 'b'.repeat(64),
          objectId,
          metadata: { owner: 'me' },
          depth: 0,
          lane,
          actor: 'system',
        }),
      )
      wake.wake('backlog')
      return job
    },

    read: (tenantId: number, jobRowId: RowId<'job'>) =>
      database.withTenant(tenantId, (tx) => readJob(tx, { tenantId, jobRowId }, testCatalogue)),

    /** Waits for a condition; fails the test with what was seen last. */
    async until<T>(read: () => Promise<T>, holds: (value: T) => boolean, timeoutMs = 15_000): Promise<T> {
      const end = clock.monotonicMs() + timeoutMs
      for (;;) {
        const value = await read()
        if (holds(value)) return value
        if (clock.monotonicMs() > end) throw new Error(`not in time: ${JSON.stringify(value).slice(0, 2_000)}`)
        await pause(10)
      }
    },

    async close(): Promise<void> {
      stopping.abort()
      await Promise.allSettled(working)
      await services.stop(2_000)
      await queue.close()
      await test.drop()
    },
    /** As a process that was killed and begins anew; what was claimed before stays claimed by nobody. */
    async restart() {
      await services.stop(2_000)
      services = await startMaintenance()
    },
  }
}

async function joinDatabase(url: string): Promise<TestDatabase> {
  const database = await openPostgres({ url, log: silentLog })
  return { database, url, drop: () => database.close() }
}

export type EngineHouse = Awaited<ReturnType<typeof createEngineHouse>>
