import { Type, type Static } from 'typebox'

const startsPerSecondMax = 100_000
const StartsPerSecond = Type.Union([Type.Number({ exclusiveMinimum: 0, maximum: startsPerSecondMax }), Type.Null()], {
  description:
    'Tasks that may be admitted each second, and as many at once, one at least; null: as many as there is room for.',
})

const tenantFields = {
  weight: Type.Integer({
    minimum: 1,
    maximum: 1_000,
    description: 'Its share of the time beside those of the others.',
  }),
  running_max: Type.Integer({
    minimum: 0,
    maximum: 1_000_000,
    description: 'Tasks of it that may be under way at once.',
  }),
  starts_per_second: StartsPerSecond,
  paused: Type.Boolean({ description: 'What runs ends, nothing else starts.' }),
}

const poolFields = {
  starts_per_second: StartsPerSecond,
  paused: tenantFields.paused,
}

/** What admission goes by for one tenant. */
export const TenantShare = Type.Object({ tenant_id: Type.String(), ...tenantFields }, { $id: 'TenantShare' })
export type TenantShare = Static<typeof TenantShare>

/** What is given changes, and holds at once. */
export const TenantShareChange = Type.Partial(Type.Object(tenantFields), { additionalProperties: false })
export type TenantShareChange = Static<typeof TenantShareChange>

/** What admission goes by for all tenants of a pool together. */
export const PoolShare = Type.Object({ pool: Type.Integer({ minimum: 0 }), ...poolFields }, { $id: 'PoolShare' })
export type PoolShare = Static<typeof PoolShare>

export const PoolShareChange = Type.Partial(Type.Object(poolFields), { additionalProperties: false })
export type PoolShareChange = Static<typeof PoolShareChange>
