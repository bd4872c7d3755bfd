// Small secrets of a tenant, such as the credentials of a place that files are fetched from: encrypted like an object's
// bytes, under a key of their own that is wrapped by the tenant's, so that they are gone with it. A sealed secret is JSON
// and can lie in any row of its tenant.

import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Ids } from '../platform/ids.ts'
import { contextOf, openSecret, sealSecret, uint64 } from './encryption.ts'
import type { KeyRing } from './key-ring.ts'
import { damaged, type Place } from './manifest.ts'

export const SealedSecret = Type.Object({
  id: Type.String({ pattern: '^[0-9a-f]{32}$' }),
  wrapped_key: Type.String(),
  tenant_key_version: Type.Integer({ minimum: 1 }),
  message: Type.String(),
})
export type SealedSecret = Static<typeof SealedSecret>

export interface TenantSecrets {
  /** The value as JSON must be shorter than 16 KiB. Never call it inside a transaction: it may open one of its own. */
  seal(tenantId: number, value: unknown): Promise<SealedSecret>
  /** Throws Problem('object_damaged') for what is no secret of this tenant, key_destroyed when its keys were. */
  open(tenantId: number, sealed: unknown): Promise<unknown>
}

const sealedSecret = Compile(SealedSecret)

export function createTenantSecrets({ keyRing, ids }: { keyRing: KeyRing; ids: Ids }): TenantSecrets {
  const contextFor = ({ tenantId, objectId }: Place): Buffer =>
    contextOf('tenant-secret', uint64(tenantId), Buffer.from(objectId, 'hex'))
  return {
    async seal(tenantId, value) {
      const place = { tenantId, objectId: ids.randomHex(16) }
      const { objectKey, wrappedKey, tenantKeyVersion } = await keyRing.createObjectKey(place)
      const message = sealSecret(objectKey, contextFor(place), Buffer.from(JSON.stringify(value)))
      return {
        id: place.objectId,
        wrapped_key: Buffer.from(wrappedKey).toString('base64'),
        tenant_key_version: tenantKeyVersion,
        message: message.toString('base64'),
      }
    },
    async open(tenantId, sealed) {
      if (!sealedSecret.Check(sealed)) throw damaged('It is no sealed secret')
      const place = { tenantId, objectId: sealed.id }
      const wrappedKey = Buffer.from(sealed.wrapped_key, 'base64')
      const key = await keyRing.openObjectKey({ ...place, wrappedKey, tenantKeyVersion: sealed.tenant_key_version })
      const opened = openSecret(key, contextFor(place), Buffer.from(sealed.message, 'base64'))
      if (opened === undefined) throw damaged('The secret has been changed')
      return JSON.parse(opened.toString('utf8'))
    },
  }
}
