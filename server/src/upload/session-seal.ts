// The seal of an upload session: its parts become an object, the object a file with its job, and the session says so, all
// in one transaction. The intent to seal is a state of the session, so whoever dies in between is replaced by the next:
// the request that is sent again, or the sweeper.
//
//   receiving ──all there──▶ sealing ──┬── sealed
//                               ▲      ├── failed: this content or these wishes can never become a file
//                               └──────┴── later: store or database did not answer; up to ten times

import { problems, type ProblemCode, type UploadResult } from '@millrace/contract'
import { buffer } from 'node:stream/consumers'
import { sniffBytes, sniffContentType } from '../pipeline/formats/sniff.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import { invariant, Problem } from '../platform/problem.ts'
import type { WakeBus } from '../platform/wake.ts'
import type { SealedObject, Vault } from '../storage/vault.ts'
import { readTenantLimits, type TenantLimits } from '../tenants/limits.ts'
import type { Quota } from '../tenants/quota.ts'
import {
  claimSeal,
  draftOf,
  endPartials,
  endSealed,
  endSession,
  findSession,
  insertUploadOutbox,
  keyOf,
  listParts,
  lockSession,
  pauseSeal,
  renewSeal,
  type SessionKey,
  type SessionRow,
} from './upload-session.sql.ts'
import type { UploadOrder } from './seal-upload.ts'
import type { Uploads } from './uploads.ts'

export interface SessionSealDependencies {
  database: Database
  vault: Vault
  quota: Quota
  uploads: Uploads
  wake: WakeBus
  clock: Clock
  log: Log
}

export interface SessionSeal {
  /**
   * Seals a session whose bytes are all there, or waits for whoever is at it; answers what a seal answered before. Throws
   * what has made the session fail, and what may go by itself (the sweeper then tries again).
   */
  seal(tenantId: number, id: RowId<'upload'>): Promise<UploadResult>
  /**
   * Ends a session that has not ended, and lets go of its bytes and its reservation. False when it has ended, when a
   * seal is under way, or when an epoch is given and somebody else has taken the session since.
   */
  end(session: SessionKey, end: SessionEnd): Promise<boolean>
}

export interface SessionEnd {
  state: 'failed' | 'aborted' | 'expired'
  problem?: Problem
  /** Of whoever has taken the session, a seal included. */
  epoch?: number
}

const sealLeaseMs = 60_000
const sealAttemptsMax = 10
const sealPauseMs = 15_000
const waitForOtherMs = 30_000
const lookAgainMs = 100

export function createSessionSeal(deps: SessionSealDependencies): SessionSeal {
  const { database, clock } = deps
  const end = createEnd(deps)
  return {
    end,
    async seal(tenantId, id) {
      const giveUpAtMs = clock.monotonicMs() + waitForOtherMs
      for (;;) {
        const claimed = await database.withTenant(tenantId, (tx) =>
          claimSeal(tx, { tenantId, id, leaseMs: sealLeaseMs }),
        )
        if (claimed !== undefined) return sealClaimed(deps, end, claimed)
        const session = await database.withTenant(tenantId, (tx) => findSession(tx, tenantId, id))
        if (session?.result) return session.result
        if (session === undefined || session.ended_at !== null) throw endedProblem(session)
        if (clock.monotonicMs() > giveUpAtMs) throw new Problem('conflict', { detail: 'The upload is being sealed.' })
        await clock.sleep(lookAgainMs)
      }
    },
  }
}

/** What is told of a session that takes nothing any more. */
export function endedProblem(session: SessionRow | undefined): Problem {
  if (session === undefined) return new Problem('not_found')
  const { problem } = session
  if (session.state === 'failed' && problem !== null && isProblemCode(problem.code))
    return new Problem(problem.code, problem.detail === undefined ? {} : { detail: problem.detail })
  return new Problem('upload_ended', { detail: `It is ${session.state}.` })
}

const isProblemCode = (code: string): code is ProblemCode => Object.hasOwn(problems, code)

async function sealClaimed(deps: SessionSealDependencies, end: SessionSeal['end'], session: SessionRow) {
  try {
    const result = await sealOnce(deps, session)
    deps.wake.wake('backlog')
    deps.wake.wake('outbox')
    return result
  } catch (error) {
    const sealed = await findResult(deps, session)
    if (sealed !== undefined) return sealed
    await afterFailure(deps, end, session, error)
    throw error
  }
}

/** A commit that was cut may have happened. */
async function findResult({ database }: SessionSealDependencies, { tenant_id: tenantId, id }: SessionRow) {
  try {
    const found = await database.withTenant(tenantId, (tx) => findSession(tx, tenantId, id))
    return found?.result ?? undefined
  } catch {
    return undefined
  }
}

async function sealOnce(deps: SessionSealDependencies, session: SessionRow): Promise<UploadResult> {
  const { database, vault, quota, uploads } = deps
  const { tenant_id: tenantId, id, epoch } = session
  const limits = await database.withTenant(tenantId, (tx) => readTenantLimits(tx, tenantId))
  const object = await makeObject(deps, session, limits)
  try {
    const head = await buffer(await vault.read(object, { range: { start: 0, end: sniffBytes - 1 } }))
    const { declaredType } = session.fields
    const contentType = sniffContentType(head, session.name)
    const received = { name: session.name, contentType, object, ...(declaredType !== undefined && { declaredType }) }
    return await database.withTenant(tenantId, async (tx) => {
      const held = await lockSession(tx, tenantId, id)
      if (held?.epoch !== epoch || held.state !== 'sealing') throw new Problem('upload_taken_over')
      invariant(held.reservation_id !== null, 'a session that becomes a file has a reservation')
      const reservation = await quota.find(tx, tenantId, held.reservation_id)
      const order = orderOf(deps, held, limits)
      const result = await uploads.sealWithin(tx, order, { ...received, reservation }, held.fields)
      invariant(await endSealed(tx, { tenantId, id, epoch, result, sizeBytes: object.sizeBytes }), 'it is held')
      if (held.concat_sources !== null) await endPartials(tx, { tenantId, ids: held.concat_sources, state: 'sealed' })
      const data = { upload_id: encodeId('upload', id), state: 'sealed', job_id: result.job_id }
      await insertUploadOutbox(tx, { tenantId, type: 'upload.ended', data })
      return result
    })
  } catch (error) {
    // Where the object was written for this seal alone, it goes unless the commit may have happened.
    const unknown = error instanceof Problem && error.code === 'database_unavailable'
    if (session.concat === 'final' && !unknown) await vault.remove(object)
    throw error
  }
}

const orderOf = ({ log }: SessionSealDependencies, session: SessionRow, limits: TenantLimits): UploadOrder => ({
  principal: {
    kind: 'system',
    tenantId: session.tenant_id,
    role: 'user',
    operator: false,
    actor: session.created_by,
  },
  requestId: session.request_id ?? 'upload',
  limits,
  ...(session.file_id !== null && { fileId: session.file_id }),
  signal: new AbortController().signal,
  log,
})

async function makeObject(
  deps: SessionSealDependencies,
  session: SessionRow,
  limits: TenantLimits,
): Promise<SealedObject> {
  const { database, vault } = deps
  const { tenant_id: tenantId } = session
  const keepLease = createLeaseKeeper(deps, session)
  if (session.concat_sources !== null) {
    const content = joinPartials(deps, session, session.concat_sources, keepLease)
    return vault.write({ tenantId, content, folder: 'files', sizeBytesMax: limits.fileSizeBytesMax })
  }
  const parts = await database.withTenant(tenantId, (tx) => listParts(tx, keyOf(session)))
  const last = parts.at(-1)
  if (last === undefined) throw new Problem('file_empty')
  // The only part of a session in parts has the hash of the whole too; of several each has its own.
  const known = session.kind !== 'parts' || parts.length === 1 ? last.sha256 : null
  return vault.assemble(draftOf(session), parts, known === null ? { onBytes: keepLease } : { sha256: known })
}

/** A final upload is written anew from its partial ones: each of those is encrypted under a key of its own. */
async function* joinPartials(
  { database, vault }: SessionSealDependencies,
  { tenant_id: tenantId }: SessionRow,
  sources: readonly RowId<'upload'>[],
  keepLease: () => Promise<void> | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const id of sources) {
    const source = await database.withTenant(tenantId, async (tx) => {
      const session = await findSession(tx, tenantId, id)
      return session && { session, parts: await listParts(tx, keyOf(session)) }
    })
    if (source === undefined) throw new Problem('not_found', { detail: 'A partial upload is gone.' })
    for await (const piece of vault.readParts(draftOf(source.session), source.parts)) {
      await keepLease()
      yield piece
    }
  }
}

/** Renews the lease when a third of it has passed. */
function createLeaseKeeper(
  { database, clock }: SessionSealDependencies,
  { tenant_id: tenantId, id, epoch }: SessionRow,
): () => Promise<void> | undefined {
  let renewedAtMs = clock.monotonicMs()
  return () => {
    const nowMs = clock.monotonicMs()
    if (nowMs - renewedAtMs < sealLeaseMs / 3) return undefined
    renewedAtMs = nowMs
    return database.withTenant(tenantId, async (tx) => {
      const held = await renewSeal(tx, { tenantId, id, epoch, leaseMs: sealLeaseMs })
      if (!held) throw new Problem('upload_taken_over')
    })
  }
}

/** What no further attempt will change makes the session fail; the rest is tried again after a pause. */
async function afterFailure(
  deps: SessionSealDependencies,
  end: SessionSeal['end'],
  session: SessionRow,
  error: unknown,
): Promise<void> {
  const { database, log } = deps
  const { epoch } = session
  const { tenantId, id } = keyOf(session)
  const problem = error instanceof Problem ? error : new Problem('internal', { cause: error })
  if (problem.code === 'upload_taken_over') return
  const isFinal =
    (!problems[problem.code].retryable && problem.code !== 'internal') || problem.code === 'checksum_mismatch'
  if (!isFinal) log.warn('upload.seal_failed', { uploadId: encodeId('upload', id), error })
  try {
    if (isFinal || session.attempts >= sealAttemptsMax) await end(keyOf(session), { state: 'failed', problem, epoch })
    else
      await database.withTenant(tenantId, (tx) =>
        pauseSeal(tx, { tenantId, id, epoch, pauseMs: sealPauseMs, problem: recordOf(problem) }),
      )
  } catch (cause) {
    // Its lease runs out by itself.
    log.warn('upload.seal_left', { uploadId: encodeId('upload', id), error: String(cause) })
  }
}

const recordOf = ({ code, detail }: Problem) => ({ code, ...(detail !== undefined && { detail }) })

function createEnd({ database, vault, quota, wake, log }: SessionSealDependencies): SessionSeal['end'] {
  return async ({ tenantId, id }, { state, problem, epoch }) => {
    const ended = await database.withTenant(tenantId, async (tx) => {
      const row = await endSession(tx, { tenantId, id, state, problem: problem ? recordOf(problem) : null, epoch })
      if (row === undefined) return undefined
      if (row.reservation_id !== null) await quota.releaseWithin(tx, { tenantId, id: row.reservation_id })
      if (row.concat_sources !== null) await endPartials(tx, { tenantId, ids: row.concat_sources, state })
      const data = { upload_id: encodeId('upload', id), state, ...(problem && { code: problem.code }) }
      await insertUploadOutbox(tx, { tenantId, type: 'upload.ended', data })
      return row
    })
    if (ended === undefined) return false
    wake.wake('outbox')
    try {
      await vault.remove({ storeKey: ended.store_key })
    } catch (error) {
      log.warn('upload.object_left', { storeKey: ended.store_key, error: String(error) })
    }
    return true
  }
}
