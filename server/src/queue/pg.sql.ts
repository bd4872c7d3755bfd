import type { Sql } from '../platform/database.ts'
import type { ReadyTask } from './ready-queue.ts'

interface TakenRow {
  task_id: number
  epoch: number
  tenant_id: number
  offered_at: number
}

/** Hands out dispatched tasks, oldest first, each once per epoch; never one that another transaction holds. */
export async function takeReady(sql: Sql, pool: number, max: number): Promise<ReadyTask[]> {
  const { rows } = await sql.query<TakenRow>('select * from take_ready($1::smallint, $2::integer)', [pool, max])
  return rows
    .sort((left, right) => left.offered_at - right.offered_at)
    .map(({ task_id: taskId, epoch, tenant_id: tenantId }) => ({ taskId, epoch, tenantId }))
}

/** Dispatched tasks that takeReady has still to hand out. */
export async function countReady(sql: Sql, pool: number): Promise<number> {
  const { rows } = await sql.query<{ count: number }>('select count_ready($1::smallint) as count', [pool])
  return rows[0]?.count ?? 0
}
