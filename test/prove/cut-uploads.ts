// A large file by tus-js-client, and the same by Uppy, over a line that breaks many times: what is stored and what comes
// down again is what was sent. Both clients go on by themselves, as they do for people; nothing here helps them.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { UploadResource } from '@millrace/contract'
import { Upload } from 'tus-js-client'
import { openHouse, type House, type HouseOptions } from '../e2e/house.ts'
import { untilEnded } from '../e2e/jobs.ts'
import { createRandom, type Random } from '../fixtures/random.ts'
import { openBreakingLine } from './breaking-line.ts'

export interface CutUploadsReport {
  sizeBytes: number
  sha256: string
  clients: ClientReport[]
  /** Most memory that a process of the product has had, in MB. */
  peakMegabytes: Record<string, number>
  faults: string[]
}

interface ClientReport {
  client: string
  cuts: Readonly<Record<string, number>>
  uploadSeconds: number
  jobState: string
}

const cutsCount = 50
const endDeadlineMs = 600_000
const blockBytes = 1024 * 1024
/** Clients give up after so many tries in a row; a try that moves bytes begins the count anew. */
const retryDelays = Array.from({ length: 100 }, () => 50)

export async function proveCutUploads(options: {
  sizeBytes: number
  seed: number
  house: HouseOptions
  tell: (line: string) => void
}): Promise<CutUploadsReport> {
  const { sizeBytes, seed, tell } = options
  const random = createRandom(seed)
  const folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-cut-uploads-'))
  try {
    const file = path.join(folder, 'content.bin')
    const sha256 = await writeContent(file, sizeBytes, random)
    tell(`${sizeBytes} bytes, SHA-256 ${sha256}`)
    const house = await openHouse(options.house)
    try {
      const clients: ClientReport[] = []
      const faults: string[] = []
      for (const [client, upload] of Object.entries(uploaders)) {
        const { report, faults: found } = await proveOne({ house, client, upload, file, sizeBytes, sha256, random })
        tell(`${client}: ${JSON.stringify(report)}`)
        clients.push(report)
        faults.push(...found)
      }
      return { sizeBytes, sha256, clients, peakMegabytes: await peaksOf(house), faults }
    } catch (error) {
      tell((await house.logs()).slice(-4_000))
      throw error
    } finally {
      await house.close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Blocks that differ, so that a block in another's place is seen. */
async function writeContent(file: string, sizeBytes: number, random: Random): Promise<string> {
  const hash = createHash('sha256')
  const block = random.bytes(blockBytes)
  const handle = await open(file, 'wx')
  try {
    for (let at = 0; at < sizeBytes; at += blockBytes) {
      block.writeDoubleBE(at, random.below(blockBytes - 8))
      const piece = block.subarray(0, Math.min(blockBytes, sizeBytes - at))
      hash.update(piece)
      await handle.write(piece)
    }
  } finally {
    await handle.close()
  }
  return hash.digest('hex')
}

interface Endpoint {
  url: string
  apiKey: string
}
/** Answers the id of the upload. */
type Uploader = (file: string, sizeBytes: number, endpoint: Endpoint) => Promise<string>

const uploaders: Record<string, Uploader> = { 'tus-js-client': byTusClient, Uppy: byUppy }

const optionsFor = ({ url, apiKey }: Endpoint) => ({
  endpoint: `${url}/api/v1/uploads`,
  headers: { authorization: `Bearer ${apiKey}` },
  retryDelays,
})
const idIn = (url: string | null | undefined): string => url?.split('/').at(-1) ?? ''

function byTusClient(file: string, _sizeBytes: number, endpoint: Endpoint): Promise<string> {
  return new Promise((resolve, reject) => {
    const upload: Upload = new Upload(createReadStream(file), {
      ...optionsFor(endpoint),
      metadata: { filename: 'cut.bin' },
      onSuccess: () => resolve(idIn(upload.url)),
      onError: reject,
    })
    upload.start()
  })
}

interface UppyLike {
  use(plugin: unknown, options: object): this
  addFile(file: { name: string; type: string; data: unknown }): unknown
  upload(): Promise<{ failed?: { error?: unknown }[]; successful?: { uploadURL?: string }[] } | undefined>
  destroy(): void
}

async function byUppy(file: string, sizeBytes: number, endpoint: Endpoint): Promise<string> {
  const [{ default: Uppy }, { default: Tus }] = (await Promise.all(
    // By names that the compiler does not follow: their types bring those of a browser into the whole project.
    ['@uppy/core', '@uppy/tus'].map((name) => import(name)),
  )) as [{ default: new () => UppyLike }, { default: unknown }]
  const uppy = new Uppy().use(Tus, optionsFor(endpoint))
  try {
    // Under Node its uploader takes a stream of a file, whose length it looks for where a Blob has it.
    const data = Object.assign(createReadStream(file), { size: sizeBytes })
    uppy.addFile({ name: 'cut.bin', type: 'application/octet-stream', data })
    const outcome = await uppy.upload()
    const [failed] = outcome?.failed ?? []
    if (failed !== undefined) throw new Error('Uppy has given up', { cause: failed.error })
    return idIn(outcome?.successful?.[0]?.uploadURL)
  } finally {
    uppy.destroy()
  }
}

async function proveOne(given: {
  house: House
  client: string
  upload: Uploader
  file: string
  sizeBytes: number
  sha256: string
  random: Random
}): Promise<{ report: ClientReport; faults: string[] }> {
  const { house, client, sizeBytes, sha256 } = given
  const line = await openBreakingLine({ target: house.url, sizeBytes, cutsCount, random: given.random })
  try {
    const started = performance.now()
    const endpoint = { url: line.url, apiKey: house.credentials.api_key }
    const uploadId = await given.upload(given.file, sizeBytes, endpoint)
    const { result } = await untilSealed(house, uploadId)
    const uploadSeconds = Math.round((performance.now() - started) / 100) / 10
    const faults: string[] = []
    const expect = (what: string, found: unknown, wanted: unknown): void => {
      if (found !== wanted) faults.push(`${client}: ${what} is ${String(found)} and not ${String(wanted)}`)
    }
    expect(
      'the number of cuts',
      Object.values(line.cuts).reduce((sum, count) => sum + count, 0),
      cutsCount,
    )
    expect('the stored length', result?.size_bytes, sizeBytes)
    expect('the stored hash', result?.sha256, sha256)
    const { status } = await untilEnded(house.client, result?.job_id ?? '', endDeadlineMs)
    expect('the state of its job', status, 'completed')
    expect('the hash of the download', await hashOfDownload(house, result?.file_id ?? ''), sha256)
    return { report: { client, cuts: line.cuts, uploadSeconds, jobState: status }, faults }
  } finally {
    await line.close()
  }
}

async function untilSealed(house: House, uploadId: string): Promise<UploadResource> {
  for (;;) {
    const session = await house.client.call('getUpload', { params: { upload_id: uploadId } })
    if (session.ended_at !== null) return session
    await delay(100)
  }
}

async function hashOfDownload(house: House, fileId: string): Promise<string> {
  const { body } = await house.client.fetchPath(`/api/v1/files/${fileId}/content`)
  const hash = createHash('sha256')
  if (body !== null) for await (const piece of body) hash.update(piece)
  return hash.digest('hex')
}

async function peaksOf(house: House): Promise<Record<string, number>> {
  const peaks: Record<string, number> = {}
  for (const [role, { pid }] of house.children()) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '') // Linux only.
    peaks[role] = Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024)
  }
  return peaks
}
