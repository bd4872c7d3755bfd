// Statements of sweep and scrub. Both look at all tenants at once.

import type { Sql } from '../platform/database.ts'
import { toSealedObject, type ObjectRow } from '../storage/object.sql.ts'
import type { SealedObject } from '../storage/vault.ts'

/** Which of these objects nobody knows: they have no row, and no upload that is still being received will become them. */
export async function listUnknownObjects(sql: Sql, objectIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await sql.query<{ id: string }>(
    `select k.id from unnest($1::text[]) as k(id)
     where not exists (select from object o where o.id = k.id)
       and not exists (select from upload_session u where u.object_id = k.id)`,
    [objectIds],
  )
  return new Set(rows.map((row) => row.id))
}

export interface ObjectUseRow {
  id: string
  tenant_id: number
  /** Nothing refers to it, and it is old enough for that to stay so. */
  unused: boolean
}

/** A page of objects in the order of their ids. */
export async function listObjectUse(
  sql: Sql,
  page: { after: string; limit: number; ageMs: number },
): Promise<ObjectUseRow[]> {
  const { rows } = await sql.query<ObjectUseRow>(
    `with page as (select id, tenant_id, created_at from object where id > $1 order by id limit $2)
     select id, tenant_id, created_at < now() - $3 * interval '1 ms'
       and not exists (select from file_version v where v.object_id = p.id)
       and not exists (select from output r where r.object_id = p.id)
       and not exists (select from file f where f.object_id = p.id) as unused
     from page p order by id`,
    [page.after, page.limit, page.ageMs],
  )
  return rows
}

/** Those that were looked at longest ago, so long ago at least; what has just been written is left alone. */
export async function listUnverified(
  sql: Sql,
  due: { periodMs: number; settledMs: number; limit: number },
): Promise<SealedObject[]> {
  const { rows } = await sql.query<ObjectRow>(
    `select * from object
     where (last_verified_at is null or last_verified_at < now() - $1 * interval '1 ms')
       and created_at < now() - $2 * interval '1 ms'
     order by last_verified_at nulls first, id limit $3`,
    [due.periodMs, due.settledMs, due.limit],
  )
  return rows.map(toSealedObject)
}

/** A whole object forgets what was found of it before. */
export async function markWhole(sql: Sql, objectId: string): Promise<void> {
  await sql.query(
    `with found as (delete from store_finding where object_id = $1)
     update object set last_verified_at = now() where id = $1`,
    [objectId],
  )
}

export type FindingKind = 'missing' | 'damaged'

/** True when this was not known before; its owner then learns of it by an event for each file that it belongs to. */
export async function recordFinding(
  sql: Sql,
  finding: { kind: FindingKind; objectId: string; tenantId: number; detail: string },
): Promise<boolean> {
  const { objectId, tenantId, kind, detail } = finding
  // Erased in the meantime: then nothing is missing.
  const { rowCount } = await sql.query('update object set last_verified_at = now() where id = $1', [objectId])
  if (rowCount === 0) return false
  const { rows } = await sql.query<{ is_new: boolean }>(
    `insert into store_finding (kind, object_id, tenant_id, detail) values ($1, $2, $3, $4)
     on conflict (object_id) do update set kind = excluded.kind, detail = excluded.detail, seen_at = now()
     returning found_at = seen_at as is_new`,
    [kind, objectId, tenantId, detail],
  )
  if (rows[0]?.is_new !== true) return false
  await sql.query(
    `insert into outbox (tenant_id, type, file_id, job_id, data)
     select $2::bigint, 'file.damaged', file_id, null::bigint, jsonb_build_object('version', number, 'kind', $3::text)
       from file_version where object_id = $1
     union all
     select $2::bigint, 'file.damaged', j.file_id, j.id, jsonb_build_object('step', r.step, 'kind', $3::text)
       from output r join job j on j.id = r.job_id where r.object_id = $1`,
    [objectId, tenantId, kind],
  )
  return true
}
