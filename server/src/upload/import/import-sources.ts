// Places that files are taken from again and again: a bucket, a folder, an SFTP server. A look through a place enters each
// new file together with the session that fetches it, in one transaction: so a look that dies half way, or two at once,
// neither forget a file nor fetch it twice. A file that has changed is a new file.

import { createHash } from 'node:crypto'
import type { ImportSourceKind } from '@millrace/contract'
import { encodeId } from '../../platform/ids.ts'
import type { Principal } from '../../platform/principal.ts'
import { Problem } from '../../platform/problem.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'
import type { Log } from '../../platform/log.ts'
import type { TenantSecrets } from '../../storage/tenant-secret.ts'
import { keyOf } from '../upload-session.sql.ts'
import type { UploadSessions } from '../upload-sessions.ts'
import { createDueWork, type DueWork } from './due-work.ts'
import type { FoundFile, ImportOrigin, PlaceLister } from './import-origin.ts'
import {
  claimSources,
  endLook,
  filterNewItems,
  insertItem,
  noteLook,
  type ImportSourceRow,
  type SourceHold,
} from './import-source.sql.ts'
import { makeDue } from './import.sql.ts'

export interface ImportSourceDependencies {
  database: Database
  sessions: UploadSessions
  secrets: TenantSecrets
  listers: Readonly<Record<ImportSourceKind, PlaceLister>>
  clock: Clock
  log: Log
}

const lookLeaseMs = 60_000
const lookEveryMs = 2_000
const looksAtOnceMax = 2
/** After a look that came to nothing, and when there is no room for more sessions. */
const pauseAfterFailureMs = 60_000

/** It was entered by another look in the meantime. */
class AlreadyEntered extends Error {}

export function createImportSourceLooks(deps: ImportSourceDependencies): DueWork {
  const { database } = deps
  return createDueWork({
    ...deps,
    name: 'import-sources',
    lookEveryMs,
    atOnceMax: looksAtOnceMax,
    claim: (limit) => database.asSystem((tx) => claimSources(tx, { limit, leaseMs: lookLeaseMs })),
    work: (source, stop) => lookThrough(deps, source, stop),
    idsOf: (source) => ({ sourceId: idOf(source) }),
  })
}

const idOf = ({ id }: ImportSourceRow): string => encodeId('import_source', id)

async function lookThrough(deps: ImportSourceDependencies, source: ImportSourceRow, stop: AbortSignal): Promise<void> {
  const { database, secrets, listers, log } = deps
  const { tenant_id: tenantId, id, epoch } = source
  const hold = { tenantId, id, epoch }
  const end = (pauseMs: number | null, problem: Problem | null): Promise<void> =>
    database.withTenant(tenantId, (tx) => endLook(tx, { ...hold, pauseMs, problem: problem && recordOf(problem) }))
  try {
    const place = await secrets.open(tenantId, source.secret)
    const after = source.cursor ?? undefined
    // Since the cursor that was noted last.
    let skippedCount = 0
    for await (const { files, cursor, ...page } of listers[source.kind]({ place, after, signal: stop })) {
      skippedCount += (page.skippedCount ?? 0) + (await enterNew(deps, source, files))
      const note = { ...hold, cursor: cursor ?? null, skippedCount, leaseMs: lookLeaseMs }
      if (cursor !== undefined) skippedCount = 0
      const isOurs = await database.withTenant(tenantId, (tx) => noteLook(tx, note))
      if (!isOurs) return
      if (stop.aborted) return await end(0, null)
    }
    await end(null, null)
  } catch (error) {
    if (stop.aborted) return await end(0, null)
    const problem = error instanceof Problem ? error : new Problem('internal', { cause: error })
    if (problem.code === 'internal') log.error('import.look_broke', { sourceId: idOf(source), error })
    await end(pauseAfterFailureMs, problem)
  }
}

const recordOf = ({ code, detail }: Problem) => ({ code, ...(detail !== undefined && { detail }) })

/** Answers how many were passed over because no file can have their name. */
async function enterNew(deps: ImportSourceDependencies, source: ImportSourceRow, files: FoundFile[]): Promise<number> {
  const key = { tenantId: source.tenant_id, id: source.id }
  const hashed = files.map((file) => ({ file, hash: hashOf(file) }))
  const hashes = hashed.map(({ hash }) => hash)
  const fresh = await deps.database.withTenant(key.tenantId, (tx) => filterNewItems(tx, key, hashes))
  let unnamedCount = 0
  for (const { file, hash } of hashed) {
    if (!fresh.has(hash)) continue
    try {
      await enter(deps, source, file, hash)
    } catch (error) {
      if (error instanceof Problem && error.code === 'file_name_invalid') unnamedCount++
      else if (!(error instanceof AlreadyEntered)) throw error
    }
  }
  return unnamedCount
}

const hashOf = ({ key, fingerprint }: FoundFile): string =>
  createHash('sha256')
    .update(JSON.stringify([key, fingerprint]))
    .digest('hex')

async function enter(
  { sessions, secrets }: ImportSourceDependencies,
  source: ImportSourceRow,
  file: FoundFile,
  hash: string,
): Promise<void> {
  const hold: SourceHold = { tenantId: source.tenant_id, id: source.id, epoch: source.epoch }
  const origin: ImportOrigin = {
    kind: source.kind,
    shown: file.shown,
    named: true,
    secret: await secrets.seal(hold.tenantId, file.secret),
  }
  await sessions.begin({
    principal: principalOf(source),
    requestId: idOf(source),
    kind: 'import',
    name: file.name,
    fields: source.fields,
    sizeBytes: null,
    source: origin,
    also: async (tx, session) => {
      if (!(await insertItem(tx, { ...hold, hash, sessionId: session.id }))) throw new AlreadyEntered()
      await makeDue(tx, keyOf(session))
    },
  })
}

/** Whoever set the source up owns what it finds. */
const principalOf = (source: ImportSourceRow): Principal => ({
  kind: 'system',
  tenantId: source.tenant_id,
  role: 'user',
  operator: false,
  actor: source.created_by,
})
