import type { Sql } from '../platform/database.ts'

export async function tenantExists(sql: Sql, tenantId: number): Promise<boolean> {
  const { rowCount } = await sql.query('select from tenant where id = $1', [tenantId])
  return rowCount > 0
}

/** An empty wrapping is a key that was destroyed. Answers whose object it was. */
export async function destroyObjectKey(sql: Sql, objectId: string): Promise<number | undefined> {
  const { rows } = await sql.query<{ tenant_id: number }>(
    `update object set wrapped_key = '' where id = $1 returning tenant_id`,
    [objectId],
  )
  return rows[0]?.tenant_id
}

/** Files of the tenant after the given one, in the order of their ids. */
export async function listTenantFiles(
  sql: Sql,
  page: { tenantId: number; after: number; limit: number },
): Promise<number[]> {
  const { rows } = await sql.query<{ id: number }>(
    'select id from file where tenant_id = $1 and id > $2 order by id limit $3',
    [page.tenantId, page.after, page.limit],
  )
  return rows.map(({ id }) => id)
}

/** The files whose newest version is this object. */
export async function listFilesOfObject(sql: Sql, objectId: string): Promise<number[]> {
  const { rows } = await sql.query<{ id: number }>('select id from file where object_id = $1', [objectId])
  return rows.map(({ id }) => id)
}

/** What steps found of these files, and what is found by it. */
export async function forgetFindings(sql: Sql, fileIds: readonly number[]): Promise<void> {
  await sql.query(
    `with entries as (delete from search_entry where file_id = any($1::bigint[]))
     update file set found = '{}' where id = any($1::bigint[]) and found <> '{}'`,
    [fileIds],
  )
}

/** What the steps of all jobs over these files told. */
export async function forgetResultsOfFiles(sql: Sql, fileIds: readonly number[]): Promise<void> {
  await sql.query(
    `update task_result r set result = null, found_text = null from job j
     where j.file_id = any($1::bigint[]) and r.job_id = j.id and (r.result is not null or r.found_text is not null)`,
    [fileIds],
  )
}

/** What the steps of the jobs over this very version told. */
export async function forgetResultsOfObject(sql: Sql, objectId: string): Promise<void> {
  await sql.query(
    `update task_result r set result = null, found_text = null
     from file_version v join job j on j.file_id = v.file_id and j.file_version = v.number
     where v.object_id = $1 and r.job_id = j.id and (r.result is not null or r.found_text is not null)`,
    [objectId],
  )
}
