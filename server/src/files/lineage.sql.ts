import type { Sql } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'

/** What made a member of an archive, as file.made holds it. */
export interface MadeBy {
  job_id: RowId<'job'>
  step: string
  processor: string
  processor_version: number | null
}

export interface RelativeRow {
  id: RowId<'file'>
  parent_file_id: RowId<'file'> | null
  made: MadeBy | null
  /** Of the parent, which the job was over. */
  parent_version_id: RowId<'version'> | null
}

const parentVersion = `(select v.id from file_version v left join job j on j.id = (f.made ->> 'job_id')::bigint
  where v.file_id = f.parent_file_id and v.number <= coalesce(j.file_version, v.number) order by v.number desc limit 1)
  as parent_version_id`

/** The file and the archives around it, from the inside outwards. */
export async function listAncestors(sql: Sql, tenantId: number, fileId: number): Promise<RelativeRow[]> {
  const { rows } = await sql.query<RelativeRow>(
    `with recursive around as (
       select id, parent_file_id, 0 as distance from file where tenant_id = $1 and id = $2
       union all
       select f.id, f.parent_file_id, a.distance + 1 from around a join file f on f.id = a.parent_file_id
       where f.tenant_id = $1 and a.distance < 20
     )
     select f.id, f.parent_file_id, f.made, ${parentVersion} from around a join file f on f.id = a.id order by a.distance`,
    [tenantId, fileId],
  )
  return rows
}

export async function listMemberFiles(
  sql: Sql,
  of: { tenantId: number; fileId: number; limit: number },
): Promise<RelativeRow[]> {
  const { rows } = await sql.query<RelativeRow>(
    `select f.id, f.parent_file_id, f.made, ${parentVersion} from file f
     where f.tenant_id = $1 and f.parent_file_id = $2 order by f.id limit $3`,
    [of.tenantId, of.fileId, of.limit],
  )
  return rows
}

export interface LineageVersionRow {
  id: RowId<'version'>
  object_id: string
}

export async function listLineageVersions(
  sql: Sql,
  of: { tenantId: number; fileId: number; limit: number },
): Promise<LineageVersionRow[]> {
  const { rows } = await sql.query<LineageVersionRow>(
    'select id, object_id from file_version where tenant_id = $1 and file_id = $2 order by number limit $3',
    [of.tenantId, of.fileId, of.limit],
  )
  return rows
}

export interface LineageOutputRow extends MadeBy {
  id: RowId<'output'>
  object_id: string
  made_from: string[]
}

export async function listLineageOutputs(
  sql: Sql,
  of: { tenantId: number; fileId: number; limit: number },
): Promise<LineageOutputRow[]> {
  const { rows } = await sql.query<LineageOutputRow>(
    `select o.id, o.job_id, o.step, coalesce(o.processor, '') as processor, o.processor_version, o.object_id, o.made_from
     from job j join output o on o.job_id = j.id where j.tenant_id = $1 and j.file_id = $2 order by o.id limit $3`,
    [of.tenantId, of.fileId, of.limit],
  )
  return rows
}
