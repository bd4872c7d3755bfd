import type { ImportSourceKind } from '@millrace/contract'
import type { Sql } from '../../platform/database.ts'
import type { RowId } from '../../platform/ids.ts'
import type { Principal } from '../../platform/principal.ts'
import type { UploadFields } from '../form.ts'

export interface ImportSourceRow {
  id: RowId<'import_source'>
  tenant_id: number
  kind: ImportSourceKind
  name: string
  config: { shown: string }
  secret: unknown
  fields: UploadFields
  state: 'active' | 'paused'
  interval_seconds: number | null
  next_run_at: Date | null
  lease_until: Date | null
  epoch: number
  cursor: string | null
  found_count: number
  skipped_count: number
  problem: { code: string; detail?: string } | null
  created_by: Principal['actor']
  created_at: Date
  last_run_at: Date | null
}

export interface SourceKey {
  tenantId: number
  id: RowId<'import_source'>
}

export async function insertSource(
  sql: Sql,
  source: {
    tenantId: number
    kind: ImportSourceKind
    name: string
    config: { shown: string }
    secret: unknown
    fields: UploadFields
    intervalSeconds: number | null
    createdBy: Principal['actor']
    countMax: number
  },
): Promise<ImportSourceRow | undefined> {
  const { rows } = await sql.query<ImportSourceRow>(
    `insert into import_source (tenant_id, kind, name, config, secret, fields, interval_seconds, next_run_at, created_by)
     select $1, $2, $3, $4::jsonb, $5::jsonb, $6::jsonb, $7, now(), $8
     where (select count(*) from import_source where tenant_id = $1) < $9 returning *`,
    [
      source.tenantId,
      source.kind,
      source.name,
      JSON.stringify(source.config),
      JSON.stringify(source.secret),
      JSON.stringify(source.fields),
      source.intervalSeconds,
      source.createdBy,
      source.countMax,
    ],
  )
  return rows[0]
}

export async function findSource(sql: Sql, { tenantId, id }: SourceKey): Promise<ImportSourceRow | undefined> {
  const { rows } = await sql.query<ImportSourceRow>('select * from import_source where tenant_id = $1 and id = $2', [
    tenantId,
    id,
  ])
  return rows[0]
}

export async function listSources(
  sql: Sql,
  list: { tenantId: number; before: number | undefined; limit: number },
): Promise<ImportSourceRow[]> {
  const { rows } = await sql.query<ImportSourceRow>(
    `select * from import_source where tenant_id = $1 and id < coalesce($2::bigint, 9007199254740991)
     order by id desc limit $3`,
    [list.tenantId, list.before ?? null, list.limit],
  )
  return rows
}

/** Changes what is given; a source that becomes active is looked through at once. */
export async function updateSource(
  sql: Sql,
  update: SourceKey & { state: 'active' | 'paused' | null; intervalSeconds: number | null },
): Promise<ImportSourceRow | undefined> {
  const { rows } = await sql.query<ImportSourceRow>(
    `update import_source set state = coalesce($3, state), interval_seconds = coalesce($4, interval_seconds),
       next_run_at = case when coalesce($3, state) = 'active' then now() else next_run_at end
     where tenant_id = $1 and id = $2 returning *`,
    [update.tenantId, update.id, update.state, update.intervalSeconds],
  )
  return rows[0]
}

/** False when there was none. What it has found already goes on by itself. */
export async function deleteSource(sql: Sql, { tenantId, id }: SourceKey): Promise<boolean> {
  const { rowCount } = await sql.query('delete from import_source where tenant_id = $1 and id = $2', [tenantId, id])
  return rowCount > 0
}

/** Takes sources whose turn it is. Run as the installation. */
export async function claimSources(sql: Sql, claim: { limit: number; leaseMs: number }): Promise<ImportSourceRow[]> {
  const { rows } = await sql.query<ImportSourceRow>(
    `update import_source set epoch = epoch + 1, lease_until = now() + $2 * interval '1 ms'
     where id in (
       select id from import_source
       where state = 'active' and next_run_at <= now() and (lease_until is null or lease_until <= now())
       order by next_run_at limit $1 for update skip locked)
     returning *`,
    [claim.limit, claim.leaseMs],
  )
  return rows
}

export type SourceHold = SourceKey & { epoch: number }

/** Notes how far the look is, and what it passed over so far; false when the source is not ours any more. */
export async function noteLook(
  sql: Sql,
  note: SourceHold & { cursor: string | null; skippedCount: number; leaseMs: number },
): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update import_source set cursor = $4, lease_until = now() + $5 * interval '1 ms',
       skipped_count = $6 + case when cursor is null then 0 else skipped_count end
     where tenant_id = $1 and id = $2 and epoch = $3 and state = 'active'`,
    [note.tenantId, note.id, note.epoch, note.cursor, note.leaseMs, note.skippedCount],
  )
  return rowCount > 0
}

/** Ends a look: the next one is after the interval, or after the pause when this one came to nothing. */
export async function endLook(
  sql: Sql,
  end: SourceHold & { pauseMs: number | null; problem: { code: string; detail?: string } | null },
): Promise<void> {
  await sql.query(
    `update import_source set lease_until = null, problem = $5::jsonb, last_run_at = now(),
       cursor = case when $4::bigint is null then null else cursor end,
       next_run_at = now() + coalesce($4 * interval '1 ms', interval_seconds * interval '1 s')
     where tenant_id = $1 and id = $2 and epoch = $3`,
    [end.tenantId, end.id, end.epoch, end.pauseMs, end.problem && JSON.stringify(end.problem)],
  )
}

/** Which of these are not known yet. */
export async function filterNewItems(sql: Sql, source: SourceKey, hashes: readonly string[]): Promise<Set<string>> {
  const { rows } = await sql.query<{ hash: string }>(
    `select hash from unnest($3::text[]) as found(hash)
     where not exists (select from import_item i where i.source_id = $2 and i.tenant_id = $1 and i.item_sha256 = hash)`,
    [source.tenantId, source.id, hashes],
  )
  return new Set(rows.map(({ hash }) => hash))
}

/** False when it is known already, or the source has been taken by another look. */
export async function insertItem(
  sql: Sql,
  item: SourceHold & { hash: string; sessionId: RowId<'upload'> },
): Promise<boolean> {
  const { rowCount } = await sql.query(
    `with held as (
       update import_source set found_count = found_count + 1 where tenant_id = $1 and id = $2 and epoch = $3 returning id
     )
     insert into import_item (source_id, item_sha256, tenant_id, session_id)
     select id, $4, $1, $5 from held on conflict do nothing`,
    [item.tenantId, item.id, item.epoch, item.hash, item.sessionId],
  )
  return rowCount > 0
}
