// Where a browser keeps the session's secret: in the tab (gone when it closes) or on the computer, as the person chose.

import type { SecretStore, StoredSecret } from './session.ts'

export const secretStoreKey = 'millrace.session'

/** A secret store over the two web storages; a browser that forbids them keeps the secret in memory. */
export function createSecretStore(places: { tab: Storage; computer: Storage }): SecretStore {
  let inMemory: StoredSecret | null = null

  function place(): Storage | null {
    if (places.tab.getItem(secretStoreKey) !== null) return places.tab
    return places.computer.getItem(secretStoreKey) === null ? null : places.computer
  }

  function clear(): void {
    inMemory = null
    places.tab.removeItem(secretStoreKey)
    places.computer.removeItem(secretStoreKey)
  }

  return {
    read: () => inMemory ?? parseSecret(place()?.getItem(secretStoreKey) ?? null),
    write(secret, keep) {
      const target = keep === undefined ? (place() ?? places.tab) : keep ? places.computer : places.tab
      clear()
      try {
        target.setItem(secretStoreKey, JSON.stringify(secret))
      } catch {
        inMemory = secret
      }
    },
    clear,
  }
}

/** Reads a stored secret; whatever is not one counts as none. */
export function parseSecret(text: string | null): StoredSecret | null {
  if (text === null) return null
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('kind' in value)) return null
    if (value.kind === 'refresh_token' && 'token' in value && typeof value.token === 'string') {
      return { kind: 'refresh_token', token: value.token }
    }
    if (value.kind === 'api_key' && 'key' in value && typeof value.key === 'string') {
      return { kind: 'api_key', key: value.key }
    }
  } catch {
    // Not JSON: written by something else.
  }
  return null
}
