// The installation: for its operator, and what anybody may see.

import { Type } from 'typebox'
import { AdminMetrics, DoctorReport, QueueResource, WorkerResource } from '../resources/admin.ts'
import { TenantLimits, TenantLimitsChange } from '../resources/tenant-limits.ts'
import { PoolShare, PoolShareChange, TenantShare, TenantShareChange } from '../resources/share.ts'
import { List, type Operation } from './operation.ts'

const TenantParams = Type.Object({ tenant_id: Type.String({ maxLength: 100 }) })
const PoolParams = Type.Object({ pool: Type.String({ maxLength: 100 }) })

export const installationOperations = {
  getAdminMetrics: {
    method: 'GET',
    path: '/admin/metrics',
    tag: 'admin',
    summary: 'Figures of the installation',
    status: 200,
    response: AdminMetrics,
  },
  listWorkers: {
    method: 'GET',
    path: '/admin/workers',
    tag: 'admin',
    summary: 'Workers seen in the last minute',
    status: 200,
    response: List(WorkerResource),
  },
  listQueues: {
    method: 'GET',
    path: '/admin/queues',
    tag: 'admin',
    summary: 'Demand of each pool, and the backlog of its tenants',
    status: 200,
    response: List(QueueResource),
  },
  getPoolShare: {
    method: 'GET',
    path: '/admin/queues/{pool}/share',
    tag: 'admin',
    summary: 'Rate of starts and pause of a pool',
    params: PoolParams,
    status: 200,
    response: PoolShare,
  },
  updatePoolShare: {
    method: 'PATCH',
    path: '/admin/queues/{pool}/share',
    tag: 'admin',
    summary: 'Pause or resume a pool, or set how many tasks start each second',
    params: PoolParams,
    body: PoolShareChange,
    status: 200,
    response: PoolShare,
  },
  getTenantShare: {
    method: 'GET',
    path: '/admin/tenants/{tenant_id}/share',
    tag: 'admin',
    summary: 'Weight, cap, rate of starts and pause of a tenant',
    params: TenantParams,
    status: 200,
    response: TenantShare,
  },
  updateTenantShare: {
    method: 'PATCH',
    path: '/admin/tenants/{tenant_id}/share',
    tag: 'admin',
    summary: 'Pause or resume a tenant, or set its weight, its cap or how many of its tasks start each second',
    params: TenantParams,
    body: TenantShareChange,
    status: 200,
    response: TenantShare,
  },
  getTenantLimits: {
    method: 'GET',
    path: '/admin/tenants/{tenant_id}/limits',
    tag: 'admin',
    summary: 'What a tenant may store and for how long things of it are kept',
    params: TenantParams,
    status: 200,
    response: TenantLimits,
  },
  updateTenantLimits: {
    method: 'PATCH',
    path: '/admin/tenants/{tenant_id}/limits',
    tag: 'admin',
    summary: 'Set limits of a tenant, or take the defaults again',
    params: TenantParams,
    body: TenantLimitsChange,
    status: 200,
    response: TenantLimits,
  },
  shredTenantKeys: {
    method: 'POST',
    path: '/admin/tenants/{tenant_id}/shred',
    tag: 'admin',
    summary: "Destroy a tenant's keys: all its bytes, in every copy, are unreadable from then on",
    params: TenantParams,
    body: Type.Object({ confirm: Type.String({ maxLength: 100, description: 'The id of the tenant, once more.' }) }),
    status: 204,
  },
  getDoctorReport: {
    method: 'GET',
    path: '/admin/doctor',
    tag: 'admin',
    summary: 'The accounting identity, and stuck or orphaned work',
    status: 200,
    response: DoctorReport,
  },
} as const satisfies Record<string, Operation>
