// millrace process: files in, their outputs out.

import path from 'node:path'
import { isHopeless } from '../api.ts'
import { defineCommand } from '../command.ts'
import { tellFailure } from '../failure.ts'
import { tellResults, type FileResult } from '../file-result.ts'
import { createJobRun, tellOpenJobs } from '../job-run.ts'
import { findLocalFiles, type LocalFile } from '../local-files.ts'
import { createProgress } from '../progress.ts'
import { formatCount } from '../text.ts'
import { createUploader } from '../upload.ts'
import { checkFilesCount, readUploadOptions, resumableHelp, uploadOptionRows } from './upload-options.ts'

const outFolderDefault = 'millrace-results'

export const processCommand = defineCommand({
  summary: 'upload files, follow their jobs, download what comes out',
  operands: 'FILES…',
  operandsMin: 1,
  operandsMax: Number.POSITIVE_INFINITY,
  options: {
    ...uploadOptionRows,
    out: { value: 'DIR', help: `where outputs go, as DIR/<file>/<output> (${outFolderDefault})` },
    'no-download': { help: 'leave the outputs on the server' },
  },
  details: `A folder stands for every file below it, without hidden ones and links. The members of an archive are files of
their own and are followed, counted and downloaded too. Exits with 1 when a file did not end well.
${resumableHelp}`,
  async run(words, options, context) {
    const order = readUploadOptions(options)
    const { files, skippedCount } = await findLocalFiles(words, context.cwd)
    checkFilesCount(order, files.length)
    if (skippedCount > 0)
      context.console.note(
        `${formatCount(skippedCount, 'hidden entry or link', 'hidden entries and links')} passed over`,
      )
    const api = await context.api()
    // A server that is not there and a key that is none are told before the first byte is read.
    const { tenant_id: tenantId } = await api.call('getPrincipal', {})
    const startedAtMs = context.now()
    const hopeless = new AbortController()
    const signal = AbortSignal.any([context.signal, hopeless.signal])
    const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
    const progress = createProgress({ ...context, total: { filesCount: files.length, sizeBytes } })
    const outFolder = options['no-download'] ? undefined : path.resolve(context.cwd, options.out ?? outFolderDefault)
    const jobs = createJobRun({ context, api, progress, signal, outFolder })
    const account = `${api.url} ${tenantId}`
    const uploader = createUploader({ ...order, context, api, account, progress, signal })

    async function processOne(file: LocalFile): Promise<FileResult[]> {
      const { label } = file
      let startedAtMs = context.now()
      try {
        const { job_id: jobId } = await uploader.send(file, () => {
          startedAtMs = context.now()
        })
        progress.accepted(label, file.sizeBytes, jobId)
        return await jobs.run({ jobId, label, startedAtMs })
      } catch (error) {
        if (signal.aborted) throw error
        if (isHopeless(error)) hopeless.abort(error)
        const durationMs = context.now() - startedAtMs
        const problem = tellFailure(error)
        const result: FileResult = { label, status: 'not_processed', durationMs, job: undefined, outputs: [], problem }
        progress.ended(result)
        return [result]
      }
    }

    try {
      const results = await Promise.all(files.map(processOne))
      signal.throwIfAborted()
      progress.close()
      uploader.tellKept()
      return tellResults(context.console, results.flat(), context.now() - startedAtMs)
    } catch (error) {
      progress.close()
      uploader.tellKept()
      tellOpenJobs(context, jobs.openJobs())
      throw signal.aborted ? signal.reason : error
    } finally {
      jobs.stop()
    }
  },
})
