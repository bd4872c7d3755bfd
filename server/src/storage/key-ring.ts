// Keys of tenants and objects. The master key wraps one key per tenant and version, that wraps one key per object;
// only wrapped keys are ever stored. Destroying a tenant's keys makes all of its objects unreadable, wherever copies
// of their bytes lie.
//
// Unwrapped tenant keys are remembered for a second, so that a burst costs one look into the database, and no
// process goes on with a key that another one has destroyed for longer than that.

import { createSecretKey, type KeyObject } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import { Problem } from '../platform/problem.ts'
import { contextOf, newKey, openSecret, sealSecret, uint32, uint64 } from './encryption.ts'
import { damaged, type Place } from './manifest.ts'
import type { MasterKey } from './master-key.ts'
import {
  destroyTenantKeys,
  findNewestTenantKey,
  findTenantKey,
  insertTenantKey,
  type TenantKeyRow,
} from './tenant-key.sql.ts'

export interface WrappedKey {
  wrappedKey: Uint8Array
  tenantKeyVersion: number
}

/** Each call may open a transaction of its own: never call it from inside one. */
export interface KeyRing {
  /** A fresh key for a new object; makes the tenant's first key when there is none. Problem('key_destroyed') when the tenant's keys were destroyed. */
  createObjectKey(place: Place): Promise<{ objectKey: KeyObject } & WrappedKey>
  /** Problem('key_destroyed') when the tenant's or the object's key was destroyed, Problem('object_damaged') when the wrapped key was changed. */
  openObjectKey(place: Place & WrappedKey): Promise<KeyObject>
  /** Wraps the object's key under the newest key of its tenant; no stored byte changes. */
  rewrapObjectKey(place: Place & WrappedKey): Promise<WrappedKey>
  /** Makes the next version, which new objects use from then on; returns its number. Problem('key_destroyed') when the tenant's keys were destroyed. */
  rotateTenantKey(tenantId: number): Promise<number>
  /** Destroys every key of the tenant: at once here, within a second elsewhere. Cannot be taken back. */
  destroyTenantKeys(tenantId: number): Promise<void>
}

export interface KeyRingOptions {
  database: Database
  masterKey: MasterKey
  clock: Clock
}

export const cacheAgeMsMax = 1_000
const cacheEntriesMax = 10_000

interface TenantKey {
  version: number
  key: KeyObject
}

export function createKeyRing(options: KeyRingOptions): KeyRing {
  const { database, masterKey } = options
  const cache = createKeyCache(options.clock)

  const unwrap = async (tenantId: number, row: TenantKeyRow): Promise<TenantKey> => {
    if (row.wrapped === null) throw destroyed()
    const bytes = await masterKey.unwrap(tenantKeyContext(tenantId, row.version), row.wrapped)
    return { version: row.version, key: createSecretKey(bytes) }
  }

  /** Again when it was wrapped under another master key between the look and the opening: that one may be gone by then. */
  const findAndUnwrap = async (
    tenantId: number,
    find: () => Promise<TenantKeyRow | undefined>,
  ): Promise<TenantKey | undefined> => {
    const row = await find()
    if (row === undefined) return undefined
    try {
      return await unwrap(tenantId, row)
    } catch (error) {
      const now = await find()
      if (now === undefined || isDeepStrictEqual(now, row)) throw error
      return unwrap(tenantId, now)
    }
  }

  const insertVersion = async (tenantId: number, version: number): Promise<void> => {
    const wrapped = await masterKey.wrap(tenantKeyContext(tenantId, version), newKey().export())
    await database.withTenant(tenantId, (tx) => insertTenantKey(tx, { tenantId, version, wrapped }))
  }

  const findNewest = (tenantId: number): Promise<TenantKeyRow | undefined> =>
    database.withTenant(tenantId, (tx) => findNewestTenantKey(tx, tenantId))

  const loadNewest = async (tenantId: number): Promise<TenantKey> => {
    const find = (): Promise<TenantKey | undefined> => findAndUnwrap(tenantId, () => findNewest(tenantId))
    const found = await find()
    if (found !== undefined) return found
    await insertVersion(tenantId, 1)
    // Read again: of two processes that made the first key, only one has stored it.
    const stored = await find()
    if (stored === undefined) throw new Problem('not_found', { detail: 'There is no such tenant' })
    return stored
  }

  const newest = (tenantId: number): Promise<TenantKey> => cache.get(tenantId, 'newest', () => loadNewest(tenantId))

  const ofVersion = (tenantId: number, version: number): Promise<TenantKey> =>
    cache.get(tenantId, version, async () => {
      const find = () => database.withTenant(tenantId, (tx) => findTenantKey(tx, { tenantId, version }))
      const found = await findAndUnwrap(tenantId, find)
      if (found === undefined) throw damaged('The key of this object is missing')
      return found
    })

  const openObjectKey = async (place: Place & WrappedKey): Promise<KeyObject> => {
    if (place.wrappedKey.length === 0)
      throw new Problem('key_destroyed', { detail: 'The key of this object has been destroyed' })
    const { key } = await ofVersion(place.tenantId, place.tenantKeyVersion)
    const bytes = openSecret(key, objectKeyContext(place, place.tenantKeyVersion), place.wrappedKey)
    if (bytes === undefined) throw damaged('The wrapped key of this object has been changed')
    return createSecretKey(bytes)
  }

  const wrapObjectKey = async (place: Place, objectKey: KeyObject): Promise<WrappedKey> => {
    const { key, version } = await newest(place.tenantId)
    const wrappedKey = sealSecret(key, objectKeyContext(place, version), objectKey.export())
    return { wrappedKey, tenantKeyVersion: version }
  }

  return {
    async createObjectKey(place) {
      const objectKey = newKey()
      return { objectKey, ...(await wrapObjectKey(place, objectKey)) }
    },

    openObjectKey,

    rewrapObjectKey: async (place) => wrapObjectKey(place, await openObjectKey(place)),

    async rotateTenantKey(tenantId) {
      const found = await findNewest(tenantId)
      if (found?.wrapped === null) throw destroyed()
      const version = (found?.version ?? 0) + 1
      await insertVersion(tenantId, version)
      cache.forget(tenantId)
      return version
    },

    async destroyTenantKeys(tenantId) {
      await database.withTenant(tenantId, (tx) => destroyTenantKeys(tx, tenantId))
      cache.forget(tenantId)
    },
  }
}

const destroyed = (): Problem => new Problem('key_destroyed', { detail: 'The keys of this tenant have been destroyed' })

export const tenantKeyContext = (tenantId: number, version: number): Buffer =>
  contextOf('tenant-key', uint64(tenantId), uint32(version))

const objectKeyContext = (place: Place, version: number): Buffer =>
  contextOf('object-key', uint64(place.tenantId), Buffer.from(place.objectId, 'hex'), uint32(version))

interface KeyCache {
  /** The remembered key, or what load gives; several that ask at once share one load. */
  get(tenantId: number, version: number | 'newest', load: () => Promise<TenantKey>): Promise<TenantKey>
  forget(tenantId: number): void
}

function createKeyCache(clock: Clock): KeyCache {
  // A Map keeps the order of insertion, so the first entry is the oldest. The age counts from before the load.
  const entries = new Map<string, { key: Promise<TenantKey>; sinceMs: number }>()
  return {
    get(tenantId, version, load) {
      const name = `${tenantId}/${version}`
      const nowMs = clock.monotonicMs()
      const found = entries.get(name)
      if (found !== undefined && nowMs - found.sinceMs < cacheAgeMsMax) return found.key
      const entry = { key: load(), sinceMs: nowMs }
      entries.delete(name)
      entries.set(name, entry)
      for (const [oldest, { sinceMs }] of entries) {
        if (entries.size <= cacheEntriesMax && nowMs - sinceMs < cacheAgeMsMax) break
        entries.delete(oldest)
      }
      entry.key.catch(() => {
        if (entries.get(name) === entry) entries.delete(name)
      })
      return entry.key
    },
    forget(tenantId) {
      for (const name of entries.keys()) if (name.startsWith(`${tenantId}/`)) entries.delete(name)
    },
  }
}
