// Every operation, asked by everyone, about everything: who may do what is stated here a second time, by hand, so that
// a slip in the policy table, in the gateway or in a feature shows as a wrong status. Ids that are foreign, missing or
// malformed must answer exactly alike, or they tell what exists.

import { apiPrefix, operations, type Operation, type OperationId } from '@millrace/contract'
import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { analyticsRoutes } from '../analytics/analytics-routes.ts'
import { createEventStream } from '../analytics/event-stream.ts'
import { createFigures } from '../analytics/figures.ts'
import { authRoutes } from '../auth/auth-routes.ts'
import { createAuth, type Auth } from '../auth/auth.ts'
import { createRateLimiter } from '../auth/rate-limit.ts'
import { systemClock } from '../platform/clock.ts'
import { decodeId, encodeId, systemIds, type RowId } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import { Problem } from '../platform/problem.ts'
import type { Handler } from '../platform/routes.ts'
import { createLocalWakeBus } from '../platform/wake.ts'
import { jobRoutes } from '../processing/job-routes.ts'
import { createTenants } from '../tenants/tenant.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { createGateway, type Gateway } from './gateway.ts'
import type { Routes } from './operation-routes.ts'

/** The least that an asker must be; a holder is whoever has a signed URL, which none of them has. */
const least: Record<OperationId, 'nobody' | 'holder' | 'read-only' | 'user' | 'admin' | 'operator'> = {
  createSession: 'nobody',
  refreshSession: 'nobody',
  deleteSession: 'nobody',
  getPrincipal: 'read-only',
  getUsage: 'read-only',
  listApiKeys: 'admin',
  createApiKey: 'admin',
  revokeApiKey: 'admin',
  uploadFile: 'user',
  listFiles: 'read-only',
  getFile: 'read-only',
  updateFile: 'user',
  deleteFile: 'user',
  restoreFile: 'user',
  getFileContent: 'read-only',
  getFileLineage: 'read-only',
  listFileVersions: 'read-only',
  uploadFileVersion: 'user',
  search: 'read-only',
  createFilesZip: 'read-only',
  getJobZip: 'read-only',
  createFileLink: 'user',
  createOutputLink: 'user',
  listLinks: 'read-only',
  deleteLink: 'user',
  openLink: 'nobody',
  describeUploads: 'nobody',
  createUpload: 'user',
  listUploads: 'read-only',
  getUpload: 'read-only',
  appendUpload: 'user',
  overrideUpload: 'user',
  abortUpload: 'user',
  createPartsUpload: 'user',
  listUploadParts: 'user',
  putUploadPart: 'holder',
  completeUpload: 'user',
  createImport: 'user',
  createImportSource: 'admin',
  listImportSources: 'read-only',
  getImportSource: 'read-only',
  updateImportSource: 'admin',
  deleteImportSource: 'admin',
  createJob: 'user',
  listJobs: 'read-only',
  getJob: 'read-only',
  cancelJob: 'user',
  pauseJob: 'user',
  resumeJob: 'user',
  retryJob: 'user',
  replayStep: 'user',
  getOutputContent: 'read-only',
  jobEvents: 'read-only',
  tenantEvents: 'read-only',
  createBatch: 'user',
  listBatches: 'read-only',
  getBatch: 'read-only',
  updateBatch: 'user',
  cancelBatch: 'user',
  redriveBatch: 'user',
  listBatchItems: 'read-only',
  getBatchReport: 'read-only',
  listDeadLetters: 'read-only',
  getDeadLetter: 'read-only',
  replayDeadLetters: 'user',
  cancelJobs: 'user',
  listControlTasks: 'read-only',
  getControlTask: 'read-only',
  cancelControlTask: 'user',
  createSchedule: 'user',
  listSchedules: 'read-only',
  getSchedule: 'read-only',
  updateSchedule: 'user',
  deleteSchedule: 'user',
  listPipelines: 'read-only',
  getPipeline: 'read-only',
  createPipeline: 'admin',
  validatePipeline: 'read-only',
  listProcessors: 'read-only',
  getAdminMetrics: 'operator',
  listWorkers: 'operator',
  listQueues: 'operator',
  getPoolShare: 'operator',
  updatePoolShare: 'operator',
  getTenantShare: 'operator',
  updateTenantShare: 'operator',
  getTenantLimits: 'operator',
  updateTenantLimits: 'operator',
  shredTenantKeys: 'operator',
  getDoctorReport: 'operator',
}

type Standing = 'stranger' | 'read-only' | 'user' | 'admin' | 'operator'
interface Asker {
  name: string
  standing: Standing
  authorization: string | undefined
  /** Of the tenant that owns what is asked about. */
  owner: boolean
}

let test: TestDatabase
let gateway: Gateway
let auth: Auth
let askers: Asker[]
let ids: Record<string, Record<IdKind, string>>
type IdKind = 'own' | 'foreign' | 'missing' | 'malformed' | 'of another kind' | 'absurd'
const idKinds: IdKind[] = ['own', 'foreign', 'missing', 'malformed', 'of another kind', 'absurd']

const insert = async <
  Kind extends
    | 'file'
    | 'job'
    | 'output'
    | 'link'
    | 'upload'
    | 'import_source'
    | 'batch'
    | 'control'
    | 'schedule'
    | 'task',
>(
  text: string,
  values: unknown[],
): Promise<RowId<Kind>> => {
  const { rows } = await test.database.query<{ id: RowId<Kind> }>(`${text} returning id`, values)
  return rows[0]!.id
}

/** A tenant with one of everything. */
async function furnish(tenantId: number, n: number) {
  const objectId = String(n).repeat(32)
  await test.database.query(`insert into object values ($1, $2, 'k', 1, 1, $3, '{}', '', 1, now())`, [
    objectId,
    tenantId,
    'a'.repeat(64),
  ])
  const fileId = await insert<'file'>(
    `insert into file (tenant_id, name, content_type, size_bytes, sha256, state, object_id, created_by)
     values ($1, 'secret.txt', 'text/plain', 1, '', 'available', $2, 'system')`,
    [tenantId, objectId],
  )
  const pipelineId = await insert(
    `insert into pipeline_version (tenant_id, name, number, source, definition, created_by)
     values ($1, $2, 1, '', '{"steps":{"s":{"uses":"x","needs":[],"with":{}}}}', 'system')`,
    [tenantId, `pipeline-${n}`],
  )
  const jobId = await insert<'job'>(
    `insert into job (tenant_id, file_id, file_version, pipeline_version_id, steps_pending, created_by) values ($1, $2, 1, $3, 1, 'system')`,
    [tenantId, fileId, pipelineId],
  )
  const outputId = await insert<'output'>(
    `insert into output (tenant_id, job_id, task_id, step, name, content_type, size_bytes, sha256, object_id)
     values ($1, $2, 1, 's', 'o', 'text/plain', 1, '', $3)`,
    [tenantId, jobId, objectId],
  )
  const uploadId = await insert<'upload'>(
    `insert into upload_session (tenant_id, kind, name, object_id, store_key, wrapped_key, tenant_key_version, created_by, expires_at)
     values ($1, 'parts', 'n', $2, 'k/', '', 1, 'system', now() + interval '1 hour')`,
    [tenantId, objectId],
  )
  const sourceId = await insert<'import_source'>(
    `insert into import_source (tenant_id, kind, name, config, created_by) values ($1, 's3', 'n', '{}', 'system')`,
    [tenantId],
  )
  const linkId = await insert<'link'>(
    `insert into download_link (tenant_id, file_id, file_version, created_by, expires_at)
     values ($1, $2, 1, 'system', now())`,
    [tenantId, fileId],
  )
  const batchId = await insert<'batch'>(
    `insert into batch (tenant_id, name, source, concurrency, created_by)
     values ($1, 'n', '{}', 1, 'system')`,
    [tenantId],
  )
  const controlId = await insert<'control'>(
    `insert into control_task (tenant_id, kind, filter, upto_id, cursor_id, matched_count, created_by)
     values ($1, 'cancel_jobs', '{}', 0, 0, 0, 'system')`,
    [tenantId],
  )
  const scheduleId = await insert<'schedule'>(
    `insert into schedule (tenant_id, name, cron, time_zone, missed_ticks, batch, next_tick_at, created_by)
     values ($1, 'n', '0 0 * * *', 'UTC', 'skip', '{}', now() + interval '1 day', 'system')`,
    [tenantId],
  )
  const taskId = await insert<'task'>(
    `insert into task (tenant_id, job_id, step, state, rank, input) values ($1, $2, 's', 'dead', 0, '{}')`,
    [tenantId, jobId],
  )
  const { row } = await auth.createApiKey(test.database, {
    tenantId,
    name: 'x',
    role: 'user',
    operator: false,
    createdBy: null,
    expiresAt: null,
  })
  return {
    file_id: encodeId('file', fileId) as string,
    job_id: encodeId('job', jobId) as string,
    output_id: encodeId('output', outputId) as string,
    link_id: encodeId('link', linkId) as string,
    tenant_id: encodeId('tenant', tenantId as RowId<'tenant'>) as string,
    token: 'link.none',
    api_key_id: encodeId('api_key', row.id) as string,
    name: `pipeline-${n}`,
    step: 's',
    upload_id: encodeId('upload', uploadId) as string,
    import_source_id: encodeId('import_source', sourceId) as string,
    batch_id: encodeId('batch', batchId) as string,
    control_task_id: encodeId('control', controlId) as string,
    schedule_id: encodeId('schedule', scheduleId) as string,
    task_id: encodeId('task', taskId) as string,
    number: '1',
    pool: '0',
  }
}

/** Files and pipelines as their features must treat them: through the tenant's scope, by id or by name. */
type FoundByName = 'pipeline_version'
type FoundById =
  | 'file'
  | 'job'
  | 'upload'
  | 'import_source'
  | 'output'
  | 'link'
  | 'batch'
  | 'control'
  | 'schedule'
  | 'task'

/** Where what an id names is kept, where it goes by another name there. */
const tables: Partial<Record<FoundById | FoundByName, string>> = {
  upload: 'upload_session',
  link: 'download_link',
  control: 'control_task',
}

function lookUp(kind: FoundById | FoundByName): (id: string, tenantId: number) => Promise<void> {
  return async (id, tenantId) => {
    const [column, value] = kind === 'pipeline_version' ? ['name', id] : ['id', decodeId(kind, id)]
    const { rowCount } = await test.database.withTenant(tenantId, (tx) =>
      tx.query(`select 1 as found from ${tables[kind] ?? kind} where ${column} = $1`, [value ?? null]),
    )
    if (rowCount === 0) throw new Problem('not_found')
  }
}

function standIns(): Routes {
  const answer = { items: [], next_cursor: null }
  const by = (table: Parameters<typeof lookUp>[0], param: string) =>
    (async ({ params }: { params: Record<string, string> }, { principal }: { principal: { tenantId: number } }) => {
      await lookUp(table)(params[param] ?? '', principal.tenantId)
      return answer
    }) as unknown as Handler<'getFile'>
  const free = (async () => answer) as unknown as Handler<'getFile'>
  const file = by('file', 'file_id')
  const upload = by('upload', 'upload_id')
  const source = by('import_source', 'import_source_id')
  const batch = by('batch', 'batch_id')
  const control = by('control', 'control_task_id')
  const schedule = by('schedule', 'schedule_id')
  const names: Partial<Record<OperationId, unknown>> = {
    createBatch: free,
    listBatches: free,
    getBatch: batch,
    updateBatch: batch,
    cancelBatch: batch,
    redriveBatch: batch,
    listBatchItems: batch,
    getBatchReport: batch,
    listDeadLetters: free,
    getDeadLetter: by('task', 'task_id'),
    replayDeadLetters: free,
    cancelJobs: free,
    listControlTasks: free,
    getControlTask: control,
    cancelControlTask: control,
    createSchedule: free,
    listSchedules: free,
    getSchedule: schedule,
    updateSchedule: schedule,
    deleteSchedule: schedule,
    describeUploads: free,
    createUpload: free,
    listUploads: free,
    getUpload: upload,
    appendUpload: upload,
    overrideUpload: upload,
    abortUpload: upload,
    createPartsUpload: free,
    listUploadParts: upload,
    putUploadPart: () => Promise.reject(new Problem('upload_url_expired')),
    completeUpload: upload,
    createImport: free,
    createImportSource: free,
    listImportSources: free,
    getImportSource: source,
    updateImportSource: source,
    deleteImportSource: source,
    uploadFile: free,
    listFiles: free,
    getFile: file,
    updateFile: file,
    deleteFile: file,
    restoreFile: file,
    getFileContent: file,
    getFileLineage: file,
    listFileVersions: file,
    getPoolShare: free,
    updatePoolShare: free,
    getTenantShare: free,
    updateTenantShare: free,
    getUsage: free,
    getTenantLimits: free,
    updateTenantLimits: free,
    shredTenantKeys: free,
    uploadFileVersion: file,
    search: free,
    createFilesZip: free,
    getJobZip: by('job', 'job_id'),
    createFileLink: file,
    createOutputLink: by('output', 'output_id'),
    listLinks: free,
    deleteLink: by('link', 'link_id'),
    openLink: free,
    listPipelines: free,
    getPipeline: by('pipeline_version', 'name'),
    createPipeline: free,
    validatePipeline: free,
    listProcessors: free,
  }
  return names as Routes
}

function buildRoutes(): Routes {
  const { database } = test
  const wake = createLocalWakeBus()
  const guard = async (tenantId: number, jobRowId: RowId<'job'>) => lookUp('job')(encodeId('job', jobRowId), tenantId)
  const eventStream = createEventStream({ database, wake, clock: systemClock, log: silentLog })
  return {
    ...standIns(),
    ...authRoutes({ auth, database, clock: systemClock }),
    ...jobRoutes({
      database,
      wake,
      catalogue: { entries: [], find: () => undefined },
      submission: {
        choosePipeline: () => Promise.reject(new Error('unused')),
        submitJobs: () => Promise.reject(new Error('unused')),
        submitJob: async (_, { tenantId }) => ({
          jobRowId: tenantId as RowId<'job'>,
          jobId: encodeId('job', tenantId as RowId<'job'>),
          pipeline: 'p',
          estimatedCompletion: new Date(),
        }),
      },
      control: { cancelJob: guard, pauseJob: guard, resumeJob: guard, retryJob: guard, replayStep: guard },
      serveObject: async () => ({ kind: 'stream', status: 200, headers: {}, body: undefined }),
    }),
    ...analyticsRoutes({
      database,
      eventStream,
      figures: createFigures({ database, clock: systemClock, storagePricePerGbMonth: 0 }),
      storeProbe: { reports: async () => [] },
      parts: {},
    }),
  }
}

beforeAll(async () => {
  test = await createTestDatabase()
  const { database } = test
  const limiter = createRateLimiter({ clock: systemClock })
  const wrapping = {
    wrap: (_: string, secret: Uint8Array) => secret,
    unwrap: (_: string, wrapped: Uint8Array) => wrapped,
  }
  const many = { name: 'many', perSecond: 1e6, burstCount: 1e6 }
  const loginRates = { perAccount: many, perAddress: many }
  auth = await createAuth({ database, clock: systemClock, log: silentLog, wrapping, limiter, loginRates })
  const tenants = createTenants({ database, hashPassword: (password) => auth.passwords.hash(password) })
  gateway = createGateway({
    routes: buildRoutes(),
    authenticator: auth,
    limiter,
    requestRate: many,
    clock: systemClock,
    ids: systemIds,
    log: silentLog,
    metrics: createMetrics({ processFigures: false }),
    readiness: {},
    host: '127.0.0.1',
    port: 0,
  })

  const create = (name: string, operator = false) =>
    tenants.create({ name, admin: { email: `${name}@example.com`, password: 'p', operator } })
  const own = await create('own')
  const other = await create('other')
  const suspended = await create('suspended')
  await create('operator', true)
  const keyOf = async (tenantId: number, role: 'admin' | 'user' | 'read-only', expiresAt: Date | null = null) =>
    (await auth.createApiKey(database, { tenantId, name: role, role, operator: false, createdBy: null, expiresAt }))
      .text
  const sessionOf = async (email: string) =>
    (await auth.sessions.signIn({ email, password: 'p', clientAddress: 'x', requestId: 'r' })).accessToken
  for (const role of ['user', 'read-only'] as const) {
    await tenants.addUser(own.tenantRowId, { email: `${role}@example.com`, password: 'p', role })
  }
  await tenants.addUser(own.tenantRowId, { email: 'gone@example.com', password: 'p', role: 'admin' })
  const goneToken = await sessionOf('gone@example.com')
  await database.query(`update user_account set disabled_at = now() where email = 'gone@example.com'`)
  const revoked = await keyOf(own.tenantRowId, 'admin')
  await database.query('update api_key set revoked_at = now() where id = (select max(id) from api_key)')
  const suspendedToken = await sessionOf('suspended@example.com')
  const suspendedKey = await keyOf(suspended.tenantRowId, 'admin')
  await database.query(`update tenant set state = 'suspended' where id = $1`, [suspended.tenantRowId])
  const past = { ...systemClock, now: () => new Date(Date.now() - 3_600_000) }
  const earlier = await createAuth({ database, clock: past, log: silentLog, wrapping, limiter, loginRates })
  const expiredToken = (
    await earlier.sessions.signIn({ email: 'own@example.com', password: 'p', clientAddress: 'x', requestId: 'r' })
  ).accessToken
  const wrongKey = (await keyOf(own.tenantRowId, 'admin')).replace(/.$/, (last) => (last === '0' ? '1' : '0'))
  const unknown = (await import('../auth/api-key.ts')).makeApiKey(systemIds)

  const asker = (name: string, standing: Standing, token: string | undefined, owner = false): Asker => ({
    name,
    standing,
    owner,
    authorization: token === undefined ? undefined : `Bearer ${token}`,
  })
  askers = [
    asker('anonymous', 'stranger', undefined),
    asker('with nonsense', 'stranger', 'nonsense'),
    asker('with an expired token', 'stranger', expiredToken),
    asker('with an expired key', 'stranger', await keyOf(own.tenantRowId, 'admin', new Date(Date.now() - 1_000))),
    asker('with a mistyped key', 'stranger', wrongKey),
    asker('with an unknown key', 'stranger', unknown),
    asker('with a revoked key', 'stranger', revoked),
    asker('a disabled admin', 'stranger', goneToken),
    asker('an admin of a suspended tenant', 'stranger', suspendedToken),
    asker('a key of a suspended tenant', 'stranger', suspendedKey),
    asker('a read-only key', 'read-only', await keyOf(own.tenantRowId, 'read-only'), true),
    asker('a read-only user', 'read-only', await sessionOf('read-only@example.com'), true),
    asker('a user key', 'user', await keyOf(own.tenantRowId, 'user'), true),
    asker('a user', 'user', await sessionOf('user@example.com'), true),
    asker('an admin key', 'admin', await keyOf(own.tenantRowId, 'admin'), true),
    asker('an admin', 'admin', await sessionOf('own@example.com'), true),
    asker('another tenant’s admin', 'admin', await sessionOf('other@example.com')),
    asker('another tenant’s admin key', 'admin', await keyOf(other.tenantRowId, 'admin')),
    asker('the operator', 'operator', await sessionOf('operator@example.com')),
  ]
  const [mine, theirs] = [await furnish(own.tenantRowId, 1), await furnish(other.tenantRowId, 2)]
  const far = 4_000_000_000
  const missing: Record<string, string> = {
    file_id: encodeId('file', far as RowId<'file'>),
    job_id: encodeId('job', far as RowId<'job'>),
    output_id: encodeId('output', far as RowId<'output'>),
    link_id: encodeId('link', far as RowId<'link'>),
    tenant_id: encodeId('tenant', far as RowId<'tenant'>),
    token: 'link.none',
    api_key_id: encodeId('api_key', far as RowId<'api_key'>),
    name: 'no-such-pipeline',
    step: 's',
    upload_id: encodeId('upload', far as RowId<'upload'>),
    import_source_id: encodeId('import_source', far as RowId<'import_source'>),
    batch_id: encodeId('batch', far as RowId<'batch'>),
    control_task_id: encodeId('control', far as RowId<'control'>),
    schedule_id: encodeId('schedule', far as RowId<'schedule'>),
    task_id: encodeId('task', far as RowId<'task'>),
    number: '1',
    pool: '0',
  }
  ids = Object.fromEntries(
    Object.keys(missing).map((param) => [
      param,
      {
        own: mine[param as keyof typeof mine],
        foreign: theirs[param as keyof typeof theirs],
        missing: missing[param]!,
        malformed: "x' or 1=1 --",
        'of another kind': param === 'file_id' ? mine.job_id : mine.file_id,
        absurd: 'y'.repeat(3_000),
      },
    ]),
  )
})

afterAll(async () => {
  await gateway.stop(100)
  await test.drop()
})

const bodies: Partial<Record<OperationId, (kind: IdKind) => object>> = {
  createSession: () => ({ email: 'nobody@example.com', password: 'x' }),
  refreshSession: () => ({ refresh_token: 'x' }),
  deleteSession: () => ({ refresh_token: 'x' }),
  createApiKey: () => ({ name: 'n', role: 'read-only' }),
  updateFile: () => ({ name: 'n' }),
  createFilesZip: (kind) => ({ file_ids: [ids['file_id']![kind].slice(0, 100)] }),
  createFileLink: () => ({}),
  shredTenantKeys: () => ({ confirm: 'x' }),
  updatePoolShare: () => ({}),
  updateTenantShare: () => ({}),
  updateTenantLimits: () => ({}),
  createOutputLink: () => ({}),
  createJob: (kind) => ({ file_id: ids['file_id']![kind].slice(0, 100) }),
  createPartsUpload: () => ({ name: 'n', size_bytes: 1 }),
  createImport: () => ({ url: 'https://example.com/a' }),
  createImportSource: () => ({ name: 'n' }),
  updateImportSource: () => ({ state: 'paused' }),
  createBatch: () => ({}),
  updateBatch: () => ({}),
  redriveBatch: () => ({}),
  replayDeadLetters: () => ({}),
  cancelJobs: () => ({}),
  createSchedule: () => ({ name: 'n', cron: '0 0 * * *', batch: {} }),
  updateSchedule: () => ({}),
  createPipeline: () => ({ source: 'x' }),
  validatePipeline: () => ({ source: 'x' }),
}

function requestFor(id: OperationId, asker: Asker, kind: IdKind): InjectOptions {
  const operation: Operation = operations[id]
  const path = operation.path.replace(/\{(\w+)\}/g, (_, param: string) => encodeURIComponent(ids[param]![kind]))
  const isForm = operation.bodyType === 'multipart/form-data'
  const body = bodies[id]?.(kind)
  return {
    // A stream of events never ends; its head says what is to be known.
    method: operation.responseType === 'text/event-stream' ? 'HEAD' : operation.method,
    url: `${apiPrefix}${path}${id === 'search' ? '?q=x' : ''}`,
    headers: {
      ...(asker.authorization !== undefined && { authorization: asker.authorization }),
      ...(isForm && { 'content-type': 'multipart/form-data; boundary=b' }),
    },
    ...(isForm ? { payload: '--b--' } : body && { payload: body }),
  }
}

const rank: Record<Standing, number> = { stranger: 0, 'read-only': 1, user: 2, admin: 3, operator: 3 }

function expectedOf(id: OperationId, asker: Asker, kind: IdKind): 401 | 403 | 404 | 'through' {
  const need = least[id]
  if (need === 'nobody') return 'through'
  if (need === 'holder') return 403
  if (asker.standing === 'stranger') return 401
  if (need === 'operator') {
    if (asker.standing !== 'operator') return 403
    // An id that is too long to be one names nothing; the others are the stand-in's to judge.
    return kind === 'absurd' && operations[id].path.includes('{') ? 404 : 'through'
  }
  if (rank[asker.standing] < rank[need]) return 403
  const named = /\{(?!step)/.test(operations[id].path) || id === 'createJob'
  return !named || (asker.owner && kind === 'own') ? 'through' : 404
}

/** All that a client could tell two answers apart by. */
const comparable = (response: { statusCode: number; headers: object; body: string }): string => {
  const { 'x-request-id': _, ratelimit: __, date: ___, ...headers } = response.headers as Record<string, unknown>
  return JSON.stringify([response.statusCode, headers, response.body.replace(/"request_id":"[^"]*"/, '')])
}

describe('every operation, asked by everyone about everything', () => {
  it.each(Object.keys(operations) as OperationId[])('%s', async (id) => {
    for (const asker of askers) {
      const refusals = new Map<number, Set<string>>()
      for (const kind of idKinds) {
        // The other tenant's admin owns what is foreign to the first.
        if (kind === 'foreign' && !asker.owner) continue
        const what = `${id} by ${asker.name}, ${kind}`
        const response = await gateway.app.inject(requestFor(id, asker, kind))
        const expected = expectedOf(id, asker, kind)
        if (expected === 'through') {
          const refused = least[id] === 'nobody' ? [403, 404] : [401, 403, 404]
          expect([what, refused.includes(response.statusCode), response.statusCode >= 500]).toEqual([
            what,
            false,
            false,
          ])
          continue
        }
        expect([what, response.statusCode]).toEqual([what, expected])
        refusals.set(expected, (refusals.get(expected) ?? new Set()).add(comparable(response)))
      }
      for (const [status, answers] of refusals) {
        expect([id, asker.name, status, [...answers]]).toEqual([id, asker.name, status, [[...answers][0]]])
      }
    }
  })

  it('finds the same nothing when a list is asked for a foreign, a missing or a malformed parent', async () => {
    const asker = askers.find((item) => item.name === 'an admin')!
    const answers = new Set<string>()
    for (const kind of idKinds.filter((item) => item !== 'own' && item !== 'absurd')) {
      const request = requestFor('listJobs', asker, kind)
      const url = `${apiPrefix}/jobs?file_id=${encodeURIComponent(ids['file_id']![kind])}`
      answers.add(comparable(await gateway.app.inject({ ...request, url })))
    }
    expect(answers.size).toBe(1)
    expect([...answers][0]).toContain('{\\"items\\":[],\\"next_cursor\\":null}')
  })
})
