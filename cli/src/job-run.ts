// From a job to its outputs on this disk: follows it, then the jobs of what came out of it (the members of an archive),
// and downloads what they made.

import path from 'node:path'
import type { JobEndState, JobResource, JobSummary } from '@millrace/contract'
import { isHopeless, listAll, type Api } from './api.ts'
import type { Context } from './command.ts'
import { createGate } from './concurrency.ts'
import { downloadTo } from './download.ts'
import { tellFailure, type ToldProblem } from './failure.ts'
import { problemOfJob, type FileResult, type SavedOutput } from './file-result.ts'
import { createFollower } from './follower.ts'
import type { Progress } from './progress.ts'
import { printable } from './text.ts'
import { createPathBook, safeRelativePath, safeSegment } from './safe-path.ts'

export interface JobRunDependencies {
  context: Context
  api: Api
  progress: Progress
  signal: AbortSignal
  /** Where outputs go; undefined: they are not downloaded. */
  outFolder: string | undefined
}

export interface Started {
  jobId: string
  label: string
  /** When this command began with it; a job that was there before takes its time from the server. */
  startedAtMs?: number
}

export interface JobRun {
  /**
   * One result for the job and one for each job below it, in that order. What goes wrong with this job is in its result;
   * what would go wrong with every other one too is thrown.
   */
  run(job: Started): Promise<FileResult[]>
  /** Jobs that are not known to have ended. */
  openJobs(): { jobId: string; label: string }[]
  stop(): void
}

const downloadsAtOnceMax = 4
/** An archive in an archive in an archive …: the server has its own limit, this one keeps a loop from going on. */
const depthMax = 20

export function createJobRun({ context, api, progress, signal, outFolder }: JobRunDependencies): JobRun {
  const labels = new Map<string, string>()
  const downloads = createGate(downloadsAtOnceMax)
  const paths = createPathBook()
  const follower = createFollower({
    ...context,
    api,
    signal,
    onUpdate: (before, job) => progress.job(labels.get(job.job_id) ?? job.file_name, before, job),
  })

  async function saveOutputs(label: string, folder: string, job: JobResource): Promise<SavedOutput[]> {
    if (outFolder === undefined) return job.outputs.map((output) => ({ output, path: undefined }))
    if (job.outputs.length > 0) progress.downloading(label, job.outputs.length)
    return Promise.all(
      job.outputs.map(async (output) => {
        const target = path.join(outFolder, paths.take(path.join(folder, safeSegment(output.name))))
        await downloads(() =>
          downloadTo(
            { ...context, api, signal },
            { open: () => api.once.fetchPath(output.download_url, { signal }), target, sha256: output.sha256 },
          ),
        )
        return { output, path: target }
      }),
    )
  }

  async function finish(job: JobResource, label: string, folder: string): Promise<FileResult> {
    let outputs: SavedOutput[] = []
    let problem: ToldProblem | undefined = problemOfJob(job)
    try {
      outputs = await saveOutputs(label, folder, job)
    } catch (error) {
      if (signal.aborted || isHopeless(error)) throw error
      problem ??= tellFailure(error)
    }
    // Ended, as follow resolves with nothing else.
    return { label, status: job.status as JobEndState, durationMs: serverDurationMs(job), job, outputs, problem }
  }

  async function childrenOf(jobId: string, depth: number): Promise<JobSummary[]> {
    if (depth >= depthMax) return []
    return Array.fromAsync(listAll(api, 'listJobs', { parent_job_id: jobId }))
  }

  function runChild(
    child: JobSummary,
    parentLabel: string,
    parentFolder: string,
    depth: number,
  ): Promise<FileResult[]> {
    const folder = paths.take(path.join(parentFolder, safeRelativePath(child.file_name)))
    return runOne({ jobId: child.job_id, label: `${parentLabel}/${child.file_name}` }, folder, depth + 1)
  }

  async function runOne({ jobId, label, startedAtMs }: Started, folder: string, depth: number): Promise<FileResult[]> {
    labels.set(jobId, label)
    const job = await follower.follow(jobId)
    const result = await finish(job, label, folder)
    if (startedAtMs !== undefined) result.durationMs = context.now() - startedAtMs
    labels.delete(jobId)
    progress.ended(result)
    const below = await Promise.all(
      (await childrenOf(jobId, depth)).map((child) => runChild(child, label, folder, depth)),
    )
    return [result, ...below.flat()]
  }

  return {
    run: (job) => runOne(job, paths.take(safeRelativePath(job.label)), 0),
    openJobs: () => [...labels].map(([jobId, label]) => ({ jobId, label })),
    stop: () => follower.stop(),
  }
}

const serverDurationMs = (job: JobResource): number =>
  job.finished_at === null ? 0 : Date.parse(job.finished_at) - Date.parse(job.created_at)

/** Tells of the jobs that go on without this command, and how to see them again. */
export function tellOpenJobs({ console }: Context, open: { jobId: string; label: string }[]): void {
  if (open.length === 0) return
  console.note(`These go on without this command; see them again with millrace watch JOB:`)
  for (const { jobId, label } of open.slice(0, openJobsShownMax)) console.note(`  ${jobId}  ${printable(label)}`)
  if (open.length > openJobsShownMax)
    console.note(`  and ${open.length - openJobsShownMax} more: millrace jobs --status running`)
}
const openJobsShownMax = 20
