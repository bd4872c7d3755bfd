// What an operator says of the limits of a tenant. Whoever is held to one reads it where he asks for room or looks for what
// is old, so a change holds at once and needs no restart. What is there already stays, even when it is more than allowed.

import type { TenantLimits, TenantLimitsChange } from '@millrace/contract'
import { writeAudit } from '../platform/audit.ts'
import type { Database } from '../platform/database.ts'
import { decodeId, encodeId, type RowId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { RouteGroup } from '../platform/routes.ts'
import { parseOverrides, toTenantLimits } from './limits.ts'
import { changeTenantLimits, findLiveTenantLimits } from './limits.sql.ts'

export interface LimitRouteDependencies {
  database: Database
  /** Of tenants for which nothing else is set. */
  trashKeptDaysDefault: number
}

export function limitRoutes(deps: LimitRouteDependencies): RouteGroup<'getTenantLimits' | 'updateTenantLimits'> {
  const { database, trashKeptDaysDefault } = deps

  function toResource(tenantId: RowId<'tenant'>, stored: unknown): TenantLimits {
    if (stored === undefined) throw new Problem('not_found')
    const overrides = parseOverrides(stored)
    const limits = toTenantLimits(overrides)
    return {
      tenant_id: encodeId('tenant', tenantId),
      file_size_bytes_max: limits.fileSizeBytesMax,
      stored_bytes_max: limits.storedBytesMax,
      files_count_max: limits.filesCountMax,
      user_stored_bytes_max: limits.userStoredBytesMax,
      user_files_count_max: limits.userFilesCountMax,
      open_uploads_count_max: limits.openUploadsCountMax,
      metadata_bytes_max: limits.metadataBytesMax,
      trash_kept_days: overrides.trash_kept_days ?? trashKeptDaysDefault,
      results_kept_days: overrides.results_kept_days ?? null,
      jobs_kept_days: overrides.jobs_kept_days ?? null,
      audit_kept_days: overrides.audit_kept_days ?? null,
      set: Object.keys(overrides).toSorted(),
    }
  }

  return {
    getTenantLimits: async ({ params }) => {
      const tenantId = tenantOf(params.tenant_id)
      return toResource(tenantId, await database.asSystem((tx) => findLiveTenantLimits(tx, tenantId)))
    },

    updateTenantLimits: ({ params, body }, { principal, requestId }) => {
      const tenantId = tenantOf(params.tenant_id)
      return database.asSystem(async (tx) => {
        const limits = toResource(tenantId, await changeTenantLimits(tx, tenantId, ...toChange(body)))
        const target = limits.tenant_id
        const { actor } = principal
        await writeAudit(tx, { tenantId, actor, action: 'tenant.limits', target, detail: body, requestId })
        return limits
      })
    },
  }
}

/** What is set, and the names of what is a default again. */
function toChange(body: TenantLimitsChange): [set: Record<string, number>, unset: string[]] {
  const given = Object.entries(body)
  const set = given.filter((entry): entry is [string, number] => typeof entry[1] === 'number')
  return [Object.fromEntries(set), given.filter(([, value]) => value === null).map(([name]) => name)]
}

function tenantOf(text: string): RowId<'tenant'> {
  const tenantId = decodeId('tenant', text)
  if (tenantId === undefined) throw new Problem('not_found')
  return tenantId
}
