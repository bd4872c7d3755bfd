// millrace jobs: list, show, cancel, retry.

import { jobStates, type JobResource } from '@millrace/contract'
import { listAll } from '../api.ts'
import { defineCommand, readCount, readWord, type CommandGroup, type Context } from '../command.ts'
import { problemLines, type Console } from '../console.ts'
import { exitCodes, type ExitCode, type ToldProblem } from '../failure.ts'
import { problemOfJob } from '../file-result.ts'
import { stepText } from '../progress.ts'
import { formatBytes, formatCount, formatSeconds, formatTime, printable, tableLines } from '../text.ts'
import { listLimitOption, printList } from './list.ts'

const list = defineCommand({
  summary: 'jobs, newest first',
  options: {
    status: { value: 'STATUS', help: jobStates.join(', ') },
    file: { value: 'FILE', help: 'only jobs of this file id' },
    parent: { value: 'JOB', help: 'only jobs that came out of this one' },
    ...listLimitOption,
  },
  async run(_, options, context) {
    const status = readWord('status', options.status, jobStates)
    const limit = readCount('limit', options.limit, 100_000)
    const api = await context.api()
    const query = { status, file_id: options.file, parent_job_id: options.parent }
    return printList(context.console, listAll(api, 'listJobs', query, limit ?? 50), [
      { title: 'JOB', value: (job) => job.job_id },
      { title: 'STATUS', value: (job) => job.status.replaceAll('_', ' ') },
      { title: '%', value: (job) => String(Math.floor(job.progress)), align: 'right' },
      { title: 'FILE', value: (job) => job.file_name, columnsMax: 40 },
      { title: 'PIPELINE', value: (job) => `${job.pipeline} v${job.pipeline_version}` },
      { title: 'CREATED', value: (job) => formatTime(job.created_at) },
      { title: 'PROBLEM', value: (job) => job.problem?.title ?? '' },
    ])
  },
})

const show = defineCommand({
  summary: 'a job with its steps and outputs',
  operands: 'JOB',
  operandsMin: 1,
  async run([jobId = ''], _, context) {
    const api = await context.api()
    return tellJob(context, await api.call('getJob', { params: { job_id: jobId } }))
  },
})

const cancel = defineCommand({
  summary: 'cancel a job',
  operands: 'JOB',
  operandsMin: 1,
  async run([jobId = ''], _, context) {
    const api = await context.api()
    return tellJob(context, await api.call('cancelJob', { params: { job_id: jobId } }))
  },
})

const retry = defineCommand({
  summary: 'run the failed, skipped and cancelled steps of an ended job again',
  operands: 'JOB',
  operandsMin: 1,
  async run([jobId = ''], _, context) {
    const api = await context.api()
    return tellJob(context, await api.call('retryJob', { params: { job_id: jobId } }))
  },
})

function tellJob({ console }: Context, job: JobResource): ExitCode {
  if (console.json) console.printJson(job)
  else for (const line of jobLines(job, console.style)) console.print(line)
  return exitCodes.done
}

function jobLines(job: JobResource, style: Console['style']): string[] {
  const { processing_time: seconds, file_size_mb: sizeMb, records_processed: records } = job.metadata
  const figures = [
    formatBytes(sizeMb * 1_000_000),
    seconds === null ? '' : `${formatSeconds(seconds * 1_000)} s`,
    records === null ? '' : formatCount(records, 'record'),
  ].filter(Boolean)
  const problem = problemOfJob(job)
  const ended =
    job.status !== 'queued' && job.status !== 'running' && job.status !== 'paused' && job.status !== 'cancelling'
  return [
    `${style('bold', job.job_id)}  ${printable(job.file_name)}  ${job.status.replaceAll('_', ' ')}  ${Math.floor(job.progress)} %`,
    `${printable(job.pipeline)} v${job.pipeline_version}, ${job.priority}, ${figures.join(', ')}`,
    '',
    ...tableLines(job.steps, [
      { title: 'STEP', value: (step) => step.name },
      { title: 'STAGE', value: (step) => step.stage },
      { title: 'PROCESSOR', value: (step) => step.processor },
      { title: 'WHAT CAME OF IT', value: (step) => stepText(step).slice(step.name.length + 1), columnsMax: 70 },
    ]),
    ...(job.outputs.length === 0
      ? []
      : [
          '',
          ...tableLines(job.outputs, [
            { title: 'OUTPUT', value: (output) => output.name },
            { title: 'SIZE', value: (output) => formatBytes(output.size_bytes), align: 'right' },
            { title: 'TYPE', value: (output) => output.content_type },
            { title: 'URI', value: (output) => output.uri, columnsMax: 120 },
          ]),
        ]),
    ...(ended && problem ? ['', ...problemLines(problem satisfies ToldProblem, style)] : []),
  ]
}

export const jobsCommand: CommandGroup = {
  summary: 'list, show, cancel and retry jobs',
  subcommands: { list, show, cancel, retry },
}
