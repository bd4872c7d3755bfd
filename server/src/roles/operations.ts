// What an operator does to an installation from the command line, beside the running servers. An installation on the
// embedded database has one process, so these then wait for nobody: the data folder must be free.

import { mkdir } from 'node:fs/promises'
import type { DoctorReport } from '@millrace/contract'
import { createInstallationSecrets } from '../auth/installation-secrets.ts'
import { examine } from '../analytics/doctor.ts'
import type { Config } from '../platform/config.ts'
import { lockDataFolder, type DataLock } from '../platform/data-lock.ts'
import { decodeId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import { rewrapKeys, rewrapTenantKeys } from '../storage/key-rotation.ts'
import { objectKeyHolder } from '../storage/object.sql.ts'
import { createStoreProbe } from '../storage/probe.ts'
import type { RebalanceProgress } from '../storage/sharded.ts'
import { listTenantIds } from '../tenants/tenant.sql.ts'
import { uploadKeyHolders } from '../upload/upload-keys.sql.ts'
import type { Credentials } from './credentials.ts'
import { createFeatures } from './features.ts'
import { createTenantWithKey } from './first-start.ts'
import { openParts, type Parts } from './parts.ts'

/** One process owns a data folder with an embedded database in it; roles on servers share what is theirs. */
export async function lockEmbedded(config: Config, pid: number): Promise<DataLock | undefined> {
  await mkdir(config.dataFolder, { recursive: true, mode: 0o700 })
  return config.role === 'all' || config.databaseUrl === undefined ? lockDataFolder(config.dataFolder, pid) : undefined
}

async function withParts<T>({ config, pid }: Installation, work: (parts: Parts) => Promise<T>): Promise<T> {
  const lock = config.databaseUrl === undefined ? await lockEmbedded(config, pid) : undefined
  try {
    const parts = await openParts(config)
    try {
      return await work(parts)
    } finally {
      await parts.close()
    }
  } finally {
    await lock?.release()
  }
}

/** Which installation, and who asks. */
export interface Installation {
  config: Config
  pid: number
}

/** Brings the schema to the newest; answers the names of the migrations that were missing. */
export const migrateInstallation = (installation: Installation): Promise<readonly string[]> =>
  withParts(installation, async ({ migrations }) => migrations)

/** Throws Problem('conflict') when the address is taken. */
export const addTenant = (
  installation: Installation,
  tenant: { name: string; email: string },
): Promise<Pick<Credentials, 'email' | 'password' | 'api_key'>> =>
  withParts(installation, async (parts) =>
    createTenantWithKey({ ...(await createFeatures(parts)), ...parts, url: '' }, tenant),
  )

/** The doctor's report. */
export const examineInstallation = (installation: Installation): Promise<DoctorReport> =>
  withParts(installation, ({ database, descriptions, objectStore: store, clock }) =>
    examine({ database, storeProbe: createStoreProbe({ store, clock }), parts: descriptions }),
  )

/** Destroys the keys of a tenant, or of one object. Throws Problem('not_found'), also for what is no id. */
export const shred = (installation: Installation, what: { kind: 'tenant' | 'object'; id: string }): Promise<void> =>
  withParts(installation, async (parts) => {
    const { shredding } = await createFeatures(parts)
    if (what.kind === 'object') return shredding.shredObject({ actor: 'system' }, what.id)
    const tenantId = decodeId('tenant', what.id)
    if (tenantId === undefined) throw new Problem('not_found')
    return shredding.shredTenant({ actor: 'system' }, tenantId)
  })

export interface KeyTurn {
  tenantKeysCount: number
  secretsCount: number
  objectKeysCount: number
  /** Of uploads and imports under way, and of credentials that are kept. */
  uploadKeysCount: number
  /** Keys that cannot be opened; what they belong to cannot be read either. */
  damagedKeysCount: number
}

/**
 * Wraps every tenant's keys and the installation's secrets under the master key in force, and every key of an object, an
 * upload or a secret under its tenant's newest, which is made now when `rotate` says so. No stored byte is read. Safe to interrupt and repeat.
 */
export const turnKeys = (
  installation: Installation,
  { rotate, signal }: { rotate: boolean; signal: AbortSignal },
): Promise<KeyTurn> =>
  withParts(installation, async ({ database, masterKey, keyRing, secretWrapping }) => {
    const tenantIds = await listTenantIds(database)
    if (rotate) for (const tenantId of tenantIds) await keyRing.rotateTenantKey(tenantId).catch(unlessDestroyed)
    const turn: KeyTurn = {
      tenantKeysCount: await rewrapTenantKeys({ database, masterKey }),
      secretsCount: await createInstallationSecrets({ database, wrapping: secretWrapping }).rewrapAll(),
      objectKeysCount: 0,
      uploadKeysCount: 0,
      damagedKeysCount: 0,
    }
    for (const tenantId of tenantIds)
      // Uploads first: what one becomes in between is then among the objects.
      for (const holder of [...uploadKeyHolders, objectKeyHolder]) {
        const { count, damagedCount } = await rewrapKeys({ database, keyRing, tenantId, holder, signal })
        turn[holder === objectKeyHolder ? 'objectKeysCount' : 'uploadKeysCount'] += count
        turn.damagedKeysCount += damagedCount
      }
    return turn
  })

/** A tenant whose keys were destroyed gets no new ones. */
function unlessDestroyed(error: unknown): void {
  if (!(error instanceof Problem && error.code === 'key_destroyed')) throw error
}

/** Moves objects to where the newest shard map wants them. Throws Problem('setting_invalid') where nothing is sharded. */
export const rebalanceStore = (
  installation: Installation,
  options: { signal: AbortSignal; onProgress: (progress: RebalanceProgress) => void },
): Promise<RebalanceProgress> =>
  withParts(installation, async ({ objectStore }) => {
    if (!('rebalance' in objectStore))
      throw new Problem('setting_invalid', { detail: 'OBJECT_STORE names one store; there is nothing to move.' })
    return objectStore.rebalance(options)
  })
