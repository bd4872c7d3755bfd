// millrace upload: files in, without waiting for what becomes of them.

import { isHopeless } from '../api.ts'
import { defineCommand } from '../command.ts'
import { createGate } from '../concurrency.ts'
import { exitCodes, tellFailure } from '../failure.ts'
import { findLocalFiles, type LocalFile } from '../local-files.ts'
import { printable } from '../text.ts'
import { createProgress } from '../progress.ts'
import { uploadFile } from '../upload.ts'
import { readUploadOptions, uploadOptionRows } from './upload-options.ts'

export const uploadCommand = defineCommand({
  summary: 'upload files and leave their jobs to themselves',
  operands: 'FILES…',
  operandsMin: 1,
  operandsMax: Number.POSITIVE_INFINITY,
  options: uploadOptionRows,
  details: `Prints one line per file: its job, its id and its name. With --json each line is the server's answer, with the
name of the file beside it.`,
  async run(words, options, context) {
    const { console } = context
    const { parallelCount, ...upload } = readUploadOptions(options)
    const { files } = await findLocalFiles(words, context.cwd)
    const api = await context.api()
    // A server that is not there and a key that is none are told before the first byte is read.
    await api.call('getPrincipal', {})
    const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
    const progress = createProgress({ ...context, total: { filesCount: files.length, sizeBytes } })
    const hopeless = new AbortController()
    const signal = AbortSignal.any([context.signal, hopeless.signal])
    const uploads = createGate(parallelCount)
    let failedCount = 0

    async function uploadOne(file: LocalFile): Promise<void> {
      const { label } = file
      try {
        signal.throwIfAborted()
        const sent = await uploadFile({ ...context, api, signal }, file, upload, (bytes) =>
          progress.sending(label, bytes, file.sizeBytes),
        )
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
      await Promise.all(files.map((file) => uploads(() => uploadOne(file))))
    } finally {
      progress.close()
    }
    return failedCount === 0 ? exitCodes.done : exitCodes.failed
  },
})
