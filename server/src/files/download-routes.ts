import type { LinkResource } from '@millrace/contract'
import { decodeCursor, encodeCursor } from '../platform/cursor.ts'
import type { Database } from '../platform/database.ts'
import { decodeId, encodeId, type RowId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import { referenceFrom } from '../platform/reference.ts'
import type { RequestContext, RouteGroup, StreamAnswer } from '../platform/routes.ts'
import { requireCleared } from './clearance.ts'
import { isOurImage, type ServeObject } from './content.ts'
import type { DownloadLinks, LinkTarget, MadeLink } from './download-links.ts'
import { listFileDownloads, listJobDownloads, listLinks, type DownloadRow, type LinkRow } from './download.sql.ts'
import { zipMembersCountMax, type ServeZip, type ZippedObject } from './zip-content.ts'

export interface DownloadRouteDependencies {
  database: Database
  links: DownloadLinks
  serveObject: ServeObject
  serveZip: ServeZip
}

type DownloadOperations =
  | 'getJobZip'
  | 'createFilesZip'
  | 'createFileLink'
  | 'createOutputLink'
  | 'listLinks'
  | 'deleteLink'
  | 'openLink'

const limitDefault = 50
const linkLifetimeSecondsDefault = 3_600

export function downloadRoutes(deps: DownloadRouteDependencies): RouteGroup<DownloadOperations> {
  const { database, links, serveZip } = deps

  const createLink = async (
    op: 'createFileLink' | 'createOutputLink',
    context: RequestContext,
    target: LinkTarget,
    body: { expires_in?: number; single_use?: boolean },
  ) =>
    toMadeLinkResource(
      op,
      await links.create(context, target, {
        lifetimeMs: (body.expires_in ?? linkLifetimeSecondsDefault) * 1_000,
        singleUse: body.single_use ?? false,
      }),
    )

  return {
    getJobZip: async ({ params }, context) => {
      const { tenantId } = context.principal
      const jobId = idOf('job', params.job_id)
      const limit = zipMembersCountMax + 1
      const rows = await database.withTenant(tenantId, (tx) => listJobDownloads(tx, { tenantId, jobId, limit }))
      const [first] = rows
      if (first === undefined) throw new Problem('not_found')
      requireCleared(first.state)
      const members = rows.filter((row) => row.output_id !== null).map(toZipped)
      return serveZip(context, { name: `${first.file_name}.outputs.zip`, members })
    },

    createFilesZip: async ({ body }, context) => {
      const { tenantId } = context.principal
      const fileIds = [...new Set(body.file_ids.map((text) => idOf('file', text)))]
      const rows = await database.withTenant(tenantId, (tx) => listFileDownloads(tx, { tenantId, fileIds }))
      // A selection is given whole or not at all: who asked for ten files must not take nine for them.
      if (rows.length < fileIds.length) throw new Problem('not_found')
      for (const row of rows) requireCleared(row.state)
      return serveZip(context, { name: 'files.zip', members: rows.map(toZipped) })
    },

    createFileLink: async ({ params, body }, context) =>
      createLink(
        'createFileLink',
        context,
        {
          kind: 'file',
          fileId: idOf('file', params.file_id),
          ...(body.version !== undefined && { version: body.version }),
        },
        body,
      ),

    createOutputLink: async ({ params, body }, context) =>
      createLink(
        'createOutputLink',
        context,
        { kind: 'output', jobId: idOf('job', params.job_id), outputId: idOf('output', params.output_id) },
        body,
      ),

    listLinks: async ({ query }, { principal }) => {
      const { tenantId } = principal
      const limit = query.limit ?? limitDefault
      const question = ['links']
      const before = query.cursor === undefined ? Number.MAX_SAFE_INTEGER : decodeCursor(query.cursor, question, [0])[0]
      const rows = await database.withTenant(tenantId, (tx) => listLinks(tx, { tenantId, before, limit: limit + 1 }))
      const items = rows.slice(0, limit)
      const last = rows.length > limit ? items.at(-1) : undefined
      return { items: items.map(toLinkResource), next_cursor: last ? encodeCursor(question, [last.id]) : null }
    },

    deleteLink: async ({ params }, context) => {
      await links.revoke(context, idOf('link', params.link_id))
    },

    openLink: ({ params, query }, context) => openLink(deps, { ...params, framed: query.frame === true }, context),
  }
}

/** HEAD looks without using the link up. */
async function openLink(
  deps: DownloadRouteDependencies,
  { token, framed }: { token: string; framed: boolean },
  asked: RequestContext,
): Promise<StreamAnswer> {
  const { row, download } = await deps.links.open(token)
  const context = { ...asked, principal: { ...asked.principal, tenantId: row.tenant_id } }
  const answer = await deps.serveObject(context, { ...toServed(download), framed })
  if (asked.method === 'HEAD') return answer
  try {
    // Only now: a link that is good once is not lost to a store that does not answer.
    await deps.links.use(row, asked.requestId)
  } catch (error) {
    answer.body?.destroy()
    throw error
  }
  return { ...answer, headers: { ...answer.headers, 'cache-control': 'private, no-store' } }
}

const toServed = (row: DownloadRow) => ({
  objectId: row.object_id,
  name: row.name,
  contentType: row.content_type,
  etag: `"${row.sha256}"`,
  inline: isOurImage(row.processor),
})

const toZipped = (row: DownloadRow): ZippedObject => ({
  objectId: row.object_id,
  name: row.name,
  sizeBytes: row.size_bytes,
  modifiedAt: row.created_at,
})

const toLinkResource = (row: LinkRow): LinkResource => ({
  link_id: encodeId('link', row.id),
  file_id: row.file_id === null ? null : encodeId('file', row.file_id),
  file_version: row.file_version,
  job_id: row.job_id === null ? null : encodeId('job', row.job_id),
  output_id: row.output_id === null ? null : encodeId('output', row.output_id),
  single_use: row.single_use,
  uses_count: row.uses_count,
  last_used_at: row.last_used_at?.toISOString() ?? null,
  created_by: row.created_by,
  created_at: row.created_at.toISOString(),
  expires_at: row.expires_at.toISOString(),
})

const toMadeLinkResource = (op: 'createFileLink' | 'createOutputLink', { row, token }: MadeLink) => ({
  ...toLinkResource(row),
  url: referenceFrom(op, `links/${token}/content`),
})

/** A malformed id names nothing, like a missing one. */
function idOf<Kind extends 'file' | 'job' | 'output' | 'link'>(kind: Kind, text: string): RowId<Kind> {
  const rowId = decodeId(kind, text)
  if (rowId === undefined) throw new Problem('not_found')
  return rowId
}
