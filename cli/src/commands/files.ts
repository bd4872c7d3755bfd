// millrace files: list, show, download, delete, restore.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { operationPath, operations, type FileResource } from '@millrace/contract'
import { listAll } from '../api.ts'
import { defineCommand, readCount, type CommandGroup, type Context } from '../command.ts'
import { downloadTo } from '../download.ts'
import { exitCodes, usageFailure, type ExitCode } from '../failure.ts'
import { safeSegment } from '../safe-path.ts'
import { formatBytes, formatTime, printable } from '../text.ts'
import { listLimitOption, printList } from './list.ts'

const list = defineCommand({
  summary: 'files, newest first',
  options: {
    name: { value: 'TEXT', help: 'only files with this in their name' },
    type: { value: 'TYPE', help: 'only files of this content type' },
    ...listLimitOption,
  },
  async run(_, options, context) {
    const limit = readCount('limit', options.limit, 100_000)
    const api = await context.api()
    const query = { name: options.name, content_type: options.type }
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

const download = defineCommand({
  summary: 'the bytes of a file, as it was uploaded',
  operands: 'FILE',
  operandsMin: 1,
  options: { out: { value: 'PATH', help: 'file to write, else its own name here' } },
  async run([fileId = ''], options, context) {
    const api = await context.api()
    const file = await api.call('getFile', { params: { file_id: fileId } })
    const target = path.resolve(context.cwd, options.out ?? safeSegment(file.name))
    // The file's own name may be that of something that is here already.
    if (options.out === undefined && existsSync(target))
      throw usageFailure(`${target} exists already.`, 'Name the file to write with --out; that one is replaced.')
    const from = operationPath(operations.getFileContent, {
      params: { file_id: fileId },
      query: { version: file.version },
    })
    await downloadTo({ ...context, api }, { path: from, target, sha256: file.sha256 })
    if (context.console.json) context.console.printJson({ ...file, path: target })
    else context.console.print(target)
    return exitCodes.done
  },
})

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
  summary: 'list, show, download, delete and restore files',
  subcommands: { list, show, download, delete: remove, restore },
}
