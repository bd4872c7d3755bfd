// Statements over what the steps of jobs have made.

import type { Sql, Tx } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import type { NewOutput } from './engine-store.ts'

export function insertOutputs(tx: Pick<Tx, 'send'>, outputs: readonly NewOutput[]): void {
  tx.send(
    `insert into output (tenant_id, job_id, task_id, step, name, content_type, size_bytes, sha256, object_id, processor,
       processor_version, made_from)
     select o.*, array(select f ->> 'objectId' from task t, jsonb_array_elements(coalesce(input_of(t) -> 'files', '[]')) f
       where t.id = o.task_id)
     from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[],
       $9::text[], $10::text[], $11::int[]) as o(tenant_id, job_id, task_id, step, name, content_type, size_bytes, sha256,
       object_id, processor, processor_version)`,
    [
      outputs.map(({ tenantId }) => tenantId),
      outputs.map(({ jobId }) => jobId),
      outputs.map(({ taskId }) => taskId),
      outputs.map(({ step }) => step),
      outputs.map(({ name }) => name),
      outputs.map(({ contentType }) => contentType),
      outputs.map(({ object }) => object.sizeBytes),
      outputs.map(({ object }) => object.sha256),
      outputs.map(({ object }) => object.objectId),
      outputs.map(({ processor }) => processor),
      outputs.map(({ processorVersion }) => processorVersion),
    ],
  )
}

export async function findOutputNames(sql: Sql, jobId: number, names: readonly string[]): Promise<string[]> {
  const { rows } = await sql.query<{ name: string }>(
    'select name from output where job_id = $1 and name = any($2::text[])',
    [jobId, names],
  )
  return rows.map(({ name }) => name)
}

export interface StepOutputRow {
  id: number
  job_id: RowId<'job'>
  step: string
  name: string
  content_type: string
  size_bytes: number
  sha256: string
  object_id: string
}

/** In the order in which they were made, so many of each step at most. */
export async function listStepOutputs(
  sql: Sql,
  of: readonly { jobId: number; step: string }[],
  limit: number,
): Promise<StepOutputRow[]> {
  const { rows } = await sql.query<StepOutputRow>(
    `select o.* from unnest($1::bigint[], $2::text[]) as w(job_id, step) cross join lateral (
       select o.id, o.job_id, o.step, o.name, o.content_type, o.size_bytes, o.sha256, o.object_id from output o
       where o.job_id = w.job_id and o.step = w.step order by o.id limit $3) o`,
    [of.map(({ jobId }) => jobId), of.map(({ step }) => step), limit],
  )
  return rows
}

export interface OutputsCountRow {
  job_id: RowId<'job'>
  step: string
  count: number
  size_bytes: number
}

export async function countOutputs(sql: Sql, jobIds: readonly number[]): Promise<OutputsCountRow[]> {
  const { rows } = await sql.query<OutputsCountRow>(
    `select job_id, step, count(*)::int as count, sum(size_bytes)::bigint as size_bytes from output
     where job_id = any($1::bigint[]) group by job_id, step`,
    [jobIds],
  )
  return rows
}
