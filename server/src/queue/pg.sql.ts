import type { Sql } from '../platform/database.ts'
import type { OfferedTask, ReadyTask } from './ready-queue.ts'

interface TakenRow {
  task_id: number
  epoch: number
  tenant_id: number
  cost_ms: number
  is_part: boolean
  offered_at: number
}

/**
 * Hands out dispatched tasks, oldest first, each once per epoch; never one that another transaction holds. Of parts it
 * tells what they are expected to cost.
 */
export async function takeReady(sql: Sql, pool: number, max: number): Promise<OfferedTask[]> {
  const { rows } = await sql.query<TakenRow>('select * from take_ready($1::smallint, $2::integer)', [pool, max])
  return rows
    .sort((left, right) => left.offered_at - right.offered_at)
    .map(({ task_id: taskId, epoch, tenant_id: tenantId, cost_ms: costMs, is_part: isPart }) => ({
      taskId,
      epoch,
      tenantId,
      ...(isPart && { costMs }),
    }))
}

/** Of what takeReady has handed out and nobody has claimed; it keeps its place. */
export async function offerAgain(sql: Sql, tasks: readonly Pick<ReadyTask, 'taskId' | 'epoch'>[]): Promise<void> {
  await sql.query(
    `update task t set worker = null from unnest($1::bigint[], $2::int[]) as o(id, epoch)
     where t.id = o.id and t.lease_epoch = o.epoch and t.state = 'dispatched'`,
    [tasks.map(({ taskId }) => taskId), tasks.map(({ epoch }) => epoch)],
  )
}

/** Dispatched tasks that takeReady has still to hand out. */
export async function countReady(sql: Sql, pool: number): Promise<number> {
  const { rows } = await sql.query<{ count: number }>('select count_ready($1::smallint) as count', [pool])
  return rows[0]?.count ?? 0
}
