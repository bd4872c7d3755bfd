// What became of one file, and how a list of that is told: as a table for people, as JSON for programs.

import type { JobEndState, JobResource, OutputResource } from '@millrace/contract'
import type { Console } from './console.ts'
import { problemLines } from './console.ts'
import { exitCodes, type ExitCode, type ToldProblem } from './failure.ts'
import { formatCount, formatSeconds, printable, tableLines } from './text.ts'

export interface SavedOutput {
  output: OutputResource
  /** Where it lies on this disk; undefined when it was not downloaded. */
  path: string | undefined
}

export interface FileResult {
  label: string
  /** not_processed: it did not even become a job. */
  status: JobEndState | 'not_processed'
  durationMs: number
  job: JobResource | undefined
  outputs: SavedOutput[]
  problem: ToldProblem | undefined
}

export const isDone = ({ status, problem }: FileResult): boolean => status === 'completed' && problem === undefined

/** Why a job did not end well: its own problem, or that of its first step that has one. */
export function problemOfJob(job: JobResource): ToldProblem | undefined {
  if (job.status === 'completed') return undefined
  const step = job.steps.find(({ problem }) => problem !== null)
  const problem = job.problem ?? step?.problem
  // The contract's codes are strings on the wire; nothing here asks which one it is.
  if (problem) return problem as ToldProblem
  if (job.status === 'cancelled')
    return { title: 'The job was cancelled.', remedy: `Run it again: millrace jobs retry ${job.job_id}` }
  return { title: 'The job did not end well.', remedy: `See its steps: millrace jobs show ${job.job_id}` }
}

/** Prints all of it and answers with the code to exit with. */
export function tellResults(console: Console, results: readonly FileResult[], durationMs: number): ExitCode {
  const failed = results.filter((result) => !isDone(result))
  if (console.json) console.printJson(toDocument(results, durationMs))
  else {
    for (const [index, line] of summaryTable(results).entries())
      console.print(index === 0 ? console.style('bold', line) : line)
    const done = results.length - failed.length
    const counts = `${formatCount(done, 'file')} done, ${failed.length} failed, ${formatSeconds(durationMs)} s`
    console.print(`\n${console.style(failed.length === 0 ? 'green' : 'red', counts)}`)
    for (const { label, problem } of failed) {
      console.print(`\n${printable(label)}`)
      if (problem) for (const line of problemLines(problem, console.style)) console.print(`  ${line}`)
    }
  }
  return failed.length === 0 ? exitCodes.done : exitCodes.failed
}

const summaryTable = (results: readonly FileResult[]): string[] =>
  tableLines(results, [
    { title: 'FILE', value: ({ label }) => label },
    { title: 'STATUS', value: ({ status }) => status.replaceAll('_', ' ') },
    { title: 'SECONDS', value: ({ durationMs }) => formatSeconds(durationMs), align: 'right' },
    { title: 'OUTPUTS', value: ({ outputs }) => String(outputs.length), align: 'right' },
    { title: 'PROBLEM', value: ({ problem }) => problem?.title ?? '', columnsMax: 70 },
  ])

function toDocument(results: readonly FileResult[], durationMs: number): unknown {
  return {
    done: results.filter(isDone).length,
    failed: results.filter((result) => !isDone(result)).length,
    seconds: durationMs / 1_000,
    files: results.map(({ label, status, durationMs, job, outputs, problem }) => ({
      file: label,
      status,
      seconds: durationMs / 1_000,
      job_id: job?.job_id ?? null,
      parent_job_id: job?.parent_job_id ?? null,
      file_id: job?.file_id ?? null,
      pipeline: job?.pipeline ?? null,
      metadata: job?.metadata ?? null,
      outputs: outputs.map(({ output, path }) => ({ ...output, path: path ?? null })),
      problem: problem ?? null,
    })),
  }
}
