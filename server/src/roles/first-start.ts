// The first start of an installation: a tenant to begin with, a login and a key, all made at random and kept in a file
// that only its owner can read. Later starts only bring the file's URL up to date.

import type { Auth } from '../auth/auth.ts'
import type { Ids } from '../platform/ids.ts'
import { invariant } from '../platform/problem.ts'
import type { Tenants } from '../tenants/tenant.ts'
import { readCredentials, writeCredentials, type Credentials } from './credentials.ts'

export interface FirstStartOptions {
  tenants: Tenants
  auth: Auth
  ids: Ids
  dataFolder: string
  /** Where this start can be reached. */
  url: string
  /** Whether an empty installation gets a tenant at all. */
  demoTenant: boolean
}

/** The credentials of this installation as this machine knows them, or undefined where it knows none. */
export async function ensureCredentials(options: FirstStartOptions): Promise<Credentials | undefined> {
  const { tenants, dataFolder, url } = options
  const known = await readCredentials(dataFolder)
  const isFirst = options.demoTenant && (await tenants.isEmpty())
  const credentials = isFirst ? await createTenantWithKey(options, { name: 'Demo', email: 'demo@example.com' }) : known
  if (credentials === undefined) return undefined
  if (isFirst || credentials.url !== url) await writeCredentials(dataFolder, { ...credentials, url })
  return { ...credentials, url }
}

/**
 * A tenant whose admin also runs the installation, with a key of the same rights. Throws Problem('conflict') when the
 * address is taken.
 */
export async function createTenantWithKey(
  { tenants, auth, ids, url }: Pick<FirstStartOptions, 'tenants' | 'auth' | 'ids' | 'url'>,
  { name, email }: { name: string; email: string },
): Promise<Credentials> {
  const password = ids.randomHex(10)
  let key: string | undefined
  await tenants.create(
    { name, admin: { email, password, operator: true } },
    async (tx, { tenantRowId, adminRowId }) => {
      const made = await auth.createApiKey(tx, {
        tenantId: tenantRowId,
        name: 'first key',
        role: 'admin',
        operator: true,
        createdBy: adminRowId,
        expiresAt: null,
      })
      key = made.text
    },
  )
  invariant(key, 'a created tenant has its key')
  return { url, api_key: key, email, password }
}
