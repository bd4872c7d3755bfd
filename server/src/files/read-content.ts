// Content for somebody outside. What breaks off after the answer has begun reaches nobody but the client, as a connection
// that is cut: so it is logged here, and what turns out to be damaged is looked at by the next scrub, which makes a finding
// of it, tells its owner and the doctor. Otherwise that would be known within a month.

import type { Readable } from 'node:stream'
import type { Database } from '../platform/database.ts'
import { Problem } from '../platform/problem.ts'
import type { RequestContext } from '../platform/routes.ts'
import type { ByteRange } from '../storage/object-store.ts'
import { makeVerificationDue } from '../storage/object.sql.ts'
import type { SealedObject, Vault } from '../storage/vault.ts'

/** Throws what Vault.read throws. */
export type ReadContent = (object: SealedObject, context: RequestContext, range?: ByteRange) => Promise<Readable>

export function createReadContent({ database, vault }: { database: Database; vault: Vault }): ReadContent {
  async function note(error: unknown, { objectId }: SealedObject, { log }: RequestContext): Promise<void> {
    if (!(error instanceof Problem) || error.code !== 'object_damaged') return
    log.error('content.damaged', { objectId })
    try {
      await database.asSystem((tx) => makeVerificationDue(tx, objectId))
    } catch (cause) {
      log.warn('content.damage_not_noted', { objectId, error: String(cause) })
    }
  }

  return async (object, context, range) => {
    const { signal, log } = context
    try {
      const body = await vault.read(object, { signal, ...(range !== undefined && { range }) })
      body.once('error', (error) => {
        // A client that goes away breaks nothing of ours.
        if (signal.aborted) return
        log.warn('content.broken_off', { objectId: object.objectId, error })
        void note(error, object, context)
      })
      return body
    } catch (error) {
      await note(error, object, context)
      throw error
    }
  }
}
