import type { Sql } from '../../platform/database.ts'
import type { UploadFields } from '../form.ts'
import type { SessionHold, SessionPart, SessionRow } from '../upload-session.sql.ts'

/** Takes imports whose turn it is, the oldest first and no more of one tenant than it may have. Run as the installation. */
export async function claimImports(
  sql: Sql,
  claim: { limit: number; perTenantMax: number; leaseMs: number },
): Promise<SessionRow[]> {
  const { rows } = await sql.query<SessionRow>(
    `with due as (
       select id, tenant_id, row_number() over (partition by tenant_id order by lease_until, id) as place
       from upload_session
       where kind = 'import' and state = 'receiving' and ended_at is null and lease_until <= now() and expires_at > now()
     ), busy as (
       select tenant_id, count(*) as count from upload_session
       where kind = 'import' and state = 'receiving' and ended_at is null and lease_until > now() and attempts > 0
         and problem is null
       group by tenant_id
     ), chosen as (
       select s.id from upload_session s join due using (id) left join busy on busy.tenant_id = s.tenant_id
       where place + coalesce(busy.count, 0) <= $2
       order by s.lease_until, s.id limit $1 for update of s skip locked
     )
     update upload_session s set epoch = epoch + 1, attempts = attempts + 1, problem = null,
       lease_until = now() + $3 * interval '1 ms'
     from chosen where s.id = chosen.id and s.lease_until <= now() returning s.*`,
    [claim.limit, claim.perTenantMax, claim.leaseMs],
  )
  return rows
}

/** A new import is due at once. */
export async function makeDue(sql: Sql, { tenantId, id }: Pick<SessionHold, 'tenantId' | 'id'>): Promise<void> {
  await sql.query('update upload_session set lease_until = now() where tenant_id = $1 and id = $2', [tenantId, id])
}

/** Notes what the origin says of the file; false when somebody else has taken the import. */
export async function describeImport(
  sql: Sql,
  file: SessionHold & { name: string; fields: UploadFields; sizeBytes: number | null; source: unknown },
): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update upload_session set name = $4, size_bytes = $5, source = $6::jsonb, fields = $7::jsonb
     where tenant_id = $1 and id = $2 and epoch = $3 and state = 'receiving'`,
    [
      file.tenantId,
      file.id,
      file.epoch,
      file.name,
      file.sizeBytes,
      JSON.stringify(file.source),
      JSON.stringify(file.fields),
    ],
  )
  return rowCount > 0
}

/** Begins from the first byte again; answers the parts that no longer count. */
export async function restartImport(sql: Sql, { tenantId, id, epoch }: SessionHold): Promise<SessionPart[]> {
  const { rows } = await sql.query<SessionPart>(
    `with held as (
       update upload_session set received_bytes = 0, size_bytes = null
       where tenant_id = $1 and id = $2 and epoch = $3 and state = 'receiving' returning id
     )
     delete from upload_part p using held where p.session_id = held.id
     returning number, size_bytes as "sizeBytes", salt, commitment, sha256`,
    [tenantId, id, epoch],
  )
  return rows
}

/** All has come, though nobody had said how much it would be; false when the session is not ours any more or not whole. */
export async function endImportContent(sql: Sql, { tenantId, id, epoch }: SessionHold): Promise<boolean> {
  const { rowCount } = await sql.query(
    `update upload_session set state = 'sealing', size_bytes = received_bytes, lease_until = now(), attempts = 0
     where tenant_id = $1 and id = $2 and epoch = $3 and state in ('receiving', 'sealing') and received_bytes > 0
       and received_bytes = coalesce(size_bytes, received_bytes)`,
    [tenantId, id, epoch],
  )
  return rowCount > 0
}

/** Hands the import back, for somebody to go on after the pause. */
export async function releaseImport(
  sql: Sql,
  release: SessionHold & { attempts: number; pauseMs: number; problem: { code: string; detail?: string } | null },
): Promise<void> {
  await sql.query(
    `update upload_session set lease_until = now() + $4 * interval '1 ms', attempts = $5, problem = $6::jsonb
     where tenant_id = $1 and id = $2 and epoch = $3 and state = 'receiving'`,
    [
      release.tenantId,
      release.id,
      release.epoch,
      release.pauseMs,
      release.attempts,
      release.problem && JSON.stringify(release.problem),
    ],
  )
}
