import type { Sql } from '../platform/database.ts'

export interface FiguresRow {
  active_workers: number
  queued_jobs: number
  ended_lately: number
  ended_in_hour: number
  failed_in_hour: number
  total_files: number
  total_bytes: number
  active_tenants: number
  total_users: number
}

/** All figures of the installation in one snapshot. */
export async function readFigures(sql: Sql, windows: { throughputSeconds: number }): Promise<FiguresRow> {
  const { rows } = await sql.query<FiguresRow>(
    `select
       (select count(*) from worker where last_seen_at > now() - interval '1 minute')::int as active_workers,
       (select count(*) from job where state = 'queued' and finished_at is null)::int as queued_jobs,
       (select count(*) from job where finished_at > now() - $1 * interval '1 second')::int as ended_lately,
       e.ended::int as ended_in_hour, e.failed::int as failed_in_hour,
       (select count(*) from file where deleted_at is null)::int as total_files,
       (select coalesce(sum(size_bytes), 0) from object)::float8 as total_bytes,
       (select count(*) from tenant t where
         (select j.created_at from job j where j.tenant_id = t.id order by j.id desc limit 1) > now() - interval '24 hours'
       )::int as active_tenants,
       (select count(*) from user_account where disabled_at is null)::int as total_users
     from (select count(*) as ended, count(*) filter (where state = 'failed') as failed
       from job where finished_at > now() - interval '1 hour') e`,
    [windows.throughputSeconds],
  )
  // A select of aggregates has one row.
  return rows[0]!
}

export interface WorkerRow {
  id: string
  host: string
  sandbox: string
  slots: number
  busy: number
  cpu_share: number
  memory_bytes: number
  started_at: Date
  last_seen_at: Date
}

export async function listWorkers(sql: Sql, limit: number): Promise<WorkerRow[]> {
  const { rows } = await sql.query<WorkerRow>(
    `select * from worker where last_seen_at > now() - interval '1 minute' order by id limit $1`,
    [limit],
  )
  return rows
}

export async function jobExists(sql: Sql, tenantId: number, jobId: number): Promise<boolean> {
  const { rowCount } = await sql.query('select 1 as found from job where tenant_id = $1 and id = $2', [tenantId, jobId])
  return rowCount > 0
}
