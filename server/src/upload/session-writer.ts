// Bytes that go on at the end of an upload session, as tus and imports send them: stored part by part, each counted in
// a transaction of its own, so that a process killed at any moment loses at most the part it was at. Whoever writes has
// taken the session (epoch); one that was overtaken finds out at its next count and takes back its part.

import { createHash, type Hash } from 'node:crypto'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import { Problem } from '../platform/problem.ts'
import type { WakeBus } from '../platform/wake.ts'
import type { StoredPart, Vault } from '../storage/vault.ts'
import type { TenantLimits } from '../tenants/limits.ts'
import { reservationLifetimeMs, type Quota } from '../tenants/quota.ts'
import { ContentCutter } from './content-cutter.ts'
import { createRunningHashes, type RunningHashes } from './running-hashes.ts'
import {
  advanceSession,
  draftOf,
  insertParts,
  insertUploadOutbox,
  noteProgress,
  type SessionRow,
} from './upload-session.sql.ts'

export interface SessionWriterDependencies {
  database: Database
  vault: Vault
  quota: Quota
  wake: WakeBus
  clock: Clock
}

export interface SessionWrite {
  /** As it was taken for this write. */
  session: SessionRow
  /** How many parts it has. */
  partsCount: number
  content: AsyncIterable<Uint8Array>
  /** How many bytes the content has, when that is known. */
  contentBytes?: number
  /** What all of the content must have; nothing of it counts before it has been compared. */
  checksum?: { algorithm: string; digest: Buffer }
  limits: TenantLimits
  /** Ends the content where it is: somebody else wants to go on. */
  stop: AbortSignal
  /** Of a lease that is to be renewed while bytes come. */
  leaseMs?: number
  log: Log
}

export interface SessionWriter {
  /**
   * Stores the content at the session's end and answers how many bytes it has then. Throws upload_incomplete and
   * upload_taken_over for a content that was cut, upload_too_long, upload_checksum_mismatch, file_too_large,
   * quota_exceeded, upload_too_fragmented, storage_full, storage_unavailable; what was counted before stays.
   */
  write(write: SessionWrite): Promise<number>
  /** Lets go of what is remembered of a session that has ended. */
  forget(id: RowId<'upload'>): void
}

/** What a process that is killed loses at most, and what one request to an S3 store carries well. */
const partSizeBytesMax = 16 * 1024 * 1024
/** As many as the table takes. At the largest size of a file they may be half a megabyte each. */
export const partsCountMax = 10_000
/** A day after the last byte, an upload is given up. */
export const sessionIdleMsMax = 24 * 60 * 60_000
/** A reservation outlives its session by so much, so that the sweep of the one gives back the other. */
export const sessionReservationMs = sessionIdleMsMax + reservationLifetimeMs
const progressEveryMs = 500

export function createSessionWriter(deps: SessionWriterDependencies): SessionWriter {
  const hashes = createRunningHashes()
  return {
    forget: (id) => hashes.forget(id),
    async write(write) {
      const cutter = new ContentCutter(write.content, write.stop)
      const pending: PendingPart[] = []
      try {
        const receivedBytes = await storeAll(deps, write, { cutter, pending, hashes })
        if (cutter.end !== 'whole') throw cutProblem(cutter)
        return receivedBytes
      } catch (error) {
        await takeBack(deps, write, pending)
        throw error
      }
    },
  }
}

/** Stored, and not counted yet. */
interface PendingPart {
  part: StoredPart
  /** That of the whole content up to the part's end; null when its beginning was not seen here. */
  sha256: string | null
}

interface Storing {
  cutter: ContentCutter
  pending: PendingPart[]
  hashes: RunningHashes
}

async function storeAll(
  deps: SessionWriterDependencies,
  write: SessionWrite,
  { cutter, pending, hashes }: Storing,
): Promise<number> {
  const { session, limits, checksum } = write
  const sizeBytesMax = session.size_bytes ?? limits.fileSizeBytesMax
  const total = checksum && createHash(checksum.algorithm)
  const watch = createProgressWatch(deps, write)
  const hash = hashes.at(session.id, session.received_bytes)
  let receivedBytes = session.received_bytes
  const countPending = async (): Promise<void> => {
    await count(deps, write, pending)
    if (hash !== undefined) hashes.put(session.id, receivedBytes, hash)
  }
  for (let number = write.partsCount + 1; await cutter.hasMore(); number++) {
    if (number > partsCountMax) throw new Problem('upload_too_fragmented')
    if (receivedBytes === sizeBytesMax) throw tooLong(session, limits)
    const wantedBytes = Math.min(partSizeBytesMax, sizeBytesMax - receivedBytes, write.contentBytes ?? Infinity)
    const roomBytes = await ensureRoom(deps, write, receivedBytes, wantedBytes)
    const part = await deps.vault.writePart(draftOf(session), {
      number,
      content: watch(cutter.take(roomBytes), receivedBytes, total),
      sizeBytesMax: roomBytes,
      ...(hash !== undefined && { hash }),
    })
    pending.push({ part, sha256: hash === undefined ? null : part.sha256 })
    receivedBytes += part.sizeBytes
    // A content that is longer than it was said to be must not become a file by its beginning.
    if (receivedBytes === sizeBytesMax && (await cutter.hasMore())) throw tooLong(session, limits)
    if (checksum === undefined) await countPending()
  }
  if (checksum !== undefined) {
    if (cutter.end !== 'whole') throw cutProblem(cutter)
    if (!total?.digest().equals(checksum.digest)) throw new Problem('upload_checksum_mismatch')
    await countPending()
  }
  return receivedBytes
}

const incompleteDetail = 'What had arrived by then is kept: ask for the offset and go on from there.'

function cutProblem({ end }: ContentCutter): Problem {
  if (end === 'stopped') return new Problem('upload_taken_over')
  const cause = typeof end === 'object' ? end.cut : undefined
  return cause instanceof Problem ? cause : new Problem('upload_incomplete', { cause, detail: incompleteDetail })
}

function tooLong(session: SessionRow, limits: TenantLimits): Problem {
  if (session.size_bytes === null)
    return new Problem('file_too_large', { detail: `At most ${limits.fileSizeBytesMax} bytes are allowed` })
  return new Problem('upload_too_long', { detail: `The upload was declared to have ${session.size_bytes} bytes.` })
}

/** How much of what is wanted there is room for: what was reserved at the beginning, or what can be added now. */
async function ensureRoom(
  { database, quota }: SessionWriterDependencies,
  { session, limits }: SessionWrite,
  receivedBytes: number,
  wantedBytes: number,
): Promise<number> {
  const { tenant_id: tenantId, reservation_id: reservationId } = session
  if (reservationId === null) return wantedBytes
  const held = await database.withTenant(tenantId, (tx) => quota.find(tx, tenantId, reservationId))
  const missingBytes = (session.size_bytes ?? receivedBytes + wantedBytes) - held.bytes
  if (missingBytes <= 0) return wantedBytes
  // Who has said how long it is learns at once that there is no room for all of it.
  const bytesMin = session.size_bytes === null ? Math.max(1, missingBytes - wantedBytes + 1) : missingBytes
  const room = { bytes: missingBytes, bytesMin }
  const grown = await quota.grow(held, limits, { ...room, lifetimeMs: sessionReservationMs })
  return Math.min(wantedBytes, grown.bytes - receivedBytes)
}

/** Counts stored parts as received, all or none. */
async function count(
  { database, quota }: SessionWriterDependencies,
  { session }: SessionWrite,
  pending: PendingPart[],
): Promise<void> {
  const { tenant_id: tenantId, id, epoch, reservation_id: reservationId } = session
  const bytes = pending.reduce((sum, { part }) => sum + part.sizeBytes, 0)
  try {
    await database.withTenant(tenantId, async (tx) => {
      const advanced = await advanceSession(tx, { tenantId, id, epoch, bytes, lifetimeMs: sessionIdleMsMax })
      if (!advanced) throw new Problem('upload_taken_over')
      const parts = pending.map(({ part, sha256 }) => ({ ...part, sha256 }))
      await insertParts(tx, { tenantId, id }, parts)
      if (reservationId !== null) await quota.extend(tx, { tenantId, id: reservationId }, sessionReservationMs)
    })
  } catch (error) {
    // A commit that was cut may have happened; then the parts belong to the session.
    if (error instanceof Problem && error.code === 'database_unavailable') pending.length = 0
    throw error
  }
  pending.length = 0
}

/** What cannot be removed now is swept when the session has ended. */
async function takeBack(
  { vault }: SessionWriterDependencies,
  { session, log }: SessionWrite,
  pending: PendingPart[],
): Promise<void> {
  for (const { part } of pending) {
    try {
      await vault.removePart(draftOf(session), part)
    } catch (error) {
      log.warn('upload.part_left', { uploadId: encodeId('upload', session.id), error: String(error) })
    }
  }
}

type ProgressWatch = (
  pieces: AsyncIterable<Uint8Array>,
  offsetBytes: number,
  total: Hash | undefined,
) => AsyncGenerator<Uint8Array, void, undefined>

/** Hands pieces on, and tells at most twice a second how far they are. */
function createProgressWatch(deps: SessionWriterDependencies, { session, leaseMs }: SessionWrite): ProgressWatch {
  const { database, clock, wake } = deps
  const { tenant_id: tenantId, id, epoch } = session
  let toldAtMs = clock.monotonicMs()
  let toldBytes = session.received_bytes
  let bytesPerSecond = session.bytes_per_second

  async function tell(receivedBytes: number, nowMs: number): Promise<void> {
    const rate = ((receivedBytes - toldBytes) * 1_000) / (nowMs - toldAtMs)
    const smoothed: number = bytesPerSecond === null ? rate : bytesPerSecond * 0.8 + rate * 0.2
    bytesPerSecond = smoothed
    toldAtMs = nowMs
    toldBytes = receivedBytes
    const note = { tenantId, id, epoch, bytesPerSecond: smoothed, leaseMs: leaseMs ?? null }
    const data = {
      upload_id: encodeId('upload', id),
      received_bytes: receivedBytes,
      size_bytes: session.size_bytes,
      bytes_per_second: Math.round(smoothed),
    }
    await database.withTenant(tenantId, async (tx) => {
      if (!(await noteProgress(tx, note))) throw new Problem('upload_taken_over')
      await insertUploadOutbox(tx, { tenantId, type: 'upload.progress', data })
    })
    wake.wake('outbox')
  }

  return async function* (pieces, offsetBytes, total) {
    let receivedBytes = offsetBytes
    for await (const piece of pieces) {
      receivedBytes += piece.length
      total?.update(piece)
      const nowMs = clock.monotonicMs()
      if (nowMs - toldAtMs >= progressEveryMs) await tell(receivedBytes, nowMs)
      yield piece
    }
  }
}
