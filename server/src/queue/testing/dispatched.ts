// Tasks in the table as admission leaves them, for tests of what comes after it.

import type { Database } from '../../platform/database.ts'
import type { ReadyTask } from '../ready-queue.ts'

export interface TestTasks {
  /** So many dispatched tasks in this order, with leases of this length. */
  dispatch(pool: number, count: number, leaseMs?: number): Promise<ReadyTask[]>
  /** The claims that win: only one for each task and epoch. */
  claim(tasks: readonly ReadyTask[]): Promise<ReadyTask[]>
  /** Admits all dispatched tasks of the pool anew, as the leader does when the queue is not intact. */
  admitAnew(pool: number): Promise<ReadyTask[]>
}

export function createTestTasks(database: Database): TestTasks {
  let jobId = 0
  return {
    async dispatch(pool, count, leaseMs = 30_000) {
      jobId += 1
      const { rows } = await database.query<{ id: number; lease_epoch: number; tenant_id: number }>(
        `insert into task (tenant_id, job_id, step, ordinal, pool, state, rank, lease_epoch, lease_until, input)
         select 1, $1, 'step', n, $2, 'dispatched', n, 1, clock_timestamp() + $4 * interval '1 ms', '{}'
         from generate_series(1, $3::integer) n returning id, lease_epoch, tenant_id`,
        [jobId, pool, count, leaseMs],
      )
      return rows.map(toTask).sort((left, right) => left.taskId - right.taskId)
    },
    async claim(tasks) {
      const won = await Promise.all(
        tasks.map(async (task) => {
          const { rowCount } = await database.query(
            `update task set state = 'running', worker = 'test' where id = $1 and lease_epoch = $2 and state = 'dispatched'`,
            [task.taskId, task.epoch],
          )
          return rowCount === 1 ? [task] : []
        }),
      )
      return won.flat()
    },
    async admitAnew(pool) {
      const { rows } = await database.query<{ id: number; lease_epoch: number; tenant_id: number }>(
        `update task set lease_epoch = lease_epoch + 1, lease_until = clock_timestamp() + interval '30 s'
         where pool = $1 and state = 'dispatched' returning id, lease_epoch, tenant_id`,
        [pool],
      )
      return rows.map(toTask).sort((left, right) => left.taskId - right.taskId)
    },
  }
}

const toTask = (row: { id: number; lease_epoch: number; tenant_id: number }): ReadyTask => ({
  taskId: row.id,
  epoch: row.lease_epoch,
  tenantId: row.tenant_id,
})
