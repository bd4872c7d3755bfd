// Rows that hold keys which a key of their tenant has wrapped. Whoever has such rows says here how they are found and
// changed, so that a rotation reaches all of them: a kind that is left out could not be read any more once the old key is
// destroyed (old-keys.ts).

import type { Sql } from '../platform/database.ts'

export interface StaleKeyRow {
  /** Names the row among its kind, and orders them. */
  row: string
  /** What the key is bound to. */
  object_id: string
  wrapped_key: Uint8Array
  tenant_key_version: number
}

export interface RewrappedKey {
  row: string
  /** The version that had wrapped it. */
  from: number
  wrappedKey: Uint8Array
  tenantKeyVersion: number
}

export interface KeyHolder {
  /**
   * A page of the keys that an older key of the tenant has wrapped, after the given row ('' for the first page). Those
   * whose key or tenant's key was destroyed are left out.
   */
  listStale(sql: Sql, page: { tenantId: number; after: string; limit: number }): Promise<StaleKeyRow[]>
  /** Whether a row, readable or not, holds a key that this version of the tenant's key has wrapped. */
  isUsed(sql: Sql, key: { tenantId: number; version: number }): Promise<boolean>
  /** Changes the wrappings that are still those of the version `from`: a key destroyed meanwhile stays destroyed. */
  update(sql: Sql, tenantId: number, keys: readonly RewrappedKey[]): Promise<void>
}
