// millrace jobs: list, show, run, cancel, pause, resume, retry, replay; what they made is in job-outputs.ts.

import { isJobEnded, jobStates, lanes, type JobFilter, type JobResource } from '@millrace/contract'
import { listAll } from '../api.ts'
import { confirm, defineCommand, readCount, readWord, yesOption, type CommandGroup, type Context } from '../command.ts'
import { problemLines, type Console } from '../console.ts'
import { exitCodes, type ExitCode, type ToldProblem } from '../failure.ts'
import { problemOfJob } from '../file-result.ts'
import { stepText } from '../progress.ts'
import { formatBytes, formatCount, formatSeconds, formatTime, printable, tableLines } from '../text.ts'
import { tellControlTask } from './control-tasks.ts'
import { downloadOutputs, zipOutputs } from './job-outputs.ts'
import { listLimitOption, printList } from './list.ts'

/** Those that an order to cancel can name. */
const liveStates = ['queued', 'running', 'paused'] as const

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

const run = defineCommand({
  summary: 'run a pipeline over a file that is already here',
  operands: 'FILE',
  operandsMin: 1,
  options: {
    pipeline: {
      value: 'NAME',
      help: 'pipeline to run; NAME@VERSION for a version of it; else the default for its type',
    },
    priority: { value: 'LANE', help: lanes.join(', ') },
  },
  async run([fileId = ''], options, context) {
    const { console } = context
    const priority = readWord('priority', options.priority, lanes)
    const { pipeline } = options
    const body = { file_id: fileId, ...(pipeline !== undefined && { pipeline }), ...(priority && { priority }) }
    const api = await context.api()
    const started = await api.call('createJob', { body, headers: { 'idempotency-key': context.randomId() } })
    if (console.json) console.printJson(started)
    else console.print(`${started.job_id}  ${started.file_id}  ${printable(started.name)}`)
    return exitCodes.done
  },
})

const cancelAll = defineCommand({
  summary: 'cancel all live jobs that match, in the background',
  options: {
    pipeline: { value: 'NAME', help: 'only of this pipeline' },
    status: { value: 'STATUS', help: liveStates.join(', ') },
    file: { value: 'TEXT', help: 'only of files with this in their name' },
    ...yesOption,
  },
  details: 'Without a condition that is every live job of the tenant. Asks first; without a terminal it wants --yes.',
  async run(_, options, context) {
    const { pipeline, file } = options
    const status = readWord('status', options.status, liveStates)
    const filter: JobFilter = {
      ...(pipeline !== undefined && { pipeline }),
      ...(status !== undefined && { status }),
      ...(file !== undefined && { file_name: file }),
    }
    const conditions = Object.entries(filter).map(([name, value]) => `${name.replaceAll('_', ' ')} ${value}`)
    const which = conditions.length === 0 ? 'All live jobs' : `All live jobs (${printable(conditions.join(', '))})`
    await confirm(context, options, { question: `${which} will be cancelled.`, word: 'cancel' })
    return tellControlTask(context, await (await context.api()).call('cancelJobs', { body: filter }))
  },
})

const replay = defineCommand({
  summary: 'run one step of an ended job, and what follows it, again',
  operands: 'JOB STEP',
  operandsMin: 2,
  async run([jobId = '', step = ''], _, context) {
    const api = await context.api()
    return tellJob(context, await api.call('replayStep', { params: { job_id: jobId, step } }))
  },
})

const pause = defineCommand({
  summary: 'pause a job: what runs ends, nothing else of it starts',
  operands: 'JOB',
  operandsMin: 1,
  async run([jobId = ''], _, context) {
    const api = await context.api()
    return tellJob(context, await api.call('pauseJob', { params: { job_id: jobId } }))
  },
})

const resume = defineCommand({
  summary: 'let a paused job go on',
  operands: 'JOB',
  operandsMin: 1,
  async run([jobId = ''], _, context) {
    const api = await context.api()
    return tellJob(context, await api.call('resumeJob', { params: { job_id: jobId } }))
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
    ...(isJobEnded(job.status) && problem ? ['', ...problemLines(problem satisfies ToldProblem, style)] : []),
  ]
}

export const jobsCommand: CommandGroup = {
  summary: 'list, show, run, cancel, pause, resume and retry jobs, download what they made',
  subcommands: {
    list,
    show,
    run,
    download: downloadOutputs,
    zip: zipOutputs,
    cancel,
    'cancel-all': cancelAll,
    pause,
    resume,
    retry,
    replay,
  },
}
