// What a job made: found by name or id, downloaded one by one or as a zip.

import path from 'node:path'
import { operationPath, operations, type JobResource, type OutputResource } from '@millrace/contract'
import { defineCommand } from '../command.ts'
import { downloadTo } from '../download.ts'
import { exitCodes, usageFailure } from '../failure.ts'
import { createPathBook, safeSegment } from '../safe-path.ts'
import { targetOf } from './targets.ts'

/** Throws Failure (usage) that names the outputs there are. */
export function findOutput({ job_id: jobId, outputs }: JobResource, word: string): OutputResource {
  const [output, another] = outputs.filter(({ output_id: id, name }) => id === word || name === word)
  if (output && !another) return output
  const known = outputs.slice(0, 20).map(({ output_id: id, name }) => `${name} (${id})`)
  throw usageFailure(
    another ? `${jobId} has several outputs ${word}.` : `${jobId} has no output ${word}.`,
    known.length === 0 ? 'It has no outputs.' : `Name one of ${known.join(', ')}.`,
  )
}

export const downloadOutputs = defineCommand({
  summary: 'the outputs of a job, all or those that are named',
  operands: 'JOB OUTPUT…',
  operandsMin: 1,
  operandsMax: 1_000,
  options: { out: { value: 'DIR', help: 'folder to write to, else this one' } },
  details: `A file of the same name is replaced. OUTPUT is the name of an output, or its id where several have one name:
millrace jobs show JOB --json has both.`,
  async run([jobId = '', ...words], options, context) {
    const { console, signal } = context
    const api = await context.api()
    const job = await api.call('getJob', { params: { job_id: jobId } })
    const paths = createPathBook()
    const saved: (OutputResource & { path: string })[] = []
    for (const output of words.length === 0 ? job.outputs : words.map((word) => findOutput(job, word))) {
      const target = path.resolve(context.cwd, options.out ?? '.', paths.take(safeSegment(output.name)))
      const open = () => api.once.fetchPath(output.download_url, { signal })
      await downloadTo({ ...context, api }, { open, target, sha256: output.sha256 })
      saved.push({ ...output, path: target })
      if (!console.json) console.print(target)
    }
    if (console.json) console.printJson({ job_id: jobId, outputs: saved })
    else if (saved.length === 0) console.note('It has no outputs.')
    return exitCodes.done
  },
})

export const zipOutputs = defineCommand({
  summary: 'all outputs of a job as one zip',
  operands: 'JOB',
  operandsMin: 1,
  options: { out: { value: 'PATH', help: 'file to write (JOB.zip)' } },
  async run([jobId = ''], options, context) {
    const { console, signal } = context
    const api = await context.api()
    const target = targetOf(context, options.out, `${safeSegment(jobId)}.zip`)
    const at = operationPath(operations.getJobZip, { params: { job_id: jobId } })
    await downloadTo({ ...context, api }, { open: () => api.once.fetchPath(at, { signal }), target })
    if (console.json) console.printJson({ job_id: jobId, path: target })
    else console.print(target)
    return exitCodes.done
  },
})
