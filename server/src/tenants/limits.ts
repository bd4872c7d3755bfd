// Everything that is limited per tenant, with its default and the reason for it. What an operator sets otherwise for one
// tenant stands in tenant.limits under the same names; a key that is missing there means the default.

import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Sql } from '../platform/database.ts'
import { Problem } from '../platform/problem.ts'
import { findTenantLimits } from './limits.sql.ts'

/** A gigabyte is promised; five leave room for a film or a disk image and still end within a day over a slow line. */
export const fileSizeBytesMaxDefault = 5 * 1024 ** 3
/** Fills a small server's disk by less than a half with the usual handful of tenants. */
export const storedBytesMaxDefault = 100 * 1024 ** 3
/** The largest catalogue that lists and search are measured with. */
export const filesCountMaxDefault = 1_000_000
/** A user may use all that its tenant has, unless the tenant's operator says otherwise. */
export const userStoredBytesMaxDefault = Number.MAX_SAFE_INTEGER
export const userFilesCountMaxDefault = Number.MAX_SAFE_INTEGER
/** Uploads that are begun and not ended: far more than anybody has, and few enough to list and to sweep. */
export const openUploadsCountMaxDefault = 5_000
/** Metadata are read with every list; this is a page of text, not a document. */
export const metadataBytesMaxDefault = 64 * 1024

const countMax = Number.MAX_SAFE_INTEGER

/** The overrides as tenant.limits holds them. */
export const TenantLimitOverrides = Type.Object({
  file_size_bytes_max: Type.Optional(Type.Integer({ minimum: 1, maximum: countMax })),
  stored_bytes_max: Type.Optional(Type.Integer({ minimum: 0, maximum: countMax })),
  files_count_max: Type.Optional(Type.Integer({ minimum: 0, maximum: countMax })),
  user_stored_bytes_max: Type.Optional(Type.Integer({ minimum: 0, maximum: countMax })),
  user_files_count_max: Type.Optional(Type.Integer({ minimum: 0, maximum: countMax })),
  open_uploads_count_max: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000 })),
  /** Read where the trash is emptied: files/erase.sql.ts. */
  trash_kept_days: Type.Optional(Type.Integer({ minimum: 0, maximum: 3_650 })),
  /** What follows is read where it is done, maintenance/kept-history.ts: outputs and results of jobs that ended before. */
  results_kept_days: Type.Optional(Type.Integer({ minimum: 1, maximum: 36_500 })),
  /** Jobs with all that they made, and batches. */
  jobs_kept_days: Type.Optional(Type.Integer({ minimum: 1, maximum: 36_500 })),
  audit_kept_days: Type.Optional(Type.Integer({ minimum: 1, maximum: 36_500 })),
  metadata_bytes_max: Type.Optional(Type.Integer({ minimum: 2, maximum: 1024 * 1024 })),
})
export type TenantLimitOverrides = Static<typeof TenantLimitOverrides>

export interface TenantLimits {
  /** Length of one file. */
  readonly fileSizeBytesMax: number
  /** Content of all versions of all files, the trash included. */
  readonly storedBytesMax: number
  /** Files, the trash included. */
  readonly filesCountMax: number
  /** Content of all versions that one user or API key has uploaded. */
  readonly userStoredBytesMax: number
  /** Files that one user or API key has uploaded. */
  readonly userFilesCountMax: number
  /** Upload sessions that have not ended. */
  readonly openUploadsCountMax: number
  /** The JSON text of one file's metadata. */
  readonly metadataBytesMax: number
}

const overrides = Compile(TenantLimitOverrides)

/** Throws Problem('setting_invalid') that names the faulty limit; a limit that is misread must not mean none. */
export function toTenantLimits(stored: unknown): TenantLimits {
  if (!overrides.Check(stored)) {
    const [error] = overrides.Errors(stored)
    throw new Problem('setting_invalid', { detail: `tenant.limits${error?.instancePath ?? ''}: ${error?.message}` })
  }
  return {
    fileSizeBytesMax: stored.file_size_bytes_max ?? fileSizeBytesMaxDefault,
    storedBytesMax: stored.stored_bytes_max ?? storedBytesMaxDefault,
    filesCountMax: stored.files_count_max ?? filesCountMaxDefault,
    userStoredBytesMax: stored.user_stored_bytes_max ?? userStoredBytesMaxDefault,
    userFilesCountMax: stored.user_files_count_max ?? userFilesCountMaxDefault,
    openUploadsCountMax: stored.open_uploads_count_max ?? openUploadsCountMaxDefault,
    metadataBytesMax: stored.metadata_bytes_max ?? metadataBytesMaxDefault,
  }
}

/** The limits that hold for a tenant. Throws Problem('not_found') when there is none, and setting_invalid. */
export async function readTenantLimits(sql: Sql, tenantId: number): Promise<TenantLimits> {
  const stored = await findTenantLimits(sql, tenantId)
  if (stored === undefined) throw new Problem('not_found')
  return toTenantLimits(stored)
}
