// kill -9 at random moments while files come in: every upload that was acknowledged has exactly one job, every job ends,
// no output exists twice, and the doctor finds nothing wrong. The seed decides what is killed and when.

import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Client, DoctorReport, JobResource, JobSummary, UploadResult } from '@millrace/contract'
import { forEachAtOnce, formOf, patiently, until, untilEnded } from '../e2e/jobs.ts'
import { openHouse, type House, type HouseOptions } from '../e2e/house.ts'
import { listStoredObjects } from '../e2e/stored-objects.ts'
import * as images from '../fixtures/images.ts'
import { createRandom, type Random } from '../fixtures/random.ts'
import { csv, sales } from '../fixtures/tables.ts'
import { utf8 } from '../fixtures/texts.ts'

export interface StormOptions {
  filesCount: number
  killsCount: number
  seed: number
  house?: HouseOptions
  report: (line: string) => void
}

export interface StormResult {
  seed: number
  killsCount: number
  /** Jobs by the state in which they ended. */
  ended: Record<string, number>
  /** What must not be; empty when all is well. */
  faults: string[]
  doctor: DoctorReport
  storedObjectsCount: number
  referencedObjectsCount: number
}

const uploadsAtOnce = 4
const pauseMsMax = 1_500
const retryPauseMs = 200
/** How long a kill waits for an upload to be acknowledged since the last one. */
const progressMsMax = 20_000
const uploadDeadlineMs = 240_000
const endDeadlineMs = 300_000

export async function runKillStorm(options: StormOptions): Promise<StormResult> {
  const { filesCount, killsCount, seed, report } = options
  const random = createRandom(seed)
  const house = await openHouse(options.house)
  try {
    const accepted = new Map<number, UploadResult>()
    const uploading = uploadAll(house.client, filesCount, accepted)
    const killing = killAtRandom({
      house,
      random,
      killsCount,
      report,
      progress: () => accepted.size,
      isAllThere: () => accepted.size === filesCount,
    })
    await Promise.all([uploading, killing])
    report(`${accepted.size} uploads acknowledged, ${killsCount} kills; waiting for the end of every job`)
    const jobs: JobResource[] = []
    await forEachAtOnce([...accepted.values()], uploadsAtOnce, async ({ job_id: jobId }) => {
      jobs.push(await patiently(() => untilEnded(house.client, jobId, endDeadlineMs)))
    })
    return await examine(house, { jobs, seed, killsCount, filesCount })
  } catch (error) {
    report((await house.logs()).slice(-8_000))
    throw error
  } finally {
    await house.close()
  }
}

async function makeFile(index: number): Promise<{ name: string; bytes: Uint8Array }> {
  switch (index % 3) {
    case 0:
      return { name: `storm-${index}.png`, bytes: await images.png({ width: 160, height: 120, seed: index }) }
    case 1:
      return { name: `storm-${index}.csv`, bytes: utf8(csv(sales(50, index))) }
    default:
      return { name: `storm-${index}.txt`, bytes: utf8(`This is text number ${index} of the storm.\n`) }
  }
}

/** Clients that do what good clients do: the same request with the same key until it is answered. */
async function uploadAll(client: Client, filesCount: number, accepted: Map<number, UploadResult>): Promise<void> {
  const deadline = Date.now() + uploadDeadlineMs
  const waiting = [...Array(filesCount).keys()]
  const uploadOne = async (index: number): Promise<void> => {
    const headers = { 'idempotency-key': `storm-${index}` }
    const signal = AbortSignal.timeout(10_000)
    const form = formOf(await makeFile(index))
    accepted.set(index, await client.call('uploadFile', { form, headers, signal }))
  }
  await Promise.all(
    Array.from({ length: uploadsAtOnce }, async () => {
      for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
        try {
          await uploadOne(index)
        } catch (error) {
          if (Date.now() > deadline) throw error
          // A key that a killed process held is free after a while; meanwhile others have their turn.
          waiting.push(index)
          await delay(retryPauseMs)
        }
      }
    }),
  )
}

interface Killing {
  house: House
  random: Random
  killsCount: number
  report: (line: string) => void
  progress: () => number
  /** Every upload has been acknowledged. */
  isAllThere: () => boolean
}

async function killAtRandom({ house, random, killsCount, report, progress, isAllThere }: Killing): Promise<void> {
  for (let kill = 1; kill <= killsCount; kill++) {
    const acknowledged = progress()
    // Where nothing goes on, there is nothing to lose; once all are there, it is their jobs that go on.
    const goesOn = async () => isAllThere() || progress() > acknowledged
    await until('another upload', goesOn, progressMsMax).catch(() => undefined)
    await delay(random.below(pauseMsMax))
    const roles = [...house.children().keys()]
    // Of a split installation one process or all, in turn with chance.
    const victims = roles.length > 1 && random.below(3) > 0 ? [roles[random.below(roles.length)] ?? ''] : roles
    await house.kill(victims)
    report(`kill ${kill} of ${killsCount}: ${victims.join(', ')} (after ${progress()} uploads)`)
    await house.start()
  }
}

async function listAllJobs(client: Client): Promise<JobSummary[]> {
  const jobs: JobSummary[] = []
  for (let cursor: string | undefined; ;) {
    const query = { limit: 200, ...(cursor !== undefined && { cursor }) }
    const page = await patiently(() => client.call('listJobs', { query }))
    jobs.push(...page.items)
    if (page.next_cursor === null) return jobs
    cursor = page.next_cursor
  }
}

interface Examined {
  jobs: readonly JobResource[]
  seed: number
  killsCount: number
  filesCount: number
}

async function examine(house: House, { jobs, seed, killsCount, filesCount }: Examined): Promise<StormResult> {
  const { client } = house
  const faults: string[] = []
  const listed = await listAllJobs(client)
  if (listed.length !== filesCount) faults.push(`${listed.length} jobs for ${filesCount} files`)
  const ended: Record<string, number> = {}
  for (const job of jobs) {
    ended[job.status] = (ended[job.status] ?? 0) + 1
    if (job.status !== 'completed') faults.push(`${job.job_id} of ${job.file_name} ${job.status}: ${job.problem?.code}`)
    if (new Set(job.output_files).size !== job.output_files.length) faults.push(`${job.job_id} has an output twice`)
  }
  faults.push(...(await findUnequal(client, jobs)))
  const doctor = await patiently(() => client.call('getDoctorReport', {}))
  for (const { severity, code, detail } of doctor.findings)
    if (severity === 'error') faults.push(`doctor: ${code}: ${detail}`)
  if (doctor.jobs.inputs !== filesCount) faults.push(`the doctor counts ${doctor.jobs.inputs} inputs`)
  const referencedObjectsCount = jobs.length + jobs.reduce((count, job) => count + job.outputs.length, 0)
  const storedObjectsCount = (await listStoredObjects(house)).length
  if (storedObjectsCount < referencedObjectsCount)
    faults.push(`${referencedObjectsCount} objects are referred to and ${storedObjectsCount} are stored`)
  return { seed, killsCount, ended, faults, doctor, storedObjectsCount, referencedObjectsCount }
}

/** Files of one kind have outputs of the same names, and what is read back is what was made. */
async function findUnequal(client: Client, jobs: readonly JobResource[]): Promise<string[]> {
  const faults: string[] = []
  const shapes = new Map<string, string>()
  for (const job of jobs) {
    const kind = job.file_name.split('.').at(-1) ?? ''
    const names = job.outputs
      .map(({ name }) => name.replaceAll(/storm-\d+/g, 'storm'))
      .sort()
      .join(', ')
    const known = shapes.get(kind) ?? names
    shapes.set(kind, known)
    if (names !== known) faults.push(`${job.job_id} of ${job.file_name} has ${names} where others have ${known}`)
    for (const output of job.outputs) {
      const answer = await patiently(() => client.fetchPath(output.download_url))
      const sha256 = createHash('sha256')
        .update(new Uint8Array(await answer.arrayBuffer()))
        .digest('hex')
      if (sha256 !== output.sha256) faults.push(`${output.uri} is not what it was`)
    }
  }
  return faults
}
