// The engine's store over the database.

import { writeAudits } from '../platform/audit.ts'
import type { Database, Sql, Tx } from '../platform/database.ts'
import { encodeId } from '../platform/ids.ts'
import type { Principal } from '../platform/principal.ts'
import type { SearchIndex } from '../search/search-index.ts'
import { insertObjects } from '../storage/object.sql.ts'
import type { Quota } from '../tenants/quota.ts'
import type { PipelineDefinition } from './definition.ts'
import type { EngineFile, EngineStore, EngineTx, JobEffects, Settlement, StepOutput } from './engine-store.ts'
import * as jobFiles from './job-file.sql.ts'
import * as jobs from './job.sql.ts'
import { sealMembers } from './member-files.ts'
import * as outputs from './output.sql.ts'
import { indexedPlans } from './pinned-plans.sql.ts'
import type { Pipelines } from './pipelines.ts'
import { foundTextLengthMax } from './settlement.ts'
import * as tasks from './task.sql.ts'

export interface SqlStoreDependencies {
  database: Database
  pipelines: Pipelines
  quota: Quota
  searchIndex: SearchIndex
}

export interface SqlEngineStore extends EngineStore {
  /** The engine's statements inside somebody else's transaction. */
  within(tx: Tx): EngineTx
}

/** Definitions that are kept; what a busy installation uses at once. */
const definitionsCountMax = 1_000

export function createSqlStore(deps: SqlStoreDependencies): SqlEngineStore {
  const { database } = deps
  const alone = database.ofSystem(indexedPlans)
  const definitions = new Map<number, PipelineDefinition>()

  async function findDefinitions(sql: Sql, ids: readonly number[]): Promise<Map<number, PipelineDefinition>> {
    const missing = ids.filter((id) => !definitions.has(id))
    if (missing.length > 0) {
      if (definitions.size + missing.length > definitionsCountMax) definitions.clear()
      const wanted = ids.filter((id) => !definitions.has(id))
      for (const { id, definition } of await jobs.findDefinitions(sql, wanted)) definitions.set(id, definition)
    }
    const found = new Map<number, PipelineDefinition>()
    for (const id of ids) {
      const definition = definitions.get(id)
      if (definition !== undefined) found.set(id, definition)
    }
    return found
  }

  const within = (tx: Tx): EngineTx => ({
    ...jobStatements(tx),
    ...taskStatements(tx),
    findDefinitions: (ids) => findDefinitions(tx, ids),
    effects: createEffects(tx, deps),
  })

  return {
    within,
    transaction: (work) => database.asSystem((tx) => work(within(tx)), { settings: indexedPlans }),
    claimTasks: async (claim) => tasks.toClaimedTasks(await tasks.claimTasks(alone, claim)),
    extendLeases: async (fences, leaseMs) =>
      (await tasks.extendLeases(alone, fences, leaseMs)).map(({ id, cancelled }) => ({
        taskId: id,
        cancelled,
      })),
    listResults: (of, limits) => tasks.listResults(alone, of, limits),
    findDefinitions: (ids) => findDefinitions(database, ids),
  }
}

type JobStatements =
  | 'insertJob'
  | 'openJobs'
  | 'isForgotten'
  | 'listFiles'
  | 'updateSteps'
  | 'updateJobs'
  | 'insertOutputs'
  | 'findOutputNames'
  | 'listOutputs'
  | 'countOutputs'
  | 'appendEvents'
  | 'appendAudit'

const jobStatements = (tx: Tx): Pick<EngineTx, JobStatements> => ({
  insertJob: (job) => jobs.insertJob(tx, job),
  async openJobs(jobIds) {
    // In one write, as the first of a transaction together with what begins it. The server takes them one after the other,
    // so that the others are read under the locks of the first.
    const [locked, steps, files] = await Promise.all([
      jobs.lockJobs(tx, jobIds),
      jobs.listJobSteps(tx, jobIds),
      jobFiles.listJobFiles(tx, jobIds),
    ])
    return { jobs: locked, steps, files: files.map(toEngineFile) }
  },
  isForgotten: (jobId) => jobs.isForgotten(tx, jobId),
  listFiles: async (jobIds) => (await jobFiles.listJobFiles(tx, jobIds)).map(toEngineFile),
  updateSteps: async (steps) => {
    if (steps.length > 0) jobs.updateSteps(tx, steps)
  },
  updateJobs: async (rows) => {
    if (rows.length > 0) jobs.updateJobs(tx, rows)
  },
  insertOutputs: async (made) => {
    await insertObjects(
      tx,
      made.map(({ object }) => object),
    )
    outputs.insertOutputs(tx, made)
  },
  findOutputNames: async (jobId, names) => new Set(await outputs.findOutputNames(tx, jobId, names)),
  listOutputs: async (of, limit) => (await outputs.listStepOutputs(tx, of, limit)).map(toStepOutput),
  countOutputs: async (jobIds) =>
    (await outputs.countOutputs(tx, jobIds)).map((row) => ({
      jobId: row.job_id,
      step: row.step,
      count: row.count,
      sizeBytes: row.size_bytes,
    })),
  appendEvents: async (events) => {
    if (events.length > 0) jobs.insertEvents(tx, events)
  },
  appendAudit: (...events) =>
    writeAudits(
      tx,
      events.map(({ tenantId, actor, action, jobId, detail }) => ({
        tenantId,
        actor: actor as Principal['actor'], // Callers hand on a principal's actor, or 'system'.
        action,
        target: encodeId('job', jobId),
        detail: { ...detail },
      })),
    ),
})

const taskStatements = (tx: Tx): Omit<EngineTx, JobStatements | 'findDefinitions' | 'effects'> => ({
  settleTasks: (settlements) => settleTasks(tx, settlements),
  insertTasks: async (rows) => {
    if (rows.length > 0) tasks.insertTasks(tx, rows)
  },
  listContinuing: async (pool, wishes) => new Set(await tasks.listContinuing(tx, pool, wishes)),
  insertRunningTasks: (rows, claim) => tasks.insertRunningTasks(tx, rows, claim),
  expandStep: async (expansion) => {
    const { count, last_output_id: lastOutputId } = await tasks.expandStep(tx, expansion)
    return { count, lastOutputId: lastOutputId ?? expansion.afterOutputId }
  },
  cancelIdleTasks: async (jobIds, limit) =>
    (await tasks.cancelIdleTasks(tx, jobIds, limit)).map(({ job_id: jobId, step, count }) => ({ jobId, step, count })),
  holdTasks: (jobId, limit) => tasks.holdTasks(tx, jobId, limit),
  releaseTasks: (jobId, limit) => tasks.releaseTasks(tx, jobId, limit),
  countOpenTasks: (jobId, step) => tasks.countOpenTasks(tx, jobId, step),
  requeueEndedTasks: (jobId, step) => tasks.requeueEndedTasks(tx, jobId, step),
  deleteStepWork: (jobId, steps) => tasks.deleteStepWork(tx, jobId, steps),
  listResults: (of, limits) => tasks.listResults(tx, of, limits),
})

async function settleTasks(tx: Tx, settlements: readonly Settlement[]): Promise<Set<number>> {
  const good = settlements.filter((each) => each.to === 'succeeded')
  const other = settlements.filter((each) => each.to !== 'succeeded')
  const settled = new Set<number>()
  if (good.length > 0) for (const id of await tasks.succeedTasks(tx, good)) settled.add(id)
  if (other.length > 0) for (const id of await tasks.failTasks(tx, other)) settled.add(id)
  return settled
}

function createEffects(tx: Tx, { quota, pipelines, searchIndex }: SqlStoreDependencies): JobEffects {
  return {
    async setFileState(file) {
      const moved = await jobFiles.setFileState(tx, file)
      if (moved) await searchIndex.hide(tx, file.fileId, await jobFiles.isHidden(tx, file.fileId))
      return moved
    },
    addFound: async (file) => jobFiles.addFound(tx, file),
    setStorageClass: async (file) => jobFiles.setStorageClass(tx, file),
    indexFile: async ({ tenantId, fileId, version, jobId, found }) => {
      const row = await jobFiles.findIndexedFile(tx, { fileId, version, jobId, textLengthMax: foundTextLengthMax })
      if (row === undefined) return
      const { name, content_type: contentType, body, hidden } = row
      const metadata = { ...(found ?? row.found), ...row.metadata }
      await searchIndex.put(tx, tenantId, { fileId, name, contentType, metadata, body })
      if (hidden) await searchIndex.hide(tx, fileId, true)
    },
    sealMembers: (members) => sealMembers(tx, members, { quota, pipelines }),
  }
}

const toEngineFile = (row: jobFiles.JobFileRow): EngineFile => ({
  ...jobFiles.toJobFile(row),
  jobId: row.job_id,
  objectId: row.object_id,
  found: row.found,
  state: row.state,
  current: row.current,
})

const toStepOutput = (row: outputs.StepOutputRow): StepOutput => ({
  id: row.id,
  jobId: row.job_id,
  from: row.step,
  name: row.name,
  contentType: row.content_type,
  sizeBytes: row.size_bytes,
  sha256: row.sha256,
  objectId: row.object_id,
})
