// tenants/ owns who there is: tenants with their users' roles, their limits and their quota ledger.
// It must not know how somebody proves who he is (auth/) nor what files and jobs are.
// Invariant: a tenant never exists without its schedule and usage rows and at least one admin.

import type { Role, TenantId, UserId } from '@millrace/contract'
import { writeAudit } from '../platform/audit.ts'
import { isUniqueViolation, type Database, type Tx } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import { countTenants, insertMembership, insertTenant, insertTenantLedgers, insertUser } from './tenant.sql.ts'

export interface NewUser {
  email: string
  password: string
  /** Runs the installation. */
  operator?: boolean
}

export interface NewTenant {
  /** 1 to 200 characters. */
  name: string
  admin: NewUser
  /** Share of the workers against other tenants, 1 to 1000. */
  weight?: number
}

export interface CreatedTenant {
  tenantRowId: RowId<'tenant'>
  tenantId: TenantId
  adminRowId: RowId<'user'>
  adminId: UserId
}

export interface Tenants {
  /** All or nothing; `also` runs in the same transaction, e.g. to add a first key. Throws Problem('conflict') when the address is taken. */
  create(tenant: NewTenant, also?: (tx: Tx, created: CreatedTenant) => Promise<void>): Promise<CreatedTenant>
  /** Adds a user to a tenant. Throws Problem('conflict') when the address is taken. */
  addUser(tenantRowId: number, user: NewUser & { role: Role }): Promise<RowId<'user'>>
  /** Whether there is none yet: a first start. */
  isEmpty(): Promise<boolean>
}

export interface TenantDependencies {
  database: Database
  hashPassword: (password: string) => Promise<string>
}

export function createTenants({ database, hashPassword }: TenantDependencies): Tenants {
  async function insertMember(tx: Tx, member: NewUser & { tenantId: number; passwordHash: string; role: Role }) {
    const userId = await insertUser(tx, {
      email: member.email,
      passwordHash: member.passwordHash,
      operator: member.operator ?? false,
    })
    await insertMembership(tx, { tenantId: member.tenantId, userId, role: member.role })
    const target = encodeId('user', userId)
    const detail = { role: member.role }
    await writeAudit(tx, { tenantId: member.tenantId, actor: 'system', action: 'user.create', target, detail })
    return userId
  }

  return {
    async create({ name, admin, weight = 1 }, also) {
      const passwordHash = await hashPassword(admin.password)
      return refuseTaken(() =>
        database.asSystem(async (tx) => {
          const tenantRowId = await insertTenant(tx, name)
          const tenantId = encodeId('tenant', tenantRowId)
          await insertTenantLedgers(tx, tenantRowId, weight)
          await writeAudit(tx, { tenantId: tenantRowId, actor: 'system', action: 'tenant.create', target: tenantId })
          const adminRowId = await insertMember(tx, { ...admin, tenantId: tenantRowId, passwordHash, role: 'admin' })
          const created = { tenantRowId, tenantId, adminRowId, adminId: encodeId('user', adminRowId) }
          await also?.(tx, created)
          return created
        }),
      )
    },
    async addUser(tenantRowId, user) {
      const passwordHash = await hashPassword(user.password)
      return refuseTaken(() =>
        database.asSystem((tx) => insertMember(tx, { ...user, tenantId: tenantRowId, passwordHash })),
      )
    },
    isEmpty: async () => (await countTenants(database)) === 0,
  }
}

async function refuseTaken<T>(insert: () => Promise<T>): Promise<T> {
  try {
    return await insert()
  } catch (error) {
    if (!isUniqueViolation(error)) throw error
    throw new Problem('conflict', { detail: 'There is a user with this e-mail address already.', cause: error })
  }
}
