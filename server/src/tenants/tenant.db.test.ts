import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Problem } from '../platform/problem.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { createTenants, type Tenants } from './tenant.ts'

let test: TestDatabase
let tenants: Tenants
beforeAll(async () => {
  test = await createTestDatabase()
  tenants = createTenants({ database: test.database, hashPassword: async (password) => `hash of ${password}` })
})
afterAll(() => test.drop())

const count = async (table: string): Promise<number> => {
  const { rows } = await test.database.query<{ count: number }>(`select count(*)::int as count from ${table}`)
  return rows[0]?.count ?? 0
}

describe('a new tenant', () => {
  it('has its admin, its schedule and its usage from the first moment', async () => {
    expect(await tenants.isEmpty()).toBe(true)
    const admin = { email: 'Ann@Example.com', password: 'p', operator: true }
    const { tenantRowId } = await tenants.create({ name: 'demo', admin, weight: 3 })
    expect(await tenants.isEmpty()).toBe(false)
    const { rows } = await test.database.query(
      `select u.email, u.operator, u.password_hash, m.role, s.weight, t.stored_bytes
       from membership m join user_account u on u.id = m.user_id
       join tenant_schedule s using (tenant_id) join tenant_usage t using (tenant_id) where tenant_id = $1`,
      [tenantRowId],
    )
    expect(rows).toEqual([
      {
        email: 'ann@example.com',
        operator: true,
        password_hash: 'hash of p',
        role: 'admin',
        weight: 3,
        stored_bytes: 0,
      },
    ])
    const user = { email: 'bob@example.com', password: 'q', role: 'read-only' as const }
    await tenants.addUser(tenantRowId, user)
    expect(await count('membership')).toBe(2)
  })

  it('is not there at all when its admin’s address is taken or what belongs to it fails', async () => {
    const before = await count('tenant')
    const taken = tenants.create({ name: 'two', admin: { email: 'ANN@example.com', password: 'p' } })
    await expect(taken).rejects.toMatchObject({ code: 'conflict' })
    await expect(taken).rejects.toBeInstanceOf(Problem)
    const failing = tenants.create({ name: 'three', admin: { email: 'c@example.com', password: 'p' } }, async () => {
      throw new Error('no key')
    })
    await expect(failing).rejects.toThrow('no key')
    expect(await count('tenant')).toBe(before)
  })
})
