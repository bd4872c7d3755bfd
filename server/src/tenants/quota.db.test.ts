import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Problem } from '../platform/problem.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { toTenantLimits, readTenantLimits, type TenantLimits } from './limits.ts'
import { createQuota, type Quota, type Reservation, type Room } from './quota.ts'

let test: TestDatabase
let quota: Quota
beforeAll(async () => {
  test = await createTestDatabase()
  quota = createQuota(test)
})
afterAll(() => test.drop())

async function newTenant(): Promise<number> {
  const { rows } = await test.database.query<{ id: number }>(
    `with t as (insert into tenant (name) values ('test') returning id)
     insert into tenant_usage (tenant_id) select id from t returning tenant_id as id`,
  )
  return rows[0]!.id
}

const usageOf = async (tenantId: number) => {
  const { rows } = await test.database.query(
    'select files_count, stored_bytes, reserved_bytes, reserved_files from tenant_usage where tenant_id = $1',
    [tenantId],
  )
  return rows[0]
}

const limitsOf = (storedBytesMax: number, filesCountMax = 1_000): TenantLimits => ({
  ...toTenantLimits({}),
  storedBytesMax,
  filesCountMax,
})

const reserve = (tenantId: number, limits: TenantLimits, room: Room): Promise<Reservation> =>
  test.database.withTenant(tenantId, (tx) => quota.reserve(tx, tenantId, limits, room))

/** What a seal does: counts what came and gives up the reservation. */
const seal = (reservation: Reservation, limits: TenantLimits, bytes: number) =>
  test.database.withTenant(reservation.tenantId, async (tx) => {
    await tx.query(
      'update tenant_usage set stored_bytes = stored_bytes + $2, files_count = files_count + $3 where tenant_id = $1',
      [reservation.tenantId, bytes, reservation.files],
    )
    await quota.settle(tx, reservation, limits)
  })

const expire = (reservation: Reservation) =>
  test.database.query(`update quota_reservation set expires_at = now() - interval '1 s' where id = $1`, [
    reservation.id,
  ])

const codesOf = (results: PromiseSettledResult<unknown>[]): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const result of results) {
    const code = result.status === 'fulfilled' ? 'granted' : (result.reason as Problem).code
    counts[code] = (counts[code] ?? 0) + 1
  }
  return counts
}

describe('reserving', () => {
  it('grants exactly as many of 200 parallel reservations as there is room for', async () => {
    const tenantId = await newTenant()
    const limits = limitsOf(10 * 1_000 + 999)
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, () => reserve(tenantId, limits, { bytes: 1_000 })),
    )
    expect(codesOf(results)).toEqual({ granted: 10, quota_exceeded: 190 })
    expect(await usageOf(tenantId)).toMatchObject({ reserved_bytes: 10_000, reserved_files: 10 })
  })

  it('holds to the number of files in the same race', async () => {
    const tenantId = await newTenant()
    const results = await Promise.allSettled(
      Array.from({ length: 60 }, () => reserve(tenantId, limitsOf(1e9, 7), { bytes: 1 })),
    )
    expect(codesOf(results)).toEqual({ granted: 7, quota_exceeded: 53 })
  })

  it('never counts more than the limit while uploads of random sizes come, seal and fail at once', async () => {
    const tenantId = await newTenant()
    const limits = limitsOf(50_000)
    const sizes = Array.from({ length: 120 }, (_, index) => 1 + ((index * 7_919) % 3_000))
    let sealedBytes = 0
    await Promise.allSettled(
      sizes.map(async (bytes, index) => {
        const reservation = await reserve(tenantId, limits, { bytes })
        if (index % 3 === 0) return quota.release(reservation)
        if (index % 5 === 0) await expire(reservation)
        if (index % 10 === 0) await quota.releaseExpired()
        await seal(reservation, limits, bytes - (index % 2))
        sealedBytes += bytes - (index % 2)
      }),
    )
    await quota.releaseExpired()
    expect(sealedBytes).toBeLessThanOrEqual(50_000)
    expect(sealedBytes).toBeGreaterThan(0)
    expect(await usageOf(tenantId)).toMatchObject({ stored_bytes: sealedBytes, reserved_bytes: 0, reserved_files: 0 })
  })

  it('grants what is left where that is enough', async () => {
    const tenantId = await newTenant()
    const limits = limitsOf(1_000)
    expect(await reserve(tenantId, limits, { bytes: 1_500, bytesMin: 1_000 })).toMatchObject({ bytes: 1_000 })
    await expect(reserve(tenantId, limits, { bytes: 1, bytesMin: 1 })).rejects.toMatchObject({ code: 'quota_exceeded' })
    // A version of a file that is there takes no file, and an empty rest is a rest.
    await expect(reserve(tenantId, limits, { bytes: 5, bytesMin: 0, files: 0 })).resolves.toMatchObject({ bytes: 0 })
  })

  it('says what is used, what is reserved and what is left', async () => {
    const tenantId = await newTenant()
    const limits = limitsOf(1_000)
    await seal(await reserve(tenantId, limits, { bytes: 300 }), limits, 300)
    await reserve(tenantId, limits, { bytes: 200 })
    await expect(reserve(tenantId, limits, { bytes: 501 })).rejects.toMatchObject({
      detail: '300 of 1000 bytes are used and 200 are reserved by uploads under way; 500 are left.',
    })
  })
})

it('a reservation that is released while it grows and is renewed leaves nothing', async () => {
  const tenantId = await newTenant()
  const limits = limitsOf(1_000_000)
  for (let round = 0; round < 50; round++) {
    const held = await reserve(tenantId, limits, { bytes: 100 })
    const growing = quota.grow(held, limits, { bytes: 100 }).catch((error: unknown) => error)
    await Promise.all([quota.release(held), quota.renew(held)])
    // It came first, or there was nothing left to grow.
    expect([200, undefined]).toContain(((await growing) as { bytes?: number }).bytes)
    expect(await usageOf(tenantId)).toMatchObject({ reserved_bytes: 0, reserved_files: 0 })
  }
})

describe('entering without a reservation', () => {
  it('counts exactly what there is room for, beside what is reserved', async () => {
    const tenantId = await newTenant()
    await setLimits(tenantId, { stored_bytes_max: 10 * 1_000 + 999 })
    await reserve(tenantId, limitsOf(10 * 1_000 + 999), { bytes: 2_000 })
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, () =>
        test.database.withTenant(tenantId, (tx) => quota.enter(tx, tenantId, { bytes: 1_000, files: 1 })),
      ),
    )
    expect(codesOf(results)).toEqual({ granted: 8, quota_exceeded: 192 })
    expect(await usageOf(tenantId)).toEqual({
      stored_bytes: 8_000,
      files_count: 8,
      reserved_bytes: 2_000,
      reserved_files: 1,
    })
  })

  it('holds to the number of files', async () => {
    const tenantId = await newTenant()
    await setLimits(tenantId, { files_count_max: 2 })
    const enter = () => test.database.withTenant(tenantId, (tx) => quota.enter(tx, tenantId, { bytes: 1, files: 1 }))
    await Promise.all([enter(), enter()])
    await expect(enter()).rejects.toMatchObject({
      code: 'quota_exceeded',
      detail: '2 of 2 files are used and 0 are reserved by uploads under way; 0 are left.',
    })
  })
})

const setLimits = (tenantId: number, limits: Record<string, number>) =>
  test.database.query('update tenant set limits = $2 where id = $1', [tenantId, JSON.stringify(limits)])

it('a look tells the limits and what is left within them', async () => {
  const tenantId = await newTenant()
  await setLimits(tenantId, { files_count_max: 10 })
  await test.database.query('update tenant_usage set stored_bytes = 5, files_count = 3 where tenant_id = $1', [
    tenantId,
  ])
  const look = (id: number) => quota.look(test.database.ofTenant(id), id)
  const limits = { ...toTenantLimits({}), filesCountMax: 10 }
  await reserve(tenantId, limits, { bytes: 20 })
  expect(await look(tenantId)).toEqual({
    limits,
    usersLimited: false,
    leftBytes: limits.storedBytesMax - 25,
    leftFiles: 6,
  })
  await expect(look(999_999)).rejects.toMatchObject({ code: 'not_found' })
})

describe('a reservation', () => {
  it('grows as far as there is room', async () => {
    const tenantId = await newTenant()
    const limits = limitsOf(1_000)
    const first = await reserve(tenantId, limits, { bytes: 100 })
    const grown = await quota.grow(first, limits, { bytes: 2_000, bytesMin: 1 })
    expect(grown.bytes).toBe(1_000)
    await expect(quota.grow(grown, limits, { bytes: 1 })).rejects.toMatchObject({ code: 'quota_exceeded' })
    await quota.release(grown)
    expect(await usageOf(tenantId)).toMatchObject({ reserved_bytes: 0, reserved_files: 0 })
  })

  it('is given back once when it is released twice', async () => {
    const tenantId = await newTenant()
    const reservation = await reserve(tenantId, limitsOf(1_000), { bytes: 600 })
    await reserve(tenantId, limitsOf(1_000), { bytes: 300 })
    await Promise.all([quota.release(reservation), quota.release(reservation)])
    expect(await usageOf(tenantId)).toMatchObject({ reserved_bytes: 300, reserved_files: 1 })
  })

  it('ends by itself, unless it was renewed', async () => {
    const tenantId = await newTenant()
    const [dead, renewed] = [
      await reserve(tenantId, limitsOf(1_000), { bytes: 100 }),
      await reserve(tenantId, limitsOf(1_000), { bytes: 10 }),
    ]
    await Promise.all([expire(dead), expire(renewed)])
    await quota.renew(renewed)
    expect(await quota.releaseExpired()).toBe(1)
    expect(await usageOf(tenantId)).toMatchObject({ reserved_bytes: 10, reserved_files: 1 })
    await expect(quota.grow(dead, limitsOf(1_000), { bytes: 1 })).rejects.toMatchObject({ code: 'quota_exceeded' })
    expect(await usageOf(tenantId)).toMatchObject({ reserved_bytes: 10 })
  })

  it('that has ended may still be settled while there is room, and not when somebody else has taken it', async () => {
    const tenantId = await newTenant()
    const limits = limitsOf(1_000)
    const lost = await reserve(tenantId, limits, { bytes: 600 })
    await expire(lost)
    await quota.releaseExpired()
    const other = await reserve(tenantId, limits, { bytes: 500 })
    await expect(seal(lost, limits, 600)).rejects.toMatchObject({ code: 'quota_exceeded' })
    await seal(lost, limits, 400)
    await seal(other, limits, 500)
    expect(await usageOf(tenantId)).toMatchObject({ stored_bytes: 900, reserved_bytes: 0, files_count: 2 })
  })

  it('cannot be touched from another tenant', async () => {
    const [mine, theirs] = [await newTenant(), await newTenant()]
    const reservation = await reserve(theirs, limitsOf(1_000), { bytes: 100 })
    await quota.release({ ...reservation, tenantId: mine })
    expect(await usageOf(theirs)).toMatchObject({ reserved_bytes: 100 })
  })
})

describe('a share of one user', () => {
  const limits = (bytes: number, files = 1_000): TenantLimits => ({
    ...limitsOf(10_000),
    userStoredBytesMax: bytes,
    userFilesCountMax: files,
  })
  const userUsage = async (tenantId: number, actor: string) => {
    const { rows } = await test.database.query(
      'select files_count, stored_bytes, reserved_bytes, reserved_files from user_usage where tenant_id = $1 and actor = $2',
      [tenantId, actor],
    )
    return rows[0]
  }

  it('is held to in a race, beside that of the tenant, and of nobody else', async () => {
    const tenantId = await newTenant()
    const by = (actor: string) =>
      Promise.allSettled(Array.from({ length: 60 }, () => reserve(tenantId, limits(7_500), { bytes: 1_000, actor })))
    const [ann, bob] = await Promise.all([by('user_ann'), by('user_bob')])
    const granted = (codesOf(ann)['granted'] ?? 0) + (codesOf(bob)['granted'] ?? 0)
    expect(granted).toBe(10)
    expect(Math.max(codesOf(ann)['granted'] ?? 0, codesOf(bob)['granted'] ?? 0)).toBeLessThanOrEqual(7)
    expect(await usageOf(tenantId)).toMatchObject({ reserved_bytes: 10_000, reserved_files: 10 })
  })

  it('says what is used and what is left of it', async () => {
    const tenantId = await newTenant()
    await reserve(tenantId, limits(1_000), { bytes: 600, actor: 'user_ann' })
    await expect(reserve(tenantId, limits(1_000), { bytes: 401, actor: 'user_ann' })).rejects.toMatchObject({
      code: 'quota_exceeded',
      detail: 'Of your own share: 0 of 1000 bytes are used and 600 are reserved by uploads under way; 400 are left.',
    })
    await expect(reserve(tenantId, limits(1_000, 1), { bytes: 1, actor: 'user_ann' })).rejects.toMatchObject({
      detail: 'Of your own share: 0 of 1 files are used and 1 are reserved by uploads under way; 0 are left.',
    })
  })

  it('is given back with the reservation, and by its time', async () => {
    const tenantId = await newTenant()
    const [released, lapsed] = [
      await reserve(tenantId, limits(1_000), { bytes: 400, actor: 'user_ann' }),
      await reserve(tenantId, limits(1_000), { bytes: 2_000, bytesMin: 1, actor: 'user_ann' }),
    ]
    expect(lapsed.bytes).toBe(600)
    await quota.release(released)
    expect(await quota.grow(lapsed, limits(1_000), { bytes: 2_000, bytesMin: 1 })).toMatchObject({ bytes: 1_000 })
    expect(await userUsage(tenantId, 'user_ann')).toMatchObject({ reserved_bytes: 1_000, reserved_files: 1 })
    await expire(lapsed)
    await quota.releaseExpired()
    expect(await userUsage(tenantId, 'user_ann')).toMatchObject({ reserved_bytes: 0, reserved_files: 0 })
  })

  it('is no more than what the tenant has left', async () => {
    const tenantId = await newTenant()
    await reserve(tenantId, limits(1e6), { bytes: 9_000 })
    const granted = await reserve(tenantId, limits(1e6), { bytes: 5_000, bytesMin: 1, actor: 'user_ann' })
    expect(granted.bytes).toBe(1_000)
    expect(await userUsage(tenantId, 'user_ann')).toMatchObject({ reserved_bytes: 1_000 })
  })
})

it('limits are read from the tenant that asks', async () => {
  const tenantId = await newTenant()
  await test.database.query(`update tenant set limits = '{"stored_bytes_max": 5}' where id = $1`, [tenantId])
  const read = (id: number) => test.database.withTenant(tenantId, (tx) => readTenantLimits(tx, id))
  expect(await read(tenantId)).toMatchObject({ storedBytesMax: 5 })
  await expect(read(tenantId + 1)).rejects.toMatchObject({ code: 'not_found' })
})
