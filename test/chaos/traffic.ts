// Clients of several tenants who go on working whatever happens, as good clients do: the same request with the same key
// until it is answered. They upload small files of several kinds, now and then a damaged one, cancel some jobs, run some
// again and replay a step of others. What they were told is kept, and so is every call.

import { ApiProblem, isJobEnded, type Client, type JobResource, type UploadResult } from '@millrace/contract'
import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { formOf } from '../e2e/jobs.ts'
import * as images from '../fixtures/images.ts'
import type { Random } from '../fixtures/random.ts'
import { csv, sales } from '../fixtures/tables.ts'
import { prose, utf8 } from '../fixtures/texts.ts'

export interface TrackedFile {
  readonly tenant: number
  readonly name: string
  readonly sha256: string
  readonly isDamaged: boolean
  acknowledged?: UploadResult
  acknowledgedAtMs?: number
  /** Somebody asked for it; whether that was in time, the job tells. */
  cancelled?: boolean
  /** Runs beyond the first that were asked for and granted, as far as the client knows. */
  reruns: number
  /** Somebody is about to ask for another run. */
  isAsking?: boolean
  /** As it was last seen; ended once nobody wants anything of it any more. */
  job?: JobResource
  endedAtMs?: number
}

/** A call as its client saw it. */
export interface Call {
  atMs: number
  ms: number
  tenant: number
  what: string
  name: string
  /** 'ok', the code of a problem, or how the line failed. */
  outcome: string
  status: number
}

export interface Traffic {
  readonly files: readonly TrackedFile[]
  readonly calls: readonly Call[]
  /** What clients saw that must not be. */
  readonly faults: readonly string[]
  acknowledgedCount(): number
  /** Nothing new is begun; resolves once every job has ended and nobody wants anything more. Throws when that takes too long. */
  finish(deadlineMs: number): Promise<void>
}

export interface TrafficOptions {
  tenants: readonly Client[]
  random: Random
  /** Of all file names. */
  prefix: string
  /** Files of all clients together. */
  filesMax: number
}

const clientsPerTenant = 1
const openJobsMax = 9
const pauseMsMax = 250
const callDeadlineMs = 15_000
const retryPauseMs = 400
const lookMs = 1_000

export function startTraffic({ tenants, random, prefix, filesMax }: TrafficOptions): Traffic {
  const files: TrackedFile[] = []
  const calls: Call[] = []
  const faults: string[] = []
  const stopping = new AbortController()
  const givenUp = new AbortController()
  let workingCount = 0

  async function once<T>(
    file: TrackedFile,
    what: string,
    work: (client: Client, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const atMs = Date.now()
    const tell = (outcome: string, status: number): void =>
      void calls.push({ atMs, ms: Date.now() - atMs, tenant: file.tenant, what, name: file.name, outcome, status })
    try {
      const client = tenants[file.tenant]
      if (!client) throw new Error('there is no such tenant')
      const answer = await work(client, AbortSignal.timeout(callDeadlineMs))
      tell('ok', 200)
      return answer
    } catch (error) {
      if (error instanceof ApiProblem) tell(error.problem.code, error.problem.status)
      else tell(nameOf(error), 0)
      throw error
    }
  }

  /** Until it is answered; answers the code of a refusal that is final. */
  async function insist<T>(
    file: TrackedFile,
    what: string,
    work: (client: Client, signal: AbortSignal) => Promise<T>,
  ): Promise<T | string> {
    for (;;) {
      try {
        return await once(file, what, work)
      } catch (error) {
        if (error instanceof ApiProblem && isFinal(error)) return error.problem.code
        if (givenUp.signal.aborted) throw error
        await delay(retryPauseMs)
      }
    }
  }

  const ended = async (file: TrackedFile): Promise<JobResource> => {
    for (;;) {
      if (file.job !== undefined && isJobEnded(file.job.status)) return file.job
      if (givenUp.signal.aborted) throw new Error(`the job of ${file.name} has not ended`)
      await delay(lookMs)
    }
  }

  async function work(tenant: number): Promise<void> {
    while (!stopping.signal.aborted && files.length < filesMax) {
      if (openCount() >= openJobsMax) {
        await delay(lookMs)
        continue
      }
      const number = files.length
      const file: TrackedFile = { tenant, name: '', sha256: '', isDamaged: number % 12 === 11, reruns: 0 }
      files.push(file)
      await workOn(file, number).catch((error: unknown) => faults.push(`${file.name}: ${nameOf(error)}`))
      await delay(random.below(pauseMsMax))
    }
  }

  async function workOn(file: TrackedFile, number: number): Promise<void> {
    const { name, bytes } = await makeFile(`${prefix}-${number}`, number, file.isDamaged)
    Object.assign(file, { name, sha256: createHash('sha256').update(bytes).digest('hex') })
    const form = formOf({ name, bytes })
    const answer = await insist(file, 'upload', (client, signal) =>
      client.call('uploadFile', { form, headers: { 'idempotency-key': name }, signal }),
    )
    if (typeof answer === 'string') return void faults.push(`the upload of ${name} was refused: ${answer}`)
    file.acknowledged = answer
    file.acknowledgedAtMs = Date.now()
    const params = { job_id: answer.job_id }
    const dice = random.below(20)
    if (dice < 3) {
      await delay(random.below(400))
      file.cancelled = true
      await insist(file, 'cancel', (client, signal) => client.call('cancelJob', { params, signal }))
      if (dice > 0) return
      await ended(file)
      await rerun(file, 'retry', (client, signal) => client.call('retryJob', { params, signal }))
    } else if (dice === 3 && !file.isDamaged) {
      const job = await ended(file)
      const step = job.steps.at(-1)?.name ?? ''
      await rerun(file, 'replay', (client, signal) =>
        client.call('replayStep', { params: { ...params, step }, signal }),
      )
    }
  }

  /** Asking twice may find the first asking done: a refusal after a lost answer says so. */
  async function rerun(
    file: TrackedFile,
    what: string,
    ask: (client: Client, signal: AbortSignal) => Promise<JobResource>,
  ): Promise<void> {
    file.isAsking = true
    delete file.endedAtMs
    const answer = await insist(file, what, ask)
    if (typeof answer !== 'string') file.reruns++
    delete file.job
    file.isAsking = false
  }

  const isOpen = (file: TrackedFile): boolean =>
    file.acknowledged !== undefined && file.endedAtMs === undefined && file.isAsking !== true
  const openCount = (): number => files.filter((file) => file.endedAtMs === undefined).length

  const isDone = (): boolean => stopping.signal.aborted && workingCount === 0 && openCount() === 0

  /** Looks at every open job, again and again. */
  async function follow(): Promise<void> {
    while (!givenUp.signal.aborted && !isDone()) {
      await Promise.all(
        files.filter(isOpen).map(async (file) => {
          const { acknowledged, reruns } = file
          if (acknowledged === undefined) return
          const job = await once(file, 'look', (client, signal) =>
            client.call('getJob', { params: { job_id: acknowledged.job_id }, signal }),
          ).catch((error: unknown) => {
            if (error instanceof ApiProblem && error.problem.status === 404)
              faults.push(`the job of ${file.name} is gone`)
            return undefined
          })
          // Asked before a rerun, answered after it: of the run before.
          if (job === undefined || reruns !== file.reruns || file.isAsking === true) return
          if (file.job !== undefined && job.progress < file.job.progress)
            faults.push(`I16: the progress of ${file.name} went from ${file.job.progress} back to ${job.progress}`)
          file.job = job
          if (isJobEnded(job.status)) file.endedAtMs = Date.now()
        }),
      )
      await delay(lookMs)
    }
  }

  const clients = tenants.flatMap((_, tenant) =>
    Array.from({ length: clientsPerTenant }, async () => {
      workingCount++
      await work(tenant)
      workingCount--
    }),
  )
  const following = follow()
  return {
    files,
    calls,
    faults,
    acknowledgedCount: () => files.filter(({ acknowledged }) => acknowledged !== undefined).length,
    async finish(deadlineMs) {
      stopping.abort()
      const timer = setTimeout(() => givenUp.abort(), deadlineMs)
      await Promise.all([...clients, following])
      clearTimeout(timer)
      for (const { name, acknowledged, job, endedAtMs } of files) {
        if (acknowledged === undefined) faults.push(`the upload of ${name} was never answered`)
        else if (endedAtMs === undefined) {
          const steps = job?.steps.map((step) => `${step.name} ${step.state} (${step.attempts})`).join(', ')
          faults.push(`I2: the job of ${name} is still ${job?.status}: ${steps}`)
        }
      }
    },
  }
}

/** Refusals that another try would meet as well. */
const isFinal = ({ problem: { status, code } }: ApiProblem): boolean =>
  status >= 400 && status < 500 && ![408, 425, 429].includes(status) && code !== 'idempotency_in_flight'

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : ''
  return `${error.name}: ${error.message}${code}`
}

async function makeFile(
  stem: string,
  number: number,
  isDamaged: boolean,
): Promise<{ name: string; bytes: Uint8Array }> {
  if (isDamaged) {
    const whole = await images.png({ width: 64, height: 48, seed: number })
    return { name: `${stem}.png`, bytes: whole.subarray(0, Math.floor(whole.length / 2)) }
  }
  switch (number % 10) {
    case 3:
      return { name: `${stem}.png`, bytes: await images.png({ width: 96, height: 72, seed: number }) }
    case 6:
      return { name: `${stem}.csv`, bytes: utf8(csv(sales(20, number))) }
    default:
      return { name: `${stem}.txt`, bytes: utf8(`${stem}\n${prose[number % prose.length]}\n`) }
  }
}
