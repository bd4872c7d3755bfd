// Making bytes unreadable by destroying their keys: of everything that a tenant has, or of one object. Every copy is
// meant, in backups of the store too; no byte is moved or deleted, and nothing can be taken back. What steps had found in
// the bytes stands in the database in clear, and is deleted there; names and what owners say of their files stay.

import { writeAudit } from '../platform/audit.ts'
import type { Database } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem } from '../platform/problem.ts'
import type { KeyRing } from '../storage/key-ring.ts'
import {
  destroyObjectKey,
  forgetFindings,
  forgetResultsOfFiles,
  forgetResultsOfObject,
  listFilesOfObject,
  listTenantFiles,
  tenantExists,
} from './shredding.sql.ts'

export interface ShreddingAct {
  actor: Principal['actor']
  requestId?: string
}

export interface Shredding {
  /**
   * From then on every read of the tenant's bytes answers key_destroyed: at once here, within a second elsewhere. What was
   * found in them is deleted page by page; what breaks off there is ended by doing it again.
   */
  shredTenant(act: ShreddingAct, tenantId: RowId<'tenant'>): Promise<void>
  /** The same for one object, at once everywhere. Both throw Problem('not_found') for what is not there. */
  shredObject(act: ShreddingAct, objectId: string): Promise<void>
}

const filesPerPage = 500

export function createShredding({ database, keyRing }: { database: Database; keyRing: KeyRing }): Shredding {
  return {
    async shredTenant(act, tenantId) {
      if (!(await tenantExists(database, tenantId))) throw new Problem('not_found')
      await keyRing.destroyTenantKeys(tenantId)
      await database.asSystem((tx) =>
        writeAudit(tx, { ...act, tenantId, action: 'tenant.shred', target: encodeId('tenant', tenantId) }),
      )
      for (let after = 0; ;) {
        const fileIds = await database.asSystem(async (tx) => {
          const page = await listTenantFiles(tx, { tenantId, after, limit: filesPerPage })
          await forgetFindings(tx, page)
          await forgetResultsOfFiles(tx, page)
          return page
        })
        const last = fileIds.at(-1)
        if (last === undefined || fileIds.length < filesPerPage) return
        after = last
      }
    },

    shredObject: (act, objectId) =>
      database.asSystem(async (tx) => {
        const tenantId = await destroyObjectKey(tx, objectId)
        if (tenantId === undefined) throw new Problem('not_found')
        await forgetFindings(tx, await listFilesOfObject(tx, objectId))
        await forgetResultsOfObject(tx, objectId)
        await writeAudit(tx, { ...act, tenantId, action: 'object.shred', detail: { object: objectId } })
      }),
  }
}
