// Erasing for good. In one transaction go the file, its versions, the jobs over it with everything that they made and
// found, its place in the index, its links, and the keys of its bytes; its usage is given back. From that commit on
// nobody can read the bytes, wherever copies of them lie; they are removed from the store after it, and by maintenance
// again and again until the store has really let go of them. What stays is the audit: ids and counts, no name.

import { writeAudit } from '../platform/audit.ts'
import type { Database, Tx } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem } from '../platform/problem.ts'
import type { SearchIndex } from '../search/search-index.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import type { Vault } from '../storage/vault.ts'
import {
  deleteErasedObject,
  deleteFileRows,
  deleteFileWork,
  eraseObjects,
  forgetArrival,
  listErasedObjects,
  listMembers,
  listOverdueTrash,
  lockFileForErasure,
  lockFileJobs,
  postponeErasedObject,
} from './erase.sql.ts'
import { insertFileOutbox, subtractUsage } from './file.sql.ts'

export interface ErasureAct {
  tenantId: number
  actor: Principal['actor']
  requestId?: string
  fileId: RowId<'file'>
}

export interface Erasure {
  /**
   * Problems: not_found, and job_not_ended while a job over the file is under way. With members, the files that came out
   * of it as an archive are erased first, each in a transaction of its own; whatever fails, can be asked for again.
   */
  erase(act: ErasureAct, options?: { members?: boolean }): Promise<void>
  /** Erases what has lain in the trash for as long as its tenant keeps it; answers how many files that were. */
  eraseOverdue(limit: number, signal: AbortSignal): Promise<number>
  /** Removes from the store what erasures have left there; answers how many objects it has let go of. */
  removeErased(limit: number, signal: AbortSignal): Promise<number>
}

/** As long as people take to notice that something is missing. */
export const trashKeptDaysDefault = 30
/** The erasure itself removes them at once; what is older was missed. */
const removeAfterMs = 60_000

export interface ErasureDependencies {
  database: Database
  searchIndex: SearchIndex
  vault: Vault
  objectStore: ObjectStore
  log: Log
}

export function createErasure({ database, searchIndex, vault, objectStore, log }: ErasureDependencies): Erasure {
  async function eraseRows(tx: Tx, { tenantId, fileId, actor, requestId }: ErasureAct): Promise<string[]> {
    // Jobs before their file, as the engine locks them; a job that came in between is seen the second time.
    await lockFileJobs(tx, tenantId, fileId)
    if ((await lockFileForErasure(tx, tenantId, fileId)) === undefined) throw new Problem('not_found')
    if ((await lockFileJobs(tx, tenantId, fileId)) > 0)
      throw new Problem('job_not_ended', { detail: 'A job over the file is still under way.' })
    const outputs = await deleteFileWork(tx, tenantId, fileId)
    await searchIndex.remove(tx, fileId)
    const versions = await deleteFileRows(tx, tenantId, fileId)
    await forgetArrival(tx, tenantId, encodeId('file', fileId))
    const storeKeys = await eraseObjects(tx, tenantId, [...versions.map((version) => version.object_id), ...outputs])
    await insertFileOutbox(tx, { tenantId, fileId, type: 'file.state', data: { state: 'erased' } })
    await writeAudit(tx, {
      tenantId,
      actor,
      action: 'file.erase',
      target: encodeId('file', fileId),
      detail: { versions: versions.length, outputs: outputs.length, objects: storeKeys.length },
      ...(requestId !== undefined && { requestId }),
    })
    const bytes = versions.reduce((sum, version) => sum + version.size_bytes, 0)
    await subtractUsage(tx, { tenantId, bytes, files: 1 })
    return storeKeys
  }

  /** A store may say that it deleted and keep the bytes, so it is asked. */
  async function removeObject(storeKey: string): Promise<boolean> {
    await vault.remove({ storeKey })
    const [left] = await objectStore.list({ prefix: storeKey, limit: 1 })
    if (left?.key === storeKey || (storeKey.endsWith('/') && left !== undefined)) return false
    await deleteErasedObject(database, storeKey)
    return true
  }

  async function eraseOne(act: ErasureAct): Promise<void> {
    const storeKeys = await database.withTenant(act.tenantId, (tx) => eraseRows(tx, act))
    // Unreadable by now. Maintenance does this again for what a store refuses.
    for (const storeKey of storeKeys)
      await removeObject(storeKey).catch((error: unknown) => log.warn('erasure.remove_failed', { storeKey, error }))
  }

  return {
    async erase(act, { members = false } = {}) {
      const { tenantId } = act
      const inside = members ? await database.withTenant(tenantId, (tx) => listMembers(tx, tenantId, act.fileId)) : []
      for (const fileId of inside) await eraseOne({ ...act, fileId })
      await eraseOne(act)
    },

    async eraseOverdue(limit, signal) {
      let erasedCount = 0
      for (const row of await listOverdueTrash(database, trashKeptDaysDefault, limit)) {
        if (signal.aborted) break
        try {
          await eraseOne({ tenantId: row.tenant_id, fileId: row.file_id, actor: 'system' })
          erasedCount++
        } catch (error) {
          // Somebody took it back, or started a job over it, in this very moment.
          if (!(error instanceof Problem && (error.code === 'not_found' || error.code === 'job_not_ended'))) throw error
        }
      }
      return erasedCount
    },

    async removeErased(limit, signal) {
      let removedCount = 0
      for (const storeKey of await listErasedObjects(database, removeAfterMs, limit)) {
        if (signal.aborted) break
        try {
          if (await removeObject(storeKey)) removedCount++
          else await postponeErasedObject(database, storeKey)
        } catch (error) {
          log.warn('erasure.remove_failed', { storeKey, error })
          await postponeErasedObject(database, storeKey)
        }
      }
      return removedCount
    },
  }
}
