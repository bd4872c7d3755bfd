// Looks after sessions that nobody looks after: expires those that nobody sends to any more, takes up seals that were given
// up, and removes what a crash or a late writer has left in the store. Any number of processes may run it; each of its
// moves is a conditional one, so two of them do nothing twice.

import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import { encodeId } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import type { Service } from '../platform/service.ts'
import type { Vault } from '../storage/vault.ts'
import type { Quota } from '../tenants/quota.ts'
import type { SessionSeal } from './session-seal.ts'
import {
  deleteOldSessions,
  draftOf,
  keyOf,
  listAbandonedSeals,
  listExpired,
  listParts,
  listUnswept,
  markSwept,
  type SessionRow,
} from './upload-session.sql.ts'

export interface UploadSweeperDependencies {
  database: Database
  vault: Vault
  quota: Quota
  seal: SessionSeal
  clock: Clock
  log: Log
}

export interface UploadSweeper extends Service {
  /** One round; answers how many sessions it did something about. */
  sweep(): Promise<number>
}

const sweepEveryMs = 30_000
const sessionsPerRoundMax = 100
/** No writer holds on to a part for as long. */
const strayAgeMs = 60 * 60_000
/** Ended sessions can be looked up for a week. */
const sessionKeptMs = 7 * 24 * 60 * 60_000

export function createUploadSweeper(deps: UploadSweeperDependencies): UploadSweeper {
  const { database, seal, quota, clock, log } = deps
  let round: Promise<unknown> = Promise.resolve()
  const stopped = new AbortController()

  /** One that cannot be dealt with now must not keep the others waiting. */
  async function forEach(
    sessions: readonly SessionRow[],
    what: string,
    act: (session: SessionRow) => Promise<unknown>,
  ) {
    for (const session of sessions) {
      if (stopped.signal.aborted) return
      try {
        await act(session)
      } catch (error) {
        log.warn('upload.sweep_failed', { what, uploadId: encodeId('upload', session.id), error: String(error) })
      }
    }
  }

  async function sweep(): Promise<number> {
    const limit = sessionsPerRoundMax
    const abandoned = await database.asSystem((tx) => listAbandonedSeals(tx, limit))
    // A seal that fails again has said so itself.
    await forEach(abandoned, 'seal', (session) => seal.seal(session.tenant_id, session.id))
    const expired = await database.asSystem((tx) => listExpired(tx, limit))
    await forEach(expired, 'expire', (session) => seal.end(keyOf(session), { state: 'expired', epoch: session.epoch }))
    const unswept = await database.asSystem((tx) => listUnswept(tx, { afterMs: strayAgeMs, limit }))
    await forEach(unswept, 'strays', (session) => removeStrays(deps, session))
    await database.asSystem((tx) => deleteOldSessions(tx, { keptMs: sessionKeptMs, limit }))
    await quota.releaseExpired()
    return abandoned.length + expired.length + unswept.length
  }

  return {
    name: 'upload-sweeper',
    sweep,
    async start(signal) {
      const ended = AbortSignal.any([signal, stopped.signal])
      void (async () => {
        while (!ended.aborted) {
          round = sweep().catch((error: unknown) => log.warn('upload.sweep_failed', { error: String(error) }))
          await round
          await clock.sleep(sweepEveryMs, ended)
        }
      })()
    },
    async stop() {
      stopped.abort()
      await round
    },
  }
}

/** Of a sealed session the parts that count stay; of any other nothing does. */
async function removeStrays({ database, vault, log }: UploadSweeperDependencies, session: SessionRow): Promise<void> {
  const key = keyOf(session)
  const isFile = session.state === 'sealed' && session.concat === null
  const parts = isFile ? await database.withTenant(key.tenantId, (tx) => listParts(tx, key)) : []
  const removedCount = await vault.removeStrayParts(draftOf(session), parts)
  if (removedCount > 0) log.info('upload.strays_removed', { uploadId: encodeId('upload', key.id), removedCount })
  await database.withTenant(key.tenantId, (tx) => markSwept(tx, key.tenantId, key.id))
}
