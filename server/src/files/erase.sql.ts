// Statements of an erasure, in the order in which its transaction makes them.

import type { Sql } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'

/** Locks the jobs over a file, in the order of their ids as everybody does; answers how many have not ended. */
export async function lockFileJobs(sql: Sql, tenantId: number, fileId: number): Promise<number> {
  const { rows } = await sql.query<{ live: boolean }>(
    `select finished_at is null as live from job where tenant_id = $1 and file_id = $2 order by id for update`,
    [tenantId, fileId],
  )
  return rows.filter(({ live }) => live).length
}

/** Holds the file against new jobs and versions; nothing for one that is not there. */
export async function lockFileForErasure(
  sql: Sql,
  tenantId: number,
  fileId: number,
): Promise<{ deleted: boolean } | undefined> {
  const { rows } = await sql.query<{ deleted: boolean }>(
    'select deleted_at is not null as deleted from file where tenant_id = $1 and id = $2 for update',
    [tenantId, fileId],
  )
  return rows[0]
}

/** What steps made and found: outputs, results, texts and the jobs that tell of them. Answers the objects of outputs. */
export async function deleteFileWork(sql: Sql, tenantId: number, fileId: number): Promise<string[]> {
  const { rows } = await sql.query<{ object_id: string }>(
    `with gone as (select id from job where tenant_id = $1 and file_id = $2),
       results as (delete from task_result where job_id in (select id from gone)),
       attempts as (delete from task_attempt where task_id in (select t.id from task t where t.job_id in (select id from gone))),
       tasks as (delete from task where job_id in (select id from gone)),
       steps as (delete from job_step where job_id in (select id from gone)),
       links as (delete from download_link where tenant_id = $1 and (file_id = $2 or job_id in (select id from gone))),
       jobs as (delete from job where id in (select id from gone))
     delete from output where job_id in (select id from gone) returning object_id`,
    [tenantId, fileId],
  )
  return rows.map((row) => row.object_id)
}

export interface ErasedVersionRow {
  object_id: string
  size_bytes: number
}

/** The file with all its versions; answers these. */
export async function deleteFileRows(sql: Sql, tenantId: number, fileId: number): Promise<ErasedVersionRow[]> {
  const { rows } = await sql.query<ErasedVersionRow>(
    'delete from file_version where tenant_id = $1 and file_id = $2 returning object_id, size_bytes',
    [tenantId, fileId],
  )
  await sql.query('delete from file where tenant_id = $1 and id = $2', [tenantId, fileId])
  return rows
}

/** What else repeats a file's name: how it came in, and answers that are kept to be repeated. */
export async function forgetArrival(sql: Sql, tenantId: number, fileWireId: string): Promise<void> {
  await sql.query(
    `update upload_session set name = 'erased', tus_metadata = null, fields = '{}', source = null,
       result = result || '{"name":"erased"}'
     where tenant_id = $1 and state = 'sealed' and result ->> 'file_id' = $2`,
    [tenantId, fileWireId],
  )
  await sql.query('delete from idempotency_key where tenant_id = $1 and strpos(response::text, $2) > 0', [
    tenantId,
    fileWireId,
  ])
}

/**
 * Deletes the rows of objects that nothing points to any more, and with them the only copy of their keys: from the commit
 * on nobody can read their bytes, wherever copies of them lie. Answers what is left to be removed from the store.
 */
export async function eraseObjects(sql: Sql, tenantId: number, objectIds: readonly string[]): Promise<string[]> {
  const { rows } = await sql.query<{ store_key: string }>(
    `with gone as (
       delete from object o where o.tenant_id = $1 and o.id = any($2::text[])
         and not exists (select from output r where r.object_id = o.id)
         and not exists (select from file_version v where v.object_id = o.id)
         and not exists (select from file f where f.object_id = o.id)
       returning o.store_key
     )
     insert into erased_object (store_key, tenant_id) select store_key, $1 from gone returning store_key`,
    [tenantId, objectIds],
  )
  return rows.map((row) => row.store_key)
}

export async function deleteErasedObject(sql: Sql, storeKey: string): Promise<void> {
  await sql.query('delete from erased_object where store_key = $1', [storeKey])
}

/** Oldest first. */
export async function listErasedObjects(sql: Sql, ageMs: number, limit: number): Promise<string[]> {
  const { rows } = await sql.query<{ store_key: string }>(
    `select store_key from erased_object where erased_at < now() - $1 * interval '1 ms' order by erased_at limit $2`,
    [ageMs, limit],
  )
  return rows.map((row) => row.store_key)
}

/** Puts an attempt that failed behind the others. */
export async function postponeErasedObject(sql: Sql, storeKey: string): Promise<void> {
  await sql.query('update erased_object set erased_at = now() where store_key = $1', [storeKey])
}

export interface OverdueFileRow {
  tenant_id: number
  file_id: RowId<'file'>
}

/** Files that have lain in the trash for as long as their tenant keeps them, oldest first; none with a job under way. */
export async function listOverdueTrash(sql: Sql, keptDaysDefault: number, limit: number): Promise<OverdueFileRow[]> {
  const { rows } = await sql.query<OverdueFileRow>(
    `select f.tenant_id, f.id as file_id from file f join tenant t on t.id = f.tenant_id
     where f.deleted_at < now() - coalesce((t.limits ->> 'trash_kept_days')::int, $1) * interval '1 day'
       and not exists (select from job j where j.file_id = f.id and j.finished_at is null)
     order by f.deleted_at limit $2`,
    [keptDaysDefault, limit],
  )
  return rows
}

/** Members of an archive, and members of these, deepest first. */
export async function listMembers(sql: Sql, tenantId: number, fileId: number): Promise<RowId<'file'>[]> {
  const { rows } = await sql.query<{ id: RowId<'file'> }>(
    `with recursive member as (
       select id, 1 as depth from file where tenant_id = $1 and parent_file_id = $2
       union all
       select f.id, m.depth + 1 from member m join file f on f.parent_file_id = m.id where f.tenant_id = $1 and m.depth < 10
     )
     select id from member order by depth desc, id`,
    [tenantId, fileId],
  )
  return rows.map((row) => row.id)
}
