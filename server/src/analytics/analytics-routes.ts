// analytics/ is the read side: live events, the installation's figures, and the doctor.
// It must not change anything, nor know how work is done; it reads rows that others write.
// Invariant: a watcher is told every event of his tenant that was committed, once, in order, and none of another's.

import type { WorkerResource } from '@millrace/contract'
import type { Database } from '../platform/database.ts'
import { decodeId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { RequestContext, RouteGroup } from '../platform/routes.ts'
import type { StoreProbe } from '../storage/probe.ts'
import { examine } from './doctor.ts'
import type { EventStream } from './event-stream.ts'
import { jobExists, listWorkers, type WorkerRow } from './figures.sql.ts'
import type { Figures } from './figures.ts'

export interface AnalyticsRouteDependencies {
  database: Database
  eventStream: EventStream
  figures: Figures
  /** With parts, what each of them runs on, for the doctor's report. */
  storeProbe: StoreProbe
  parts: Record<string, string>
}

type AnalyticsOperations =
  | 'jobEvents'
  | 'tenantEvents'
  | 'getAdminMetrics'
  | 'listWorkers'
  | 'listQueues'
  | 'getDoctorReport'

const workersCountMax = 1_000

export function analyticsRoutes(deps: AnalyticsRouteDependencies): RouteGroup<AnalyticsOperations> {
  const { database, eventStream, figures, storeProbe, parts } = deps
  return {
    jobEvents: async ({ params }, context) => {
      const { tenantId } = context.principal
      const jobRowId = decodeId('job', params.job_id)
      if (jobRowId === undefined) throw new Problem('not_found')
      const exists = await database.withTenant(tenantId, (tx) => jobExists(tx, tenantId, jobRowId))
      if (!exists) throw new Problem('not_found')
      return { kind: 'events', events: await eventStream.subscribe({ tenantId, jobRowId, ...resumption(context) }) }
    },

    tenantEvents: async (_, context) => {
      const { tenantId } = context.principal
      return { kind: 'events', events: await eventStream.subscribe({ tenantId, ...resumption(context) }) }
    },

    getAdminMetrics: () => figures.read(),

    listWorkers: async () => {
      const rows = await listWorkers(database, workersCountMax)
      return { items: rows.map(toWorkerResource), next_cursor: null }
    },

    listQueues: async () => ({ items: await figures.readQueues(), next_cursor: null }),

    getDoctorReport: () => examine({ database, storeProbe, parts }),
  }
}

const resumption = ({ headers }: RequestContext): { after?: string } => {
  const after = headers['last-event-id']
  return typeof after === 'string' && after !== '' ? { after } : {}
}

const toWorkerResource = (row: WorkerRow): WorkerResource => ({
  worker_id: row.id,
  host: row.host,
  sandbox: row.sandbox,
  slots: row.slots,
  busy: row.busy,
  cpu_share: row.cpu_share,
  memory_bytes: row.memory_bytes,
  started_at: row.started_at.toISOString(),
  last_seen_at: row.last_seen_at.toISOString(),
})
