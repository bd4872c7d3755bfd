// The measured side of status.bench.ts: a gateway with real jobs, in a process of its own, so that the sockets and the
// memory of 10,000 clients are not counted as the server's. Told what to do by its parent's messages.

import { analyticsRoutes } from '../../src/analytics/analytics-routes.ts'
import { createEventStream } from '../../src/analytics/event-stream.ts'
import { createFigures } from '../../src/analytics/figures.ts'
import { authRoutes } from '../../src/auth/auth-routes.ts'
import { createAuth } from '../../src/auth/auth.ts'
import { createRateLimiter } from '../../src/auth/rate-limit.ts'
import { createGateway } from '../../src/gateway/gateway.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { encodeId, systemIds, type RowId } from '../../src/platform/ids.ts'
import { silentLog } from '../../src/platform/log.ts'
import { createMetrics } from '../../src/platform/metrics.ts'
import { createLocalWakeBus } from '../../src/platform/wake.ts'
import { jobRoutes } from '../../src/processing/job-routes.ts'
import { createTenants } from '../../src/tenants/tenant.ts'
import { createTestDatabase } from '../../src/testing/database.ts'

export type Order = { kind: 'events'; perSecond: number } | { kind: 'figures' } | { kind: 'end' }
export type Report =
  | { kind: 'ready'; url: string; key: string; jobIds: string[]; database: string }
  | {
      kind: 'figures'
      residentBytes: number
      heapBytes: number
      watchers: number
      cpuSeconds: number
      eventsCount: number
    }

const jobsCount = 1_000
const unused = (): Promise<never> => Promise.reject(new Error('not part of this benchmark'))

const test = await createTestDatabase()
const { database } = test
const wake = createLocalWakeBus()
const clock = systemClock
const running = new AbortController()
const unlimited = { name: 'requests', perSecond: 1e6, burstCount: 1e6 }
const limiter = createRateLimiter({ clock })
const wrapping = {
  wrap: (_: string, secret: Uint8Array) => secret,
  unwrap: (_: string, wrapped: Uint8Array) => wrapped,
}
const auth = await createAuth({ database, clock, log: silentLog, wrapping, limiter })
const tenants = createTenants({ database, hashPassword: (password) => auth.passwords.hash(password) })
const { tenantRowId: tenantId } = await tenants.create({ name: 't', admin: { email: 'a@example.com', password: 'p' } })
const key = await auth.createApiKey(database, {
  tenantId,
  name: 'k',
  role: 'admin',
  operator: false,
  createdBy: null,
  expiresAt: null,
})
const jobRowIds = await insertJobs()
const eventStream = createEventStream({ database, wake, clock, log: silentLog })
const gateway = createGateway({
  routes: {
    ...authRoutes({ auth, database, clock }),
    ...jobRoutes({
      database,
      wake,
      catalogue: { entries: [], find: () => undefined },
      submission: { choosePipeline: unused, submitJob: unused, submitJobs: unused },
      control: { cancelJob: unused, pauseJob: unused, resumeJob: unused, retryJob: unused, replayStep: unused },
      serveObject: unused,
    }),
    ...analyticsRoutes({
      database,
      eventStream,
      figures: createFigures({ database, clock, storagePricePerGbMonth: 0 }),
      storeProbe: { reports: async () => [] },
      parts: {},
    }),
  },
  authenticator: auth,
  limiter,
  requestRate: unlimited,
  clock,
  ids: systemIds,
  log: silentLog,
  metrics: createMetrics({ processFigures: false }),
  readiness: {},
  host: '127.0.0.1',
  port: 0,
})
await eventStream.start(running.signal)
await gateway.start(running.signal)

/** Jobs of six steps, three outputs and results, as a default pipeline leaves them. */
async function insertJobs(): Promise<RowId<'job'>[]> {
  const names = ['receive', 'check', 'convert', 'profile', 'index', 'archive']
  const steps = Object.fromEntries(
    names.map((name, i) => [name, { uses: 'x.y', needs: names.slice(Math.max(0, i - 1), i), with: {} }]),
  )
  await database.script(`
    insert into object select repeat('a', 32), ${tenantId}, 'k', 1, 1, repeat('a', 64), '{}', '', 1, now();
    insert into file (id, tenant_id, name, content_type, size_bytes, sha256, state, object_id, created_by) overriding system value
      values (1, ${tenantId}, 'f.csv', 'text/csv', 1, '', 'available', repeat('a', 32), 'system');
    insert into pipeline_version (id, tenant_id, name, number, source, definition, created_by) overriding system value
      values (1, ${tenantId}, 'p', 1, '', '${JSON.stringify({ steps })}', 'system');
    insert into job (tenant_id, file_id, file_version, pipeline_version_id, state, steps_pending, created_by)
      select ${tenantId}, 1, 1, 1, 'running', 6, 'system' from generate_series(1, ${jobsCount});
    insert into job_step (job_id, name, tenant_id, position, state, tasks_total)
      select j.id, n, ${tenantId}, p, 'succeeded', 1 from job j, unnest(array['${names.join("','")}']) with ordinality as s(n, p);
    insert into task (tenant_id, job_id, step, state, rank, input, attempt)
      select ${tenantId}, job_id, name, 'succeeded', 0, '{}', 1 from job_step;
    insert into task_result (task_id, tenant_id, job_id, step, ordinal, epoch, result, duration_ms)
      select id, tenant_id, job_id, step, 0, 1, jsonb_build_object('rows', 15420, 'columns', repeat('c', 400)), 5 from task;
    insert into output (tenant_id, job_id, task_id, step, name, content_type, size_bytes, sha256, object_id)
      select ${tenantId}, j.id, 1, 'convert', 'o' || n, 'text/csv', 1, '', repeat('a', 32) from job j, generate_series(1, 3) n;
    analyze`)
  const { rows } = await database.query<{ id: RowId<'job'> }>('select id from job order by id')
  return rows.map((row) => row.id)
}

let eventsCount = 0
let perSecond = 0
const eventTimer = setInterval(() => {
  if (perSecond === 0) return
  const ids = Array.from({ length: Math.ceil(perSecond / 10) }, (_, i) => jobRowIds[(eventsCount + i) % jobsCount])
  eventsCount += ids.length
  void database
    .query(
      `insert into outbox (tenant_id, type, job_id, data) select $1, 'job.progress', id, '{"progress":50}' from unnest($2::bigint[]) id`,
      [tenantId, ids],
    )
    .then(() => wake.wake('outbox'))
}, 100)

const report = (message: Report): void => void process.send?.(message)
process.on('message', (order: Order) => void obey(order))

async function obey(order: Order): Promise<void> {
  if (order.kind === 'events') perSecond = order.perSecond
  if (order.kind === 'figures') {
    globalThis.gc?.()
    const { rss: residentBytes, heapUsed: heapBytes } = process.memoryUsage()
    const { user, system } = process.cpuUsage()
    const watchers = eventStream.watchersCount
    report({ kind: 'figures', residentBytes, heapBytes, watchers, cpuSeconds: (user + system) / 1e6, eventsCount })
  }
  if (order.kind === 'end') {
    clearInterval(eventTimer)
    running.abort()
    await eventStream.stop(1_000)
    await gateway.stop(1_000)
    await test.drop()
    process.disconnect?.()
  }
}

report({
  kind: 'ready',
  url: gateway.url(),
  key: key.text,
  jobIds: jobRowIds.map((id) => encodeId('job', id)),
  database: `${database.kind} ${database.version}`,
})
