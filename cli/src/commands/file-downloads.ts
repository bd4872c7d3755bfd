// millrace files download and zip: the bytes of files, as they were uploaded.

import { operationPath, operations } from '@millrace/contract'
import { defineCommand, readCount } from '../command.ts'
import { downloadTo } from '../download.ts'
import { exitCodes } from '../failure.ts'
import { safeSegment } from '../safe-path.ts'
import { targetOf } from './targets.ts'

export const downloadFile = defineCommand({
  summary: 'the bytes of a file, as it was uploaded',
  operands: 'FILE',
  operandsMin: 1,
  options: {
    version: { value: 'N', help: 'this version instead of the newest' },
    out: { value: 'PATH', help: 'file to write, else its own name here' },
  },
  async run([fileId = ''], options, context) {
    const { console, signal } = context
    const wanted = readCount('version', options.version, 2 ** 31 - 1)
    const api = await context.api()
    const params = { file_id: fileId }
    const file = await api.call('getFile', { params })
    const target = targetOf(context, options.out, safeSegment(file.name))
    const version = wanted ?? file.version
    const at = operationPath(operations.getFileContent, { params, query: { version } })
    const open = () => api.once.fetchPath(at, { signal })
    await downloadTo({ ...context, api }, { open, target, sha256: version === file.version ? file.sha256 : undefined })
    if (console.json) console.printJson({ ...file, version, path: target })
    else console.print(target)
    return exitCodes.done
  },
})

export const zipFiles = defineCommand({
  summary: 'several files at their newest versions, as one zip',
  operands: 'FILE…',
  operandsMin: 1,
  operandsMax: 1_000,
  options: { out: { value: 'PATH', help: 'file to write (files.zip)' } },
  async run(fileIds, options, context) {
    const { console, signal } = context
    const api = await context.api()
    const target = targetOf(context, options.out, 'files.zip')
    const open = () => api.once.stream('createFilesZip', { body: { file_ids: fileIds }, signal })
    await downloadTo({ ...context, api }, { open, target })
    if (console.json) console.printJson({ file_ids: fileIds, path: target })
    else console.print(target)
    return exitCodes.done
  },
})
