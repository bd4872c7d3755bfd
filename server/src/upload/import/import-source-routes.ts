import type { ImportSourceResource } from '@millrace/contract'
import { writeAudit } from '../../platform/audit.ts'
import { decodeCursor, encodeCursor } from '../../platform/cursor.ts'
import type { Database } from '../../platform/database.ts'
import type { Idempotency } from '../../platform/idempotency.ts'
import { decodeId, encodeId } from '../../platform/ids.ts'
import { Problem } from '../../platform/problem.ts'
import type { RequestContext, RouteGroup } from '../../platform/routes.ts'
import type { TenantSecrets } from '../../storage/tenant-secret.ts'
import { aboutFile } from '../about-file.ts'
import { problemOf } from '../upload-resource.ts'
import type { AddressRules } from './address-rules.ts'
import { checkPlace } from './import-place.ts'
import {
  deleteSource,
  findSource,
  insertSource,
  listSources,
  updateSource,
  type ImportSourceRow,
} from './import-source.sql.ts'

export interface ImportSourceRouteDependencies {
  database: Database
  secrets: TenantSecrets
  rules: AddressRules
  /** Folders of this machine that imports may read from. */
  folderRoots: readonly string[]
  idempotency: Idempotency
}

type ImportSourceOperations =
  | 'createImportSource'
  | 'listImportSources'
  | 'getImportSource'
  | 'updateImportSource'
  | 'deleteImportSource'

const limitDefault = 50
const sourcesCountMax = 100

export function importSourceRoutes(deps: ImportSourceRouteDependencies): RouteGroup<ImportSourceOperations> {
  const { database, secrets, idempotency } = deps

  const keyOf = (params: { import_source_id: string }, { principal }: RequestContext) => {
    const id = decodeId('import_source', params.import_source_id)
    if (id === undefined) throw new Problem('not_found')
    return { tenantId: principal.tenantId, id }
  }
  const found = (row: ImportSourceRow | undefined): ImportSourceResource => {
    if (row === undefined) throw new Problem('not_found')
    return toResource(row)
  }

  return {
    createImportSource: idempotency.wrap('createImportSource', async ({ body }, { principal, requestId }) => {
      const { tenantId, actor } = principal
      const { kind, place, shown } = await checkPlace(body, deps, principal)
      const secret = await secrets.seal(tenantId, place)
      const row = await database.withTenant(tenantId, async (tx) => {
        const inserted = await insertSource(tx, {
          tenantId,
          kind,
          name: body.name,
          config: { shown },
          secret,
          fields: aboutFile(body).fields,
          intervalSeconds: body.interval_seconds ?? null,
          createdBy: actor,
          countMax: sourcesCountMax,
        })
        if (inserted === undefined)
          throw new Problem('conflict', { detail: `A tenant has at most ${sourcesCountMax} import sources.` })
        const target = encodeId('import_source', inserted.id)
        await writeAudit(tx, { tenantId, actor, action: 'import_source.create', target, requestId })
        return inserted
      })
      return toResource(row)
    }),

    listImportSources: async ({ query }, { principal }) => {
      const { limit = limitDefault } = query
      const question = ['import-sources']
      const before = query.cursor === undefined ? undefined : decodeCursor(query.cursor, question, [0])[0]
      const { tenantId } = principal
      const rows = await database.withTenant(tenantId, (tx) => listSources(tx, { tenantId, before, limit: limit + 1 }))
      const items = rows.slice(0, limit)
      const last = rows.length > limit ? items.at(-1) : undefined
      return { items: items.map(toResource), next_cursor: last ? encodeCursor(question, [last.id]) : null }
    },

    getImportSource: async ({ params }, context) => {
      const key = keyOf(params, context)
      return found(await database.withTenant(key.tenantId, (tx) => findSource(tx, key)))
    },

    updateImportSource: async ({ params, body }, context) => {
      const key = keyOf(params, context)
      const { state = null, interval_seconds: intervalSeconds = null } = body
      return found(
        await database.withTenant(key.tenantId, (tx) => updateSource(tx, { ...key, state, intervalSeconds })),
      )
    },

    deleteImportSource: async ({ params }, context) => {
      const key = keyOf(params, context)
      const { actor } = context.principal
      await database.withTenant(key.tenantId, async (tx) => {
        if (!(await deleteSource(tx, key))) throw new Problem('not_found')
        const target = encodeId('import_source', key.id)
        const { tenantId } = key
        const { requestId } = context
        await writeAudit(tx, { tenantId, actor, action: 'import_source.delete', target, requestId })
      })
    },
  }
}

const toResource = (row: ImportSourceRow): ImportSourceResource => ({
  import_source_id: encodeId('import_source', row.id),
  kind: row.kind,
  name: row.name,
  state: row.state,
  place: row.config.shown,
  interval_seconds: row.interval_seconds,
  found_count: row.found_count,
  skipped_count: row.skipped_count,
  problem: problemOf(row),
  created_at: row.created_at.toISOString(),
  last_run_at: row.last_run_at?.toISOString() ?? null,
  next_run_at: row.state === 'active' ? (row.next_run_at?.toISOString() ?? null) : null,
})
