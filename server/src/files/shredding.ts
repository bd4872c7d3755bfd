// Making bytes unreadable by destroying their keys: of everything that a tenant has, or of one object. Every copy is
// meant, in backups of the store too; nothing is moved or deleted, and nothing can be taken back.

import { writeAudit } from '../platform/audit.ts'
import type { Database } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem } from '../platform/problem.ts'
import type { KeyRing } from '../storage/key-ring.ts'
import { destroyObjectKey, tenantExists } from './shredding.sql.ts'

export interface ShreddingAct {
  actor: Principal['actor']
  requestId?: string
}

export interface Shredding {
  /** From then on every read of the tenant's bytes answers not_found: at once here, within a second elsewhere. */
  shredTenant(act: ShreddingAct, tenantId: RowId<'tenant'>): Promise<void>
  /** The same for one object, at once everywhere. Both throw Problem('not_found') for what is not there. */
  shredObject(act: ShreddingAct, objectId: string): Promise<void>
}

export function createShredding({ database, keyRing }: { database: Database; keyRing: KeyRing }): Shredding {
  return {
    async shredTenant(act, tenantId) {
      if (!(await tenantExists(database, tenantId))) throw new Problem('not_found')
      await keyRing.destroyTenantKeys(tenantId)
      await database.asSystem((tx) =>
        writeAudit(tx, { ...act, tenantId, action: 'tenant.shred', target: encodeId('tenant', tenantId) }),
      )
    },

    shredObject: (act, objectId) =>
      database.asSystem(async (tx) => {
        const tenantId = await destroyObjectKey(tx, objectId)
        if (tenantId === undefined) throw new Problem('not_found')
        await writeAudit(tx, { ...act, tenantId, action: 'object.shred', detail: { object: objectId } })
      }),
  }
}
