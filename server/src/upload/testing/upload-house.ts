// The upload service on a test database: a real vault over a store in memory, and a submission that writes a job's row.

import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { insertTestTenant } from '../../files/testing/catalogue.ts'
import { systemClock, type Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'
import { createIdempotency } from '../../platform/idempotency.ts'
import { decodeId, encodeId, systemIds, type RowId } from '../../platform/ids.ts'
import { silentLog } from '../../platform/log.ts'
import { Problem } from '../../platform/problem.ts'
import type { RequestContext } from '../../platform/routes.ts'
import type { WakeTopic } from '../../platform/wake.ts'
import type { JobSubmission, SubmittedJob } from '../../processing/submission.ts'
import { createVault } from '../../storage/encrypted-vault.ts'
import type { ObjectStore } from '../../storage/object-store.ts'
import { findObject } from '../../storage/object.sql.ts'
import { createTenantSecrets } from '../../storage/tenant-secret.ts'
import { createMemoryKeyRing } from '../../storage/testing/memory-key-ring.ts'
import { createMemoryStore } from '../../storage/testing/memory-store.ts'
import { createQuota } from '../../tenants/quota.ts'
import { uploadRoutes } from '../upload-routes.ts'
import { createUnreservedBytes } from '../unreserved-bytes.ts'
import { createUploads } from '../uploads.ts'
import { createAddressRules, type AddressRules } from '../import/address-rules.ts'
import { createGuardedFetch } from '../import/guarded-fetch.ts'
import { importRoutes } from '../import/import-routes.ts'
import { createImporter } from '../import/importer.ts'
import { createFolderOrigin } from '../import/folder-place.ts'
import { importSourceRoutes } from '../import/import-source-routes.ts'
import { createImportSourceLooks } from '../import/import-sources.ts'
import { createS3Origin } from '../import/s3-place.ts'
import { createSftpOrigin } from '../import/sftp-place.ts'
import { createUrlOpener } from '../import/url-origin.ts'
import { createPartUploads } from '../part-uploads.ts'
import { createPartUrls } from '../part-url.ts'
import { createSessionSeal } from '../session-seal.ts'
import { createSessionWriter } from '../session-writer.ts'
import { tusRoutes } from '../tus-routes.ts'
import { uploadSessionRoutes } from '../upload-session-routes.ts'
import { createUploadSessions } from '../upload-sessions.ts'
import { createUploadSweeper } from '../upload-sweeper.ts'

/** Knows the pipelines "any" and, for text only, "texts"; writes no tasks. */
export const testSubmission: JobSubmission = {
  async choosePipeline(_, { pipeline = 'any', contentType }) {
    if (pipeline === 'texts' && !contentType.startsWith('text/')) throw new Problem('pipeline_not_accepted')
    if (pipeline !== 'any' && pipeline !== 'texts') throw new Problem('pipeline_unknown')
    return { name: pipeline, pipelineVersionId: 1 }
  },
  async submitJob(tx, job) {
    const { name, pipelineVersionId } = await testSubmission.choosePipeline(tx, job)
    await tx.query(
      `insert into pipeline_version (id, tenant_id, name, number, source, definition, created_by)
       values ($1, $2, 'any', 1, '', '{}', 'system') on conflict do nothing`,
      [pipelineVersionId, job.tenantId],
    )
    const lane = ['interactive', 'normal', 'bulk'].indexOf(job.lane)
    const { rows } = await tx.query<{ id: RowId<'job'> }>(
      `insert into job (tenant_id, file_id, file_version, pipeline_version_id, lane, steps_pending, created_by)
       values ($1, $2, $3, $4, $5, 1, $6) returning id`,
      [job.tenantId, job.fileId, job.fileVersion, pipelineVersionId, lane, job.actor],
    )
    // An insert that does not throw returns its row.
    const jobRowId = rows[0]!.id
    return { jobRowId, jobId: encodeId('job', jobRowId), pipeline: name, estimatedCompletion: new Date() }
  },
  async submitJobs(tx, jobs) {
    const submitted: (SubmittedJob | Problem)[] = []
    for (const job of jobs) {
      const submitting = testSubmission.submitJob(tx, job)
      submitted.push(
        await submitting.catch((error: unknown) => (error instanceof Problem ? error : Promise.reject(error))),
      )
    }
    return submitted
  },
}

export interface UploadHouseOptions {
  database: Database
  /** Left out: one in memory. */
  store?: ObjectStore
  submission?: JobSubmission
  clock?: Clock
  /** Left out: imports may go anywhere. */
  rules?: AddressRules
  resolve?: (name: string) => Promise<string[]>
  folderRoots?: readonly string[]
}

export function createUploadHouse(options: UploadHouseOptions) {
  const { database, submission = testSubmission, clock = systemClock } = options
  const memory = createMemoryStore()
  const keyRing = createMemoryKeyRing()
  const vault = createVault({
    store: options.store ?? memory,
    keyRing,
    ids: systemIds,
    log: silentLog,
  })
  const woken: WakeTopic[] = []
  const wake = { wake: (topic: WakeTopic) => void woken.push(topic), listen: () => () => {} }
  const quota = createQuota({ database })
  const idempotency = createIdempotency({ database, ids: systemIds })
  const uploads = createUploads({ database, vault, quota, submission, idempotency, wake, clock })
  const basics = { database, vault, quota, wake, clock, log: silentLog }
  const writer = createSessionWriter(basics)
  const seal = createSessionSeal({ ...basics, uploads })
  const sessionParts = { ...basics, uploads, submission, writer, seal }
  const sessions = createUploadSessions(sessionParts)
  const partUrls = createPartUrls({ secret: randomBytes(32), clock })
  const partUploads = createPartUploads({ ...sessionParts, sessions, partUrls })
  const sweeper = createUploadSweeper({ ...basics, seal })
  const secrets = createTenantSecrets({ keyRing, ids: systemIds })
  const rules = options.rules ?? createAddressRules({ allowPrivate: true })
  const guard = { rules, clock, ...(options.resolve && { resolve: options.resolve }) }
  const folderRoots = options.folderRoots ?? []
  const s3 = createS3Origin(guard)
  const sftp = createSftpOrigin(guard)
  const folder = createFolderOrigin({ roots: folderRoots, clock })
  const openers = { url: createUrlOpener(createGuardedFetch(guard)), s3: s3.open, sftp: sftp.open, folder: folder.open }
  const importer = createImporter({ ...basics, uploads, secrets, writer, seal, openers })
  const listers = { s3: s3.list, sftp: sftp.list, folder: folder.list }
  const looks = createImportSourceLooks({ ...basics, sessions, secrets, listers })
  const routes = {
    ...importRoutes({ sessions, secrets, rules, idempotency }),
    ...importSourceRoutes({ database, secrets, rules, folderRoots, idempotency }),
    ...uploadRoutes({
      database,
      quota,
      uploads,
      unreserved: createUnreservedBytes({ database, quota, clock }),
      idempotency,
    }),
    ...tusRoutes({ sessions, idempotency }),
    ...uploadSessionRoutes({ sessions, partUploads, partUrls, idempotency }),
  }
  return {
    objects: memory.objects,
    vault,
    /** What the newest version of a file holds. */
    async contentOf(fileId: string): Promise<Buffer> {
      const { rows } = await database.query<{ object_id: string }>('select object_id from file where id = $1', [
        decodeId('file', fileId),
      ])
      return buffer(await vault.read((await findObject(database, rows[0]!.object_id))!))
    },
    woken,
    quota,
    idempotency,
    uploads,
    writer,
    sessions,
    seal,
    sweeper,
    importer,
    looks,
    routes,
  }
}

export const newTenant = insertTestTenant

/**
 * As clients do that are told 503: so many at once on a crowded machine may wait longer for a connection to the database
 * than the pool lets them.
 */
export async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'database_unavailable') throw error
    }
  }
}

/** Ends what a client that was told 503 may have left behind, as time would: seals are tried again, the rest is given up. */
export async function endOpenUploads(
  { sweeper, sessions }: Pick<ReturnType<typeof createUploadHouse>, 'sweeper' | 'sessions'>,
  { database, tenantId }: { database: Database; tenantId: number },
): Promise<void> {
  await database.query(
    `update upload_session set lease_until = now() - interval '1 s'
     where tenant_id = $1 and state = 'sealing' and ended_at is null`,
    [tenantId],
  )
  await sweeper.sweep()
  const { principal } = contextOf(tenantId, Buffer.alloc(0), {})
  const list = { tenantId, before: undefined, state: undefined, kind: undefined, limit: 2_000 }
  for (const { id, ended_at: endedAt } of await sessions.list(list))
    if (endedAt === null) await sessions.abort(principal, encodeId('upload', id), 'req_test')
}

/** A request with this body, as the gateway hands it on. */
export function contextOf(
  tenantId: number,
  body: AsyncIterable<Uint8Array> | Buffer,
  headers: Record<string, string>,
  signal: AbortSignal = new AbortController().signal,
): RequestContext {
  return {
    principal: { kind: 'system', tenantId, role: 'user', operator: false, actor: 'system' },
    requestId: 'req_test',
    method: 'POST',
    headers,
    body: Buffer.isBuffer(body)
      ? Readable.from([body], { objectMode: false })
      : Readable.from(body, { objectMode: false }),
    signal,
    clientAddress: '127.0.0.1',
    log: silentLog,
  }
}

/** A form as a client writes it, with its headers. */
export async function writeForm(form: FormData): Promise<{ body: Buffer; headers: Record<string, string> }> {
  const message = new Response(form)
  const body = Buffer.from(await message.arrayBuffer())
  return {
    body,
    headers: {
      'content-type': message.headers.get('content-type') ?? '',
      'content-length': String(body.length),
    },
  }
}
