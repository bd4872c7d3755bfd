import type { Setting, Sql } from '../platform/database.ts'

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

/**
 * For transactions that reach every row by an index, be it one job or hundreds: plans are made once for all values, since
 * making one takes longer than running it. What has been switched off the planner would rather do while tables are small or
 * without statistics, and such a plan would be kept when they have grown.
 */
export const indexedPlans: readonly Setting[] = [
  ['plan_cache_mode', 'force_generic_plan'],
  ['enable_seqscan', 'off'],
  ['enable_bitmapscan', 'off'],
  ['enable_hashjoin', 'off'],
  ['enable_mergejoin', 'off'],
  ['jit', 'off'],
]

/** The same for those that take the next of an order: what is sorted is the backlog of a whole tenant. */
export const orderedPlans: readonly Setting[] = [...indexedPlans, ['enable_sort', 'off']]
