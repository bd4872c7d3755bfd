// millrace batch: list, create, show, items, change, pause, resume, cancel, redrive, report.

import { readFile } from 'node:fs/promises'
import path from 'node:path'
import {
  batchItemStates,
  batchReportFormats,
  batchStates,
  operationPath,
  manifestFormats,
  operations,
  type BatchOrder,
  type BatchResource,
} from '@millrace/contract'
import { listAll } from '../api.ts'
import { defineCommand, readCount, readWord, type CommandGroup, type Context } from '../command.ts'
import { problemLines } from '../console.ts'
import { downloadTo } from '../download.ts'
import { exitCodes, usageFailure, type ExitCode, type ToldProblem } from '../failure.ts'
import { safeSegment } from '../safe-path.ts'
import { formatTime, printable } from '../text.ts'
import { listLimitOption, printList } from './list.ts'

const list = defineCommand({
  summary: 'batches, newest first',
  options: { status: { value: 'STATUS', help: batchStates.join(', ') }, ...listLimitOption },
  async run(_, options, context) {
    const status = readWord('status', options.status, batchStates)
    const limit = readCount('limit', options.limit, 100_000)
    const api = await context.api()
    return printList(context.console, listAll(api, 'listBatches', { status }, limit ?? 50), [
      { title: 'BATCH', value: (batch) => batch.batch_id },
      { title: 'STATUS', value: (batch) => batch.status.replaceAll('_', ' ') },
      { title: '%', value: (batch) => String(Math.floor(batch.progress)), align: 'right' },
      { title: 'ITEMS', value: (batch) => String(batch.items.total), align: 'right' },
      { title: 'FAILED', value: (batch) => String(batch.items.failed), align: 'right' },
      { title: 'NAME', value: (batch) => batch.name, columnsMax: 40 },
      { title: 'CREATED', value: (batch) => formatTime(batch.created_at) },
    ])
  },
})

const create = defineCommand({
  summary: 'run a pipeline over many files',
  options: {
    pipeline: { value: 'NAME', help: 'pipeline to run, else the default for the type of each file' },
    manifest: { value: 'PATH', help: 'list of file ids or names, one a line: .csv or .jsonl' },
    'manifest-file': { value: 'FILE', help: 'the same as a file that was uploaded, for long lists' },
    match: { value: 'TEXT', help: 'files with this in their name' },
    prefix: { value: 'TEXT', help: 'files whose name begins so' },
    type: { value: 'TYPE', help: 'files of this content type, e.g. image/*' },
    text: { value: 'WORDS', help: 'files that a search for these words finds' },
    all: { help: 'every file' },
    name: { value: 'NAME', help: 'what to call the batch' },
    format: { value: 'FORMAT', help: `of the list: ${manifestFormats.join(' or ')}, else by its ending, or csv` },
    concurrency: { value: 'N', help: 'jobs of it that may be live at once (1000)' },
    tolerate: { value: 'PERCENT', help: 'share of failed items after which the rest is not started, or any' },
  },
  async run(_, options, context) {
    const concurrency = readCount('concurrency', options.concurrency, 10_000)
    const { name, pipeline: named } = options
    const order: BatchOrder = {
      ...(await readSource(options, context)),
      ...(name !== undefined && { name }),
      ...(named !== undefined && { pipeline: named }),
      ...(concurrency !== undefined && { concurrency }),
      ...(options.tolerate !== undefined && { tolerated_failure_percent: readPercent(options.tolerate) }),
    }
    const api = await context.api()
    const batch = await api.call('createBatch', {
      body: order,
      headers: { 'idempotency-key': context.randomId() },
    })
    for (const { line, message } of batch.plan.errors) context.console.note(`line ${line}: ${printable(message)}`)
    return tellBatch(context, batch)
  },
})

/** More than this is uploaded as a file first. */
const manifestCharactersMax = 900_000

interface SourceOptions {
  manifest?: string
  'manifest-file'?: string
  format?: string
  match?: string
  prefix?: string
  type?: string
  text?: string
  all?: boolean
}

async function readSource(options: SourceOptions, { cwd }: Context): Promise<Pick<BatchOrder, 'manifest' | 'query'>> {
  const { manifest, 'manifest-file': fileId, match, prefix, type, text, all } = options
  const format = readWord('format', options.format, manifestFormats)
  const query = {
    ...(match !== undefined && { name: match }),
    ...(prefix !== undefined && { name_prefix: prefix }),
    ...(type !== undefined && { content_type: type }),
    ...(text !== undefined && { text }),
  }
  const asked = [manifest !== undefined, fileId !== undefined, Object.keys(query).length > 0 || all === true]
  if (asked.filter(Boolean).length !== 1)
    throw usageFailure(
      'It is not clear which files are meant.',
      'Give --manifest, --manifest-file, or what the files are.',
    )
  if (manifest === undefined && fileId === undefined) return { query }
  if (fileId !== undefined) return { manifest: { format: format ?? 'csv', file_id: fileId } }
  const file = manifest ?? ''
  const content = await readFile(path.resolve(cwd, file), 'utf8').catch(() => {
    throw usageFailure(`${file} cannot be read.`, 'Name a file with one file id or name a line.')
  })
  if (content.length === 0 || content.length > manifestCharactersMax)
    throw usageFailure(
      `${file} has ${content.length} characters.`,
      `Give 1 to ${manifestCharactersMax}, or upload it and name it with --manifest-file.`,
    )
  return { manifest: { format: format ?? (/\.(jsonl|ndjson)$/i.test(file) ? 'jsonl' : 'csv'), content } }
}

function readPercent(text: string): number | null {
  if (text === 'any') return null
  const percent = Number(text)
  if (!/^\d+(\.\d+)?$/.test(text) || percent > 100)
    throw usageFailure(`--tolerate is "${text}".`, 'Give a number from 0 to 100, or any.')
  return percent
}

const show = defineCommand({
  summary: 'a batch with its counts',
  operands: 'BATCH',
  operandsMin: 1,
  run: async ([id = ''], _, context) =>
    tellBatch(context, await (await context.api()).call('getBatch', { params: { batch_id: id } })),
})

const items = defineCommand({
  summary: 'items of a batch in their order',
  operands: 'BATCH',
  operandsMin: 1,
  options: { state: { value: 'STATE', help: batchItemStates.join(', ') }, ...listLimitOption },
  async run([id = ''], options, context) {
    const state = readWord('state', options.state, batchItemStates)
    const limit = readCount('limit', options.limit, 100_000)
    const api = await context.api()
    const rows = listAll(api, 'listBatchItems', { state }, limit ?? 50, { batch_id: id })
    return printList(context.console, rows, [
      { title: 'ITEM', value: (item) => String(item.ordinal), align: 'right' },
      { title: 'STATE', value: (item) => item.state },
      { title: 'FILE', value: (item) => item.file_id ?? '' },
      { title: 'NAME', value: (item) => item.file_name ?? item.reference ?? '', columnsMax: 40 },
      { title: 'JOB', value: (item) => item.job_id ?? '' },
      { title: 'PROBLEM', value: (item) => item.problem?.title ?? '', columnsMax: 70 },
    ])
  },
})

const liveOptions = {
  concurrency: { value: 'N', help: 'jobs of it that may be live at once' },
  tolerate: { value: 'PERCENT', help: 'share of failed items after which the rest is not started, or any' },
} as const

function readLive({ concurrency: count, tolerate }: { concurrency?: string; tolerate?: string }) {
  const concurrency = readCount('concurrency', count, 10_000)
  return {
    ...(concurrency !== undefined && { concurrency }),
    ...(tolerate !== undefined && { tolerated_failure_percent: readPercent(tolerate) }),
  }
}

const change = defineCommand({
  summary: 'change how fast a batch runs and what failures it tolerates, while it runs',
  operands: 'BATCH',
  operandsMin: 1,
  options: liveOptions,
  async run([id = ''], options, context) {
    const body = readLive(options)
    if (Object.keys(body).length === 0)
      throw usageFailure('There is nothing to change.', 'Give --concurrency or --tolerate.')
    return tellBatch(context, await (await context.api()).call('updateBatch', { params: { batch_id: id }, body }))
  },
})

const pausing = (paused: boolean, summary: string) =>
  defineCommand({
    summary,
    operands: 'BATCH',
    operandsMin: 1,
    run: async ([id = ''], _, context) =>
      tellBatch(
        context,
        await (await context.api()).call('updateBatch', { params: { batch_id: id }, body: { paused } }),
      ),
  })

const cancel = defineCommand({
  summary: 'cancel a batch and its live jobs',
  operands: 'BATCH',
  operandsMin: 1,
  run: async ([id = ''], _, context) =>
    tellBatch(context, await (await context.api()).call('cancelBatch', { params: { batch_id: id } })),
})

const redrive = defineCommand({
  summary: 'run what failed of an ended batch again',
  operands: 'BATCH',
  operandsMin: 1,
  options: { cancelled: { help: 'also what was cancelled or never started' }, ...liveOptions },
  async run([id = ''], options, context) {
    const body = { cancelled: options.cancelled === true, ...readLive(options) }
    return tellBatch(context, await (await context.api()).call('redriveBatch', { params: { batch_id: id }, body }))
  },
})

const report = defineCommand({
  summary: 'what became of each item, as CSV or Parquet',
  operands: 'BATCH',
  operandsMin: 1,
  options: {
    format: { value: 'FORMAT', help: `${batchReportFormats.join(' or ')}, else csv` },
    out: { value: 'PATH', help: 'file to write, else BATCH-report.FORMAT here' },
  },
  async run([id = ''], options, context) {
    const format = readWord('format', options.format, batchReportFormats) ?? 'csv'
    const api = await context.api()
    const target = path.resolve(context.cwd, options.out ?? `${safeSegment(id)}-report.${format}`)
    const at = operationPath(operations.getBatchReport, { params: { batch_id: id }, query: { format } })
    const open = () => api.once.fetchPath(at, { signal: context.signal })
    await downloadTo({ ...context, api }, { open, target })
    if (context.console.json) context.console.printJson({ batch_id: id, path: target })
    else context.console.print(target)
    return exitCodes.done
  },
})

function tellBatch({ console }: Context, batch: BatchResource): ExitCode {
  if (console.json) {
    console.printJson(batch)
    return exitCodes.done
  }
  const { total, pending, running, succeeded, failed, cancelled } = batch.items
  console.print(
    `${console.style('bold', batch.batch_id)}  ${printable(batch.name)}  ${batch.status.replaceAll('_', ' ')}  ${Math.floor(batch.progress)} %`,
  )
  console.print(
    `${total} items${batch.planned ? '' : ' so far'}: ${succeeded} succeeded, ${failed} failed, ${running} running, ${pending} pending, ${cancelled} cancelled`,
  )
  // The server's codes are those of the contract.
  if (batch.problem) for (const line of problemLines(batch.problem as ToldProblem, console.style)) console.print(line)
  return exitCodes.done
}

export const batchCommand: CommandGroup = {
  summary: 'run a pipeline over many files, and look after it',
  subcommands: {
    list,
    create,
    show,
    items,
    change,
    pause: pausing(true, 'start nothing more of a batch for now'),
    resume: pausing(false, 'go on with a paused batch'),
    cancel,
    redrive,
    report,
  },
}
