// millrace files: what is known of files, and what becomes of them; their bytes are in file-downloads.ts.

import type { FileResource, LineageResource } from '@millrace/contract'
import { listAll } from '../api.ts'
import {
  confirm,
  defineCommand,
  readCount,
  readJsonObject,
  yesOption,
  type CommandGroup,
  type Context,
} from '../command.ts'
import { exitCodes, usageFailure, type ExitCode } from '../failure.ts'
import { formatBytes, formatTime, printable } from '../text.ts'
import { downloadFile, zipFiles } from './file-downloads.ts'
import { listLimitOption, printList } from './list.ts'

const list = defineCommand({
  summary: 'files, newest first',
  options: {
    name: { value: 'TEXT', help: 'only files with this in their name' },
    type: { value: 'TYPE', help: 'only files of this content type' },
    parent: { value: 'FILE', help: 'only files that came out of this archive' },
    trash: { help: 'those in the trash instead' },
    ...listLimitOption,
  },
  async run(_, options, context) {
    const limit = readCount('limit', options.limit, 100_000)
    const api = await context.api()
    const query = {
      name: options.name,
      content_type: options.type,
      parent_file_id: options.parent,
      trash: options.trash,
    }
    return printList(context.console, listAll(api, 'listFiles', query, limit ?? 50), [
      { title: 'FILE', value: (file) => file.file_id },
      { title: 'NAME', value: (file) => file.name, columnsMax: 40 },
      { title: 'SIZE', value: (file) => formatBytes(file.size_bytes), align: 'right' },
      { title: 'TYPE', value: (file) => file.content_type, columnsMax: 40 },
      { title: 'STATE', value: (file) => file.state },
      { title: 'CREATED', value: (file) => formatTime(file.created_at) },
    ])
  },
})

const show = defineCommand({
  summary: 'a file with its metadata',
  operands: 'FILE',
  operandsMin: 1,
  async run([fileId = ''], _, context) {
    const api = await context.api()
    return tellFile(context, await api.call('getFile', { params: { file_id: fileId } }))
  },
})

const update = defineCommand({
  summary: 'rename a file, or replace its metadata',
  operands: 'FILE',
  operandsMin: 1,
  options: {
    name: { value: 'NAME', help: 'its new name' },
    metadata: { value: 'JSON', help: 'an object in place of what it has' },
  },
  async run([fileId = ''], options, context) {
    const { name } = options
    const metadata = readJsonObject('metadata', options.metadata)
    if (name === undefined && metadata === undefined)
      throw usageFailure('There is nothing to change.', 'Give --name or --metadata.')
    const body = { ...(name !== undefined && { name }), ...(metadata && { metadata }) }
    const api = await context.api()
    return tellFile(context, await api.call('updateFile', { params: { file_id: fileId }, body }))
  },
})

const versions = defineCommand({
  summary: 'versions of a file, newest first',
  operands: 'FILE',
  operandsMin: 1,
  options: listLimitOption,
  details:
    'millrace upload PATH --version-of FILE makes the next one; millrace files download FILE --version N gets one.',
  async run([fileId = ''], options, context) {
    const limit = readCount('limit', options.limit, 10_000)
    const api = await context.api()
    const rows = listAll(api, 'listFileVersions', {}, limit ?? 50, { file_id: fileId })
    return printList(context.console, rows, [
      { title: 'VERSION', value: (version) => String(version.version), align: 'right' },
      { title: 'SIZE', value: (version) => formatBytes(version.size_bytes), align: 'right' },
      { title: 'TYPE', value: (version) => version.content_type, columnsMax: 40 },
      { title: 'STATE', value: (version) => version.state },
      { title: 'CREATED', value: (version) => formatTime(version.created_at) },
      { title: 'SHA-256', value: (version) => version.sha256, columnsMax: 64 },
    ])
  },
})

const lineage = defineCommand({
  summary: 'what a file was made from, what was made from it, and by which processors',
  operands: 'FILE',
  operandsMin: 1,
  async run([fileId = ''], _, context) {
    const { console } = context
    const told = await (await context.api()).call('getFileLineage', { params: { file_id: fileId } })
    if (console.json) {
      console.printJson(told)
      return exitCodes.done
    }
    if (told.truncated) console.note('There is more of it than 1,000 of a kind; the first are told.')
    return printList(console, told.edges.values(), [
      { title: 'FROM', value: (edge) => edge.from },
      { title: 'TO', value: (edge) => edge.to },
      { title: 'AS ITS', value: (edge) => edge.kind },
      { title: 'MADE BY', value: makerOf },
      { title: 'JOB', value: (edge) => edge.made_by?.job_id ?? '' },
    ])
  },
})

const makerOf = ({ made_by: maker }: LineageResource['edges'][number]): string =>
  maker === null
    ? ''
    : `${maker.step} (${maker.processor}${maker.processor_version === null ? '' : ` v${maker.processor_version}`})`

const remove = defineCommand({
  summary: 'move a file to the trash',
  operands: 'FILE',
  operandsMin: 1,
  async run([fileId = ''], _, { api, console }) {
    await (await api()).call('deleteFile', { params: { file_id: fileId } })
    if (console.json) console.printJson({ file_id: fileId, deleted: true })
    else console.print(`${fileId} is in the trash; millrace files restore ${fileId} takes it back.`)
    return exitCodes.done
  },
})

const restore = defineCommand({
  summary: 'take a file back from the trash',
  operands: 'FILE',
  operandsMin: 1,
  async run([fileId = ''], _, context) {
    const api = await context.api()
    return tellFile(context, await api.call('restoreFile', { params: { file_id: fileId } }))
  },
})

const erase = defineCommand({
  summary: 'erase a file for good, with all that was made and found of it',
  operands: 'FILE',
  operandsMin: 1,
  options: { members: { help: 'the files that came out of it as an archive, too' }, ...yesOption },
  details: 'There is no way back. Asks first; where there is no terminal it wants --yes.',
  async run([fileId = ''], options, context) {
    const { console } = context
    const api = await context.api()
    // Also tells a wrong id before anybody is asked.
    const { name } = await api.call('getFile', { params: { file_id: fileId } })
    const what = options.members === true ? `${printable(name)} and its members` : printable(name)
    await confirm(context, options, { question: `${what} will be erased for good.`, word: 'erase' })
    const query = { permanent: true, ...(options.members === true && { members: true }) }
    await api.call('deleteFile', { params: { file_id: fileId }, query })
    if (console.json) console.printJson({ file_id: fileId, erased: true })
    else console.print(`${fileId} is erased.`)
    return exitCodes.done
  },
})

function tellFile({ console }: Context, file: FileResource): ExitCode {
  if (console.json) {
    console.printJson(file)
    return exitCodes.done
  }
  console.print(`${console.style('bold', file.file_id)}  ${printable(file.name)}  ${file.state}`)
  console.print(
    `${file.content_type}, ${formatBytes(file.size_bytes)}, version ${file.version}, ${formatTime(file.created_at)}`,
  )
  console.print(`sha256 ${file.sha256}`)
  for (const [name, value] of Object.entries(file.metadata)) {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    console.print(`  ${printable(name)}: ${printable(text.slice(0, metadataCharactersMax))}`)
  }
  return exitCodes.done
}
const metadataCharactersMax = 200

export const filesCommand: CommandGroup = {
  summary: 'list, show, change, download, delete, restore and erase files',
  subcommands: {
    list,
    show,
    update,
    download: downloadFile,
    zip: zipFiles,
    versions,
    lineage,
    delete: remove,
    restore,
    erase,
  },
}
