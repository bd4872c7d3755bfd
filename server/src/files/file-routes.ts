import { decodeCursor, encodeCursor } from '../platform/cursor.ts'
import type { Database } from '../platform/database.ts'
import { decodeId, encodeId, type RowId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { RequestContext, RouteGroup } from '../platform/routes.ts'
import type { SearchIndex } from '../search/search-index.ts'
import type { WakeBus } from '../platform/wake.ts'
import type { ServeObject } from './content.ts'
import type { Erasure } from './erasure.ts'
import { toFileResource, toFileVersionResource } from './file-resource.ts'
import type { FileAct, Files } from './files.ts'
import { readLineage } from './lineage.ts'

export interface FileRouteDependencies {
  database: Database
  files: Files
  searchIndex: SearchIndex
  serveObject: ServeObject
  erasure: Erasure
  wake: WakeBus
}

type FileOperations =
  | 'listFiles'
  | 'getFile'
  | 'updateFile'
  | 'deleteFile'
  | 'restoreFile'
  | 'getFileLineage'
  | 'listFileVersions'
  | 'getFileContent'
  | 'search'

const limitDefault = 50

export function fileRoutes(deps: FileRouteDependencies): RouteGroup<FileOperations> {
  const { files, serveObject, wake } = deps
  return {
    listFiles: async ({ query }, { principal }) => {
      const { tenantId } = principal
      const limit = query.limit ?? limitDefault
      const filter = {
        ...(query.name !== undefined && { name: withoutNul(query.name) }),
        ...(query.content_type !== undefined && { contentType: withoutNul(query.content_type) }),
        // An id that cannot be one finds what a missing one finds: nothing.
        ...(query.parent_file_id !== undefined && { parentFileId: decodeId('file', query.parent_file_id) ?? -1 }),
        ...(query.trash === true && { inTrash: true }),
      }
      const question = ['files', filter]
      const before = query.cursor === undefined ? undefined : decodeCursor(query.cursor, question, [0])[0]
      const rows = await files.list({ tenantId, ...filter, ...(before !== undefined && { before }), limit: limit + 1 })
      const { items, last } = pageOf(rows, limit)
      return { items: items.map(toFileResource), next_cursor: last ? encodeCursor(question, [last.id]) : null }
    },

    getFile: async ({ params }, { principal }) => toFileResource(await files.get(principal.tenantId, fileIdOf(params))),

    updateFile: async ({ params, body }, context) => toFileResource(await files.update(actOf(params, context), body)),

    deleteFile: async ({ params, query }, context) => {
      const act = actOf(params, context)
      if (query.permanent === true)
        await deps.erasure.erase({ ...act, ...act.principal }, { members: query.members === true })
      else await files.moveToTrash(act)
      wake.wake('outbox')
    },

    restoreFile: async ({ params }, context) => {
      const row = await files.restore(actOf(params, context))
      wake.wake('outbox')
      return toFileResource(row)
    },

    getFileLineage: async ({ params }, { principal: { tenantId } }) => {
      const fileId = fileIdOf(params)
      return deps.database.withTenant(tenantId, (tx) => readLineage(tx, tenantId, fileId))
    },

    listFileVersions: async ({ params, query }, { principal }) => {
      const fileId = fileIdOf(params)
      const limit = query.limit ?? limitDefault
      const question = ['versions', fileId]
      const before = query.cursor === undefined ? numberMax : decodeCursor(query.cursor, question, [0])[0]
      const rows = await files.listVersions(principal.tenantId, { fileId, before, limit: limit + 1 })
      const { items, last } = pageOf(rows, limit)
      return {
        items: items.map((row) => toFileVersionResource(fileId, row)),
        next_cursor: last ? encodeCursor(question, [last.number]) : null,
      }
    },

    getFileContent: async ({ params, query }, context) => {
      const { version } = query
      const wanted = {
        fileId: fileIdOf(params),
        ...(version !== undefined && { version: Math.min(version, numberMax) }),
      }
      const content = await files.getContent(context.principal.tenantId, wanted)
      return serveObject(context, {
        objectId: content.object_id,
        name: content.name,
        contentType: content.content_type,
        etag: `"${content.sha256}"`,
      })
    },

    search: ({ query }, { principal }) => search(deps, principal.tenantId, query),
  }
}

/** Versions are numbered by an integer of the database. */
const numberMax = 2 ** 31 - 1

async function search(
  { database, searchIndex }: FileRouteDependencies,
  tenantId: number,
  query: { q: string; content_type?: string; limit?: number; cursor?: string },
) {
  const { results, nextCursor } = await database.withTenant(tenantId, (tx) =>
    searchIndex.search(tx, {
      text: query.q,
      limit: query.limit ?? limitDefault,
      ...(query.content_type !== undefined && { contentType: query.content_type }),
      ...(query.cursor !== undefined && { after: query.cursor }),
    }),
  )
  return {
    items: results.map((result) => ({
      // The index holds the row ids of files.
      file_id: encodeId('file', result.fileId as RowId<'file'>),
      name: result.name,
      content_type: result.contentType,
      score: result.score,
      snippet: result.snippet,
      metadata: result.metadata,
    })),
    next_cursor: nextCursor,
  }
}

function pageOf<Row>(rows: Row[], limit: number): { items: Row[]; last: Row | undefined } {
  const items = rows.slice(0, limit)
  return { items, last: rows.length > limit ? items.at(-1) : undefined }
}

/** A malformed id names nothing, like a missing one. */
function fileIdOf({ file_id: text }: { file_id: string }): RowId<'file'> {
  const fileId = decodeId('file', text)
  if (fileId === undefined) throw new Problem('not_found')
  return fileId
}

const actOf = (params: { file_id: string }, { principal, requestId }: RequestContext): FileAct => ({
  principal,
  requestId,
  fileId: fileIdOf(params),
})

/** NUL stands in no name, so what is searched for with it is not found. */
const withoutNul = (text: string): string => text.replaceAll('\0', '\ufffd')
