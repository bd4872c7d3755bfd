// millrace uploads: files on their way in that take more than one request.

import { uploadKinds, uploadStates, type UploadResource } from '@millrace/contract'
import { listAll } from '../api.ts'
import { defineCommand, readCount, readWord, type CommandGroup, type Context } from '../command.ts'
import { exitCodes, type ExitCode } from '../failure.ts'
import { formatBytes, formatTime, printable } from '../text.ts'
import { listLimitOption, printList } from './list.ts'

const list = defineCommand({
  summary: 'uploads and imports under way and ended, newest first',
  options: {
    state: { value: 'STATE', help: uploadStates.join(', ') },
    kind: { value: 'KIND', help: uploadKinds.join(', ') },
    ...listLimitOption,
  },
  async run(_, options, context) {
    const state = readWord('state', options.state, uploadStates)
    const kind = readWord('kind', options.kind, uploadKinds)
    const limit = readCount('limit', options.limit, 10_000)
    const api = await context.api()
    return printList(context.console, listAll(api, 'listUploads', { state, kind }, limit ?? 50), [
      { title: 'UPLOAD', value: (upload) => upload.upload_id },
      { title: 'KIND', value: (upload) => upload.kind },
      { title: 'STATE', value: (upload) => upload.state },
      { title: 'NAME', value: (upload) => upload.name, columnsMax: 40 },
      { title: 'RECEIVED', value: receivedText },
      { title: 'CREATED', value: (upload) => formatTime(upload.created_at) },
      { title: 'PROBLEM', value: (upload) => upload.problem?.detail ?? '', columnsMax: 70 },
    ])
  },
})

const receivedText = ({ received_bytes: received, size_bytes: size }: UploadResource): string =>
  `${formatBytes(received)}${size === null ? '' : ` of ${formatBytes(size)}`}`

const show = defineCommand({
  summary: 'an upload with how far it is',
  operands: 'UPLOAD',
  operandsMin: 1,
  run: async ([id = ''], _, context) =>
    tellUpload(context, await (await context.api()).call('getUpload', { params: { upload_id: id } })),
})

const abort = defineCommand({
  summary: 'abort an upload or an import; its bytes go',
  operands: 'UPLOAD',
  operandsMin: 1,
  async run([id = ''], _, { api, console }) {
    await (await api()).call('abortUpload', { params: { upload_id: id } })
    if (console.json) console.printJson({ upload_id: id, aborted: true })
    else console.print(`${id} is aborted.`)
    return exitCodes.done
  },
})

export function tellUpload({ console }: Context, upload: UploadResource): ExitCode {
  const { upload_id: id, name, state, result, problem, source } = upload
  if (console.json) console.printJson(upload)
  else {
    console.print(`${console.style('bold', id)}  ${printable(name)}  ${state}, ${receivedText(upload)}`)
    if (source !== null) console.print(`from ${printable(source)}`)
    if (result !== null) console.print(`${result.job_id}  ${result.file_id}`)
    if (problem !== null) {
      console.print(console.style('red', printable(problem.detail)))
      console.print(`  ${printable(problem.remedy)}`)
    }
  }
  return state === 'failed' ? exitCodes.failed : exitCodes.done
}

export const uploadsCommand: CommandGroup = {
  summary: 'list, show and abort uploads and imports',
  subcommands: { list, show, abort },
}
