import type { BatchItemState } from '@millrace/contract'
import { decodeCursor, encodeCursor } from '../../platform/cursor.ts'
import type { Database } from '../../platform/database.ts'
import { decodeId, type RowId } from '../../platform/ids.ts'
import { Problem } from '../../platform/problem.ts'
import type { RequestContext, RouteGroup } from '../../platform/routes.ts'
import { listItems } from './batch-item.sql.ts'
import { listBatches } from './batch.sql.ts'
import { readReport, reportContentTypes } from './batch-report.ts'
import { toBatchResource, toItemResource } from './batch-resource.ts'
import type { BatchAct, Batches } from './batches.ts'

type BatchOperations =
  | 'createBatch'
  | 'listBatches'
  | 'getBatch'
  | 'updateBatch'
  | 'cancelBatch'
  | 'redriveBatch'
  | 'listBatchItems'
  | 'getBatchReport'

const limitDefault = 50

export function batchRoutes({
  database,
  batches,
}: {
  database: Database
  batches: Batches
}): RouteGroup<BatchOperations> {
  return {
    createBatch: async ({ body }, context) => {
      const { row, plan } = await batches.create(actOf(context), body)
      return { ...toBatchResource(row), plan }
    },

    listBatches: async ({ query }, { principal: { tenantId } }) => {
      const { limit = limitDefault, status: state } = query
      const filter = {
        ...(state !== undefined && { state }),
        // An id that cannot be one finds what a missing one finds: nothing.
        ...(query.schedule_id !== undefined && { scheduleId: decodeId('schedule', query.schedule_id) ?? -1 }),
      }
      const question = ['batches', filter]
      const before = query.cursor === undefined ? undefined : decodeCursor(query.cursor, question, [0])[0]
      const wanted = { tenantId, ...filter, ...(before !== undefined && { before }), limit: limit + 1 }
      const rows = await database.withTenant(tenantId, (tx) => listBatches(tx, wanted))
      const page = rows.slice(0, limit)
      const last = rows.length > limit ? page.at(-1) : undefined
      return { items: page.map(toBatchResource), next_cursor: last ? encodeCursor(question, [last.id]) : null }
    },

    getBatch: async ({ params }, { principal }) =>
      toBatchResource(await batches.get(principal.tenantId, batchIdOf(params))),

    updateBatch: async ({ params, body }, context) =>
      toBatchResource(await batches.change(actOf(context), batchIdOf(params), body)),

    cancelBatch: async ({ params }, context) =>
      toBatchResource(await batches.cancel(actOf(context), batchIdOf(params))),

    redriveBatch: async ({ params, body }, context) =>
      toBatchResource(await batches.redrive(actOf(context), batchIdOf(params), body)),

    listBatchItems: async ({ params, query }, { principal: { tenantId } }) => {
      const { limit = limitDefault, state } = query
      const { id: batchId } = await batches.get(tenantId, batchIdOf(params))
      const question = ['batch items', batchId, state ?? null]
      const after = query.cursor === undefined ? 0 : decodeCursor(query.cursor, question, [0])[0]
      const wanted = { tenantId, batchId, after, limit: limit + 1, ...ofState(state) }
      const rows = await database.withTenant(tenantId, (tx) => listItems(tx, wanted))
      const page = rows.slice(0, limit)
      const last = rows.length > limit ? page.at(-1) : undefined
      return { items: page.map(toItemResource), next_cursor: last ? encodeCursor(question, [last.ordinal]) : null }
    },

    getBatchReport: async ({ params, query }, { principal: { tenantId } }) => {
      const { id: batchId } = await batches.get(tenantId, batchIdOf(params))
      const { format = 'csv' } = query
      return {
        kind: 'stream',
        status: 200,
        headers: {
          'content-type': reportContentTypes[format],
          'content-disposition': `attachment; filename="${params.batch_id}-report.${format}"`,
          'x-content-type-options': 'nosniff',
        },
        body: readReport(database, { tenantId, batchId, ...ofState(query.state) }, format),
      }
    },
  }
}

const ofState = (state: BatchItemState | undefined) => (state === undefined ? {} : { state })

const actOf = ({ principal, requestId }: RequestContext): BatchAct => ({ principal, requestId })

/** A malformed id names nothing, like a missing one. */
function batchIdOf({ batch_id: text }: { batch_id: string }): RowId<'batch'> {
  const batchId = decodeId('batch', text)
  if (batchId === undefined) throw new Problem('not_found')
  return batchId
}
