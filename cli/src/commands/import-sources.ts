// millrace import-sources: places that files are taken from, once or again and again.

import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { BodyOf, ImportSourceResource } from '@millrace/contract'
import { listAll } from '../api.ts'
import { defineCommand, readCount, readDuration, type CommandGroup, type Context } from '../command.ts'
import { exitCodes, usageFailure, type ExitCode } from '../failure.ts'
import { formatTime, printable } from '../text.ts'
import { listLimitOption, printList } from './list.ts'
import { readUploadOptions, uploadOptionRows } from './upload-options.ts'

const list = defineCommand({
  summary: 'import sources, newest first',
  options: listLimitOption,
  async run(_, options, context) {
    const limit = readCount('limit', options.limit, 10_000)
    const api = await context.api()
    return printList(context.console, listAll(api, 'listImportSources', {}, limit ?? 50), [
      { title: 'SOURCE', value: (source) => source.import_source_id },
      { title: 'NAME', value: (source) => source.name, columnsMax: 40 },
      { title: 'PLACE', value: (source) => source.place },
      { title: 'STATE', value: (source) => source.state },
      { title: 'FOUND', value: (source) => String(source.found_count), align: 'right' },
      { title: 'NEXT', value: (source) => (source.next_run_at === null ? 'never' : formatTime(source.next_run_at)) },
      { title: 'PROBLEM', value: (source) => source.problem?.detail ?? '', columnsMax: 70 },
    ])
  },
})

const create = defineCommand({
  summary: 'take files from a bucket, an SFTP server or a folder of the server; each file once',
  operands: 'NAME PLACE',
  operandsMin: 2,
  options: {
    every: { value: 'TIME', help: 'look again after so long: 90s, 15m, 2h, 1d; else once' },
    endpoint: { value: 'URL', help: 'of the S3 server; else AWS' },
    region: { value: 'REGION', help: 'of the bucket' },
    inventory: {
      value: 's3://…',
      help: 'S3 Inventory as CSV, read instead of a listing: its manifest.json, or their folder/',
    },
    'host-key': { value: 'SHA256:…', help: 'of the SFTP server, as ssh-keygen -lf says it' },
    'private-key': { value: 'PATH', help: 'file with the key for the SFTP server' },
    pipeline: uploadOptionRows.pipeline,
    metadata: uploadOptionRows.metadata,
    priority: uploadOptionRows.priority,
  },
  details: `PLACE is s3://BUCKET/PREFIX, sftp://USER@HOST:PORT/FOLDER, or the path of a folder of the server, which is for its
operator. Secrets are not taken from the command line, where others may read them: for S3 they are AWS_ACCESS_KEY_ID
and AWS_SECRET_ACCESS_KEY, for SFTP MILLRACE_SFTP_PASSWORD or --private-key. The server keeps them encrypted.`,
  async run([name = '', place = ''], options, context) {
    const every = readDuration('every', options.every)
    const { upload } = readUploadOptions(options)
    const body = {
      name,
      ...(every !== undefined && { interval_seconds: every }),
      ...(upload.pipeline !== undefined && { pipeline: upload.pipeline }),
      // Checked to be an object.
      ...(upload.metadata !== undefined && { metadata: JSON.parse(upload.metadata) as Record<string, unknown> }),
      ...(upload.priority !== undefined && { priority: upload.priority }),
      ...(await readPlace(place, options, context)),
    }
    return tell(context, await (await context.api()).call('createImportSource', { body }))
  },
})

interface PlaceOptions {
  endpoint?: string
  region?: string
  inventory?: string
  'host-key'?: string
  'private-key'?: string
}

type Place = Pick<BodyOf<'createImportSource'>, 's3' | 'sftp' | 'folder'>
type Bucket = NonNullable<Place['s3']>
type Server = NonNullable<Place['sftp']>

async function readPlace(place: string, options: PlaceOptions, context: Context): Promise<Place> {
  if (path.isAbsolute(place)) return { folder: place }
  const url = URL.canParse(place) ? new URL(place) : undefined
  const below = url === undefined ? '' : decodeURIComponent(url.pathname).replace(/^\//, '')
  if (url?.protocol === 's3:' && url.hostname !== '') return { s3: readBucket(url.hostname, below, options, context) }
  if (url?.protocol === 'sftp:' && url.username !== '') return { sftp: await readServer(url, below, options, context) }
  throw usageFailure(
    `"${place}" is not a place that files are taken from.`,
    'Give s3://BUCKET/PREFIX, sftp://USER@HOST/FOLDER, or the whole path of a folder of the server.',
  )
}

function readBucket(bucket: string, prefix: string, options: PlaceOptions, { environment }: Context): Bucket {
  const { endpoint, region } = options
  const { AWS_ACCESS_KEY_ID: keyId, AWS_SECRET_ACCESS_KEY: secret } = environment
  if (!keyId || !secret)
    throw usageFailure('There are no credentials for the bucket.', 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.')
  return {
    bucket,
    access_key_id: keyId,
    secret_access_key: secret,
    ...(prefix !== '' && { prefix }),
    ...(endpoint !== undefined && { endpoint }),
    ...(region !== undefined && { region }),
    ...readInventory(bucket, options.inventory),
  }
}

function readInventory(bucket: string, text: string | undefined): Pick<Bucket, 'inventory' | 'inventory_bucket'> {
  if (text === undefined) return {}
  const [, holder = '', inventory] = /^s3:\/\/([^/]+)\/(.+)$/.exec(text) ?? []
  if (inventory === undefined)
    throw usageFailure(
      `--inventory is "${text}".`,
      'Give s3://BUCKET/KEY of its manifest.json, or s3://BUCKET/FOLDER/ of all of them.',
    )
  return { inventory, ...(holder !== bucket && { inventory_bucket: holder }) }
}

async function readServer(
  { hostname: host, port, username }: URL,
  folder: string,
  options: PlaceOptions,
  { environment, cwd }: Context,
): Promise<Server> {
  const { 'host-key': hostKey, 'private-key': keyPath } = options
  const { MILLRACE_SFTP_PASSWORD: password } = environment
  if (hostKey === undefined)
    throw usageFailure('The key of the SFTP server is not named.', 'Give --host-key, as ssh-keygen -lf says it.')
  if (keyPath === undefined && !password)
    throw usageFailure('There are no credentials for the server.', 'Set MILLRACE_SFTP_PASSWORD or give --private-key.')
  return {
    host,
    host_key: hostKey,
    user: decodeURIComponent(username),
    ...(port !== '' && { port: Number(port) }),
    ...(folder !== '' && { folder: `/${folder}` }),
    ...(password && { password }),
    ...(keyPath !== undefined && { private_key: await readKey(path.resolve(cwd, keyPath)) }),
  }
}

const readKey = (file: string): Promise<string> =>
  readFile(file, 'utf8').catch(() => {
    throw usageFailure(`${file} cannot be read.`, 'Name a file with a private key.')
  })

const show = defineCommand({
  summary: 'an import source',
  operands: 'SOURCE',
  operandsMin: 1,
  run: async ([id = ''], _, context) =>
    tell(context, await (await context.api()).call('getImportSource', { params: { import_source_id: id } })),
})

const becoming = (state: 'active' | 'paused', summary: string) =>
  defineCommand({
    summary,
    operands: 'SOURCE',
    operandsMin: 1,
    options: state === 'active' ? { every: { value: 'TIME', help: 'look again after so long from now on' } } : {},
    async run([id = ''], options: { every?: string }, context) {
      const every = readDuration('every', options.every)
      const body = { state, ...(every !== undefined && { interval_seconds: every }) }
      const api = await context.api()
      return tell(context, await api.call('updateImportSource', { params: { import_source_id: id }, body }))
    },
  })

const remove = defineCommand({
  summary: 'forget an import source and its credentials; what it has found stays',
  operands: 'SOURCE',
  operandsMin: 1,
  async run([id = ''], _, { api, console }) {
    await (await api()).call('deleteImportSource', { params: { import_source_id: id } })
    if (console.json) console.printJson({ import_source_id: id, deleted: true })
    else console.print(`${id} is deleted.`)
    return exitCodes.done
  },
})

function tell({ console }: Context, source: ImportSourceResource): ExitCode {
  const { import_source_id: id, name, state, place, found_count: found, next_run_at: next, problem } = source
  const skipped = source.skipped_count > 0 ? ` (${source.skipped_count} lines not understood)` : ''
  if (console.json) console.printJson(source)
  else {
    console.print(`${console.style('bold', id)}  ${printable(name)}  ${state}`)
    console.print(`${printable(place)}, ${found} found${skipped}, next: ${next === null ? 'never' : formatTime(next)}`)
    if (problem !== null)
      console.print(`${console.style('red', printable(problem.detail))} ${printable(problem.remedy)}`)
  }
  return exitCodes.done
}

export const importSourcesCommand: CommandGroup = {
  summary: 'take files from buckets, SFTP servers and folders',
  subcommands: {
    list,
    create,
    show,
    pause: becoming('paused', 'look no more for now'),
    resume: becoming('active', 'look again, at once'),
    delete: remove,
  },
}
