// Dead letters, and orders over many of them or of jobs: HTTP only; control-runner.ts does what is ordered.

import type { ControlTaskResource, DeadLetterFilter, DeadLetterResource, JobFilter } from '@millrace/contract'
import { writeAudit } from '../../platform/audit.ts'
import { decodeCursor, encodeCursor } from '../../platform/cursor.ts'
import type { Database, Tx } from '../../platform/database.ts'
import { decodeId, encodeId, type RowId } from '../../platform/ids.ts'
import { Problem, toStoredProblem } from '../../platform/problem.ts'
import type { RequestContext, RouteGroup } from '../../platform/routes.ts'
import type { WakeBus } from '../../platform/wake.ts'
import {
  cancelControlTask,
  findControlTask,
  findDeadLetter,
  insertControlTask,
  listAttempts,
  listControlTasks,
  listDeadLetters,
  type ControlKind,
  type ControlTaskRow,
  type DeadLetterRow,
} from './control.sql.ts'

type ControlOperations =
  | 'listDeadLetters'
  | 'getDeadLetter'
  | 'replayDeadLetters'
  | 'cancelJobs'
  | 'listControlTasks'
  | 'getControlTask'
  | 'cancelControlTask'

const limitDefault = 50
const attemptsTold = 100
const matchedCountMax = 1_000_000

export function controlRoutes({
  database,
  wake,
}: {
  database: Database
  wake: WakeBus
}): RouteGroup<ControlOperations> {
  async function order(kind: ControlKind, filter: DeadLetterFilter | JobFilter, context: RequestContext) {
    const { tenantId, actor } = context.principal
    const clean = withoutNul(filter)
    const row = await database.withTenant(tenantId, async (tx) => {
      const row = await insertControlTask(tx, { tenantId, kind, filter: clean, actor, countMax: matchedCountMax })
      await audit(tx, context, kind === 'cancel_jobs' ? 'jobs.cancel' : 'dead_letters.replay', row)
      return row
    })
    wake.wake('batch')
    return toControlTask(row)
  }

  const readTask = async (tx: Tx, tenantId: number, id: RowId<'control'>): Promise<ControlTaskRow> => {
    const row = await findControlTask(tx, tenantId, id)
    if (row === undefined) throw new Problem('not_found')
    return row
  }

  return {
    listDeadLetters: async ({ query }, { principal: { tenantId } }) => {
      const { limit = limitDefault, cursor, ...conditions } = query
      const filter = withoutNul(conditions)
      const question = ['dead letters', filter]
      const before = cursor === undefined ? {} : { before: decodeCursor(cursor, question, [0])[0] }
      const rows = await database.withTenant(tenantId, (tx) =>
        listDeadLetters(tx, { tenantId, filter, ...before, limit: limit + 1 }),
      )
      const page = rows.slice(0, limit)
      const last = rows.length > limit ? page.at(-1) : undefined
      return { items: page.map(toDeadLetter), next_cursor: last ? encodeCursor(question, [last.id]) : null }
    },

    getDeadLetter: ({ params }, { principal: { tenantId } }) =>
      database.withTenant(tenantId, async (tx) => {
        const row = await findDeadLetter(tx, tenantId, idOf('task', params.task_id))
        if (row === undefined) throw new Problem('not_found')
        const tried = await listAttempts(tx, row.id, attemptsTold)
        return {
          ...toDeadLetter(row),
          parameters: row.parameters,
          attempts_max: row.attempts_max,
          lost_count: row.lost_count,
          tried: tried.map(({ attempt, outcome, worker, problem, started_at: startedAt, ended_at: endedAt }) => ({
            attempt,
            outcome,
            worker,
            problem: toStoredProblem(problem),
            started_at: startedAt?.toISOString() ?? null,
            ended_at: endedAt.toISOString(),
          })),
        }
      }),

    replayDeadLetters: ({ body }, context) => order('replay_dead_letters', body, context),
    cancelJobs: ({ body }, context) => order('cancel_jobs', body, context),

    listControlTasks: async ({ query }, { principal: { tenantId } }) => {
      const { limit = limitDefault, cursor } = query
      const question = 'control tasks'
      const before = cursor === undefined ? {} : { before: decodeCursor(cursor, question, [0])[0] }
      const rows = await database.withTenant(tenantId, (tx) =>
        listControlTasks(tx, { tenantId, ...before, limit: limit + 1 }),
      )
      const page = rows.slice(0, limit)
      const last = rows.length > limit ? page.at(-1) : undefined
      return { items: page.map(toControlTask), next_cursor: last ? encodeCursor(question, [last.id]) : null }
    },

    getControlTask: ({ params }, { principal: { tenantId } }) =>
      database.withTenant(tenantId, async (tx) =>
        toControlTask(await readTask(tx, tenantId, idOf('control', params.control_task_id))),
      ),

    cancelControlTask: ({ params }, context) =>
      database.withTenant(context.principal.tenantId, async (tx) => {
        const { tenantId } = context.principal
        const row = await readTask(tx, tenantId, idOf('control', params.control_task_id))
        if (!(await cancelControlTask(tx, tenantId, row.id))) throw new Problem('conflict', { detail: 'It has ended.' })
        await audit(tx, context, 'control_task.cancel', row)
        return toControlTask(await readTask(tx, tenantId, row.id))
      }),
  }
}

const toDeadLetter = (row: DeadLetterRow): DeadLetterResource => ({
  task_id: encodeId('task', row.id),
  job_id: encodeId('job', row.job_id),
  file_id: encodeId('file', row.file_id),
  file_name: row.file_name,
  pipeline: row.pipeline,
  step: row.step,
  ordinal: row.ordinal,
  processor: row.processor,
  attempts: row.attempt,
  problem: toStoredProblem(row.problem),
  died_at: row.finished_at?.toISOString() ?? null,
})

const toControlTask = (row: ControlTaskRow): ControlTaskResource => ({
  control_task_id: encodeId('control', row.id),
  kind: row.kind,
  filter: { ...row.filter },
  status: row.state,
  matched: row.matched_count,
  seen: row.seen_count,
  done: row.done_count,
  skipped: row.skipped_count,
  progress: row.state === 'completed' ? 100 : Math.min(99.9, (row.seen_count / Math.max(1, row.matched_count)) * 100),
  created_at: row.created_at.toISOString(),
  finished_at: row.finished_at?.toISOString() ?? null,
})

/** NUL stands in no name, so what is looked for with it is not found. */
const withoutNul = <Filter extends DeadLetterFilter | JobFilter>(filter: Filter): Filter => {
  const clean = Object.entries(filter).map(([key, value]) => [key, value.replaceAll('\0', '\ufffd').toWellFormed()])
  // The same keys, with texts as before.
  return Object.fromEntries(clean) as Filter
}

/** A malformed id names nothing, like a missing one. */
function idOf<Kind extends 'task' | 'control'>(kind: Kind, text: string): RowId<Kind> {
  const rowId = decodeId(kind, text)
  if (rowId === undefined) throw new Problem('not_found')
  return rowId
}

const audit = (tx: Tx, { principal, requestId }: RequestContext, action: string, row: ControlTaskRow): Promise<void> =>
  writeAudit(tx, {
    tenantId: principal.tenantId,
    actor: principal.actor,
    action,
    target: encodeId('control', row.id),
    detail: { matched: row.matched_count },
    requestId,
  })
