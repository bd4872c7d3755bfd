// Names that are meant to do harm, by form, by tus and by signed parts: each is kept to the letter or refused with a
// problem, and comes out again as text only: in JSON as it came, in the header of a download and in a zip as a name that
// no client takes for a path. No file, log line or key in the store is made by one.

import { readdir } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { ApiProblem } from '@millrace/contract'
import { openHouse, type House, type HouseOptions } from '../e2e/house.ts'
import { forEachAtOnce, patiently, untilEnded } from '../e2e/jobs.ts'
import { projectFolder } from '../e2e/server-child.ts'
import { listStoredObjects } from '../e2e/stored-objects.ts'
import { hostileMark, hostileNames } from '../fixtures/hostile-names.ts'
import { createRandom } from '../fixtures/random.ts'

export interface NamesReport {
  names: number
  accepted: Record<WayIn, number>
  refused: Record<WayIn, number>
  zipEntries: number
  faults: string[]
}

const waysIn = ['form', 'tus', 'parts'] as const
type WayIn = (typeof waysIn)[number]

const atOnce = 6
const nameCharactersMax = 4_000
/** Thousands of jobs wait for each other. */
const endDeadlineMs = 600_000
/** Above this a name in base64 does not fit into the header fields of a request. */
const tusNameBytesMax = 11_000
const zipFilesMax = 1_000
const refusals = new Set(['file_name_invalid', 'invalid_request', 'invalid_form', 'headers_too_large'])

interface Sent {
  name: string
  way: WayIn
  fileId: string
  jobId: string
}

export async function proveNames(options: { count: number; seed: number; house: HouseOptions }): Promise<NamesReport> {
  const names = hostileNames(options.count, createRandom(options.seed))
  const house = await openHouse({ ...options.house, environment: { LOG_LEVEL: 'debug' } })
  try {
    const zeros = (): Record<WayIn, number> => ({ form: 0, tus: 0, parts: 0 })
    const report: NamesReport = { names: names.length, accepted: zeros(), refused: zeros(), zipEntries: 0, faults: [] }
    const sent: Sent[] = []
    await forEachAtOnce([...names.entries()], atOnce, async ([index, name]) => {
      const way = waysIn[index % waysIn.length] ?? 'form'
      const outcome = await send(house, name, way)
      if (typeof outcome === 'string') {
        report.refused[way]++
        if (!mayRefuse(name, way) || !refusals.has(outcome))
          report.faults.push(`${way}: ${shown(name)} is refused with ${outcome}`)
      } else {
        report.accepted[way]++
        if (isUnfit(name)) report.faults.push(`${way}: ${shown(name)} is taken`)
        sent.push({ name, way, ...outcome })
      }
    })
    await forEachAtOnce(sent, atOnce, async (one) => {
      await patiently(() => untilEnded(house.client, one.jobId, endDeadlineMs))
      report.faults.push(...(await patiently(() => faultsOf(house, one))))
    })
    for (let at = 0; at < sent.length; at += zipFilesMax) {
      const entries = await zipEntries(house, sent.slice(at, at + zipFilesMax))
      report.zipEntries += entries.length
      report.faults.push(...zipFaults(entries))
    }
    if (report.zipEntries !== sent.length) report.faults.push(`${report.zipEntries} entries for ${sent.length} files`)
    report.faults.push(...(await traces(house, sent)))
    return report
  } finally {
    await house.close()
  }
}

const shown = (name: string): string => JSON.stringify(name.slice(0, 60))

const isUnfit = (name: string): boolean =>
  name === '' || name.includes('\0') || !name.isWellFormed() || Array.from(name).length > nameCharactersMax

const mayRefuse = (name: string, way: WayIn): boolean =>
  isUnfit(name) || (way === 'tus' && Buffer.byteLength(name) > tusNameBytesMax)

/** Bytes of a name as a careless client writes it: halves of a pair are kept, though no text can hold them. */
function bytesOf(name: string): Buffer {
  const pieces: Buffer[] = []
  for (const character of name) {
    const unit = character.charCodeAt(0)
    const isHalf = character.length === 1 && unit >= 0xd800 && unit <= 0xdfff
    pieces.push(
      isHalf
        ? Buffer.of(0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f))
        : Buffer.from(character),
    )
  }
  return Buffer.concat(pieces)
}

/** The ids of what it became, or the code of the problem. */
async function send(house: House, name: string, way: WayIn): Promise<{ fileId: string; jobId: string } | string> {
  try {
    const result = await patiently(() => ({ form: byForm, tus: byTus, parts: byParts })[way](house, name))
    return { fileId: result.file_id, jobId: result.job_id }
  } catch (error) {
    if (error instanceof ApiProblem) return error.problem.code
    throw error
  }
}

interface Result {
  file_id: string
  job_id: string
}
const content = Buffer.from('A file with a name.\n')

async function byForm(house: House, name: string): Promise<Result> {
  const boundary = 'boundary-of-names'
  // What a browser writes cannot tell "%22" from a quote; the extended form can.
  const isAmbiguous = /%22|%0d|%0a|\\"|\\$/i.test(name)
  const encoded = [...bytesOf(name)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
  const browser = bytesOf(name.replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A'))
  const body = Buffer.concat([
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="file"; `),
    ...(isAmbiguous
      ? [Buffer.from(`filename*=UTF-8''${encoded}`)]
      : [Buffer.from('filename="'), browser, Buffer.from('"')]),
    Buffer.from('\r\n\r\n'),
    content,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ])
  const response = await house.client.fetchPath('/api/v1/files', {
    method: 'POST',
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
    body,
  })
  return (await response.json()) as Result
}

async function byTus(house: House, name: string): Promise<Result> {
  const response = await house.client.fetchPath('/api/v1/uploads', {
    method: 'POST',
    headers: {
      'tus-resumable': '1.0.0',
      'upload-length': String(content.length),
      'upload-metadata': `filename ${bytesOf(name).toString('base64')}`,
      'content-type': 'application/offset+octet-stream',
    },
    body: content,
  })
  const uploadId = response.headers.get('location')?.split('/').at(-1) ?? ''
  const { result } = await house.client.call('getUpload', { params: { upload_id: uploadId } })
  if (result === null) throw new Error(`${uploadId} was not sealed`)
  return result
}

async function byParts(house: House, name: string): Promise<Result> {
  const begun = await house.client.call('createPartsUpload', { body: { name, size_bytes: content.length } })
  const params = { upload_id: begun.upload_id }
  const { items } = await house.client.call('listUploadParts', { params, query: {} })
  for (const part of items)
    await fetch(house.client.addressOf('listUploadParts', { params }, part.url), { method: 'PUT', body: content })
  return house.client.call('completeUpload', { params })
}

/** Of one file, as JSON and in the header of its download. */
async function faultsOf(house: House, { name, way, fileId }: Sent): Promise<string[]> {
  const faults: string[] = []
  const file = await house.client.call('getFile', { params: { file_id: fileId } })
  if (file.name !== name) faults.push(`${way}: ${shown(name)} has become ${shown(file.name)}`)
  const response = await house.client.fetchPath(`/api/v1/files/${fileId}/content`, { method: 'HEAD' })
  const header = response.headers.get('content-disposition') ?? ''
  const parsed =
    /^attachment; filename="([\x20-\x21\x23-\x5b\x5d-\x7e]+)"(?:; filename\*=UTF-8''([A-Za-z0-9!#$&+.^_`|~%-]+))?$/.exec(
      header,
    )
  if (parsed?.[1] === undefined) return [...faults, `${way}: ${shown(name)} gives the header ${shown(header)}`]
  for (const offered of [parsed[1], decodeURIComponent(parsed[2] ?? 'x')])
    if (!isSafe(offered)) faults.push(`${way}: ${shown(name)} is offered as ${shown(offered)}`)
  return faults
}

/** No path, nothing hidden, nothing that turns the writing or that a terminal obeys, and no longer than file systems take. */
const isSafe = (name: string): boolean =>
  name !== '' &&
  Buffer.byteLength(name) <= 255 &&
  !/^\.|[/\\:\p{Cc}\u2028-\u202e\u2066-\u2069\u200e\u200f\u061c]/u.test(name)

/** Names in the central directory of a zip (APPNOTE 4.3.12), which is read from its end. */
async function zipEntries(house: House, files: readonly Sent[]): Promise<string[]> {
  const response = await house.client.fetchPath('/api/v1/files/zip', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ file_ids: files.map((file) => file.fileId) }),
  })
  const zip = Buffer.from(await response.arrayBuffer())
  const end = zip.lastIndexOf(Buffer.from('PK\u0005\u0006'))
  const names: string[] = []
  let at = zip.readUInt32LE(end + 16)
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const nameBytes = zip.readUInt16LE(at + 28)
    names.push(
      new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(zip.subarray(at + 46, at + 46 + nameBytes)),
    )
    at += 46 + nameBytes + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32)
  }
  return names
}

function zipFaults(names: readonly string[]): string[] {
  const faults = names
    .filter(
      (name) => !isSafe(name) || /[<>"|?*]|[. ]$|^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)/iu.test(name),
    )
    .map((name) => `the zip holds ${shown(name)}`)
  const folded = new Set(names.map((name) => name.normalize('NFC').toLowerCase().normalize('NFC')))
  if (folded.size !== names.length)
    faults.push(`${names.length - folded.size} names of a zip are one for some file systems`)
  return faults
}

/** What a name may have made where it should not. */
async function traces(house: House, sent: readonly Sent[]): Promise<string[]> {
  const faults: string[] = []
  for (const key of await listStoredObjects(house)) if (!/^[a-z0-9_/]+$/.test(key)) faults.push(`the key ${shown(key)}`)
  const places = [os.tmpdir(), projectFolder, path.parse(projectFolder).root, os.homedir()]
  const entries = (await Promise.all(places.map((place) => readdir(place)))).flat()
  entries.push(...(await readdir(path.dirname(house.dataFolder), { recursive: true })))
  for (const entry of entries) if (entry.includes(hostileMark)) faults.push(`a file ${shown(entry)}`)
  const logs = await house.logs()
  if (logs.includes(hostileMark)) faults.push('a line of the log has a name in it')
  for (const { name } of sent) if (name.length > 200 && logs.includes(name)) faults.push(`the log has ${shown(name)}`)
  return faults
}
