// The root of the key hierarchy. It wraps the tenants' keys and the installation's own secrets and nothing else, so
// that it may live in a file of this machine (master-key-file.ts), come from a command (master-key-command.ts) or stay
// behind a key service: an adapter for one is another implementation of this interface.

import { createSecretKey, type KeyObject } from 'node:crypto'
import { Problem } from '../platform/problem.ts'
import { contextOf, keySizeBytes, openSecret, sealSecret } from './encryption.ts'

export interface MasterKey {
  /** Encrypts a secret of less than 16 KiB, bound to its context. */
  wrap(context: Uint8Array, secret: Uint8Array): Promise<Buffer>
  /** The secret again; throws Problem('setting_invalid') when another master key or context wrapped it, or a byte was changed. */
  unwrap(context: Uint8Array, wrapped: Uint8Array): Promise<Buffer>
}

const linePrefix = 'millrace-master-key-1:'

/** A master key from its 32 bytes. Further ones only unwrap: those that were in force before, or will be next. */
export function createMasterKey(first: Uint8Array, ...others: readonly Uint8Array[]): MasterKey {
  const keys = [toKey(first), ...others.map(toKey)]
  return keyOver(async () => keys)
}

/** A master key whose keys are read anew where they are used, the first one wrapping. */
export function keyOver(readKeys: (known: boolean) => Promise<readonly KeyObject[]>): MasterKey {
  const tryAll = (keys: readonly KeyObject[], context: Uint8Array, wrapped: Uint8Array): Buffer | undefined => {
    for (const key of keys) {
      const secret = openSecret(key, context, wrapped)
      if (secret !== undefined) return secret
    }
    return undefined
  }
  return {
    async wrap(context, secret) {
      const [key] = await readKeys(false)
      if (key === undefined) throw new Problem('setting_invalid', { detail: 'There is no master key' })
      return sealSecret(key, context, secret)
    },
    async unwrap(context, wrapped) {
      const secret = tryAll(await readKeys(true), context, wrapped) ?? tryAll(await readKeys(false), context, wrapped)
      if (secret === undefined)
        throw new Problem('setting_invalid', {
          detail: 'The master key is not the one that this data was stored under',
        })
      return secret
    },
  }
}

const toKey = (bytes: Uint8Array): KeyObject => {
  if (bytes.length !== keySizeBytes) throw new Problem('setting_invalid', { detail: 'A master key has 32 bytes' })
  return createSecretKey(bytes)
}

/** The line by which a key is kept. */
export const masterKeyLine = (bytes: Uint8Array): string => `${linePrefix}${Buffer.from(bytes).toString('hex')}`

/** Keys of a text, one a line, the first one in force. Throws Problem('setting_invalid') that names where the text is from. */
export function parseMasterKeys(text: string, from: string): KeyObject[] {
  const lines = text.split('\n').map((line) => line.trim())
  const keys = lines.filter((line) => line !== '' && !line.startsWith('#'))
  const isKey = (line: string): boolean =>
    line.startsWith(linePrefix) && /^[0-9a-f]{64}$/.test(line.slice(linePrefix.length))
  if (keys.length === 0 || !keys.every(isKey))
    throw new Problem('setting_invalid', {
      detail: `${from} must hold lines of "${linePrefix}" and 64 hex digits, the key in force first`,
    })
  return keys.map((line) => toKey(Buffer.from(line.slice(linePrefix.length), 'hex')))
}

const secretContext = (name: string): Buffer => contextOf('installation-secret', Buffer.from(name, 'utf8'))

/** Encrypts a secret of the installation for table installation_secret, bound to its name. */
export const wrapSecret = (masterKey: MasterKey, name: string, secret: Uint8Array): Promise<Buffer> =>
  masterKey.wrap(secretContext(name), secret)

/** The secret again. Throws Problem('setting_invalid') when it was wrapped by another master key or under another name. */
export const unwrapSecret = (masterKey: MasterKey, name: string, wrapped: Uint8Array): Promise<Buffer> =>
  masterKey.unwrap(secretContext(name), wrapped)
