import type { Database, Sql } from '../platform/database.ts'

/** Null: for ever. */
export interface KeptDays {
  tenant_id: number
  results_kept_days: number | null
  jobs_kept_days: number | null
  audit_kept_days: number | null
}

/** Tenants that do not keep everything. */
export async function listKeptDays(sql: Sql): Promise<KeptDays[]> {
  const { rows } = await sql.query<KeptDays>(
    `select id as tenant_id, (limits ->> 'results_kept_days')::int as results_kept_days,
       (limits ->> 'jobs_kept_days')::int as jobs_kept_days, (limits ->> 'audit_kept_days')::int as audit_kept_days
     from tenant where limits ?| array['results_kept_days', 'jobs_kept_days', 'audit_kept_days'] order by id`,
    [],
  )
  return rows
}

const statements = {
  results: 'select forget_results($1, $2, $3) as count',
  jobs: 'select forget_jobs($1, $2, $3) as count',
  batches: 'select forget_batches($1, $2, $3) as count',
  audit: 'select forget_audit($1, $2, $3) as count',
} as const

/** Up to about so many rows of what is older; answers how many, and less than the limit when nothing is left. */
export async function forget(
  database: Database,
  what: keyof typeof statements,
  { tenantId, keptDays, limit }: { tenantId: number; keptDays: number; limit: number },
): Promise<number> {
  const { rows } = await database.query<{ count: number }>(statements[what], [tenantId, keptDays, limit])
  return rows[0]?.count ?? 0
}
