// millrace watch: jobs to their end, or everything that happens in the tenant.

import type { EventResource } from '@millrace/contract'
import type { Api } from '../api.ts'
import { defineCommand, type Context } from '../command.ts'
import { createEventFeed } from '../event-feed.ts'
import { exitCodes, usageFailure, type ExitCode } from '../failure.ts'
import { tellResults } from '../file-result.ts'
import { createJobRun, tellOpenJobs } from '../job-run.ts'
import { createProgress } from '../progress.ts'
import { formatTime, printable } from '../text.ts'

export const watchCommand = defineCommand({
  summary: 'follow jobs to their end, or all that happens',
  operands: 'JOB… | --all',
  operandsMax: Number.POSITIVE_INFINITY,
  options: { all: { help: 'every event of the tenant, until Ctrl-C; with --json one line each' } },
  details: 'With jobs: shows their steps, then the summary, and exits with 1 when one did not end well.',
  async run(jobIds, options, context) {
    if (jobIds.length > 0 === (options.all === true))
      throw usageFailure(
        'millrace watch needs jobs or --all.',
        'Name jobs, as millrace jobs lists them, or give --all.',
      )
    const api = await context.api()
    return options.all ? watchAll(api, context) : watchJobs(api, jobIds, context)
  },
})

async function watchJobs(api: Api, jobIds: string[], context: Context): Promise<ExitCode> {
  const startedAtMs = context.now()
  const progress = createProgress({ ...context, total: { filesCount: jobIds.length, sizeBytes: 0 } })
  const jobs = createJobRun({ ...context, context, api, progress, outFolder: undefined })
  try {
    const results = await Promise.all(
      jobIds.map(async (jobId) => {
        const { file_name: label } = await api.call('getJob', { params: { job_id: jobId } })
        return jobs.run({ jobId, label })
      }),
    )
    progress.close()
    return tellResults(context.console, results.flat(), context.now() - startedAtMs)
  } catch (error) {
    progress.close()
    if (context.signal.aborted) tellOpenJobs(context, jobs.openJobs())
    throw error
  } finally {
    jobs.stop()
  }
}

async function watchAll(api: Api, context: Context): Promise<ExitCode> {
  const { console } = context
  // Refused credentials and a server that is not there are told at once instead of waited for.
  await api.call('getPrincipal', {})
  const feed = createEventFeed({
    ...context,
    api,
    onEvent: (event) => (console.json ? console.printJson(event, 'line') : console.print(eventLine(event))),
    onChange: () => console.note(feed.isLive ? 'connected' : 'the connection is down, trying again'),
  })
  await feed.run(context.signal)
  return exitCodes.done
}

function eventLine({ at, type, job_id: jobId, file_id: fileId, data }: EventResource): string {
  const words = Object.entries(data).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  return [formatTime(at), type, jobId ?? fileId ?? '', ...words.map(printable)].join('  ')
}
