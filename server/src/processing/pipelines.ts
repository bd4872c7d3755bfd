// Pipelines by name: which version a job runs, and how a new one comes to be. Versions are numbered from 1 within their
// name and never change. The built-in pipelines are versions too: a tenant gets each when it is first looked for, and
// the next number of it when a release brings another text, unless he has written a version of that name himself.
//
// Without a pipeline named, the newest versions compete for the content type: the one that accepts it most exactly wins
// (image/png before image/* before */*); of equally exact ones the tenant's own before the built-in; of own ones the
// youngest.

import type { FieldError } from '@millrace/contract'
import { writeAudit } from '../platform/audit.ts'
import type { Tx } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import type { Principal } from '../platform/principal.ts'
import { invariant, Problem } from '../platform/problem.ts'
import type { Catalogue } from './catalogue.ts'
import { acceptRank } from './content-type.ts'
import type { PipelineDefinition } from './definition.ts'
import { parsePipeline } from './pipeline-parser.ts'
import {
  findPipelineVersion,
  getPipelineVersion,
  insertPipelineVersion,
  listMissingBuiltIns,
  lockPipelines,
  listPipelineAccepts,
  listPipelineVersions,
  type PipelineVersionRow,
  type StoredDefinition,
} from './pipeline-version.sql.ts'

export interface PipelineChoice {
  tenantId: number
  /** "name" for its newest version, or "name@number"; left out: the default for the content type. */
  pipeline?: string
  contentType: string
}

export interface ChosenPipeline {
  pipelineVersionId: number
  name: string
  number: number
  definition: PipelineDefinition
}

export interface Pipelines {
  /**
   * The version that a job over a file of this content type runs. Throws Problem('pipeline_unknown') for a name or
   * number that the tenant does not have and Problem('pipeline_not_accepted') when it does not take the content type.
   * May write: a built-in pipeline becomes a version of the tenant when it is first chosen.
   */
  choose(tx: Tx, choice: PipelineChoice): Promise<ChosenPipeline>
}

export interface PipelineVersion extends ChosenPipeline {
  pipelineVersionId: RowId<'pipeline'>
  builtIn: boolean
  source: string
  createdAt: Date
}

export interface PipelineStore extends Pipelines {
  /** By "name" or "name@number". */
  find(tx: Tx, tenantId: number, pipeline: string): Promise<PipelineVersion | undefined>
  /** The newest version of each name after this one, by name. */
  list(tx: Tx, tenantId: number, page: { after: string; limit: number }): Promise<PipelineVersion[]>
  /**
   * Stores a text as the next version of its name; the newest version's own text gives that version. Throws
   * Problem('pipeline_invalid') with every fault, and Problem('conflict') for one name too many.
   */
  create(
    tx: Tx,
    pipeline: { tenantId: number; source: string; actor: Principal['actor']; requestId: string },
  ): Promise<PipelineVersion>
  /** What is wrong with a text; nothing for one that could be stored. */
  validate(source: string): FieldError[]
}

/** Names of a tenant; a default is found by looking at each. */
const pipelinesCountMax = 1_000
const tenantsRememberedMax = 10_000
const versionsRememberedMax = 1_000

/** Throws for a built-in text with a fault, which would be ours. */
export function createPipelines(deps: { catalogue: Catalogue; builtIn: readonly string[] }): PipelineStore {
  const builtIn = deps.builtIn.map((source) => {
    const parsed = parsePipeline(source, deps.catalogue)
    invariant('definition' in parsed, `a built-in pipeline has no fault: ${JSON.stringify(parsed)}`)
    return { source, definition: parsed.definition }
  })
  const builtInNames = builtIn.map(({ definition }) => definition.name)
  const builtInSources = builtIn.map(({ source }) => source)
  /** Tenants that were seen with all built-in pipelines. */
  const complete = new Set<number>()
  /** Defaults that were chosen lately; a version never changes. */
  const chosenVersions = new Map<number, PipelineVersion>()

  async function addBuiltIns(tx: Tx, tenantId: number): Promise<void> {
    if (complete.has(tenantId)) return
    const findMissing = () => listMissingBuiltIns(tx, tenantId, { names: builtInNames, sources: builtInSources })
    let missing = await findMissing()
    if (missing.length > 0) {
      // Of several that find them missing at once, one adds them and the others look again.
      await lockPipelines(tx, tenantId)
      missing = await findMissing()
    }
    for (const { source, definition } of builtIn.filter((each) => missing.includes(each.definition.name))) {
      const createdBy = 'system'
      await insertPipelineVersion(tx, { tenantId, builtIn: true, source, definition: toStored(definition), createdBy })
    }
    // What was just written may still be rolled back.
    if (missing.length > 0) return
    if (complete.size >= tenantsRememberedMax) complete.clear()
    complete.add(tenantId)
  }

  async function find(tx: Tx, tenantId: number, pipeline: string): Promise<PipelineVersion | undefined> {
    const [, name, number] = /^([a-z0-9-]{1,100})(?:@([1-9]\d{0,8}))?$/.exec(pipeline) ?? []
    if (name === undefined) return undefined
    if (builtInNames.includes(name)) await addBuiltIns(tx, tenantId)
    const row = await findPipelineVersion(tx, tenantId, {
      name,
      ...(number === undefined ? {} : { number: Number(number) }),
    })
    return row && toVersion(row)
  }

  async function chooseDefault(tx: Tx, tenantId: number, contentType: string): Promise<PipelineVersion> {
    await addBuiltIns(tx, tenantId)
    const accepts = await listPipelineAccepts(tx, tenantId, pipelinesCountMax + builtIn.length)
    const candidates = accepts.map((row) => ({ ...row, rank: acceptRank(row.accept, contentType) }))
    const [best] = candidates
      .filter(({ rank }) => rank > 0)
      .sort((a, b) => b.rank - a.rank || Number(a.built_in) - Number(b.built_in) || b.id - a.id)
    if (best === undefined)
      throw new Problem('pipeline_not_accepted', { detail: `No pipeline takes files of type ${contentType}.` })
    const known = chosenVersions.get(best.id)
    if (known !== undefined) return known
    const version = toVersion(await getPipelineVersion(tx, tenantId, best.id))
    if (chosenVersions.size >= versionsRememberedMax) chosenVersions.clear()
    chosenVersions.set(best.id, version)
    return version
  }

  return {
    find,

    async choose(tx, { tenantId, pipeline, contentType }) {
      if (pipeline === undefined) return chooseDefault(tx, tenantId, contentType)
      const version = await find(tx, tenantId, pipeline)
      if (version === undefined)
        throw new Problem('pipeline_unknown', { detail: `There is no pipeline "${pipeline.slice(0, 120)}".` })
      const { accept } = version.definition
      if (acceptRank(accept, contentType) === 0)
        throw new Problem('pipeline_not_accepted', {
          detail: `Pipeline "${version.name}" takes ${accept.join(', ')}; the file is ${contentType}.`,
        })
      return version
    },

    async list(tx, tenantId, page) {
      await addBuiltIns(tx, tenantId)
      return (await listPipelineVersions(tx, tenantId, page)).map(toVersion)
    },

    async create(tx, { tenantId, source, actor, requestId }) {
      const parsed = parsePipeline(source, deps.catalogue)
      if ('faults' in parsed) throw invalid(parsed.faults)
      const { definition } = parsed
      // Of several that write at once, each takes the number after the one before.
      await lockPipelines(tx, tenantId)
      const newest = await find(tx, tenantId, definition.name)
      if (newest?.source === source) return newest
      if (newest === undefined) await refuseTooMany(tx, tenantId)
      const version = { tenantId, builtIn: false, source, definition: toStored(definition), createdBy: actor }
      const row = await insertPipelineVersion(tx, version)
      if (row === undefined)
        throw new Problem('conflict', { detail: `Pipeline "${definition.name}" is being changed by others.` })
      const detail = { version: row.number }
      const target = encodeId('pipeline', row.id)
      await writeAudit(tx, { tenantId, actor, action: 'pipeline.create', target, detail, requestId })
      return toVersion(row)
    },

    validate(source) {
      const parsed = parsePipeline(source, deps.catalogue)
      return 'faults' in parsed ? parsed.faults : []
    },
  }
}

async function refuseTooMany(tx: Tx, tenantId: number): Promise<void> {
  const { length } = await listPipelineAccepts(tx, tenantId, pipelinesCountMax)
  if (length >= pipelinesCountMax)
    throw new Problem('conflict', { detail: `A tenant has at most ${pipelinesCountMax} pipelines.` })
}

function invalid(faults: FieldError[]): Problem {
  const [first] = faults
  const others = faults.length === 1 ? '' : ` (and ${faults.length - 1} more)`
  const detail = `Line ${first?.line}, column ${first?.column}: ${first?.message}${others}`
  return new Problem('pipeline_invalid', { detail, errors: faults })
}

const toStored = (definition: PipelineDefinition): StoredDefinition => ({
  ...definition,
  step_order: Object.keys(definition.steps),
})

function toVersion({
  id,
  number,
  built_in: builtIn,
  source,
  created_at: createdAt,
  ...row
}: PipelineVersionRow): PipelineVersion {
  const { step_order: order, ...definition } = row.definition
  const steps = Object.fromEntries(
    order.flatMap((name) => {
      const step = definition.steps[name]
      return step === undefined ? [] : [[name, step]]
    }),
  )
  return {
    pipelineVersionId: id,
    name: row.name,
    number,
    builtIn,
    source,
    createdAt,
    definition: { ...definition, steps },
  }
}
