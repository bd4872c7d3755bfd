// What an operator says of how much of the workers a tenant or a whole pool gets: weight, cap, rate of starts, pause. The
// leader reads it with each look at the backlog (maintenance/admission.ts), so it holds at once and needs no restart.

import type { PoolShare, TenantShare } from '@millrace/contract'
import { writeAudit } from '../../platform/audit.ts'
import type { Database, Tx } from '../../platform/database.ts'
import { decodeId, encodeId, type RowId } from '../../platform/ids.ts'
import { Problem } from '../../platform/problem.ts'
import type { RouteGroup } from '../../platform/routes.ts'
import type { WakeBus } from '../../platform/wake.ts'
import {
  changePoolShare,
  changeTenantShare,
  findPoolShare,
  findTenantShare,
  takeBackOffered,
  type TenantShareRow,
} from './share.sql.ts'

type ShareOperations = 'getTenantShare' | 'updateTenantShare' | 'getPoolShare' | 'updatePoolShare'

/** Of a smallint. */
const poolMax = 32_767

export function shareRoutes({ database, wake }: { database: Database; wake: WakeBus }): RouteGroup<ShareOperations> {
  const readTenant = async (tx: Tx, tenantId: number): Promise<TenantShare> => {
    const row = await findTenantShare(tx, tenantId)
    if (row === undefined) throw new Problem('not_found')
    return toTenantShare(row)
  }

  return {
    getTenantShare: ({ params }) => database.asSystem((tx) => readTenant(tx, tenantOf(params.tenant_id))),

    async updateTenantShare({ params, body }, { principal, requestId }) {
      const tenantId = tenantOf(params.tenant_id)
      const share = await database.asSystem(async (tx) => {
        await readTenant(tx, tenantId)
        await changeTenantShare(tx, tenantId, body)
        if (body.paused === true) await takeBackOffered(tx, { tenantId })
        const target = encodeId('tenant', tenantId)
        await writeAudit(tx, {
          tenantId,
          actor: principal.actor,
          action: 'tenant.share',
          target,
          detail: body,
          requestId,
        })
        return readTenant(tx, tenantId)
      })
      wake.wake('backlog')
      return share
    },

    getPoolShare: ({ params }) => database.asSystem((tx) => findPoolShare(tx, poolOf(params.pool))),

    async updatePoolShare({ params, body }, { principal, requestId }) {
      const pool = poolOf(params.pool)
      const share = await database.asSystem(async (tx): Promise<PoolShare> => {
        await changePoolShare(tx, pool, body)
        if (body.paused === true) await takeBackOffered(tx, { pool })
        const detail = { pool, ...body }
        await writeAudit(tx, { tenantId: null, actor: principal.actor, action: 'pool.share', detail, requestId })
        return findPoolShare(tx, pool)
      })
      wake.wake('backlog')
      return share
    },
  }
}

function tenantOf(text: string): RowId<'tenant'> {
  const tenantId = decodeId('tenant', text)
  if (tenantId === undefined) throw new Problem('not_found')
  return tenantId
}

function poolOf(text: string): number {
  const pool = Number(text)
  if (!/^\d{1,5}$/.test(text) || pool > poolMax) throw new Problem('not_found')
  return pool
}

const toTenantShare = ({ tenant_id: tenantId, ...row }: TenantShareRow): TenantShare => ({
  tenant_id: encodeId('tenant', tenantId),
  weight: row.weight,
  running_max: row.running_max,
  starts_per_second: row.starts_per_second,
  paused: row.paused,
})
