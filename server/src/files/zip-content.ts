// Several files or outputs as one zip, written while it is sent: no temporary file, and no more memory than a piece.

import { Readable } from 'node:stream'
import type { Database } from '../platform/database.ts'
import { Problem } from '../platform/problem.ts'
import type { RequestContext, StreamAnswer } from '../platform/routes.ts'
import { findObject } from '../storage/object.sql.ts'
import type { Vault } from '../storage/vault.ts'
import { contentDisposition } from './file-name.ts'
import { createReadContent } from './read-content.ts'
import { zipNames } from './zip-names.ts'
import { writeZip, zipSizeOf, type ZipMember } from './zip-stream.ts'

export interface ZippedObject {
  objectId: string
  /** As people gave it; made safe and unique here. */
  name: string
  sizeBytes: number
  modifiedAt: Date
}

export interface ServedZip {
  /** Of the download. */
  name: string
  members: readonly ZippedObject[]
}

/** What one directory is held in memory for; it is some 2 MB. */
export const zipMembersCountMax = 10_000

export type ServeZip = (context: RequestContext, zip: ServedZip) => Promise<StreamAnswer>

/**
 * Answers 200 with the exact length. The first member is verified before anything is answered; what fails later breaks
 * the answer off before its end, which a client sees by its length and by the missing directory, and is logged. Whether
 * these bytes may leave at all is the caller's to know.
 */
export function createServeZip({ database, vault }: { database: Database; vault: Vault }): ServeZip {
  type Member = ZipMember & { objectId: string }
  const read = createReadContent({ database, vault })

  async function open({ objectId }: Member, context: RequestContext): Promise<Readable> {
    const object = await database.withTenant(context.principal.tenantId, (tx) => findObject(tx, objectId))
    if (object === undefined) throw new Problem('not_found', { detail: 'A file of the zip has been erased meanwhile.' })
    return read(object, context)
  }

  return async (context, { name, members: wanted }) => {
    if (wanted.length > zipMembersCountMax) {
      const detail = `A zip takes at most ${zipMembersCountMax} files; this would be ${wanted.length}.`
      throw new Problem('invalid_request', { detail })
    }
    const names = zipNames(wanted.map((member) => member.name))
    const members = wanted.map((member, index): Member => ({ ...member, name: names[index] ?? member.name }))
    const headers = {
      'content-type': 'application/zip',
      'content-disposition': contentDisposition('attachment', name),
      'content-length': String(zipSizeOf(members)),
    }
    if (context.method === 'HEAD') return { kind: 'stream', status: 200, headers, body: undefined }
    const [first] = members
    const opened = first && (await open(first, context))
    const body = Readable.from(
      logged(
        writeZip(members, async (member) => (member === first && opened ? opened : open(member, context))),
        context,
      ),
      { objectMode: false },
    )
    body.once('close', () => opened?.destroy())
    return { kind: 'stream', status: 200, headers, body }
  }
}

async function* logged(bytes: AsyncIterable<Buffer>, { log, signal, requestId }: RequestContext) {
  try {
    yield* bytes
  } catch (error) {
    // A client that goes away breaks nothing of ours.
    if (!signal.aborted) log.warn('zip.broken_off', { requestId, error })
    throw error
  }
}
