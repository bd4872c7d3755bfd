// A key ring without a database: one tenant key for everybody, which wraps as the real one does.

import { createSecretKey } from 'node:crypto'
import { contextOf, newKey, openSecret, sealSecret } from '../encryption.ts'
import type { KeyRing } from '../key-ring.ts'
import { damaged, type Place } from '../manifest.ts'

export function createMemoryKeyRing(): KeyRing {
  const tenantKey = newKey()
  const context = (place: Place): Buffer => contextOf('test', Buffer.from(`${place.tenantId}/${place.objectId}`))
  return {
    async createObjectKey(place) {
      const objectKey = newKey()
      return {
        objectKey,
        wrappedKey: sealSecret(tenantKey, context(place), objectKey.export()),
        tenantKeyVersion: 1,
      }
    },
    async openObjectKey(place) {
      const bytes = openSecret(tenantKey, context(place), place.wrappedKey)
      if (bytes === undefined) throw damaged('The wrapped key has been changed')
      return createSecretKey(bytes)
    },
    rewrapObjectKey: async ({ wrappedKey, tenantKeyVersion }) => ({ wrappedKey, tenantKeyVersion }),
    rotateTenantKey: async () => 1,
    destroyTenantKeys: async () => {},
  }
}
