// Schedules: a batch or an import again and again. HTTP and its rules; schedule-runner.ts fires what is due.

import type { ScheduleOrder, ScheduleResource } from '@millrace/contract'
import { writeAudit } from '../../platform/audit.ts'
import type { Clock } from '../../platform/clock.ts'
import { decodeCursor, encodeCursor } from '../../platform/cursor.ts'
import type { Database, Tx } from '../../platform/database.ts'
import { decodeId, encodeId, type RowId } from '../../platform/ids.ts'
import { Problem, toStoredProblem } from '../../platform/problem.ts'
import type { RequestContext, RouteGroup } from '../../platform/routes.ts'
import type { PipelineStore } from '../pipelines.ts'
import { parseCron } from './cron.ts'
import {
  countSchedules,
  deleteSchedule,
  findImportSource,
  findSchedule,
  insertSchedule,
  listSchedules,
  updateSchedule,
  type ScheduleFields,
  type ScheduleRow,
} from './schedule.sql.ts'

export interface ScheduleRouteDependencies {
  database: Database
  pipelines: Pick<PipelineStore, 'find'>
  clock: Clock
}

type ScheduleOperations = 'createSchedule' | 'listSchedules' | 'getSchedule' | 'updateSchedule' | 'deleteSchedule'

const limitDefault = 50
const schedulesCountMax = 1_000

export function scheduleRoutes({
  database,
  pipelines,
  clock,
}: ScheduleRouteDependencies): RouteGroup<ScheduleOperations> {
  /** Throws Problem cron_invalid and cron_never_fires. */
  function nextTick(cron: string, timeZone: string): Date {
    const next = parseCron(cron, timeZone).next(clock.now())
    if (next === undefined) throw new Problem('cron_never_fires', { detail: `"${cron}" has no time to come.` })
    return next
  }

  /** What it starts, which must be there when it is ordered. */
  async function checkStart(
    tx: Tx,
    tenantId: number,
    { batch, import_source_id: source }: Pick<ScheduleOrder, 'batch' | 'import_source_id'>,
  ): Promise<Pick<ScheduleFields, 'batch' | 'import_source_id'>> {
    if ((batch === undefined) === (source === undefined))
      throw new Problem('invalid_request', { detail: 'Give either batch or import_source_id.' })
    if (source !== undefined) {
      const id = decodeId('import_source', source)
      if (id === undefined || (await findImportSource(tx, tenantId, id)) === undefined)
        throw new Problem('not_found', { detail: 'There is no such import source.' })
      return { batch: null, import_source_id: id }
    }
    if (batch?.query === undefined || batch.manifest !== undefined)
      throw new Problem('invalid_request', { detail: 'The batch of a schedule has a query, and no manifest.' })
    if (batch.pipeline !== undefined && (await pipelines.find(tx, tenantId, batch.pipeline)) === undefined)
      throw new Problem('pipeline_unknown', { detail: `There is no pipeline "${batch.pipeline.slice(0, 120)}".` })
    return { batch, import_source_id: null }
  }

  const read = async (tx: Tx, tenantId: number, id: RowId<'schedule'>): Promise<ScheduleRow> => {
    const row = await findSchedule(tx, tenantId, id)
    if (row === undefined) throw new Problem('not_found')
    return row
  }

  return {
    createSchedule: async ({ body }, context) => {
      const { tenantId, actor } = context.principal
      const { time_zone: timeZone = 'UTC', missed_ticks: missed = 'skip', overlap = false, name, cron } = body
      const next = nextTick(cron, timeZone)
      return database.withTenant(tenantId, async (tx) => {
        const what = await checkStart(tx, tenantId, body)
        const fields = { name, cron, time_zone: timeZone, missed_ticks: missed, overlap, ...what }
        if ((await countSchedules(tx, tenantId)) >= schedulesCountMax)
          throw new Problem('conflict', { detail: `A tenant has at most ${schedulesCountMax} schedules.` })
        const id = await insertSchedule(tx, tenantId, actor, { ...fields, state: 'active', next_tick_at: next })
        await audit(tx, context, 'schedule.create', id)
        return toScheduleResource(await read(tx, tenantId, id))
      })
    },

    listSchedules: async ({ query }, { principal: { tenantId } }) => {
      const { limit = limitDefault, cursor } = query
      const question = 'schedules'
      const before = cursor === undefined ? {} : { before: decodeCursor(cursor, question, [0])[0] }
      const rows = await database.withTenant(tenantId, (tx) =>
        listSchedules(tx, { tenantId, ...before, limit: limit + 1 }),
      )
      const page = rows.slice(0, limit)
      const last = rows.length > limit ? page.at(-1) : undefined
      return { items: page.map(toScheduleResource), next_cursor: last ? encodeCursor(question, [last.id]) : null }
    },

    getSchedule: ({ params }, { principal: { tenantId } }) =>
      database.withTenant(tenantId, async (tx) => toScheduleResource(await read(tx, tenantId, scheduleIdOf(params)))),

    updateSchedule: ({ params, body }, context) =>
      database.withTenant(context.principal.tenantId, async (tx) => {
        const { tenantId } = context.principal
        const row = await read(tx, tenantId, scheduleIdOf(params))
        const { paused, batch, import_source_id: source, ...change } = body
        const what = batch === undefined && source === undefined ? row : await checkStart(tx, tenantId, body)
        const fields = { ...row, ...change, batch: what.batch, import_source_id: what.import_source_id }
        const next = nextTick(fields.cron, fields.time_zone)
        const state = paused === undefined ? row.state : paused ? 'paused' : 'active'
        await updateSchedule(tx, row.id, { ...fields, state, next_tick_at: state === 'paused' ? null : next })
        await audit(tx, context, 'schedule.update', row.id)
        return toScheduleResource(await read(tx, tenantId, row.id))
      }),

    deleteSchedule: async ({ params }, context) => {
      await database.withTenant(context.principal.tenantId, async (tx) => {
        const id = scheduleIdOf(params)
        if (!(await deleteSchedule(tx, context.principal.tenantId, id))) throw new Problem('not_found')
        await audit(tx, context, 'schedule.delete', id)
      })
    },
  }
}

const toScheduleResource = (row: ScheduleRow): ScheduleResource => ({
  schedule_id: encodeId('schedule', row.id),
  name: row.name,
  cron: row.cron,
  time_zone: row.time_zone,
  missed_ticks: row.missed_ticks,
  overlap: row.overlap,
  batch: row.batch,
  import_source_id: row.import_source_id === null ? null : encodeId('import_source', row.import_source_id),
  state: row.state,
  next_run_at: row.next_tick_at?.toISOString() ?? null,
  last_tick:
    row.last_tick_at === null || row.last_outcome === null
      ? null
      : {
          at: row.last_tick_at.toISOString(),
          outcome: row.last_outcome,
          batch_id: row.last_batch_id === null ? null : encodeId('batch', row.last_batch_id),
        },
  problem: toStoredProblem(row.problem),
  created_at: row.created_at.toISOString(),
})

/** A malformed id names nothing, like a missing one. */
function scheduleIdOf({ schedule_id: text }: { schedule_id: string }): RowId<'schedule'> {
  const id = decodeId('schedule', text)
  if (id === undefined) throw new Problem('not_found')
  return id
}

const audit = (
  tx: Tx,
  { principal, requestId }: RequestContext,
  action: string,
  id: RowId<'schedule'>,
): Promise<void> =>
  writeAudit(tx, {
    tenantId: principal.tenantId,
    actor: principal.actor,
    action,
    target: encodeId('schedule', id),
    requestId,
  })
