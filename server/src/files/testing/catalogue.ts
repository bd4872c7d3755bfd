// What tests of the catalogue start from: a tenant, and objects whose bytes nobody reads.

import { createHash } from 'node:crypto'
import type { Database } from '../../platform/database.ts'
import { systemIds } from '../../platform/ids.ts'
import type { SealedObject } from '../../storage/vault.ts'

/** Row id of a new tenant with its usage row. */
export async function insertTestTenant(database: Database, limits: Record<string, number> = {}): Promise<number> {
  const { rows } = await database.query<{ id: number }>(
    `insert into tenant (name, limits) values ('test', $1) returning id`,
    [JSON.stringify(limits)],
  )
  // An insert that does not throw returns its row.
  const { id } = rows[0]!
  await database.query('insert into tenant_usage (tenant_id) values ($1)', [id])
  return id
}

/** The row of an object of that size; there are no bytes behind it. */
export function makeObject(tenantId: number, sizeBytes = 10): SealedObject {
  const objectId = systemIds.randomHex(16)
  return {
    objectId,
    tenantId,
    storeKey: `files/${objectId}`,
    sizeBytes,
    storedBytes: sizeBytes + 64,
    sha256: createHash('sha256').update(objectId).digest('hex'),
    manifest: { test: true },
    wrappedKey: Buffer.from('wrapped'),
    tenantKeyVersion: 1,
  }
}

export interface TestUsage {
  files_count: number
  stored_bytes: number
  reserved_bytes: number
  reserved_files: number
}

export async function usageOf(database: Database, tenantId: number): Promise<TestUsage> {
  const { rows } = await database.query<TestUsage>(
    'select files_count, stored_bytes, reserved_bytes, reserved_files from tenant_usage where tenant_id = $1',
    [tenantId],
  )
  // Each test makes its tenant with its usage row.
  return rows[0]!
}
