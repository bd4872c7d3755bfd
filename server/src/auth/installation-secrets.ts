// Secrets that the installation makes for itself at its first start: the pepper of key hashes and the key that signs
// access tokens. They lie in the database, wrapped by the master key, so that every process finds the same ones.

import type { Database } from '../platform/database.ts'
import { invariant } from '../platform/problem.ts'
import { insertSecretIfAbsent, listSecrets, updateSecret } from './auth.sql.ts'

/** Seals a secret under the master key; the name is bound to it, so that two cannot be swapped. */
export interface SecretWrapping {
  wrap(name: string, secret: Uint8Array): Uint8Array | Promise<Uint8Array>
  unwrap(name: string, wrapped: Uint8Array): Uint8Array | Promise<Uint8Array>
}

export interface InstallationSecrets {
  /** The secret of this name; made when there is none. Processes that start at once all get the same. */
  getOrMake(name: string, make: () => Uint8Array): Promise<Uint8Array>
  /** All secrets whose names begin so, oldest first. */
  list(prefix: string): Promise<{ name: string; secret: Uint8Array }[]>
  /** Wraps every secret anew, under the master key that is in force now; answers how many there were. */
  rewrapAll(): Promise<number>
}

export function createInstallationSecrets(deps: { database: Database; wrapping: SecretWrapping }): InstallationSecrets {
  const { database, wrapping } = deps

  async function list(prefix: string): Promise<{ name: string; secret: Uint8Array }[]> {
    const rows = await listSecrets(database, prefix)
    return Promise.all(rows.map(async ({ name, wrapped }) => ({ name, secret: await wrapping.unwrap(name, wrapped) })))
  }

  return {
    list,
    async rewrapAll() {
      const secrets = await list('')
      for (const { name, secret } of secrets) await updateSecret(database, name, await wrapping.wrap(name, secret))
      return secrets.length
    },
    async getOrMake(name, make) {
      const find = async () => (await list(name)).find((found) => found.name === name)?.secret
      const found = await find()
      if (found) return found
      await insertSecretIfAbsent(database, name, await wrapping.wrap(name, make()))
      const made = await find()
      invariant(made, 'a secret that was inserted is there')
      return made
    },
  }
}
