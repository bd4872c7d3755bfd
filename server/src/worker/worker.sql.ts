// Table worker: who is at work, for people and for the leader's count. A row is a sign of life, never a lease.

import type { Sql } from '../platform/database.ts'

export interface WorkerRow {
  id: string
  host: string
  sandbox: string
  slots: number
  busy: number
  cpuShare: number
  memoryBytes: number
}

/** By the database's clock, as every comparison with it is. */
export async function upsertWorker(sql: Sql, worker: WorkerRow): Promise<void> {
  await sql.query(
    `insert into worker (id, host, sandbox, slots, busy, cpu_share, memory_bytes, started_at, last_seen_at)
     values ($1, $2, $3, $4, $5, $6, $7, now(), now())
     on conflict (id) do update set busy = excluded.busy, cpu_share = excluded.cpu_share,
       memory_bytes = excluded.memory_bytes, last_seen_at = now()`,
    [worker.id, worker.host, worker.sandbox, worker.slots, worker.busy, worker.cpuShare, worker.memoryBytes],
  )
}

export async function deleteWorker(sql: Sql, id: string): Promise<void> {
  await sql.query('delete from worker where id = $1', [id])
}
