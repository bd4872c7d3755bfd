// Destroying what a rotation leaves behind. While an old version of a tenant's key is there, whoever has a copy of the
// table of keys and a master key of long ago opens what that version ever wrapped; when it is gone, nothing.
//
//   replaced ──a week──▶ what it still wraps is wrapped anew ──nothing left──▶ retired ──ten minutes, nothing left──▶ destroyed
//
// The week is for whoever reads or writes under a version that he has looked up: no request and no task lasts as long.
// Invariant: a version that a row still refers to is never destroyed. A retired version takes no new object and no new
// upload (the database refuses them; credentials are sealed and entered within seconds), and the minutes are longer than
// any transaction lasts that may have entered one before.

import { writeAudit } from '../platform/audit.ts'
import type { Database } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import type { KeyHolder } from './key-holder.ts'
import type { KeyRing } from './key-ring.ts'
import { rewrapKeys } from './key-rotation.ts'
import { destroyRetiredKey, listReplacedKeys, listRetiredKeys, retireKey } from './tenant-key.sql.ts'

export const replacedKeptMs = 7 * 24 * 60 * 60_000
export const retiredKeptMs = 10 * 60_000
const keysCountMax = 100

export interface OldKeys {
  /** Takes old versions further, of some tenants; answers how many were destroyed. Safe to interrupt and repeat. */
  destroySome(signal: AbortSignal): Promise<number>
}

export interface OldKeyDependencies {
  database: Database
  keyRing: KeyRing
  /** All kinds of rows that hold keys. */
  holders: readonly KeyHolder[]
}

interface Version {
  tenantId: RowId<'tenant'>
  version: number
}

export function createOldKeys({ database, keyRing, holders }: OldKeyDependencies): OldKeys {
  async function isUsed(key: Version): Promise<boolean> {
    for (const holder of holders) if (await holder.isUsed(database, key)) return true
    return false
  }

  /** What came late is wrapped anew; what cannot be opened stays, and keeps the version. */
  async function empty(key: Version, signal: AbortSignal): Promise<boolean> {
    if (!(await isUsed(key))) return true
    const { tenantId } = key
    for (const holder of holders) await rewrapKeys({ database, keyRing, tenantId, holder, signal })
    return !(await isUsed(key))
  }

  const destroy = (key: Version): Promise<boolean> =>
    database.asSystem(async (tx) => {
      if (!(await destroyRetiredKey(tx, key))) return false
      const { tenantId, version } = key
      const target = encodeId('tenant', tenantId)
      await writeAudit(tx, { tenantId, actor: 'system', action: 'tenant_key.destroy', target, detail: { version } })
      return true
    })

  return {
    async destroySome(signal) {
      for (const key of await listReplacedKeys(database, replacedKeptMs, keysCountMax)) {
        if (signal.aborted) return 0
        if (await empty(key, signal)) await retireKey(database, key)
      }
      let count = 0
      for (const key of await listRetiredKeys(database, retiredKeptMs, keysCountMax)) {
        if (signal.aborted) break
        if ((await empty(key, signal)) && (await destroy(key))) count++
      }
      return count
    },
  }
}
