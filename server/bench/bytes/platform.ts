// The platform as far as bytes pass through it: gateway, upload, encrypted disk store, content. Jobs are submitted; none runs.

import path from 'node:path'
import { createAuth } from '../../src/auth/auth.ts'
import { createRateLimiter } from '../../src/auth/rate-limit.ts'
import { createServeObject } from '../../src/files/content.ts'
import { createErasure } from '../../src/files/erasure.ts'
import { fileRoutes } from '../../src/files/file-routes.ts'
import { createFiles } from '../../src/files/files.ts'
import { createGateway } from '../../src/gateway/gateway.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { createIdempotency } from '../../src/platform/idempotency.ts'
import { systemIds } from '../../src/platform/ids.ts'
import { silentLog } from '../../src/platform/log.ts'
import { createMetrics } from '../../src/platform/metrics.ts'
import { releaseBytes } from '../../src/platform/owned-bytes.ts'
import { createLocalWakeBus } from '../../src/platform/wake.ts'
import { readBuiltInPipelines } from '../../src/pipeline/built-in.ts'
import { processors } from '../../src/pipeline/registry.ts'
import { createCatalogue } from '../../src/processing/catalogue.ts'
import { createEstimateStore } from '../../src/processing/estimate.sql.ts'
import { createEstimates } from '../../src/processing/estimates.ts'
import { createJobSubmission } from '../../src/processing/job-submission.ts'
import { createPipelines } from '../../src/processing/pipelines.ts'
import { createSqlStore } from '../../src/processing/sql-store.ts'
import { hasProgram } from '../../src/roles/programs.ts'
import { createPostgresSearch } from '../../src/search/postgres.ts'
import { openDiskStore } from '../../src/storage/disk.ts'
import { createVault } from '../../src/storage/encrypted-vault.ts'
import { createKeyRing } from '../../src/storage/key-ring.ts'
import { loadOrCreateMasterKey } from '../../src/storage/master-key-file.ts'
import type { SealedObject } from '../../src/storage/vault.ts'
import { createQuota } from '../../src/tenants/quota.ts'
import { createTenants } from '../../src/tenants/tenant.ts'
import { createTestDatabase } from '../../src/testing/database.ts'
import { createSessionSeal } from '../../src/upload/session-seal.ts'
import { createSessionWriter } from '../../src/upload/session-writer.ts'
import { tusRoutes } from '../../src/upload/tus-routes.ts'
import { uploadRoutes } from '../../src/upload/upload-routes.ts'
import { createUploadSessions } from '../../src/upload/upload-sessions.ts'
import { createUnreservedBytes } from '../../src/upload/unreserved-bytes.ts'
import { createUploads } from '../../src/upload/uploads.ts'

export async function openUploadPlatform(folder: string) {
  const test = await createTestDatabase()
  const { database } = test
  const clock = systemClock
  const ids = systemIds
  const log = silentLog
  const wake = createLocalWakeBus()
  const limiter = createRateLimiter({ clock })
  const wrapping = {
    wrap: (_: string, secret: Uint8Array) => secret,
    unwrap: (_: string, wrapped: Uint8Array) => wrapped,
  }
  const auth = await createAuth({ database, clock, log, wrapping, limiter })
  const tenants = createTenants({ database, hashPassword: (password) => auth.passwords.hash(password) })
  const { tenantRowId: tenantId } = await tenants.create({
    name: 't',
    admin: { email: 'a@example.com', password: 'p' },
  })
  const key = await auth.createApiKey(database, {
    tenantId,
    name: 'k',
    role: 'admin',
    operator: false,
    createdBy: null,
    expiresAt: null,
  })
  const masterKey = await loadOrCreateMasterKey(path.join(folder, 'master.key'))
  const store = await openDiskStore({ directory: path.join(folder, 'objects'), log })
  const vault = createVault({ store, keyRing: createKeyRing({ database, masterKey, clock }), ids, log })
  const idempotency = createIdempotency({ database, ids })
  const quota = createQuota({ database })
  const searchIndex = createPostgresSearch()
  const catalogue = await createCatalogue({ processors, hasProgram })
  const pipelines = createPipelines({ catalogue, builtIn: await readBuiltInPipelines() })
  const engineStore = createSqlStore({ database, pipelines, quota, searchIndex })
  const estimates = createEstimates({ store: createEstimateStore(database), catalogue, clock, log })
  const submission = createJobSubmission({ store: engineStore, pipelines, catalogue, estimates, clock })
  const uploads = createUploads({ database, vault, quota, submission, idempotency, wake, clock })
  const basics = { database, vault, quota, wake, clock, log, uploads, submission }
  const writer = createSessionWriter(basics)
  const sessions = createUploadSessions({ ...basics, writer, seal: createSessionSeal(basics) })
  const gateway = createGateway({
    routes: {
      ...uploadRoutes({
        database,
        quota,
        uploads,
        unreserved: createUnreservedBytes({ database, quota, clock }),
        idempotency,
      }),
      ...tusRoutes({ sessions, idempotency }),
      ...fileRoutes({
        database,
        files: createFiles({ database, searchIndex, metadataBytesMax: async () => 65_536 }),
        searchIndex,
        serveObject: createServeObject({ database, vault, ids }),
        erasure: createErasure({ database, searchIndex, vault, objectStore: store, log }),
        wake,
      }),
    },
    authenticator: auth,
    limiter,
    requestRate: { name: 'requests', perSecond: 1e6, burstCount: 1e6 },
    clock,
    ids,
    log,
    metrics: createMetrics({ processFigures: false }),
    readiness: {},
    host: '127.0.0.1',
    port: 0,
  })
  const running = new AbortController()
  await gateway.start(running.signal)
  let written: SealedObject | undefined
  return {
    uploadUrl: `${gateway.url()}/api/v1/files`,
    key: key.text,
    clear: () => database.script(`update file set state = 'available'`),
    async vaultWrite(content: AsyncIterable<Uint8Array>) {
      written = await vault.write({ tenantId, content, folder: 'files', sizeBytesMax: Number.MAX_SAFE_INTEGER })
    },
    async vaultRead() {
      if (written === undefined) throw new Error('nothing was written')
      for await (const piece of await vault.read(written)) releaseBytes(piece as Buffer) // A stream of bytes gives buffers.
    },
    async stop() {
      running.abort()
      await gateway.stop(1_000)
      await test.drop()
    },
  }
}
