// Submitting many jobs of one tenant at once, as batches do: the same jobs that job-submission.ts writes one by one, with
// as many statements for a thousand of them as for one. Nothing is audited per job: who asked for all is.

import { lanes, type Lane } from '@millrace/contract'
import type { Tx } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import { invariant, Problem } from '../platform/problem.ts'
import type { StoredProblem } from './engine-store.ts'
import type { ChosenPipeline, Pipelines } from './pipelines.ts'
import { reserveJobPlaces, startJobs, type StartJobsDependencies, type StartOneJob } from './start-jobs.ts'

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

export interface BulkSubmissionDependencies extends StartJobsDependencies {
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
      const starts: StartOneJob[] = []
      const outcomes = files.map((file): number | { problem: StoredProblem } => {
        const choice = chosen.get(file.contentType)
        invariant(choice !== undefined, 'each type has a choice')
        if ('code' in choice) return { problem: choice }
        const { fileId, version: fileVersion, ...rest } = file
        const { pipelineVersionId, definition } = choice
        const job = { tenantId, fileId, fileVersion, pipelineVersionId, definition, lane, createdBy }
        return starts.push({ ...job, file: rest, fileState: 'available' }) - 1
      })
      const places = await reserveJobPlaces(tx, { tenantId, lanes: starts.map(() => lane) })
      // A place for each start.
      const started = await startJobs(
        tx,
        deps,
        starts.map((start, index) => ({ ...start, place: places[index]! })),
      )
      // One for each start.
      return outcomes.map((outcome) => (typeof outcome === 'number' ? { jobRowId: started[outcome]!.jobId } : outcome))
    },
  }
}

function toStoredProblem(error: unknown): StoredProblem {
  if (error instanceof Problem) return { code: error.code, detail: error.detail ?? '' }
  throw error
}
