// The root of the key hierarchy. It wraps the tenants' keys and the installation's own secrets and nothing else, so
// that it may live in a file of this machine or behind a key service: both fit the interface.

import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto'
import { link, open, readFile, rm, stat } from 'node:fs/promises'
import { platform } from 'node:process'
import { Problem } from '../platform/problem.ts'
import { contextOf, keySizeBytes, openSecret, sealSecret } from './encryption.ts'

export interface MasterKey {
  /** Encrypts a secret of less than 16 KiB, bound to its context. */
  wrap(context: Uint8Array, secret: Uint8Array): Promise<Buffer>
  /** The secret again; throws Problem('setting_invalid') when another master key or context wrapped it, or a byte was changed. */
  unwrap(context: Uint8Array, wrapped: Uint8Array): Promise<Buffer>
}

const linePrefix = 'millrace-master-key-1:'

/** A master key from its 32 bytes. */
export function createMasterKey(bytes: Uint8Array): MasterKey {
  if (bytes.length !== keySizeBytes) throw new Problem('setting_invalid', { detail: 'A master key has 32 bytes' })
  const key: KeyObject = createSecretKey(bytes)
  return {
    wrap: async (context, secret) => sealSecret(key, context, secret),
    async unwrap(context, wrapped) {
      const secret = openSecret(key, context, wrapped)
      if (secret === undefined)
        throw new Problem('setting_invalid', {
          detail: 'The master key is not the one that this data was stored under',
        })
      return secret
    },
  }
}

/**
 * Reads the master key from its file, or makes one at random in a new file of mode 0600. Of two processes that do so
 * at the same moment both get the same key. Throws Problem('setting_invalid') for a file that others may read or
 * that holds no key. Whoever loses this file loses everything that is stored.
 */
export async function loadOrCreateMasterKey(path: string): Promise<MasterKey> {
  return createMasterKey((await readKeyFile(path)) ?? (await createKeyFile(path)))
}

async function readKeyFile(path: string): Promise<Buffer | undefined> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (found === undefined) return undefined
  if (platform !== 'win32' && (found.mode & 0o077) !== 0)
    throw new Problem('setting_invalid', { detail: 'The master key file must have mode 0600: others can read it' })
  const text = (await readFile(path, 'utf8')).trim()
  const hex = text.startsWith(linePrefix) ? text.slice(linePrefix.length) : ''
  if (!/^[0-9a-f]{64}$/.test(hex))
    throw new Problem('setting_invalid', { detail: `The master key file must hold "${linePrefix}" and 64 hex digits` })
  return Buffer.from(hex, 'hex')
}

async function createKeyFile(path: string): Promise<Buffer> {
  const bytes = randomBytes(keySizeBytes)
  const temp = `${path}.${randomBytes(6).toString('hex')}`
  const handle = await open(temp, 'wx', 0o600)
  try {
    await handle.writeFile(`${linePrefix}${bytes.toString('hex')}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  try {
    // A link appears whole and never replaces a key that another process has made meanwhile.
    await link(temp, path)
    return bytes
  } catch (error) {
    const existing = await readKeyFile(path)
    if (existing === undefined) throw error
    return existing
  } finally {
    await rm(temp, { force: true })
  }
}

const secretContext = (name: string): Buffer => contextOf('installation-secret', Buffer.from(name, 'utf8'))

/** Encrypts a secret of the installation for table installation_secret, bound to its name. */
export const wrapSecret = (masterKey: MasterKey, name: string, secret: Uint8Array): Promise<Buffer> =>
  masterKey.wrap(secretContext(name), secret)

/** The secret again. Throws Problem('setting_invalid') when it was wrapped by another master key or under another name. */
export const unwrapSecret = (masterKey: MasterKey, name: string, wrapped: Uint8Array): Promise<Buffer> =>
  masterKey.unwrap(secretContext(name), wrapped)
