// The plan gate: each statement of the queue over 1,000,000 tasks, as after a bulk load (no statistics), and again with
// statistics. Only the indexes named here may be used, nothing is scanned or sorted as a whole, and no node meets more rows
// than the statement is asked for: so its cost is the same whatever the length of the backlog. Not on PGlite, which does not
// tell the plans of statements inside functions; it runs the same SQL under the same pinned settings.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Sql } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import { cancelPending, endItems, listPending, putBack, startItems } from '../processing/batches/batch-item.sql.ts'
import * as jobFile from '../processing/job-file.sql.ts'
import * as job from '../processing/job.sql.ts'
import { pinPlans } from '../processing/pinned-plans.sql.ts'
import * as task from '../processing/task.sql.ts'
import type { TaskFence } from '../processing/engine-store.ts'
import type { TaskInput } from '../processing/task.ts'
import { countReady, offerAgain, takeReady } from '../queue/pg.sql.ts'
import { createTestDatabase, testDatabaseUrl, type TestDatabase } from '../testing/database.ts'
import { createPlanReader, type PlanFacts, type PlanReader } from '../testing/plans.ts'
import * as scheduler from './scheduler.sql.ts'

const tasksCount = 1_000_000
const tenantsCount = 50
/** Rows that a node may meet: what one statement handles at most, and then some. */
const rowsBound = 12_000
const hugeJob = 1 as RowId<'job'>
const smallJobs = Array.from({ length: tenantsCount - 1 }, (_, index) => index + 2)
const leadership = { shard: 0, owner: 'gate', epoch: 1 }
const input: TaskInput = { files: [] } as unknown as TaskInput // As the database sees it: some JSON.

/** A job per tenant: one of 900,000 parts, the others share the rest; some are dispatched, running, delayed or dead. */
const load = `
  alter table task set (autovacuum_enabled = off);
  insert into tenant (id, name) select n, 'tenant' from generate_series(1, ${tenantsCount}) n;
  insert into tenant_schedule (tenant_id) select n from generate_series(1, ${tenantsCount}) n;
  insert into pipeline_version (id, tenant_id, name, number, source, definition, created_by)
    select n, n, 'gate', 1, '', '{}', 'system' from generate_series(1, ${tenantsCount}) n;
  insert into object (id, tenant_id, store_key, size_bytes, stored_bytes, sha256, manifest, wrapped_key, tenant_key_version)
    select lpad(to_hex(n), 32, '0'), n, 'k', 1, 1, repeat('a', 64), '{}', '', 1 from generate_series(1, ${tenantsCount}) n;
  insert into file (id, tenant_id, name, content_type, size_bytes, sha256, state, object_id, created_by)
    select n, n, 'f', 'text/csv', 1, repeat('a', 64), 'quarantined', lpad(to_hex(n), 32, '0'), 'system'
    from generate_series(1, ${tenantsCount}) n;
  insert into file_version (tenant_id, file_id, number, object_id, content_type, size_bytes, sha256, created_by)
    select n, n, 1, lpad(to_hex(n), 32, '0'), 'text/csv', 1, repeat('a', 64), 'system' from generate_series(1, ${tenantsCount}) n;
  -- Tenants own one job that has tasks and a thousand that have ended.
  insert into job (id, tenant_id, file_id, file_version, pipeline_version_id, state, steps_pending, created_by, finished_at)
    select n, 1 + (n - 1) % ${tenantsCount}, 1 + (n - 1) % ${tenantsCount}, 1, 1 + (n - 1) % ${tenantsCount},
      case when n > ${tenantsCount} then 'completed' when n = 3 then 'cancelling' else 'running' end, 2, 'system',
      case when n > ${tenantsCount} then now() end
    from generate_series(1, ${tenantsCount * 1_000}) n;
  update job set cancel_requested_at = now() - interval '1 minute' where id = 3;
  update job set tasks_moving = true where id = 4;
  insert into job_step (job_id, name, tenant_id, position, state, tasks_total, tasks_pending, expanded_to)
    select n, s.name, 1 + (n - 1) % ${tenantsCount}, s.position, 'running', 10, 10, case when n = 1 and s.name = 'part' then 0 end
    from generate_series(1, ${tenantsCount * 1_000}) n, (values ('split', 0), ('part', 1)) as s(name, position);
  insert into output (tenant_id, job_id, task_id, step, name, content_type, size_bytes, sha256, object_id)
    select 1, 1, 0, 'split', 'part-' || n, 'text/plain', 1, repeat('a', 64), lpad('1', 32, '0') from generate_series(1, 10000) n;
  insert into output (tenant_id, job_id, task_id, step, name, content_type, size_bytes, sha256, object_id)
    select 1 + n % 50, 1 + n % 50000, 0, 'split', 'other-' || n, 'text/plain', 1, repeat('a', 64), lpad('1', 32, '0')
    from generate_series(1, 240000) n;
  insert into task (tenant_id, job_id, step, ordinal, lane, state, rank, run_at, lease_until, lease_epoch, finished_at, input)
    select o.owner, o.owner, 'part', n, 1, o.state::task_state, n * 100, now() - interval '1 minute',
      case o.state when 'dispatched' then now() + (case when n % 2 = 0 then -1 else 1 end) * interval '1 minute'
        when 'running' then now() + (case when n % 20 < 10 then -1 else 1 end) * interval '1 minute' end,
      case when o.state in ('dispatched', 'running') then 1 else 0 end,
      case when o.state in ('succeeded', 'dead') then now() end, '{"files": []}'
    from generate_series(1, ${tasksCount}) n cross join lateral (select
      case when n % 10 = 0 then 2 + n / 10 % ${tenantsCount - 1} else 1 end as owner,
      case when n % 2000 = 0 then 'dispatched' when n % 2000 = 1010 then 'running' when n % 20 = 3 then 'delayed'
        when n % 20 = 5 then 'succeeded' when n % 100 = 7 then 'dead' else 'queued' end as state) o;
  insert into task_result (task_id, tenant_id, job_id, step, ordinal, epoch, result, duration_ms)
    select id, tenant_id, job_id, step, ordinal, 1, '1', 1 from task where state = 'succeeded';
  insert into scheduler_lease values (0, 'gate', 1, now() + interval '1 hour');
`

const backlog = 'task by task_backlog'
const byId = 'task by task_pkey'
const byJob = 'task by task_job_id_step_ordinal_key'
const byRunning = 'task by task_running'
const byReady = 'task by task_ready'
const jobById = 'job by job_pkey'
const stepByJob = 'job_step by job_step_pkey'
/** Of files there are as many as tenants here, and few rows are read as a whole whatever indexes there are. */
const files = [
  'file by file_pkey',
  'file_version by file_version_file_id_number_key',
  'file by Seq Scan',
  'file_version by Seq Scan',
]
/** Of a part. */
const inputOf = [stepByJob, 'output by output_pkey']
/** To whoever claims a task. */
const whatIsTold = [jobById, ...inputOf, ...files]

interface Gate {
  name: string
  /** Indexes that it may use on these tables; others of the database are not looked at. */
  by: readonly string[]
  run: (sql: Sql) => Promise<unknown>
  /** The most rows that a node may meet, where that is not what one statement handles. */
  rowsMax?: number
}

const guarded = new Set([
  'task',
  'job',
  'job_step',
  'task_result',
  'output',
  'outbox',
  'file',
  'file_version',
  'batch_item',
])
let test: TestDatabase
let plans: PlanReader
let dispatched: TaskFence[]
let running: TaskFence[]
let lost: TaskFence[]

const gates: Gate[] = [
  { name: 'backlog', by: [backlog], run: (sql) => scheduler.listBacklog(sql, 0, 10_000) },
  {
    name: 'admission',
    by: [backlog, byId],
    run: (sql) =>
      scheduler.admitTasks(sql, {
        pool: 0,
        orders: [hugeJob, ...smallJobs].map((tenantId) => ({ lane: 1, tenantId, count: 4 })),
        leaseMs: 30_000,
        leadership,
      }),
  },
  {
    name: 'start',
    by: [backlog, 'task by Tid Scan', ...whatIsTold],
    run: async (sql) => {
      await pinPlans(sql)
      return task.startTasks(sql, {
        pool: 0,
        orders: [hugeJob, ...smallJobs].map((tenantId) => ({ lane: 1, tenantId, count: 4 })),
        leaseMs: 30_000,
        worker: 'w',
        leadership,
      })
    },
  },
  { name: 'in flight', by: [byReady, byRunning], run: (sql) => scheduler.countInFlight(sql, [hugeJob, ...smallJobs]) },
  {
    name: 'claim',
    by: [byId, ...whatIsTold],
    run: (sql) => task.claimTasks(sql, { fences: dispatched, leaseMs: 60_000, worker: 'w' }),
  },
  { name: 'offer again', by: [byId, byReady], run: (sql) => offerAgain(sql, dispatched) },
  { name: 'heartbeat', by: [byId, jobById], run: (sql) => task.extendLeases(sql, running, 60_000) },
  {
    name: 'settle with a result',
    by: [byId],
    run: (sql) =>
      task.succeedTasks(
        sql,
        running.map((fence) => ({
          ...fence,
          to: 'succeeded',
          result: 1,
          foundText: null,
          recordsCount: 1,
          durationMs: 1,
        })),
      ),
  },
  {
    name: 'settle without',
    by: [byId],
    run: (sql) =>
      task.failTasks(
        sql,
        lost.map((fence) => ({ ...fence, to: 'queued', lost: true })),
      ),
  },
  { name: 'lock jobs', by: [jobById], run: (sql) => job.lockJobs(sql, smallJobs) },
  {
    name: 'steps of jobs',
    by: [stepByJob],
    run: async (sql) => {
      await pinPlans(sql)
      return job.listJobSteps(sql, smallJobs)
    },
  },
  {
    name: 'files of jobs',
    by: [jobById, ...files],
    run: (sql) => jobFile.listJobFiles(sql, smallJobs),
  },
  {
    name: 'going on',
    by: [backlog, byReady, byRunning],
    run: (sql) => task.listContinuing(sql, 0, [{ tenantId: hugeJob, lane: 1, count: 3 }]),
  },
  { name: 'requeue', by: [byReady, byId], run: (sql) => scheduler.requeueExpired(sql, 5_000) },
  { name: 'lost workers', by: [byRunning, ...inputOf], run: (sql) => scheduler.listLost(sql, 100) },
  { name: 'promote', by: ['task by task_delayed', byId], run: (sql) => scheduler.promoteDelayed(sql, 1_000) },
  {
    name: 'expand',
    by: [byJob, stepByJob, 'output by output_step'],
    run: (sql) =>
      task.expandStep(sql, {
        tenantId: 1,
        jobId: hugeJob,
        step: 'second',
        each: 'split',
        lane: 1,
        first: undefined,
        attemptsMax: 5,
        input,
        afterOutputId: 4_000,
        limit: 5_000,
      }),
  },
  { name: 'take of the pg queue', by: [byReady, byId], run: (sql) => takeReady(sql, 0, 100) },
  { name: 'depth of the pg queue', by: [byReady], run: (sql) => countReady(sql, 0) },
  {
    name: 'cancel',
    by: ['task by task_waiting', 'task by task_held', byReady, byId],
    run: (sql) => task.cancelIdleTasks(sql, [hugeJob, ...smallJobs], 5_000),
  },
  { name: 'hold', by: ['task by task_waiting', byReady, byId], run: (sql) => task.holdTasks(sql, hugeJob, 5_000) },
  { name: 'let go', by: ['task by task_held', byId], run: (sql) => task.releaseTasks(sql, hugeJob, 5_000) },
  {
    name: 'jobs to be wound up, moved or split',
    by: [
      'job by job_winding',
      'job by job_moving',
      jobById,
      'job_step by job_step_expanding',
      stepByJob,
      'task by task_waiting',
      'task by task_held',
      byReady,
    ],
    run: async (sql) => {
      await pinPlans(sql)
      await scheduler.listUnfinished(sql, 100)
    },
  },
  {
    name: 'tasks of cancelled jobs that still run',
    by: [...inputOf, 'job by job_winding', byJob, byRunning],
    run: (sql) => scheduler.listAbandoned(sql, 4_000, 100),
  },
  {
    name: 'archive',
    by: ['job by job_unarchived', jobById, byJob, byId, stepByJob],
    run: (sql) => scheduler.archiveTasks(sql, -60_000, 100), // What ends within the next minute: all that has ended.
  },
  {
    name: 'demand',
    by: [backlog, byReady, byRunning],
    run: async (sql) => {
      await pinPlans(sql)
      await scheduler.writeDemand(sql, 0, 50)
    },
    rowsMax: 120_000, // Up to 10,000 rows of each tenant; here 50 tenants, all but one with fewer than that.
  },
]

/** One of 20,000 items, half of them failed, whose jobs have ended; the statistics know only one that is over. */
const batch = `
  insert into batch (id, tenant_id, name, source, concurrency, items_total, items_pending, items_running, items_failed, created_by)
    values (1, 1, 'over', '{}', 1000, 20000, 0, 0, 20000, 'system'), (2, 1, 'gate', '{}', 1000, 20000, 9000, 1000, 10000, 'system');
  update batch set state = 'completed', finished_at = now() where id = 1;
  insert into batch_item (batch_id, tenant_id, ordinal, state, file_id, job_id)
    select 1, 1, n, 'failed', 1, 1000 + n from generate_series(1, 20000) n;
  analyze batch, batch_item;
  insert into batch_item (batch_id, tenant_id, ordinal, state, file_id, job_id)
    select 2, 1, n, case when n <= 10000 then 'failed' when n <= 11000 then 'running' else 'pending' end, 1, 1000 + n
    from generate_series(1, 20000) n;
`
const items = Array.from({ length: 1_000 }, (_, index) => ({ ordinal: 11_001 + index, jobId: index, problem: null }))
const itemById = 'batch_item by batch_item_pkey'
const itemByPlace = 'batch_item by Tid Scan'
const batchGates: Gate[] = [
  {
    name: 'items that wait',
    by: ['batch_item by batch_item_pending', 'file by file_pkey', 'file by Seq Scan'],
    run: async (sql) => {
      await pinPlans(sql)
      await listPending(sql, 2, 1_000)
    },
  },
  {
    name: 'items that are cancelled',
    by: ['batch_item by batch_item_pending', itemByPlace],
    run: async (sql) => {
      await pinPlans(sql)
      await cancelPending(sql, 2, 1_000)
    },
  },
  {
    name: 'batches that are forgotten',
    by: [itemById, itemByPlace],
    run: (sql) => sql.query('select forget_batches(1, -1, 1000)'),
  },
  {
    name: 'items that start',
    by: ['batch_item by batch_item_pending', itemByPlace],
    rowsMax: 2_000,
    run: async (sql) => {
      await pinPlans(sql)
      await startItems(sql, { batchId: 2, round: 1, items })
    },
  },
  {
    name: 'items that end',
    by: ['batch_item by batch_item_running', itemByPlace, jobById],
    run: async (sql) => {
      await pinPlans(sql)
      await endItems(sql, 2, 1_000)
    },
  },
  {
    name: 'items that are put back',
    by: [itemById, itemByPlace],
    run: async (sql) => {
      await pinPlans(sql)
      await putBack(sql, { batchId: 2, round: 2, states: ['failed'], after: 0, limit: 1_000 })
    },
  },
]

/** What of a plan is against the gate, in words. */
function faultsOf({ by, rowsMax = rowsBound }: Gate, { scans, sorts, rowsMax: met }: PlanFacts): string[] {
  const tableOf = (scan: string): string => scan.split(' by ')[0] ?? ''
  return [
    ...scans.filter((scan) => guarded.has(tableOf(scan)) && !by.includes(scan)),
    ...sorts.filter(({ rows }) => rows > 1_000).map(({ table, rows }) => `${rows} rows of ${table} are sorted`),
    ...(met > rowsMax ? [`a node meets ${met} rows`] : []),
  ]
}

/** Of each statement that does not keep to its gate; `change` is made before, and undone. */
async function listFaults({
  only,
  change,
  all = gates,
}: { only?: string; change?: string; all?: Gate[] } = {}): Promise<Record<string, string[]>> {
  const faults: Record<string, string[]> = {}
  for (const gate of all.filter(({ name }) => only === undefined || name === only)) {
    const facts = await plans.read(async (sql) => {
      if (change !== undefined) await sql.query(change)
      await gate.run(sql)
    })
    const found = faultsOf(gate, facts)
    if (found.length > 0) faults[gate.name] = found
  }
  return faults
}

const fencesOf = async (condition: string, limit = 100): Promise<TaskFence[]> =>
  (
    await test.database.query<TaskFence>(
      `select id as "taskId", lease_epoch as epoch from task where ${condition} order by id limit ${limit}`,
    )
  ).rows

describe.skipIf(testDatabaseUrl() === undefined)('over a backlog of a million tasks', () => {
  beforeAll(async () => {
    test = await createTestDatabase()
    await test.database.script(load)
    dispatched = await fencesOf(`state = 'dispatched'`)
    running = await fencesOf(`state = 'running' and lease_until > now()`)
    lost = await fencesOf(`state = 'running' and lease_until < now()`)
    // What createTestDatabase answers on a server, and only there this runs.
    plans = await createPlanReader(test.url!)
  }, 180_000)
  afterAll(async () => {
    await plans?.close()
    await test?.drop()
  })

  it('every statement of the queue keeps to its index, with no statistics at all', async () => {
    expect(await listFaults()).toEqual({})
  })

  it('and as a plan that was made before its parameters were known', async () => {
    await plans.sql.query('set plan_cache_mode = force_generic_plan')
    expect(await listFaults()).toEqual({})
    await plans.sql.query('reset plan_cache_mode')
  })

  it('sees an index that is missing', async () => {
    const dropped = { promote: 'task_delayed', hold: 'task_waiting', 'take of the pg queue': 'task_ready' }
    for (const [name, index] of Object.entries(dropped)) {
      const found = await listFaults({ only: name, change: `drop index ${index}` })
      expect(found, name).toHaveProperty([name])
    }
  })

  it('keeps to its indexes with statistics as well', async () => {
    await test.database.script('analyze')
    expect(await listFaults()).toEqual({})
  })

  it('keeps to them in a batch that no statistics know of', async () => {
    await test.database.script(batch)
    expect(await listFaults({ all: batchGates })).toEqual({})
    const join = `with ended as (select ordinal from batch_item where batch_id = 2 and state = 'running' order by ordinal limit 1000)
      update batch_item i set state = 'succeeded' from ended e where i.batch_id = 2 and i.ordinal = e.ordinal`
    const planted: Gate = {
      name: 'a join that meets all items for each that ended',
      by: batchGates.flatMap(({ by }) => by),
      run: async (sql) => {
        await pinPlans(sql)
        await sql.query(join)
      },
    }
    expect(await listFaults({ all: [planted] })).toEqual({
      [planted.name]: [expect.stringContaining('a node meets')],
    })
  })

  const ready = `q.state = 'queued' and q.pool = 0 and q.lane = 1`
  it.each([
    [
      'a join where an array belongs',
      `with picked as (select q.id from task q where ${ready} and q.tenant_id = ${hugeJob} order by q.rank limit 40000)
       update task t set state = 'dispatched', lease_until = now() from picked where t.id = picked.id`,
      'task by Seq Scan',
    ],
    [
      'an order that the index does not have',
      `update task t set state = 'dispatched', lease_until = now() where t.id = any(array(
         select q.id from task q where ${ready} and q.tenant_id = ${hugeJob} order by q.cost_ms limit 50 for update skip locked))`,
      expect.stringContaining('are sorted'),
    ],
  ])('sees %s', async (name, text, fault) => {
    const run = (sql: Sql) => sql.query(text)
    expect(faultsOf({ name, by: [backlog, byId], run }, await plans.read(run))).toContainEqual(fault)
  })
})
