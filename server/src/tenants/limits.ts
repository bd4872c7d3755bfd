// Everything that is limited per tenant, with its default and the reason for it. What an operator sets otherwise for one
// tenant stands in tenant.limits under the same names; a key that is missing there means the default.

import { TenantLimitOverrides } from '@millrace/contract'
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
export function parseOverrides(stored: unknown): TenantLimitOverrides {
  if (overrides.Check(stored)) return stored
  const [error] = overrides.Errors(stored)
  throw new Problem('setting_invalid', { detail: `tenant.limits${error?.instancePath ?? ''}: ${error?.message}` })
}

/** Throws Problem('setting_invalid'). */
export function toTenantLimits(from: unknown): TenantLimits {
  const stored = parseOverrides(from)
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
