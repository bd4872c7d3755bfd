import type { Idempotency } from '../../platform/idempotency.ts'
import type { RouteGroup } from '../../platform/routes.ts'
import type { TenantSecrets } from '../../storage/tenant-secret.ts'
import { aboutFile } from '../about-file.ts'
import { toUploadResource } from '../upload-resource.ts'
import { keyOf } from '../upload-session.sql.ts'
import type { UploadSessions } from '../upload-sessions.ts'
import type { AddressRules } from './address-rules.ts'
import type { ImportOrigin } from './import-origin.ts'
import { makeDue } from './import.sql.ts'
import { checkUrlImport } from './url-origin.ts'

export interface ImportRouteDependencies {
  sessions: UploadSessions
  secrets: TenantSecrets
  rules: AddressRules
  idempotency: Idempotency
}

/** Imports begin here; they are looked at, listed and aborted like every upload session. */
export function importRoutes({
  sessions,
  secrets,
  rules,
  idempotency,
}: ImportRouteDependencies): RouteGroup<'createImport'> {
  return {
    createImport: idempotency.wrap('createImport', async ({ body }, { principal, requestId }) => {
      const { url, secret } = checkUrlImport(body, rules)
      const shown = url.origin + url.pathname
      const source: ImportOrigin = {
        kind: 'url',
        shown,
        named: body.name !== undefined,
        typed: body.content_type !== undefined,
        secret: await secrets.seal(principal.tenantId, secret),
      }
      const session = await sessions.begin({
        principal,
        requestId,
        kind: 'import',
        name: body.name ?? url.hostname,
        sizeBytes: null,
        source,
        ...aboutFile(body),
        also: (tx, begun) => makeDue(tx, keyOf(begun)),
      })
      return toUploadResource(session)
    }),
  }
}
