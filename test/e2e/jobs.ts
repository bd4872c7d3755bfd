// What tests do with a product all the time: upload, wait for the end of a job, read an output.

import {
  ApiProblem,
  isJobEnded,
  type Client,
  type JobResource,
  type OutputResource,
  type ProblemDocument,
  type UploadResult,
} from '@millrace/contract'
import { setTimeout as delay } from 'node:timers/promises'

const pollMs = 100
const endDeadlineMs = 120_000

export interface UploadFields {
  pipeline?: string
  metadata?: Record<string, unknown>
  priority?: string
}

export function formOf(file: { name: string; bytes: Uint8Array }, fields: UploadFields = {}): FormData {
  const form = new FormData()
  if (fields.pipeline !== undefined) form.set('pipeline', fields.pipeline)
  if (fields.metadata !== undefined) form.set('metadata', JSON.stringify(fields.metadata))
  if (fields.priority !== undefined) form.set('priority', fields.priority)
  // A copy, because the type of a Blob's parts does not allow for shared memory.
  form.set('file', new Blob([new Uint8Array(file.bytes)]), file.name)
  return form
}

export const upload = (
  client: Client,
  file: { name: string; bytes: Uint8Array },
  fields?: UploadFields,
): Promise<UploadResult> => client.call('uploadFile', { form: formOf(file, fields) })

/** Asks until the job has ended; throws with the job as it then stood when that takes too long. */
export async function untilEnded(client: Client, jobId: string, deadlineMs = endDeadlineMs): Promise<JobResource> {
  const deadline = Date.now() + deadlineMs
  for (;;) {
    const job = await client.call('getJob', { params: { job_id: jobId } })
    if (isJobEnded(job.status)) return job
    if (Date.now() > deadline) {
      const steps = job.steps.map(({ name, state, attempts }) => `${name} ${state} (${attempts})`).join(', ')
      throw new Error(`${jobId} of ${job.file_name} is still ${job.status} after ${deadlineMs} ms: ${steps}`)
    }
    await delay(pollMs)
  }
}

export async function runFile(
  client: Client,
  file: { name: string; bytes: Uint8Array },
  fields?: UploadFields,
): Promise<JobResource> {
  const { job_id: jobId } = await upload(client, file, fields)
  return untilEnded(client, jobId)
}

/** Again and again while the server asks to wait: thousands of things are asked after with one key. */
export async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof ApiProblem) || error.retryAfterMs === undefined) throw error
      await delay(error.retryAfterMs)
    }
  }
}

export async function readOutput(client: Client, output: OutputResource): Promise<Buffer> {
  const response = await client.fetchPath(output.download_url)
  return Buffer.from(await response.arrayBuffer())
}

/** The problem that a call was refused with; throws when it was not. */
export async function refusalOf(call: Promise<unknown>): Promise<ProblemDocument> {
  const outcome: unknown = await call.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (outcome instanceof ApiProblem) return outcome.problem
  throw new Error('the call was not refused with a problem', { cause: outcome })
}

/** Does the work for each item, a few at a time. */
export async function forEachAtOnce<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items.values()
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const item of queue) await work(item)
    }),
  )
}

/** Waits for something to become true; throws with what it is about when that takes too long. */
export async function until(what: string, isSo: () => Promise<boolean>, deadlineMs = 30_000): Promise<void> {
  const deadline = Date.now() + deadlineMs
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what}`)
    await delay(pollMs)
  }
}
