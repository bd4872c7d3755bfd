// Links that give one version of a file, or one output, to whoever has them, for a while: the audience of a link is that
// one thing and nothing else. The row says what a link is good for and until when, so that deleting it ends it; the
// signature, under a secret of the installation, is what nobody can guess. A link is never better than its file: one
// that is quarantined again, refused, trashed or erased is not given away.

import { createHmac, timingSafeEqual } from 'node:crypto'
import { writeAudit } from '../platform/audit.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database, Tx } from '../platform/database.ts'
import { decodeId, encodeId, type RowId } from '../platform/ids.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem } from '../platform/problem.ts'
import { requireCleared } from './clearance.ts'
import {
  deleteLink,
  findFileDownload,
  findLink,
  findOutputDownload,
  insertLink,
  takeLinkUse,
  type DownloadRow,
  type LinkRow,
} from './download.sql.ts'

export interface LinkAct {
  principal: Principal
  requestId: string
}

export type LinkTarget =
  | { kind: 'file'; fileId: RowId<'file'>; version?: number }
  | { kind: 'output'; jobId: RowId<'job'>; outputId: RowId<'output'> }

export interface MadeLink {
  row: LinkRow
  /** What opens it; shown once. */
  token: string
}

export interface OpenedLink {
  row: LinkRow
  download: DownloadRow
}

export interface DownloadLinks {
  /** Problems: not_found, and those of requireCleared. */
  create(act: LinkAct, target: LinkTarget, options: { lifetimeMs: number; singleUse: boolean }): Promise<MadeLink>
  /** Ends it at once. Throws Problem('not_found'). */
  revoke(act: LinkAct, linkId: RowId<'link'>): Promise<void>
  /** What the link is good for. Problems: not_found, link_expired, and those of requireCleared. */
  open(token: string): Promise<OpenedLink>
  /** Uses it, with its audit event. Throws Problem('link_expired') when it was used up or ended meanwhile. */
  use(row: LinkRow, requestId: string): Promise<void>
}

export function createDownloadLinks(deps: { database: Database; clock: Clock; secret: Uint8Array }): DownloadLinks {
  const { database, clock, secret } = deps

  const tokenOf = (row: LinkRow): string => {
    const { tenant_id, file_id, file_version, job_id, output_id, single_use, expires_at } = row
    const link = encodeId('link', row.id)
    const fields = [link, tenant_id, file_id, file_version, job_id, output_id, single_use, expires_at.getTime()]
    const mac = createHmac('sha256', secret).update(JSON.stringify(['millrace/download-link@v1', ...fields]))
    return `${link}.${mac.digest('base64url')}`
  }

  async function findTarget(tx: Tx, row: LinkRow): Promise<DownloadRow> {
    const found = await findDownload(tx, row.tenant_id, targetOf(row))
    requireCleared(found.state)
    return found
  }

  return {
    create: ({ principal, requestId }, target, { lifetimeMs, singleUse }) =>
      database.withTenant(principal.tenantId, async (tx) => {
        const { tenantId, actor } = principal
        const found = await findDownload(tx, tenantId, target)
        requireCleared(found.state)
        const row = await insertLink(tx, {
          tenantId,
          fileId: target.kind === 'file' ? target.fileId : null,
          fileVersion: target.kind === 'file' ? found.version : null,
          jobId: target.kind === 'output' ? target.jobId : null,
          outputId: target.kind === 'output' ? target.outputId : null,
          singleUse,
          lifetimeMs,
          createdBy: actor,
        })
        const detail = { ...idsOf(row), expires_at: row.expires_at.toISOString(), single_use: singleUse }
        const event = { action: 'link.create', target: encodeId('link', row.id), detail }
        await writeAudit(tx, { tenantId, actor, requestId, ...event })
        return { row, token: tokenOf(row) }
      }),

    revoke: ({ principal, requestId }, linkId) =>
      database.withTenant(principal.tenantId, async (tx) => {
        const { tenantId, actor } = principal
        if (!(await deleteLink(tx, tenantId, linkId))) throw new Problem('not_found')
        await writeAudit(tx, { tenantId, actor, requestId, action: 'link.delete', target: encodeId('link', linkId) })
      }),

    async open(token) {
      const linkId = decodeId('link', token.split('.', 1)[0] ?? '')
      const row = linkId === undefined ? undefined : await findLink(database, linkId)
      // A link that was never there and one with a wrong signature answer alike.
      if (row === undefined || !isSame(token, tokenOf(row))) throw new Problem('not_found')
      const isUsedUp = row.single_use && row.uses_count > 0
      if (isUsedUp || row.expires_at <= clock.now()) throw new Problem('link_expired')
      const download = await database.withTenant(row.tenant_id, (tx) => findTarget(tx, row))
      return { row, download }
    },

    use: (row, requestId) =>
      database.withTenant(row.tenant_id, async (tx) => {
        if (!(await takeLinkUse(tx, row.id))) throw new Problem('link_expired')
        const event = { action: 'link.use', target: encodeId('link', row.id), detail: idsOf(row) }
        await writeAudit(tx, { tenantId: row.tenant_id, actor: 'system', requestId, ...event })
      }),
  }
}

async function findDownload(
  tx: Tx,
  tenantId: number,
  target: LinkTarget,
): Promise<DownloadRow & { version: number | null }> {
  const found =
    target.kind === 'file'
      ? await findFileDownload(tx, { tenantId, ...target })
      : await findOutputDownload(tx, { tenantId, ...target }).then((row) => row && { ...row, version: null })
  if (found === undefined) throw new Problem('not_found')
  return found
}

function targetOf({ file_id, file_version, job_id, output_id }: LinkRow): LinkTarget {
  if (file_id !== null && file_version !== null) return { kind: 'file', fileId: file_id, version: file_version }
  // A CHECK of the table: it is the one or the other.
  return { kind: 'output', jobId: job_id!, outputId: output_id! }
}

const idsOf = ({ file_id, file_version, job_id, output_id }: LinkRow): Record<string, string | number> => ({
  ...(file_id !== null && { file_id: encodeId('file', file_id) }),
  ...(file_version !== null && { version: file_version }),
  ...(job_id !== null && { job_id: encodeId('job', job_id) }),
  ...(output_id !== null && { output_id: encodeId('output', output_id) }),
})

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
