import { decodeId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { RouteGroup } from '../platform/routes.ts'
import type { Shredding } from './shredding.ts'

export function shreddingRoutes({ shredding }: { shredding: Shredding }): RouteGroup<'shredTenantKeys'> {
  return {
    shredTenantKeys: async ({ params, body }, { principal, requestId }) => {
      const tenantId = decodeId('tenant', params.tenant_id)
      if (tenantId === undefined) throw new Problem('not_found')
      if (body.confirm !== params.tenant_id)
        throw new Problem('invalid_request', { detail: 'The field confirm must repeat the id of the tenant.' })
      await shredding.shredTenant({ actor: principal.actor, requestId }, tenantId)
    },
  }
}
