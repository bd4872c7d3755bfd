import type { Sql } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import type { PipelineDefinition } from './definition.ts'

export interface PipelineVersionRow {
  id: RowId<'pipeline'>
  name: string
  number: number
  built_in: boolean
  source: string
  definition: StoredDefinition
  created_at: Date
}

/** jsonb does not keep the order of keys, in which people wrote their steps and want to see them. */
export interface StoredDefinition extends PipelineDefinition {
  step_order: string[]
}

const columns = 'id, name, number, built_in, source, definition, created_at'

/** A version by number, or the newest one. */
export async function findPipelineVersion(
  sql: Sql,
  tenantId: number,
  version: { name: string; number?: number | undefined },
): Promise<PipelineVersionRow | undefined> {
  const { rows } = await sql.query<PipelineVersionRow>(
    `select ${columns} from pipeline_version where tenant_id = $1 and name = $2 and number = coalesce($3, number)
     order by number desc limit 1`,
    [tenantId, version.name, version.number ?? null],
  )
  return rows[0]
}

// The newest version of each name by stepping from name to name, so that old versions cost nothing however many.
const newestVersions = `with recursive newest(name, number) as (
    (select name, number from pipeline_version where tenant_id = $1 and name > $2 order by name, number desc limit 1)
    union all
    select next.name, next.number from newest cross join lateral (
      select p.name, p.number from pipeline_version p where p.tenant_id = $1 and p.name > newest.name
      order by p.name, p.number desc limit 1) next
  )`

/** The newest version of each name after this one, by name. */
export async function listPipelineVersions(
  sql: Sql,
  tenantId: number,
  page: { after: string; limit: number },
): Promise<PipelineVersionRow[]> {
  const { rows } = await sql.query<PipelineVersionRow>(
    `${newestVersions} select p.${columns.replaceAll(', ', ', p.')}
     from (select name, number from newest limit $3) n
     join pipeline_version p on p.tenant_id = $1 and p.name = n.name and p.number = n.number order by p.name`,
    [tenantId, page.after, page.limit],
  )
  return rows
}

export interface PipelineAcceptRow {
  id: RowId<'pipeline'>
  built_in: boolean
  accept: string[]
}

/** What the newest version of each name accepts. */
export async function listPipelineAccepts(sql: Sql, tenantId: number, limit: number): Promise<PipelineAcceptRow[]> {
  const { rows } = await sql.query<PipelineAcceptRow>(
    `${newestVersions} select p.id, p.built_in, p.definition -> 'accept' as accept
     from (select name, number from newest limit $3) n
     join pipeline_version p on p.tenant_id = $1 and p.name = n.name and p.number = n.number`,
    [tenantId, '', limit],
  )
  return rows
}

export async function getPipelineVersion(sql: Sql, tenantId: number, id: number): Promise<PipelineVersionRow> {
  const { rows } = await sql.query<PipelineVersionRow>(
    `select ${columns} from pipeline_version where tenant_id = $1 and id = $2`,
    [tenantId, id],
  )
  // Versions are never deleted while their tenant stands, and the id comes from its own row.
  return rows[0]!
}

/** Which of these built-in pipelines a tenant lacks; a name of which he wrote a version is his own. */
export async function listMissingBuiltIns(
  sql: Sql,
  tenantId: number,
  builtIn: { names: readonly string[]; sources: readonly string[] },
): Promise<string[]> {
  const { rows } = await sql.query<{ name: string }>(
    `select b.name from unnest($2::text[], $3::text[]) b(name, source) where not exists (
       select from pipeline_version p
       where p.tenant_id = $1 and p.name = b.name and (not p.built_in or p.source = b.source))
     order by b.name`,
    [tenantId, builtIn.names, builtIn.sources],
  )
  return rows.map((row) => row.name)
}

/** The next version of a name, or nothing when another transaction has just written it. */
export async function insertPipelineVersion(
  sql: Sql,
  version: {
    tenantId: number
    builtIn: boolean
    source: string
    definition: StoredDefinition
    createdBy: string
  },
): Promise<PipelineVersionRow | undefined> {
  const { rows } = await sql.query<PipelineVersionRow>(
    `insert into pipeline_version (tenant_id, name, number, built_in, source, definition, created_by)
     select $1, $2, coalesce(max(number), 0) + 1, $3, $4, $5, $6 from pipeline_version where tenant_id = $1 and name = $2
     on conflict (tenant_id, name, number) do nothing returning ${columns}`,
    [
      version.tenantId,
      version.definition.name,
      version.builtIn,
      version.source,
      JSON.stringify(version.definition),
      version.createdBy,
    ],
  )
  return rows[0]
}

/** Makes those who add pipelines of one tenant take turns until their transactions end. */
export async function lockPipelines(sql: Sql, tenantId: number): Promise<void> {
  await sql.query(`select pg_advisory_xact_lock(hashtextextended('pipelines', $1))`, [tenantId])
}
