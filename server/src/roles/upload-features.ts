// The ways in: what takes files in one request, in several, and from elsewhere, and the services that look after them.

import { randomBytes } from 'node:crypto'
import { createInstallationSecrets } from '../auth/installation-secrets.ts'
import type { Idempotency } from '../platform/idempotency.ts'
import type { Service } from '../platform/service.ts'
import type { JobSubmission } from '../processing/submission.ts'
import { createTenantSecrets } from '../storage/tenant-secret.ts'
import type { Quota } from '../tenants/quota.ts'
import { createAddressRules } from '../upload/import/address-rules.ts'
import { createGuardedFetch } from '../upload/import/guarded-fetch.ts'
import { importRoutes } from '../upload/import/import-routes.ts'
import { createImporter } from '../upload/import/importer.ts'
import { createFolderOrigin } from '../upload/import/folder-place.ts'
import { importSourceRoutes } from '../upload/import/import-source-routes.ts'
import { createImportSourceLooks } from '../upload/import/import-sources.ts'
import { createS3Origin } from '../upload/import/s3-place.ts'
import { createSftpOrigin } from '../upload/import/sftp-place.ts'
import { createUrlOpener } from '../upload/import/url-origin.ts'
import { createPartUploads } from '../upload/part-uploads.ts'
import { createPartUrls } from '../upload/part-url.ts'
import { createSessionSeal } from '../upload/session-seal.ts'
import { createSessionWriter } from '../upload/session-writer.ts'
import { tusRoutes } from '../upload/tus-routes.ts'
import { uploadRoutes } from '../upload/upload-routes.ts'
import { uploadSessionRoutes } from '../upload/upload-session-routes.ts'
import { createUploadSessions } from '../upload/upload-sessions.ts'
import { createUploadSweeper } from '../upload/upload-sweeper.ts'
import { createUnreservedBytes } from '../upload/unreserved-bytes.ts'
import { createUploads } from '../upload/uploads.ts'
import type { Parts } from './parts.ts'

export interface UploadFeatureDependencies {
  quota: Quota
  idempotency: Idempotency
  submission: JobSubmission
}

export type UploadFeatures = Awaited<ReturnType<typeof createUploadFeatures>>

/** Makes the key of part URLs at the very first start. Throws Problem('database_unavailable'). */
export async function createUploadFeatures(
  parts: Parts,
  { quota, idempotency, submission }: UploadFeatureDependencies,
) {
  const { config, database, clock, ids, vault, keyRing, secretWrapping } = parts
  const unreserved = createUnreservedBytes({ database, quota, clock })
  const uploads = createUploads({ ...parts, quota, submission, idempotency })
  const writer = createSessionWriter({ ...parts, quota })
  const seal = createSessionSeal({ ...parts, quota, uploads })
  const sessionParts = { ...parts, quota, submission, uploads, writer, seal }
  const sessions = createUploadSessions(sessionParts)
  const secret = await createInstallationSecrets({ database, wrapping: secretWrapping }).getOrMake(partUrlKeyName, () =>
    randomBytes(partUrlKeyBytes),
  )
  const partUrls = createPartUrls({ secret, clock })
  const partUploads = createPartUploads({ ...sessionParts, sessions, partUrls })
  const secrets = createTenantSecrets({ keyRing, ids })
  const rules = createAddressRules({ allowPrivate: config.importPrivate })
  const guard = { rules, clock }
  const folderRoots = config.importFolders
  const s3 = createS3Origin(guard)
  const sftp = createSftpOrigin(guard)
  const folder = createFolderOrigin({ roots: folderRoots, clock })
  const openers = {
    url: createUrlOpener(createGuardedFetch(guard)),
    s3: s3.open,
    sftp: sftp.open,
    folder: folder.open,
  }
  const listers = { s3: s3.list, sftp: sftp.list, folder: folder.list }
  const services: Service[] = [
    createUploadSweeper({ ...parts, vault, quota, seal }),
    createImporter({ ...parts, quota, uploads, secrets, writer, seal, openers }),
    createImportSourceLooks({ ...parts, sessions, secrets, listers }),
  ]
  return {
    routes: {
      ...uploadRoutes({ database, quota, uploads, unreserved, idempotency }),
      ...tusRoutes({ sessions, idempotency }),
      ...uploadSessionRoutes({ sessions, partUploads, partUrls, idempotency }),
      ...importRoutes({ sessions, secrets, rules, idempotency }),
      ...importSourceRoutes({ database, secrets, rules, folderRoots, idempotency }),
    },
    services,
  }
}

const partUrlKeyName = 'part_url_key'
const partUrlKeyBytes = 32
