// Turning keys over while everything goes on: what is stored stays as it is, only the wrappings change.
//
//   master key ──wraps──▶ tenant's key ──wraps──▶ key of an object, an upload, a secret ──encrypts──▶ bytes
//        rewrapTenantKeys ─┘        rewrapKeys ─┘                                             (never touched)
//
// Both work in pages, can be interrupted and begun again, and may run beside readers and writers. What a writer had begun
// under the older key and enters afterwards is taken by the next run.

import { setImmediate } from 'node:timers/promises'
import type { Database } from '../platform/database.ts'
import { Problem } from '../platform/problem.ts'
import type { KeyHolder, RewrappedKey, StaleKeyRow } from './key-holder.ts'
import type { KeyRing } from './key-ring.ts'
import { tenantKeyContext } from './key-ring.ts'
import type { MasterKey } from './master-key.ts'
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

export interface RewrapDependencies {
  database: Database
  keyRing: KeyRing
  tenantId: number
  holder: KeyHolder
  signal: AbortSignal
}

/**
 * Wraps the keys that rows of one kind hold under the newest key of their tenant; answers how many were wrapped by an older
 * one, and how many of these cannot be opened, which stay as they are.
 */
export async function rewrapKeys(deps: RewrapDependencies): Promise<{ count: number; damagedCount: number }> {
  const { database, tenantId, holder, signal } = deps
  let count = 0
  let damagedCount = 0
  for (let after = ''; ;) {
    signal.throwIfAborted()
    const rows = await holder.listStale(database, { tenantId, after, limit: pageLimit })
    const tried = await Promise.all(rows.map((row) => rewrap(deps, row)))
    const rewrapped = tried.filter((key) => key !== undefined)
    // On the embedded database nothing here would ever let the process do something else.
    await setImmediate()
    if (rewrapped.length > 0) await holder.update(database, tenantId, rewrapped)
    count += rewrapped.length
    damagedCount += rows.length - rewrapped.length
    const last = rows.at(-1)
    if (last === undefined || rows.length < pageLimit) return { count, damagedCount }
    after = last.row
  }
}

/** Undefined for one that cannot be opened: it must not keep the others under the old key. */
async function rewrap(
  { keyRing, tenantId }: RewrapDependencies,
  stale: StaleKeyRow,
): Promise<RewrappedKey | undefined> {
  const { row, object_id: objectId, wrapped_key: wrappedKey, tenant_key_version: from } = stale
  try {
    const key = await keyRing.rewrapObjectKey({ tenantId, objectId, wrappedKey, tenantKeyVersion: from })
    return { row, from, ...key }
  } catch (error) {
    if (error instanceof Problem && (error.code === 'object_damaged' || error.code === 'key_destroyed'))
      return undefined
    throw error
  }
}
