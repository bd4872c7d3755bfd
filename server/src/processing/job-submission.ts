import { lanes } from '@millrace/contract'
import type { Clock } from '../platform/clock.ts'
import type { Tx } from '../platform/database.ts'
import { encodeId } from '../platform/ids.ts'
import { invariant, Problem } from '../platform/problem.ts'
import type { ChosenPipeline, Pipelines } from './pipelines.ts'
import { reserveJobPlaces, startJob, startJobs, type StartedJob, type StartJobsDependencies } from './start-jobs.ts'
import type { JobSubmission, SubmitJob, SubmittedJob } from './submission.ts'

export interface JobSubmissionDependencies extends StartJobsDependencies {
  pipelines: Pipelines
  clock: Clock
}

/** From the end of one step to the start of the next, when nobody is in the way. */
const hopMs = 10

export function createJobSubmission(deps: JobSubmissionDependencies): JobSubmission {
  const { store, pipelines, clock } = deps

  function toSubmitted(chosen: ChosenPipeline, { jobId, remainingMs }: StartedJob): SubmittedJob {
    const hopsMs = Object.keys(chosen.definition.steps).length * hopMs
    const estimatedCompletion = new Date(clock.now().getTime() + remainingMs + hopsMs)
    return { jobRowId: jobId, jobId: encodeId('job', jobId), pipeline: chosen.name, estimatedCompletion }
  }

  /** What each job runs, or why it runs nothing. Whatever many ask for is looked for once; one after the other, as choosing may write. */
  async function chooseEach(tx: Tx, jobs: readonly SubmitJob[]): Promise<(ChosenPipeline | Problem)[]> {
    const choices = new Map<string, ChosenPipeline | Problem>()
    const chosen: (ChosenPipeline | Problem)[] = []
    for (const job of jobs) {
      const key = JSON.stringify([job.contentType, job.pipeline])
      const choice = choices.get(key) ?? (await pipelines.choose(tx, choiceOf(job)).catch(toProblem))
      choices.set(key, choice)
      chosen.push(choice)
    }
    return chosen
  }

  return {
    choosePipeline: async (tx, choice) => {
      const { name, pipelineVersionId } = await pipelines.choose(tx, choice)
      return { name, pipelineVersionId }
    },
    submitJob: async (tx, job) => {
      const chosen = await pipelines.choose(tx, choiceOf(job))
      const start = { ...toStart(job, chosen), parentJobId: null }
      return toSubmitted(chosen, await startJob(store.within(tx), deps, start))
    },
    submitJobs: async (tx, jobs) => {
      const [first] = jobs
      if (first === undefined) return []
      // Both are on their way at once.
      const [chosen, places] = await Promise.all([
        chooseEach(tx, jobs),
        reserveJobPlaces(tx, { tenantId: first.tenantId, lanes: jobs.map((job) => lanes.indexOf(job.lane)) }),
      ])
      const starts = jobs.flatMap((job, index) => {
        const [choice, place] = [chosen[index], places[index]]
        invariant(choice !== undefined && place !== undefined, 'each job has a choice and a place')
        return choice instanceof Problem ? [] : [{ ...toStart(job, choice), place }]
      })
      const started = (await startJobs(tx, deps, starts)).values()
      // Those that run something were started, in their order.
      return chosen.map((choice) =>
        choice instanceof Problem ? choice : toSubmitted(choice, started.next().value as StartedJob),
      )
    },
  }
}

function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  throw error
}

const choiceOf = ({ tenantId, contentType, pipeline }: SubmitJob) => ({
  tenantId,
  contentType,
  ...(pipeline !== undefined && { pipeline }),
})

function toStart(job: SubmitJob, { pipelineVersionId, definition }: ChosenPipeline) {
  const { tenantId, fileId, fileVersion, fileName, contentType, sizeBytes, sha256, objectId, metadata, depth } = job
  return {
    tenantId,
    fileId,
    fileVersion,
    pipelineVersionId,
    definition,
    lane: lanes.indexOf(job.lane),
    createdBy: job.actor,
    file: { name: fileName, contentType, sizeBytes, sha256, objectId, metadata, depth },
  }
}
