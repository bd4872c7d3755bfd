// Signed URLs for the parts of an upload: whoever has one may send that one part of that one upload for a quarter of an
// hour, and nothing else. The signature covers tenant, upload, part and end of validity.

import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../platform/clock.ts'
import { encodeId, decodeId, type RowId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'

export interface PartUrls {
  /** A path below /api/v1, and until when it is good. */
  sign(part: { tenantId: number; uploadId: RowId<'upload'>; number: number }): { url: string; expiresAt: Date }
  /** Throws Problem('upload_url_expired') for one that was not signed here or is over. */
  verify(url: {
    upload_id: string
    number: string
    tenant: string | undefined
    expires: string | undefined
    signature: string | undefined
  }): { tenantId: number; uploadId: RowId<'upload'>; number: number }
}

export const partUrlLifetimeMs = 15 * 60_000

/** The secret is the installation's, so that any process takes what another has signed. */
export function createPartUrls({ secret, clock }: { secret: Uint8Array; clock: Clock }): PartUrls {
  const macOf = (fields: readonly string[]): Buffer =>
    createHmac('sha256', secret)
      .update(JSON.stringify(['millrace/part-url@v1', ...fields]))
      .digest()
  return {
    sign({ tenantId, uploadId, number }) {
      const expiresAt = new Date(clock.now().getTime() + partUrlLifetimeMs)
      const expires = String(Math.floor(expiresAt.getTime() / 1_000))
      const upload = encodeId('upload', uploadId)
      const tenant = encodeId('tenant', tenantId as RowId<'tenant'>)
      const signature = macOf([tenant, upload, String(number), expires]).toString('base64url')
      const query = new URLSearchParams({ tenant, expires, signature })
      return { url: `uploads/${upload}/parts/${number}?${query.toString()}`, expiresAt }
    },
    verify({ upload_id: upload, number, tenant = '', expires = '', signature = '' }) {
      const given = Buffer.from(signature, 'base64url')
      const mac = macOf([tenant, upload, number, expires])
      const isOurs = given.length === mac.length && timingSafeEqual(given, mac)
      const tenantId = decodeId('tenant', tenant)
      const uploadId = decodeId('upload', upload)
      const isOver = Number(expires) * 1_000 < clock.now().getTime()
      if (!isOurs || isOver || tenantId === undefined || uploadId === undefined) throw new Problem('upload_url_expired')
      return { tenantId, uploadId, number: Number(number) }
    },
  }
}
