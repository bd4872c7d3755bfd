// Statements over the items of batches. Whoever changes items holds the lock of their batch: batch.sql.ts.

import type { BatchItemState, FileQuery } from '@millrace/contract'
import type { ValidationState } from '../../files/clearance.ts'
import type { Sql } from '../../platform/database.ts'
import type { RowId } from '../../platform/ids.ts'
import type { StoredProblem } from '../engine-store.ts'
import type { ItemCounts } from './batch.sql.ts'

// Listing the items --------------------------------------------------------------------------------------------

function fileConditions(query: FileQuery, $: (value: unknown) => string): string[] {
  const conditions = [`f.deleted_at is null and f.state = 'available'`]
  const { name, name_prefix: prefix, content_type: contentType, metadata } = query
  const family = /^([^*]+\/)\*$/.exec(contentType ?? '')?.[1]
  if (name !== undefined) conditions.push(`strpos(lower(f.name), lower(${$(name)}::text)) > 0`)
  if (prefix !== undefined) conditions.push(`starts_with(f.name, ${$(prefix)}::text)`)
  if (family !== undefined) conditions.push(`starts_with(f.content_type, ${$(family)}::text)`)
  else if (contentType !== undefined && contentType !== '*/*') conditions.push(`f.content_type = ${$(contentType)}`)
  if (metadata !== undefined) conditions.push(`f.metadata @> ${$(JSON.stringify(metadata))}::jsonb`)
  if (query.created_after !== undefined) conditions.push(`f.created_at >= ${$(query.created_after)}::timestamptz`)
  if (query.created_before !== undefined) conditions.push(`f.created_at < ${$(query.created_before)}::timestamptz`)
  return conditions
}

/** Up to a bound, because someone waits for the answer; and the newest file of the tenant. */
export async function countQueried(
  sql: Sql,
  tenantId: number,
  query: FileQuery,
  countMax: number,
): Promise<{ count: number; newest_id: number }> {
  const values: unknown[] = []
  const $ = (value: unknown): string => `$${values.push(value)}`
  const { rows } = await sql.query<{ count: number; newest_id: number }>(
    `select (select count(*)::int from (select from file f where f.tenant_id = ${$(tenantId)}
         and ${fileConditions(query, $).join(' and ')} limit ${$(countMax)}) c) as count,
       coalesce((select max(id) from file where tenant_id = ${$(tenantId)}), 0) as newest_id`,
    values,
  )
  // A select without from has one row.
  return rows[0]!
}

export interface QueryChunk {
  tenantId: number
  batchId: number
  query: FileQuery
  /** The last number given. */
  ordinal: number
  /** Files with ids above this, up to that. */
  after: number
  upTo: number
  /** Only these, where an index has found them. */
  fileIds?: readonly number[]
  limit: number
}

/** The next files that the query finds, as items. */
export async function insertQueried(sql: Sql, chunk: QueryChunk): Promise<{ count: number; last_id: number | null }> {
  const values: unknown[] = []
  const $ = (value: unknown): string => `$${values.push(value)}`
  const conditions = fileConditions(chunk.query, $)
  if (chunk.fileIds !== undefined) conditions.push(`f.id = any(${$(chunk.fileIds)}::bigint[])`)
  const { rows } = await sql.query<{ count: number; last_id: number | null }>(
    `with found as (
       select f.id from file f where f.tenant_id = ${$(chunk.tenantId)} and f.id > ${$(chunk.after)} and f.id <= ${$(chunk.upTo)}
         and ${conditions.join(' and ')} order by f.id limit ${$(chunk.limit)}
     ), items as (
       insert into batch_item (batch_id, tenant_id, ordinal, state, file_id, round)
       select ${$(chunk.batchId)}, ${$(chunk.tenantId)}, ${$(chunk.ordinal)}::bigint + row_number() over (order by id), 'pending', id, 1
       from found
     )
     select count(*)::int as count, max(id) as last_id from found`,
    values,
  )
  return rows[0]!
}

/** Those of the ids that are files of the tenant. As an array, so that no plan compares each with each. */
export async function listKnownFiles(sql: Sql, tenantId: number, fileIds: readonly number[]): Promise<number[]> {
  const { rows } = await sql.query<{ id: number }>(
    'select id from file where id = any($2::bigint[]) and tenant_id = $1 and deleted_at is null',
    [tenantId, fileIds],
  )
  return rows.map(({ id }) => id)
}

/** Of several files with one name, the newest is meant. */
export async function listNamedFiles(
  sql: Sql,
  tenantId: number,
  names: readonly string[],
): Promise<{ name: string; id: number }[]> {
  const { rows } = await sql.query<{ name: string; id: number }>(
    `select name, max(id) as id from file where tenant_id = $1 and deleted_at is null
       and left(name, 500) = any(array(select left(n, 500) from unnest($2::text[]) n)) and name = any($2::text[]) group by name`,
    [tenantId, names],
  )
  return rows
}

export interface NewItem {
  ordinal: number
  reference: string
  fileId: number | null
  problem: StoredProblem | null
}

/** Items with a file wait to be started, those without have failed. */
export async function insertItems(
  sql: Sql,
  { tenantId, batchId, items }: { tenantId: number; batchId: number; items: readonly NewItem[] },
): Promise<void> {
  await sql.query(
    `insert into batch_item (batch_id, tenant_id, ordinal, state, reference, file_id, problem, finished_at)
     select $1, $2, ordinal, case when file_id is null then 'failed' else 'pending' end, reference, file_id, problem::jsonb,
       case when file_id is null then now() end
     from unnest($3::bigint[], $4::text[], $5::bigint[], $6::text[]) as i(ordinal, reference, file_id, problem)`,
    [
      batchId,
      tenantId,
      items.map(({ ordinal }) => ordinal),
      items.map(({ reference }) => reference),
      items.map(({ fileId }) => fileId),
      items.map(({ problem }) => (problem === null ? null : JSON.stringify(problem))),
    ],
  )
}

// Moving the items ---------------------------------------------------------------------------------------------
//
// They are changed by their place: of a batch that statistics do not know of, the planner believes that it has one item, and
// would look through all of them for each chunk. Only the runner changes items, under the batch's lock, so that they stay
// where they are.

export interface PendingItemRow {
  ordinal: number
  file_id: RowId<'file'> | null
  /** Null when the file has been erased since. */
  version: number | null
  name: string
  content_type: string
  size_bytes: number
  sha256: string
  object_id: string
  depth: number
  metadata: Record<string, unknown>
  file_state: ValidationState
}

/** The next items to be started, with their files as they are now. */
export async function listPending(sql: Sql, batchId: number, limit: number): Promise<PendingItemRow[]> {
  const { rows } = await sql.query<PendingItemRow>(
    `select i.ordinal, i.file_id, f.version, f.name, f.content_type, f.size_bytes, f.sha256, f.object_id, f.depth, f.metadata,
       f.state as file_state
     from (select ordinal, file_id from batch_item where batch_id = $1 and state = 'pending' order by ordinal limit $2) i
       left join lateral (select * from file where id = i.file_id and deleted_at is null limit 1) f on true
     order by i.ordinal`,
    [batchId, limit],
  )
  return rows
}

export interface StartedItem {
  ordinal: number
  jobId: number | null
  problem: StoredProblem | null
}

/** Items with a job run, those without have failed. */
export async function startItems(
  sql: Sql,
  { batchId, round, items }: { batchId: number; round: number; items: readonly StartedItem[] },
): Promise<void> {
  // Looked up by position, as in task.sql.ts.
  const at = 'array_position($3::bigint[], i.ordinal)'
  await sql.query(
    `update batch_item i set state = case when ($4::bigint[])[${at}] is null then 'failed' else 'running' end,
       job_id = ($4::bigint[])[${at}], round = $2, problem = ($5::text[])[${at}]::jsonb,
       finished_at = case when ($4::bigint[])[${at}] is null then now() end
     where i.ctid = any(array(
       select found.ctid from unnest($3::bigint[]) as wanted(ordinal) cross join lateral (
         select ctid from batch_item where batch_id = $1 and ordinal = wanted.ordinal and state = 'pending' limit 1) found))`,
    [
      batchId,
      round,
      items.map(({ ordinal }) => ordinal),
      items.map(({ jobId }) => jobId),
      items.map(({ problem }) => (problem === null ? null : JSON.stringify(problem))),
    ],
  )
}

/** The limit keeps the planner from joining all jobs there are. */
const jobOfItem = 'select id, state, problem, finished_at from job where id = i.job_id limit 1'

/** Whether jobs of its running items have ended; takes no lock. */
export async function hasEndedItems(sql: Sql, batchId: number): Promise<boolean> {
  const { rowCount } = await sql.query(
    `select from batch_item i left join lateral (${jobOfItem}) j on true
     where i.batch_id = $1 and i.state = 'running' and (j.id is null or j.finished_at is not null) limit 1`,
    [batchId],
  )
  return rowCount > 0
}

/** Items whose jobs have ended become what came of these. A job that was erased has failed. */
export async function endItems(sql: Sql, batchId: number, limit: number): Promise<ItemCounts> {
  const { rows } = await sql.query<{ state: BatchItemState; count: number }>(
    `with moved as (
       update batch_item i set (state, problem, finished_at) = (
         select case j.state when 'completed' then 'succeeded' when 'cancelled' then 'cancelled' else 'failed' end,
           case when j.id is null then '{"code": "not_found", "detail": "The job was erased."}'::jsonb else j.problem end,
           coalesce(j.finished_at, now())
         from (select) always left join lateral (${jobOfItem}) j on true)
       where i.ctid = any(array(
         select i.ctid from batch_item i left join lateral (${jobOfItem}) j on true
         where i.batch_id = $1 and i.state = 'running' and (j.id is null or j.finished_at is not null)
         order by i.ordinal limit $2))
       returning i.state
     )
     select state, count(*)::int as count from moved group by state`,
    [batchId, limit],
  )
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]))
}

export async function cancelPending(sql: Sql, batchId: number, limit: number): Promise<number> {
  const { rowCount } = await sql.query(
    `update batch_item i set state = 'cancelled', finished_at = now()
     where i.ctid = any(array(
       select ctid from batch_item where batch_id = $1 and state = 'pending' order by ordinal limit $2))`,
    [batchId, limit],
  )
  return rowCount
}

export async function listRunningJobs(sql: Sql, batchId: number): Promise<number[]> {
  const { rows } = await sql.query<{ job_id: number }>(
    `select job_id from batch_item where batch_id = $1 and state = 'running'`,
    [batchId],
  )
  return rows.map((row) => row.job_id)
}

/** Looks through the next so many items and puts back those in one of the states; those of this round stay as they are. */
export async function putBack(
  sql: Sql,
  batch: { batchId: number; round: number; states: readonly BatchItemState[]; after: number; limit: number },
): Promise<{ seen: number; last: number | null; failed: number; cancelled: number }> {
  const { rows } = await sql.query<{ seen: number; last: number | null; failed: number; cancelled: number }>(
    `with seen as (
       select ctid, ordinal, state, state = any($5::text[]) and round < $4 and file_id is not null as moves
       from batch_item where batch_id = $1 and ordinal > $2 order by ordinal limit $3
     ), moved as (
       update batch_item i set state = 'pending', round = $4, problem = null, finished_at = null
       where i.ctid = any(array(select ctid from seen where moves))
     )
     select count(*)::int as seen, max(ordinal) as last,
       (count(*) filter (where moves and state = 'failed'))::int as failed,
       (count(*) filter (where moves and state = 'cancelled'))::int as cancelled
     from seen`,
    [batch.batchId, batch.after, batch.limit, batch.round, batch.states],
  )
  return rows[0]!
}

// Reading the items --------------------------------------------------------------------------------------------

export interface ItemRow {
  ordinal: number
  reference: string | null
  file_id: RowId<'file'> | null
  file_name: string | null
  job_id: RowId<'job'> | null
  state: BatchItemState
  round: number
  problem: StoredProblem | null
  finished_at: Date | null
}

export async function listItems(
  sql: Sql,
  page: { tenantId: number; batchId: number; after: number; state?: BatchItemState; limit: number },
): Promise<ItemRow[]> {
  const { rows } = await sql.query<ItemRow>(
    `select i.ordinal, i.reference, i.file_id, f.name as file_name, i.job_id, i.state, i.round, i.problem, i.finished_at
     from batch_item i left join lateral (select name from file where id = i.file_id limit 1) f on true
     where i.tenant_id = $1 and i.batch_id = $2 and i.ordinal > $3 and ($5::text is null or i.state = $5)
     order by i.ordinal limit $4`,
    [page.tenantId, page.batchId, page.after, page.limit, page.state ?? null],
  )
  return rows
}
