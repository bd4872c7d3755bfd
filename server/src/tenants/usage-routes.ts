// What a tenant has used and what is left, for whoever wants to know before he is refused.

import type { Database } from '../platform/database.ts'
import { Problem } from '../platform/problem.ts'
import type { RouteGroup } from '../platform/routes.ts'
import { toTenantLimits } from './limits.ts'
import { findLimitsAndUsage } from './quota.sql.ts'

export function usageRoutes({ database }: { database: Database }): RouteGroup<'getUsage'> {
  return {
    getUsage: async (_, { principal: { tenantId } }) => {
      const row = await findLimitsAndUsage(database.ofTenant(tenantId), tenantId)
      if (row === undefined) throw new Problem('not_found')
      const { filesCountMax, storedBytesMax, fileSizeBytesMax } = toTenantLimits(row.limits)
      const { files_count, reserved_files, stored_bytes, reserved_bytes } = row
      return {
        files_count,
        reserved_files,
        files_count_max: filesCountMax,
        // A limit may have been set below what is there.
        files_left: Math.max(0, filesCountMax - files_count - reserved_files),
        stored_bytes,
        reserved_bytes,
        stored_bytes_max: storedBytesMax,
        bytes_left: Math.max(0, storedBytesMax - stored_bytes - reserved_bytes),
        file_size_bytes_max: fileSizeBytesMax,
      }
    },
  }
}
