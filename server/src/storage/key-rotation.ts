// Turning keys over while everything goes on: what is stored stays as it is, only the wrappings change.
//
//   master key ──wraps──▶ tenant's key ──wraps──▶ object's key ──encrypts──▶ bytes
//        rewrapTenantKeys ─┘   rewrapObjectKeys ─┘   (never touched)
//
// Both work in pages, can be interrupted and begun again, and may run beside readers and writers.

import { setImmediate } from 'node:timers/promises'
import type { Database } from '../platform/database.ts'
import type { KeyRing } from './key-ring.ts'
import { tenantKeyContext } from './key-ring.ts'
import type { MasterKey } from './master-key.ts'
import { listStaleObjectKeys, updateObjectKeys } from './object.sql.ts'
import { listTenantKeys, updateTenantKey } from './tenant-key.sql.ts'

const pageLimit = 1_000

/** Wraps every tenant's keys under the master key that is in force now; answers how many there were. */
export async function rewrapTenantKeys(deps: { database: Database; masterKey: MasterKey }): Promise<number> {
  const { database, masterKey } = deps
  let count = 0
  let after = { tenant_id: 0, version: 0 }
  for (;;) {
    const rows = await listTenantKeys(database, after, pageLimit)
    for (const { tenant_id: tenantId, version, wrapped } of rows) {
      const context = tenantKeyContext(tenantId, version)
      const next = await masterKey.wrap(context, await masterKey.unwrap(context, wrapped))
      await updateTenantKey(database, { tenantId, version, from: wrapped, to: next })
      count++
    }
    const last = rows.at(-1)
    if (last === undefined || rows.length < pageLimit) return count
    after = last
  }
}

/** Wraps the keys of a tenant's objects under its newest key; answers how many were wrapped by an older one. */
export async function rewrapObjectKeys(deps: {
  database: Database
  keyRing: KeyRing
  tenantId: number
  signal: AbortSignal
}): Promise<number> {
  const { database, keyRing, tenantId, signal } = deps
  let count = 0
  for (let after = ''; ;) {
    signal.throwIfAborted()
    const rows = await listStaleObjectKeys(database, { tenantId, after, limit: pageLimit })
    const rewrapped = await Promise.all(
      rows.map(async ({ id, wrapped_key: wrappedKey, tenant_key_version: tenantKeyVersion }) => ({
        id,
        from: tenantKeyVersion,
        ...(await keyRing.rewrapObjectKey({ tenantId, objectId: id, wrappedKey, tenantKeyVersion })),
      })),
    )
    // On the embedded database nothing here would ever let the process do something else.
    await setImmediate()
    // An object that was erased or rewrapped meanwhile is left as it is.
    await updateObjectKeys(database, tenantId, rewrapped)
    count += rows.length
    const last = rows.at(-1)
    if (last === undefined || rows.length < pageLimit) return count
    after = last.id
  }
}
