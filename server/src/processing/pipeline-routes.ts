import type { PipelineResource, ProcessorResource } from '@millrace/contract'
import { decodeCursor, encodeCursor } from '../platform/cursor.ts'
import type { Database } from '../platform/database.ts'
import { encodeId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { RouteGroup } from '../platform/routes.ts'
import type { Catalogue, CatalogueEntry } from './catalogue.ts'
import type { PipelineStore, PipelineVersion } from './pipelines.ts'

export interface PipelineRouteDependencies {
  database: Database
  catalogue: Catalogue
  pipelines: PipelineStore
}

type PipelineOperations = 'listPipelines' | 'getPipeline' | 'createPipeline' | 'validatePipeline' | 'listProcessors'

/** What a cursor of the list belongs to. */
const question = 'pipelines'

export function pipelineRoutes({
  database,
  catalogue,
  pipelines,
}: PipelineRouteDependencies): RouteGroup<PipelineOperations> {
  return {
    listPipelines: async ({ query }, { principal: { tenantId } }) => {
      const limit = query.limit ?? 50
      const after = query.cursor === undefined ? '' : decodeCursor<[string]>(query.cursor, question, [''])[0]
      const rows = await database.withTenant(tenantId, (tx) =>
        pipelines.list(tx, tenantId, { after, limit: limit + 1 }),
      )
      const page = rows.slice(0, limit)
      const last = rows.length > limit ? page.at(-1) : undefined
      return { items: page.map(toPipelineResource), next_cursor: last ? encodeCursor(question, [last.name]) : null }
    },

    getPipeline: async ({ params: { name }, query }, { principal: { tenantId } }) => {
      const named = query.version === undefined ? name : `${name}@${query.version}`
      const version = await database.withTenant(tenantId, (tx) => pipelines.find(tx, tenantId, named))
      if (!version) throw new Problem('not_found')
      return toPipelineResource(version)
    },

    createPipeline: async ({ body }, { principal: { tenantId, actor }, requestId }) =>
      toPipelineResource(
        await database.withTenant(tenantId, (tx) =>
          pipelines.create(tx, { tenantId, source: body.source, actor, requestId }),
        ),
      ),

    validatePipeline: async ({ body }) => {
      const errors = pipelines.validate(body.source)
      return { valid: errors.length === 0, errors }
    },

    listProcessors: async () => ({ items: catalogue.entries.map(toProcessorResource), next_cursor: null }),
  }
}

const toPipelineResource = (version: PipelineVersion): PipelineResource => ({
  pipeline_id: encodeId('pipeline', version.pipelineVersionId),
  name: version.name,
  version: version.number,
  description: version.definition.description ?? null,
  accept: version.definition.accept,
  built_in: version.builtIn,
  source: version.source,
  definition: version.definition,
  created_at: version.createdAt.toISOString(),
})

const toProcessorResource = (entry: CatalogueEntry): ProcessorResource => ({
  name: entry.name,
  stage: entry.stage,
  version: entry.version,
  summary: entry.summary,
  accepts: [...entry.accepts],
  parameters: entry.parameters,
  available: entry.unavailableReason === undefined,
  unavailable_reason: entry.unavailableReason ?? null,
})
