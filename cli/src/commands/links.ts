// millrace links: list, create, revoke.

import type { BodyOf, LinkResource } from '@millrace/contract'
import { listAll, type Api } from '../api.ts'
import { defineCommand, readCount, readDuration, type CommandGroup } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { formatTime } from '../text.ts'
import { findOutput } from './job-outputs.ts'
import { listLimitOption, printList } from './list.ts'

const list = defineCommand({
  summary: 'download links, newest first',
  options: listLimitOption,
  async run(_, options, context) {
    const limit = readCount('limit', options.limit, 10_000)
    const api = await context.api()
    return printList(context.console, listAll(api, 'listLinks', {}, limit ?? 50), [
      { title: 'LINK', value: (link) => link.link_id },
      { title: 'GIVES', value: givesOf },
      { title: 'USES', value: (link) => String(link.uses_count), align: 'right' },
      { title: 'ONCE', value: (link) => (link.single_use ? 'yes' : '') },
      { title: 'EXPIRES', value: (link) => formatTime(link.expires_at) },
      { title: 'BY', value: (link) => link.created_by },
    ])
  },
})

const givesOf = ({ file_id: fileId, file_version: version, job_id: jobId, output_id: outputId }: LinkResource) =>
  outputId === null ? `${fileId} v${version}` : `${jobId} ${outputId}`

const create = defineCommand({
  summary: 'make a link that gives a file or an output to whoever has it, for a while',
  operands: 'FILE | JOB OUTPUT',
  operandsMin: 1,
  operandsMax: 2,
  options: {
    expires: { value: 'TIME', help: 'how long it is good: 90s, 15m, 2h, at most 7d (1h)' },
    once: { help: 'good for one download' },
    version: { value: 'N', help: 'this version of the file instead of the newest' },
  },
  details: `The link needs no key and is shown once. OUTPUT is the name of an output, or its id where several have one name:
millrace jobs show JOB --json has both.`,
  async run([id = '', output], options, context) {
    const { console } = context
    const expiresIn = readDuration('expires', options.expires)
    const version = readCount('version', options.version, 2 ** 31 - 1)
    const order = {
      ...(expiresIn !== undefined && { expires_in: expiresIn }),
      ...(options.once === true && { single_use: true }),
    }
    const api = await context.api()
    const link =
      output === undefined
        ? await createFileLink(api, id, { ...order, ...(version && { version }) })
        : await createOutputLink(api, id, output, order)
    const { url } = link
    if (console.json) console.printJson(link)
    else {
      console.note(
        `${link.link_id}, until ${formatTime(link.expires_at)}${link.single_use ? ', for one download' : ''}`,
      )
      console.print(url)
    }
    return exitCodes.done
  },
})

async function createFileLink(api: Api, fileId: string, body: BodyOf<'createFileLink'>) {
  const params = { file_id: fileId }
  const link = await api.call('createFileLink', { params, body })
  return { ...link, url: api.addressOf('createFileLink', { params }, link.url) }
}

async function createOutputLink(api: Api, jobId: string, output: string, body: BodyOf<'createOutputLink'>) {
  const job = await api.call('getJob', { params: { job_id: jobId } })
  const { output_id: outputId } = findOutput(job, output)
  const params = { job_id: jobId, output_id: outputId }
  const link = await api.call('createOutputLink', { params, body })
  return { ...link, url: api.addressOf('createOutputLink', { params }, link.url) }
}

const revoke = defineCommand({
  summary: 'end a link at once',
  operands: 'LINK',
  operandsMin: 1,
  async run([linkId = ''], _, { api, console }) {
    await (await api()).call('deleteLink', { params: { link_id: linkId } })
    if (console.json) console.printJson({ link_id: linkId, revoked: true })
    else console.print(`${linkId} is revoked.`)
    return exitCodes.done
  },
})

export const linksCommand: CommandGroup = {
  summary: 'list, create and revoke download links',
  subcommands: { list, create, revoke },
}
