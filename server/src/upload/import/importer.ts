// Fetches what imports are waiting for. An import is an upload session whose bytes we get ourselves: whoever takes it holds
// a lease, and when he dies another goes on from what is stored. Nothing is fetched twice into one file, because each count
// of bytes asks for the holder's epoch, and nothing becomes two files, because the seal ends the session.
//
//   receiving, lease over ──take──▶ receiving, leased ──┬── all there ──▶ sealing …
//          ▲                                            ├── refused for good ──▶ failed
//          └──────── later, from where it stands ◀──────┘

import { checkFileName } from '../../files/file-name.ts'
import { encodeId } from '../../platform/ids.ts'
import { problems } from '@millrace/contract'
import { Problem } from '../../platform/problem.ts'
import { readTenantLimits, type TenantLimits } from '../../tenants/limits.ts'
import type { TenantSecrets } from '../../storage/tenant-secret.ts'
import type { UploadFields } from '../form.ts'
import type { SessionSeal, SessionSealDependencies } from '../session-seal.ts'
import type { SessionWriter } from '../session-writer.ts'
import { draftOf, findLastPartNumber, findSession, keyOf, type SessionRow } from '../upload-session.sql.ts'
import { createDueWork, type DueWork } from './due-work.ts'
import {
  parseImportOrigin,
  type FileOpener,
  type ImportOrigin,
  type ImportOriginKind,
  type OpenedFile,
} from './import-origin.ts'
import { claimImports, describeImport, endImportContent, releaseImport, restartImport } from './import.sql.ts'

export interface ImporterDependencies extends SessionSealDependencies {
  secrets: TenantSecrets
  writer: SessionWriter
  seal: SessionSeal
  openers: Readonly<Record<ImportOriginKind, FileOpener>>
}

/** Longer than it may take to open a file, and than any pause in its content. */
const importLeaseMs = 45_000
const openTimeoutMs = 40_000
const lookEveryMs = 1_000
const importsAtOnceMax = 8
/** So that one tenant's thousand do not take every place. */
const importsPerTenantMax = 4
const attemptsMax = 10
const pauseMsMax = 5 * 60_000

export function createImporter(deps: ImporterDependencies): DueWork {
  const { database } = deps
  return createDueWork({
    ...deps,
    name: 'importer',
    lookEveryMs,
    atOnceMax: importsAtOnceMax,
    claim: (limit) =>
      database.asSystem((tx) => claimImports(tx, { limit, perTenantMax: importsPerTenantMax, leaseMs: importLeaseMs })),
    work: (session, stop) => runImport(deps, session, stop),
    idsOf: ({ id }) => ({ uploadId: encodeId('upload', id) }),
  })
}

async function runImport(deps: ImporterDependencies, session: SessionRow, stop: AbortSignal): Promise<void> {
  const { database, seal, writer } = deps
  const key = keyOf(session)
  const hold = { ...key, epoch: session.epoch }
  try {
    await fetchContent(deps, session, stop)
  } catch (error) {
    const problem = error instanceof Problem ? error : new Problem('internal', { cause: error })
    return afterFailure(deps, session, problem, stop.aborted)
  } finally {
    writer.forget(key.id)
  }
  const isWhole = await database.withTenant(key.tenantId, (tx) => endImportContent(tx, hold))
  // What fails here is recorded by the seal, and tried again by the sweeper.
  if (isWhole) await seal.seal(key.tenantId, key.id).catch(() => {})
}

async function fetchContent(deps: ImporterDependencies, taken: SessionRow, stop: AbortSignal): Promise<void> {
  const { database, secrets, openers, writer, log } = deps
  const { tenantId, id } = keyOf(taken)
  const origin = parseImportOrigin(taken.source)
  const limits = await database.withTenant(tenantId, (tx) => readTenantLimits(tx, tenantId))
  const secret = await secrets.open(tenantId, origin.secret)
  const abandoned = new AbortController()
  const opened = new AbortController()
  void deps.clock.sleep(openTimeoutMs, opened.signal).then(() => opened.signal.aborted || abandoned.abort())
  const { received_bytes: offsetBytes } = taken
  const { validator } = origin
  const file = await openers[origin.kind]({ secret, offsetBytes, validator, signal: abandoned.signal }).finally(() =>
    opened.abort(),
  )
  try {
    checkFile(taken, file, limits)
    const session = await describe(deps, taken, origin, file)
    const partsCount = await database.withTenant(tenantId, (tx) => findLastPartNumber(tx, { tenantId, id }))
    await writer.write({ session, partsCount, content: file.content, limits, stop, leaseMs: importLeaseMs, log })
    const { received_bytes: receivedBytes } = (await find(deps, session)) ?? session
    if (file.sizeBytes !== undefined && receivedBytes < file.sizeBytes) throw brokeOff()
    if (receivedBytes === 0) throw new Problem('file_empty')
  } finally {
    abandoned.abort()
    file.dispose()
  }
}

const brokeOff = (): Problem => new Problem('import_source_unavailable', { detail: 'The source broke off.' })

const find = ({ database }: ImporterDependencies, session: SessionRow) =>
  database.withTenant(session.tenant_id, (tx) => findSession(tx, session.tenant_id, session.id))

function checkFile(taken: SessionRow, file: OpenedFile, { fileSizeBytesMax }: TenantLimits): void {
  if (file.sizeBytes === 0) throw new Problem('file_empty')
  if ((file.sizeBytes ?? 0) > fileSizeBytesMax)
    throw new Problem('file_too_large', { detail: `At most ${fileSizeBytesMax} bytes are allowed` })
  if (file.offsetBytes !== 0 && file.offsetBytes !== taken.received_bytes)
    throw new Problem('import_refused', { detail: 'The source went on elsewhere than it was asked to.' })
}

/** Notes what the origin has told, and lets go of what was stored when the file begins anew. */
async function describe(
  deps: ImporterDependencies,
  taken: SessionRow,
  origin: ImportOrigin,
  file: OpenedFile,
): Promise<SessionRow> {
  const { database, vault } = deps
  const { tenantId, id } = keyOf(taken)
  const hold = { tenantId, id, epoch: taken.epoch }
  const isAnew = file.offsetBytes === 0 && taken.received_bytes > 0
  const { validator: _, ...rest } = origin
  const source = { ...rest, ...(file.validator !== undefined && { validator: file.validator }) }
  const name = origin.named || file.name === undefined ? taken.name : usableName(file.name, taken.name)
  const fields = fieldsOf(taken, origin, file)
  const dropped = await database.withTenant(tenantId, async (tx) => {
    const parts = isAnew ? await restartImport(tx, hold) : []
    const described = await describeImport(tx, { ...hold, name, fields, sizeBytes: file.sizeBytes ?? null, source })
    if (!described) throw new Problem('upload_taken_over')
    return parts
  })
  for (const part of dropped) await vault.removePart(draftOf(taken), part).catch(() => {})
  const session = await find(deps, taken)
  if (session === undefined || session.epoch !== taken.epoch) throw new Problem('upload_taken_over')
  return session
}

/** The type is what was said at the beginning of the file; what its owner has said comes before that. */
function fieldsOf(
  { fields }: SessionRow,
  origin: ImportOrigin,
  { offsetBytes, declaredType }: OpenedFile,
): UploadFields {
  if (origin.typed === true || offsetBytes > 0) return fields
  const { declaredType: _, ...rest } = fields
  return { ...rest, ...(declaredType !== undefined && { declaredType }) }
}

function usableName(name: string, otherwise: string): string {
  try {
    return checkFileName(name)
  } catch {
    return otherwise
  }
}

async function afterFailure(
  deps: ImporterDependencies,
  session: SessionRow,
  problem: Problem,
  isStopping: boolean,
): Promise<void> {
  const { database, seal, log } = deps
  const hold = { ...keyOf(session), epoch: session.epoch }
  const { tenantId } = hold
  if (problem.code === 'internal') log.error('import.failed', { error: problem.cause ?? problem })
  const now = await find(deps, session)
  if (now?.epoch !== session.epoch || now.ended_at !== null) return
  // All had come before the source broke off.
  if (now.state === 'sealing') return void (await seal.seal(tenantId, now.id).catch(() => {}))
  // A step forward earns new attempts; a hand-back at the end of a process costs none.
  const hasAdvanced = now.received_bytes > session.received_bytes
  const attempts = isStopping ? session.attempts - 1 : hasAdvanced ? 1 : session.attempts
  // A source that breaks off in the middle of its content looks like a client that does.
  const shown = ['upload_incomplete', 'upload_taken_over'].includes(problem.code) ? brokeOff() : problem
  const isFinal = !isStopping && (!problems[shown.code].retryable || attempts >= attemptsMax)
  if (isFinal) return void (await seal.end(hold, { state: 'failed', problem: shown, epoch: hold.epoch }))
  const pauseMs = isStopping ? 0 : Math.min(pauseMsMax, 1_000 * 2 ** attempts)
  const { code, detail } = shown
  const recorded = isStopping ? null : { code, ...(detail !== undefined && { detail }) }
  await database.withTenant(tenantId, (tx) => releaseImport(tx, { ...hold, attempts, pauseMs, problem: recorded }))
}
