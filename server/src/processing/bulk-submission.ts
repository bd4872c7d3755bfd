// Submitting many jobs of one tenant at once, as batches do: the same jobs that job-submission.ts writes one by one, with
// as many statements for a thousand of them as for one. Nothing is audited per job: who asked for all is.

import { lanes, type Lane } from '@millrace/contract'
import type { Tx } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import { advanceJobs, type AdvanceDependencies } from './advance.ts'
import { toNewGraph } from './engine.ts'
import type { EngineFile, StoredProblem } from './engine-store.ts'
import type { JobGraph } from './job-graph.ts'
import { insertJobs, reserveJobIds } from './job.sql.ts'
import type { ChosenPipeline, Pipelines } from './pipelines.ts'
import type { SqlEngineStore } from './sql-store.ts'

export interface BulkFile {
  fileId: RowId<'file'>
  version: number
  name: string
  contentType: string
  sizeBytes: number
  sha256: string
  objectId: string
  depth: number
  metadata: Record<string, unknown>
}

export interface BulkSubmit {
  tenantId: number
  /** "name" or "name@number"; left out: the default for the type of each file. */
  pipeline?: string
  lane: Lane
  actor: string
  files: readonly BulkFile[]
}

/** What became of each file, in their order. */
export type BulkSubmitted = { jobRowId: RowId<'job'> } | { problem: StoredProblem }

export interface BulkSubmission {
  /**
   * Writes a job with its steps and first tasks for each file that the pipeline takes; the others are answered with the
   * problem. The caller wakes 'backlog' and 'outbox' after its commit.
   */
  submitJobs(tx: Tx, jobs: BulkSubmit): Promise<BulkSubmitted[]>
}

export interface BulkSubmissionDependencies extends AdvanceDependencies {
  store: Pick<SqlEngineStore, 'within'>
  pipelines: Pipelines
}

export function createBulkSubmission(deps: BulkSubmissionDependencies): BulkSubmission {
  async function choose(tx: Tx, { tenantId, pipeline, files }: BulkSubmit) {
    const chosen = new Map<string, ChosenPipeline | StoredProblem>()
    for (const contentType of new Set(files.map((file) => file.contentType))) {
      const choice = { tenantId, contentType, ...(pipeline !== undefined && { pipeline }) }
      chosen.set(contentType, await deps.pipelines.choose(tx, choice).catch(toStoredProblem))
    }
    return chosen
  }

  return {
    async submitJobs(tx, jobs) {
      const { tenantId, files, actor: createdBy } = jobs
      const lane = lanes.indexOf(jobs.lane)
      const chosen = await choose(tx, jobs)
      const { jobIds, presentMs } = await reserveJobIds(tx, { tenantId, lane, count: files.length })
      const graphs: JobGraph[] = []
      const engineFiles = new Map<number, EngineFile>()
      const submitted = files.map((file, index): BulkSubmitted => {
        const choice = chosen.get(file.contentType)
        const jobId = jobIds[index]
        if (choice === undefined || jobId === undefined) throw new Error('each file has a choice and an id')
        if ('code' in choice) return { problem: choice }
        const { fileId, version: fileVersion, ...rest } = file
        const { pipelineVersionId, definition } = choice
        graphs.push(
          toNewGraph(deps, {
            jobId,
            virtualMs: presentMs,
            start: { tenantId, fileId, fileVersion, pipelineVersionId, definition, lane, createdBy, file: rest },
          }),
        )
        engineFiles.set(jobId, { ...rest, jobId, fileId, current: true, state: 'available', found: {} })
        return { jobRowId: jobId }
      })
      if (graphs.length === 0) return submitted
      const engine = deps.store.within(tx)
      const tasks = await advanceJobs(engine, graphs, deps, engineFiles)
      for (const graph of graphs) graph.conclude()
      await insertJobs(
        tx,
        graphs.map((graph) => ({ ...graph.job, remainingMs: graph.remainingMs(), steps: graph.steps })),
      )
      await engine.insertTasks(tasks)
      return submitted
    },
  }
}

function toStoredProblem(error: unknown): StoredProblem {
  if (error instanceof Problem) return { code: error.code, detail: error.detail ?? '' }
  throw error
}
