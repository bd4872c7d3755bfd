// millrace upload: files in, without waiting for what becomes of them.

import { isHopeless } from '../api.ts'
import { defineCommand } from '../command.ts'
import { exitCodes, tellFailure } from '../failure.ts'
import { findLocalFiles, type LocalFile } from '../local-files.ts'
import { printable } from '../text.ts'
import { createProgress } from '../progress.ts'
import { createUploader } from '../upload.ts'
import { checkFilesCount, readUploadOptions, resumableHelp, uploadOptionRows } from './upload-options.ts'

export const uploadCommand = defineCommand({
  summary: 'upload files and leave their jobs to themselves',
  operands: 'FILES…',
  operandsMin: 1,
  operandsMax: Number.POSITIVE_INFINITY,
  options: uploadOptionRows,
  details: `Prints one line per file: its job, its id and its name. With --json each line is the server's answer, with the
name of the file beside it. ${resumableHelp}`,
  async run(words, options, context) {
    const { console } = context
    const order = readUploadOptions(options)
    const { files } = await findLocalFiles(words, context.cwd)
    checkFilesCount(order, files.length)
    const api = await context.api()
    // A server that is not there and a key that is none are told before the first byte is read.
    const { tenant_id: tenantId } = await api.call('getPrincipal', {})
    const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
    const progress = createProgress({ ...context, total: { filesCount: files.length, sizeBytes } })
    const hopeless = new AbortController()
    const signal = AbortSignal.any([context.signal, hopeless.signal])
    const account = `${api.url} ${tenantId}`
    const uploader = createUploader({ ...order, context, api, account, progress, signal })
    let failedCount = 0

    async function uploadOne(file: LocalFile): Promise<void> {
      const { label } = file
      try {
        const sent = await uploader.send(file)
        progress.sent(label)
        if (console.json) console.printJson({ file: label, ...sent }, 'line')
        else console.print(`${sent.job_id}  ${sent.file_id}  ${printable(label)}`)
      } catch (error) {
        if (signal.aborted) throw signal.reason
        if (isHopeless(error)) {
          hopeless.abort(error)
          throw error
        }
        failedCount++
        progress.sent(label)
        if (console.json) console.printJson({ file: label, problem: tellFailure(error) }, 'line')
        else console.fail({ ...tellFailure(error), title: `${label}: ${tellFailure(error).title}` })
      }
    }

    try {
      await Promise.all(files.map(uploadOne))
    } finally {
      progress.close()
      uploader.tellKept()
    }
    return failedCount === 0 ? exitCodes.done : exitCodes.failed
  },
})
