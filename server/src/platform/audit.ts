// The audit log's writing side. An event is written in the transaction of what it tells of, so that the one is never
// without the other. Events carry ids and codes, never names, addresses or contents: they outlive what they tell of.

import type { Tx } from './database.ts'
import type { Principal } from './principal.ts'

export interface AuditEvent {
  /** Row id of the tenant; null for an event of the installation. */
  tenantId: number | null
  actor: Principal['actor']
  /** noun.verb, e.g. file.create. */
  action: string
  /** Wire id of what it was done to. */
  target?: string
  /** Codes, counts and ids; nothing that would have to be erased later. */
  detail?: Record<string, unknown>
  requestId?: string
}

/** Appends one event; it stands or falls with the transaction. Inside withTenant it must be that tenant's. */
export const writeAudit = (tx: Tx, event: AuditEvent): Promise<void> => writeAudits(tx, [event])

/** Appends many in one statement, in their order. Resolves at once: the statement goes with the next one. */
export async function writeAudits(tx: Tx, events: readonly AuditEvent[]): Promise<void> {
  tx.send(
    `insert into audit_event (tenant_id, actor, action, target, detail, request_id)
     select tenant_id, actor, action, target, detail::jsonb, request_id
     from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
       as e(tenant_id, actor, action, target, detail, request_id)`,
    [
      events.map(({ tenantId }) => tenantId),
      events.map(({ actor }) => actor),
      events.map(({ action }) => action),
      events.map(({ target }) => target ?? null),
      events.map(({ detail }) => JSON.stringify(detail ?? {})),
      events.map(({ requestId }) => requestId ?? null),
    ],
  )
}
