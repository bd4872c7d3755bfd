import type { EventResource } from '@millrace/contract'
import type { Sql } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'

/** A place in the order of the outbox. xid is 64 bits wide, so it stays text. */
export interface OutboxPosition {
  xid: string
  id: number
}

export interface OutboxRow extends OutboxPosition {
  tenant_id: number
  type: EventResource['type']
  job_id: RowId<'job'> | null
  file_id: RowId<'file'> | null
  data: Record<string, unknown>
  at: Date
}

/** Whoever sorts by xid must name the table's: this one is text, in which 1000 comes before 999. */
const columns = 'xid::text as xid, id, tenant_id, type, job_id, file_id, data, at'

/** The end of what is settled: before it stands everything committed, after it whatever may still be. */
export async function findSettledEnd(sql: Sql): Promise<OutboxPosition> {
  const { rows } = await sql.query<{ xid: string }>('select pg_snapshot_xmin(pg_current_snapshot())::text as xid')
  // A select without from has one row. Ids begin at 1, so 0 stands before the transaction's first event.
  return { xid: rows[0]!.xid, id: 0 }
}

/**
 * What was settled after the position, in order. Rows of a transaction that is as young as the oldest one still
 * running are left for later: one with a smaller xid might yet be committed before them.
 */
export async function listSettled(sql: Sql, after: OutboxPosition, limit: number): Promise<OutboxRow[]> {
  const { rows } = await sql.query<OutboxRow>(
    `select ${columns} from outbox
     where (xid, id) > ($1::xid8, $2::bigint) and xid < pg_snapshot_xmin(pg_current_snapshot())
     order by outbox.xid, outbox.id limit $3`,
    [after.xid, after.id, limit],
  )
  return rows
}

export interface PastEvents {
  tenantId: number
  jobId: number | undefined
  after: OutboxPosition
  until: OutboxPosition
  limit: number
}

/** A tenant's own events, or those of one of its jobs, between two positions. */
export async function listPast(sql: Sql, past: PastEvents): Promise<OutboxRow[]> {
  const { tenantId, jobId, after, until, limit } = past
  const { rows } = await sql.query<OutboxRow>(
    `select ${columns} from outbox
     where tenant_id = $1 and (xid, id) > ($2::xid8, $3::bigint) and (xid, id) <= ($4::xid8, $5::bigint)
       ${jobId === undefined ? '' : 'and job_id = $7'}
     order by outbox.xid, outbox.id limit $6`,
    [tenantId, after.xid, after.id, until.xid, until.id, limit, ...(jobId === undefined ? [] : [jobId])],
  )
  return rows
}
