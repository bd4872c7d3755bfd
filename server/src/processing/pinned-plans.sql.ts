import type { Sql } from '../platform/database.ts'

/**
 * For the rest of the transaction: tables that have just been filled have no statistics, and a plan that was made while
 * they were small looks through all rows for each of a chunk, or sorts the backlog of a tenant to find its next tasks.
 * What has been switched off counts as very dear, and what is dear would be compiled, which takes longer than it runs.
 */
export async function pinPlans(sql: Sql): Promise<void> {
  await sql.query(
    `select set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true), set_config('jit', 'off', true)`,
  )
}
