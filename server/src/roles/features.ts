// The features over the parts: each constructed once, with what it depends on. Which of them a process serves is the
// business of services.ts.

import { createFigures, type Figures } from '../analytics/figures.ts'
import { createEventStream, type EventStream } from '../analytics/event-stream.ts'
import { analyticsRoutes } from '../analytics/analytics-routes.ts'
import { authRoutes } from '../auth/auth-routes.ts'
import { createAuth, type Auth } from '../auth/auth.ts'
import { createInstallationSecrets } from '../auth/installation-secrets.ts'
import { createServeObject } from '../files/content.ts'
import { createDownloadLinks } from '../files/download-links.ts'
import { downloadRoutes } from '../files/download-routes.ts'
import { fileRoutes } from '../files/file-routes.ts'
import { createErasure, trashKeptDaysDefault, type Erasure } from '../files/erasure.ts'
import { createFiles } from '../files/files.ts'
import { createShredding, type Shredding } from '../files/shredding.ts'
import { shreddingRoutes } from '../files/shredding-routes.ts'
import { createServeZip } from '../files/zip-content.ts'
import { readBuiltInPipelines } from '../pipeline/built-in.ts'
import { processors } from '../pipeline/registry.ts'
import type { Tx } from '../platform/database.ts'
import { createIdempotency, type Idempotency } from '../platform/idempotency.ts'
import type { RouteGroup } from '../platform/routes.ts'
import type { OperationId } from '@millrace/contract'
import { createBatchRunner, type BatchRunner } from '../processing/batches/batch-runner.ts'
import { batchRoutes } from '../processing/batches/batch-routes.ts'
import { createBatches } from '../processing/batches/batches.ts'
import { controlRoutes } from '../processing/control/control-routes.ts'
import { createControlRunner, type ControlRunner } from '../processing/control/control-runner.ts'
import { scheduleRoutes } from '../processing/schedules/schedule-routes.ts'
import { shareRoutes } from '../processing/shares/share-routes.ts'
import { createScheduleRunner, type ScheduleRunner } from '../processing/schedules/schedule-runner.ts'
import { createCatalogue, type Catalogue } from '../processing/catalogue.ts'
import { createEngine, type Engine } from '../processing/engine.ts'
import type { EngineStore } from '../processing/engine-store.ts'
import { createEstimateStore } from '../processing/estimate.sql.ts'
import { createEstimates, type Estimates } from '../processing/estimates.ts'
import { createJobControl } from '../processing/job-control.ts'
import { jobRoutes } from '../processing/job-routes.ts'
import { createJobSubmission } from '../processing/job-submission.ts'
import { pipelineRoutes } from '../processing/pipeline-routes.ts'
import { createPipelines } from '../processing/pipelines.ts'
import { createSqlStore } from '../processing/sql-store.ts'
import { createPostgresSearch } from '../search/postgres.ts'
import { objectKeyHolder } from '../storage/object.sql.ts'
import { createOldKeys, type OldKeys } from '../storage/old-keys.ts'
import { createStoreProbe } from '../storage/probe.ts'
import { createTenantSecrets } from '../storage/tenant-secret.ts'
import { limitRoutes } from '../tenants/limit-routes.ts'
import { usageRoutes } from '../tenants/usage-routes.ts'
import { readTenantLimits } from '../tenants/limits.ts'
import { createQuota, type Quota } from '../tenants/quota.ts'
import { createTenants, type Tenants } from '../tenants/tenant.ts'
import { uploadKeyHolders } from '../upload/upload-keys.sql.ts'
import type { Parts } from './parts.ts'
import { hasProgram } from './programs.ts'
import { createUploadFeatures, type UploadFeatures } from './upload-features.ts'

export interface Features {
  readonly auth: Auth
  readonly tenants: Tenants
  readonly quota: Quota
  readonly idempotency: Idempotency
  readonly catalogue: Catalogue
  readonly engine: Engine
  readonly engineStore: EngineStore
  readonly estimates: Estimates
  readonly eventStream: EventStream
  readonly figures: Figures
  readonly batchRunner: BatchRunner
  readonly erasure: Erasure
  readonly shredding: Shredding
  readonly oldKeys: OldKeys
  readonly controlRunner: ControlRunner
  readonly scheduleRunner: ScheduleRunner
  /** Operations of role api. Together with those of uploadRoutes they are all that the contract has. */
  readonly apiRoutes: RouteGroup<Exclude<OperationId, UploadOperation>>
  readonly uploadRoutes: UploadFeatures['routes']
  /** They go with the upload operations. */
  readonly uploadServices: UploadFeatures['services']
}

type UploadOperation = keyof UploadFeatures['routes']

/** Makes the installation's secrets at the very first start. Throws Problem('database_unavailable'). */
export async function createFeatures(parts: Parts): Promise<Features> {
  const { config, database, clock, ids, log, wake, vault, limiter } = parts
  const auth = await createAuth({ database, clock, ids, log, limiter, wrapping: parts.secretWrapping })
  const tenants = createTenants({ database, hashPassword: (password) => auth.passwords.hash(password) })
  const quota = createQuota({ database })
  const idempotency = createIdempotency({ database, ids })
  const searchIndex = createPostgresSearch()
  const catalogue = await createCatalogue({ processors, hasProgram })
  const pipelines = createPipelines({ catalogue, builtIn: await readBuiltInPipelines() })
  const engineStore = createSqlStore({ database, pipelines, quota, searchIndex })
  const estimates = createEstimates({ store: createEstimateStore(database), catalogue, clock, log })
  const engine = createEngine({ store: engineStore, catalogue, estimates, random: Math.random })
  const submission = createJobSubmission({ store: engineStore, pipelines, catalogue, estimates, clock })
  const batchRunner = createBatchRunner({ database, vault, searchIndex, submission, wake, log })
  const batches = createBatches({ database, vault, pipelines, wake })
  const batch = batchRoutes({ database, batches })
  const controlRunner = createControlRunner({ database, engine, wake, log })
  const scheduleRunner = createScheduleRunner({ database, batches, clock, wake, log })
  const orders = controlRoutes({ database, wake })
  const schedules = scheduleRoutes({ database, pipelines, clock })
  const control = createJobControl({ engine, wake })
  const serveObject = createServeObject({ database, vault, ids })
  const metadataBytesMax = async (tx: Tx, tenantId: number): Promise<number> =>
    (await readTenantLimits(tx, tenantId)).metadataBytesMax
  const secrets = createInstallationSecrets({ database, wrapping: parts.secretWrapping })
  const linkSecret = await secrets.getOrMake('download-links', () => Buffer.from(ids.randomHex(32), 'hex'))
  const links = createDownloadLinks({ database, clock, secret: linkSecret })
  const serveZip = createServeZip({ database, vault })
  const erasure = createErasure({ database, searchIndex, vault, objectStore: parts.objectStore, log })
  const shredding = createShredding({ database, keyRing: parts.keyRing })
  const holders = [...uploadKeyHolders, objectKeyHolder]
  const oldKeys = createOldKeys({ database, keyRing: parts.keyRing, holders })
  const files = createFiles({ database, searchIndex, metadataBytesMax })
  const uploads = await createUploadFeatures(parts, { quota, idempotency, submission })
  const eventStream = createEventStream({ database, wake, clock, log })
  const figures = createFigures({ database, clock, storagePricePerGbMonth: config.storagePricePerGbMonth })
  const jobs = jobRoutes({ database, catalogue, submission, control, serveObject, wake })
  const downloads = downloadRoutes({ database, links, serveObject, serveZip })
  const answerSealing = createTenantSecrets({ keyRing: parts.keyRing, ids })
  const storeProbe = createStoreProbe({ store: parts.objectStore, clock })
  const identity = authRoutes({ auth, database, clock })
  const pipeline = pipelineRoutes({ database, pipelines, catalogue })
  return {
    auth,
    tenants,
    quota,
    idempotency,
    catalogue,
    engine,
    engineStore,
    estimates,
    eventStream,
    figures,
    batchRunner,
    erasure,
    shredding,
    oldKeys,
    controlRunner,
    scheduleRunner,
    apiRoutes: {
      ...identity,
      ...fileRoutes({ database, files, searchIndex, serveObject, erasure, wake }),
      ...shreddingRoutes({ shredding }),
      ...shareRoutes({ database, wake }),
      ...limitRoutes({ database, trashKeptDaysDefault }),
      ...usageRoutes({ database }),
      ...downloads,
      ...jobs,
      ...pipeline,
      ...batch,
      ...orders,
      ...schedules,
      ...analyticsRoutes({ database, eventStream, figures, storeProbe, parts: parts.descriptions }),
      // What these answer opens something, and is nowhere else kept in clear.
      createApiKey: idempotency.wrap('createApiKey', identity.createApiKey, answerSealing),
      createFileLink: idempotency.wrap('createFileLink', downloads.createFileLink, answerSealing),
      createOutputLink: idempotency.wrap('createOutputLink', downloads.createOutputLink, answerSealing),
      replayDeadLetters: idempotency.wrap('replayDeadLetters', orders.replayDeadLetters),
      cancelJobs: idempotency.wrap('cancelJobs', orders.cancelJobs),
      createSchedule: idempotency.wrap('createSchedule', schedules.createSchedule),
      createBatch: idempotency.wrap('createBatch', batch.createBatch),
      redriveBatch: idempotency.wrap('redriveBatch', batch.redriveBatch),
      createJob: idempotency.wrap('createJob', jobs.createJob),
      createPipeline: idempotency.wrap('createPipeline', pipeline.createPipeline),
    },
    uploadRoutes: uploads.routes,
    uploadServices: uploads.services,
  }
}
