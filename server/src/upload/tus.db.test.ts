// tus 1.0 by its header fields, as a client would use them, and as one that lies, breaks off or vanishes would.

import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { UploadResource } from '@millrace/contract'
import { usageOf } from '../files/testing/catalogue.ts'
import { systemClock } from '../platform/clock.ts'
import { decodeId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { RequestContext, StreamAnswer } from '../platform/routes.ts'
import { createMemoryStore } from '../storage/testing/memory-store.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { codeOf } from '../testing/problem-code.ts'
import {
  contextOf,
  createUploadHouse,
  endOpenUploads,
  newTenant,
  patiently,
  type UploadHouseOptions,
} from './testing/upload-house.ts'

let test: TestDatabase
beforeAll(async () => {
  test = await createTestDatabase()
})
afterAll(() => test.drop())

const house = (options: Partial<UploadHouseOptions> = {}) => createUploadHouse({ database: test.database, ...options })
type House = ReturnType<typeof house>

const version = { 'tus-resumable': '1.0.0' }
const base64 = (text: string): string => Buffer.from(text).toString('base64')
const metadataOf = (fields: Record<string, string>): string =>
  Object.entries(fields)
    .map(([key, value]) => `${key} ${base64(value)}`)
    .join(',')

type Body = Buffer | AsyncIterable<Uint8Array>

/** A client of one tenant that calls the handlers as the gateway would. */
function clientOf(place: House, tenantId: number) {
  const context = (method: string, headers: Record<string, string>, body: Body = Buffer.alloc(0)): RequestContext => ({
    ...contextOf(tenantId, body, headers),
    method,
  })
  const lengthOf = (body: Body): Record<string, string> =>
    Buffer.isBuffer(body) ? { 'content-length': String(body.length) } : { 'transfer-encoding': 'chunked' }
  const input = (uploadId: string) => ({ params: { upload_id: uploadId }, query: undefined, body: undefined })
  const client = {
    async create(headers: Record<string, string>, body: Body = Buffer.alloc(0)) {
      const fields = { ...version, 'upload-metadata': metadataOf({ filename: 'a.bin' }), ...lengthOf(body), ...headers }
      const none = { params: undefined, query: undefined, body: undefined }
      const answer = (await place.routes.createUpload(none, context('POST', fields, body))) as StreamAnswer
      return { ...answer, uploadId: answer.headers['location']!.split('/').at(-1)! }
    },
    patch: async (uploadId: string, offset: number, body: Body, headers: Record<string, string> = {}) => {
      const fields = { ...version, 'upload-offset': String(offset), ...lengthOf(body), ...headers }
      return (await place.routes.appendUpload(input(uploadId), context('PATCH', fields, body))) as StreamAnswer
    },
    head: async (uploadId: string) =>
      ((await place.routes.getUpload(input(uploadId), context('HEAD', version))) as StreamAnswer).headers,
    get: async (uploadId: string) =>
      (await place.routes.getUpload(input(uploadId), context('GET', {}))) as UploadResource,
    abort: async (uploadId: string) => place.routes.abortUpload(input(uploadId), context('DELETE', version)),
    /** The content of the file that an upload has become. */
    async fileOf(uploadId: string): Promise<Buffer> {
      const { result } = await client.get(uploadId)
      return place.contentOf(result!.file_id)
    },
  }
  return client
}

async function newClient(options: Partial<UploadHouseOptions> = {}, limits: Record<string, number> = {}) {
  const place = house(options)
  const tenantId = await newTenant(test.database, limits)
  return { place, tenantId, client: clientOf(place, tenantId) }
}

async function* inPieces(content: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += pieceBytes) yield content.subarray(at, at + pieceBytes)
}

/** A body whose connection breaks after so many bytes. */
async function* cutAfter(content: Buffer, bytes: number): AsyncGenerator<Buffer> {
  yield* inPieces(content.subarray(0, bytes), 10_000)
  throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' })
}

/** What a tenant holds beside its files. */
async function leftOf(tenantId: number) {
  const { rows } = await test.database.query(
    'select count(*)::int as reservations from quota_reservation where tenant_id = $1',
    [tenantId],
  )
  const { reserved_bytes, reserved_files } = await usageOf(test.database, tenantId)
  return { ...rows[0], reserved_bytes, reserved_files }
}
const nothingLeft = { reservations: 0, reserved_bytes: 0, reserved_files: 0 }

describe('an upload by tus', () => {
  it('comes in pieces, tells its offset, and ends in a file with its job', async () => {
    const { place, tenantId, client } = await newClient()
    const content = randomBytes(100_000)
    const metadata = { filename: 'photo.bin', pipeline: 'any', priority: 'bulk', metadata: '{"a":1}', type: 'image/x' }
    const { uploadId, status, headers } = await client.create({
      'upload-length': '100000',
      'upload-metadata': metadataOf(metadata),
    })
    expect(status).toBe(201)
    expect(headers).toMatchObject({ 'tus-resumable': '1.0.0', 'upload-offset': '0' })
    expect(Date.parse(headers['upload-expires']!)).toBeGreaterThan(Date.now())
    expect(await client.patch(uploadId, 0, content.subarray(0, 60_000))).toMatchObject({
      status: 204,
      headers: { 'upload-offset': '60000' },
    })
    expect(await client.head(uploadId)).toMatchObject({
      'upload-offset': '60000',
      'upload-length': '100000',
      'upload-metadata': metadataOf(metadata),
      'cache-control': 'no-store',
    })
    const last = await client.patch(uploadId, 60_000, inPieces(content.subarray(60_000), 7_777))
    expect(last.headers).toMatchObject({ 'upload-offset': '100000' })
    const upload = await client.get(uploadId)
    expect(upload).toMatchObject({ kind: 'tus', state: 'sealed', received_bytes: 100_000, problem: null })
    expect(upload.result).toMatchObject({
      name: 'photo.bin',
      size_bytes: 100_000,
      sha256: createHash('sha256').update(content).digest('hex'),
      job_id: last.headers['millrace-job-id'],
    })
    expect((await client.fileOf(uploadId)).equals(content)).toBe(true)
    expect(await client.head(uploadId)).toMatchObject({ 'upload-offset': '100000' })
    expect(await leftOf(tenantId)).toEqual(nothingLeft)
    for (const stored of place.objects.values()) expect(stored.includes(content.subarray(0, 32))).toBe(false)
  })

  it('keeps what came until the line broke, and has the right hash after many breaks and in another process', async () => {
    const { place, tenantId, client } = await newClient()
    const content = randomBytes(900_000)
    const { uploadId } = await client.create({ 'upload-length': '900000' })
    let offset = 0
    for (let round = 0; offset < 400_000; round++) {
      expect(await codeOf(client.patch(uploadId, offset, cutAfter(content.subarray(offset), 10_000 + round)))).toBe(
        'upload_incomplete',
      )
      const next = Number((await client.head(uploadId))['upload-offset'])
      expect(next).toBe(offset + 10_000 + round)
      offset = next
    }
    // What this process remembers of the hash is gone, as in another one: it is computed from the stored bytes.
    place.writer.forget(decodeId('upload', uploadId)!)
    await client.patch(uploadId, offset, content.subarray(offset))
    const sha256 = createHash('sha256').update(content).digest('hex')
    expect((await client.get(uploadId)).result).toMatchObject({ sha256 })
    expect((await client.fileOf(uploadId)).equals(content)).toBe(true)
    expect(await leftOf(tenantId)).toEqual(nothingLeft)
  })

  it('is sealed though the connection broke after the last byte', async () => {
    const { client } = await newClient()
    const content = randomBytes(50_000)
    const { uploadId } = await client.create({ 'upload-length': '50000' })
    expect(await codeOf(client.patch(uploadId, 0, cutAfter(content, 50_000)))).toBe('upload_incomplete')
    await expect.poll(async () => (await client.get(uploadId)).state).toBe('sealed')
    expect((await client.fileOf(uploadId)).equals(content)).toBe(true)
  })

  it('may begin with its first bytes, and with all of them', async () => {
    const { client } = await newClient()
    const content = randomBytes(30_000)
    const some = await client.create({ 'upload-length': '30000' }, content.subarray(0, 10_000))
    expect(some.headers).toMatchObject({ 'upload-offset': '10000' })
    await client.patch(some.uploadId, 10_000, content.subarray(10_000))
    const all = await client.create({ 'upload-length': '30000' }, content)
    expect(all.headers['millrace-file-id']).toMatch(/^file_/)
    for (const { uploadId } of [some, all]) expect((await client.fileOf(uploadId)).equals(content)).toBe(true)
  })

  it('may tell its length later, even after its last byte', async () => {
    const { tenantId, client } = await newClient()
    const content = randomBytes(30_000)
    const { uploadId } = await client.create({ 'upload-defer-length': '1' })
    await client.patch(uploadId, 0, content.subarray(0, 20_000))
    expect(await client.head(uploadId)).toMatchObject({ 'upload-offset': '20000', 'upload-defer-length': '1' })
    await client.patch(uploadId, 20_000, content.subarray(20_000))
    expect((await client.get(uploadId)).state).toBe('receiving')
    await client.patch(uploadId, 30_000, Buffer.alloc(0), { 'upload-length': '30000' })
    expect((await client.fileOf(uploadId)).equals(content)).toBe(true)
    expect(await leftOf(tenantId)).toEqual(nothingLeft)
  })

  it('compares checksums of pieces, and keeps nothing of one that has another', async () => {
    const { place, client } = await newClient()
    const content = randomBytes(40_000)
    const { uploadId } = await client.create({ 'upload-length': '40000' })
    for (const algorithm of ['sha1', 'sha256', 'sha512', 'md5'])
      expect(
        await codeOf(client.patch(uploadId, 0, content, { 'upload-checksum': `${algorithm} ${base64('wrong')}` })),
      ).toBe('upload_checksum_mismatch')
    expect(await client.head(uploadId)).toMatchObject({ 'upload-offset': '0' })
    expect(place.objects.size).toBe(0)
    const half = content.subarray(0, 20_000)
    const sha1 = createHash('sha1').update(half).digest('base64')
    await client.patch(uploadId, 0, half, { 'upload-checksum': `sha1 ${sha1}` })
    expect(await codeOf(client.patch(uploadId, 20_000, half, { 'upload-checksum': 'crc99 AAAA' }))).toBe(
      'invalid_request',
    )
    // What was cut cannot be compared, so nothing of it counts.
    const cut = client.patch(uploadId, 20_000, cutAfter(content.subarray(20_000), 10_000), {
      'upload-checksum': `sha1 ${sha1}`,
    })
    expect(await codeOf(cut)).toBe('upload_incomplete')
    expect(await client.head(uploadId)).toMatchObject({ 'upload-offset': '20000' })
    await client.patch(uploadId, 20_000, content.subarray(20_000))
    expect((await client.fileOf(uploadId)).equals(content)).toBe(true)
  })

  it('joins partial uploads in the order that is asked for', async () => {
    const { place, tenantId, client } = await newClient()
    const contents = [50_000, 1, 70_000].map((bytes) => randomBytes(bytes))
    const partials = await Promise.all(
      contents.map(async (content) => {
        const length = { 'upload-length': String(content.length), 'upload-concat': 'partial', 'upload-metadata': '' }
        const { uploadId } = await client.create(length)
        await client.patch(uploadId, 0, content)
        return uploadId
      }),
    )
    expect((await client.get(partials[0]!)).state).toBe('receiving')
    // Whatever a proxy has made of the URLs, the ids are their last parts.
    const urls = partials.map((id, index) => ['uploads/', 'https://x:8443/p/api/v1/uploads/', '/'][index]! + id)
    const final = await client.create({ 'upload-concat': `final;${urls.join(' ')}` })
    expect(final.headers['millrace-file-id']).toMatch(/^file_/)
    expect((await client.fileOf(final.uploadId)).equals(Buffer.concat(contents))).toBe(true)
    expect(await client.head(final.uploadId)).toMatchObject({ 'upload-offset': '120001' })
    expect((await client.get(partials[1]!)).state).toBe('sealed')
    expect(await leftOf(tenantId)).toEqual(nothingLeft)
    await test.database.query(`update upload_session set ended_at = now() - interval '2 h' where tenant_id = $1`, [
      tenantId,
    ])
    await place.sweeper.sweep()
    expect(place.objects.size).toBe(1)
    expect(await codeOf(client.create({ 'upload-concat': `final;${urls.join(' ')}` }))).toBe('conflict')
  })

  it('is aborted with its bytes and its reservation, and takes nothing any more', async () => {
    const { place, tenantId, client } = await newClient()
    const { uploadId } = await client.create({ 'upload-length': '1000' }, randomBytes(500))
    expect(place.objects.size).toBe(1)
    await client.abort(uploadId)
    expect(place.objects.size).toBe(0)
    expect(await leftOf(tenantId)).toEqual(nothingLeft)
    const doings = [client.patch(uploadId, 500, randomBytes(500)), client.head(uploadId), client.abort(uploadId)]
    expect(new Set(await Promise.all(doings.map(codeOf)))).toEqual(new Set(['upload_ended']))
  })

  it('is taken over by a second request while the first one hangs, and nothing of either is lost or doubled', async () => {
    const { tenantId, client } = await newClient()
    const content = randomBytes(100_000)
    const { uploadId } = await client.create({ 'upload-length': '100000' })
    async function* hangs(): AsyncGenerator<Buffer> {
      yield content.subarray(0, 30_000)
      await new Promise(() => {})
    }
    const first = codeOf(client.patch(uploadId, 0, hangs()))
    // HEAD asks the first to stop where it is.
    await expect.poll(async () => (await client.head(uploadId))['upload-offset']).toBe('30000')
    expect(await first).toBe('upload_taken_over')
    await client.patch(uploadId, 30_000, content.subarray(30_000))
    expect((await client.fileOf(uploadId)).equals(content)).toBe(true)
    expect(await leftOf(tenantId)).toEqual(nothingLeft)
  })

  it('overtaken by another process, a writer changes nothing any more', async () => {
    const place = house()
    const tenantId = await newTenant(test.database)
    const client = clientOf(place, tenantId)
    const content = randomBytes(60_000)
    const { uploadId } = await client.create({ 'upload-length': '60000' })
    const [waiting, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    async function* slow(): AsyncGenerator<Buffer> {
      yield content.subarray(0, 10_000)
      waiting.resolve()
      await goOn.promise
      yield content.subarray(10_000, 20_000)
    }
    const first = codeOf(client.patch(uploadId, 0, slow()))
    await waiting.promise
    // Another process takes the session: it knows nothing of the writer here.
    await test.database.query('update upload_session set epoch = epoch + 1 where id = $1', [
      decodeId('upload', uploadId),
    ])
    goOn.resolve()
    expect(await first).toBe('upload_taken_over')
    expect(place.objects.size).toBe(0)
    await client.patch(uploadId, 0, content)
    expect((await client.fileOf(uploadId)).equals(content)).toBe(true)
  })

  it('adds a version to a file', async () => {
    const { client } = await newClient()
    const first = await client.create({ 'upload-length': '3' }, Buffer.from('one'))
    const fileId = first.headers['millrace-file-id']!
    const upload = { 'upload-length': '3', 'upload-metadata': metadataOf({ filename: 'b', file_id: fileId }) }
    const second = await client.create(upload, Buffer.from('two'))
    expect(second.headers['millrace-file-id']).toBe(fileId)
    expect(String(await client.fileOf(second.uploadId))).toBe('two')
    const strange = { ...upload, 'upload-metadata': metadataOf({ file_id: 'file_0000000000000' }) }
    expect(await codeOf(client.create(strange))).toBe('not_found')
  })

  it('is begun once under one Idempotency-Key', async () => {
    const { tenantId, client } = await newClient()
    const headers = { 'upload-length': '3', 'idempotency-key': 'k' }
    const [one, two] = [await client.create(headers), await client.create(headers)]
    expect(two.uploadId).toBe(one.uploadId)
    expect(await codeOf(client.create({ ...headers, 'upload-length': '4' }))).toBe('idempotency_key_reused')
    expect(await leftOf(tenantId)).toMatchObject({ reservations: 1, reserved_bytes: 3 })
  })

  it('begun again under its Idempotency-Key tells how far it is, and what it has become', async () => {
    const { client } = await newClient()
    const headers = { 'upload-length': '3', 'idempotency-key': 'k' }
    const { uploadId } = await client.create(headers)
    await client.patch(uploadId, 0, Buffer.from('ab'))
    expect((await client.create(headers)).headers).toMatchObject({
      location: `uploads/${uploadId}`,
      'upload-offset': '2',
      'upload-expires': expect.any(String),
    })
    const last = await client.patch(uploadId, 2, Buffer.from('c'))
    const again = await client.create(headers, Buffer.from('abc'))
    expect(again.headers).toEqual({
      'tus-resumable': '1.0.0',
      location: `uploads/${uploadId}`,
      'upload-offset': '3',
      'millrace-file-id': last.headers['millrace-file-id'],
      'millrace-job-id': last.headers['millrace-job-id'],
    })
  })

  it('begun again under its Idempotency-Key says so when it has come to nothing', async () => {
    const { client } = await newClient()
    const headers = { 'upload-length': '3', 'idempotency-key': 'k' }
    await client.abort((await client.create(headers)).uploadId)
    expect(await codeOf(client.create(headers))).toBe('upload_ended')
  })
})

describe('an upload by tus is refused', () => {
  it.each<[string, Record<string, string>, string]>([
    ['without a version', { 'tus-resumable': '' }, 'protocol_version_unsupported'],
    ['with another version', { 'tus-resumable': '0.2.2' }, 'protocol_version_unsupported'],
    ['without a length', {}, 'invalid_request'],
    ['with two kinds of length', { 'upload-length': '1', 'upload-defer-length': '1' }, 'invalid_request'],
    ['with a negative length', { 'upload-length': '-1' }, 'invalid_request'],
    ['with a length that is none', { 'upload-length': '1e9' }, 'invalid_request'],
    ['with a length beyond all numbers', { 'upload-length': '99999999999999999' }, 'invalid_request'],
    ['with no bytes', { 'upload-length': '0' }, 'file_empty'],
    ['over the limit of a file', { 'upload-length': String(6 * 1024 ** 3) }, 'file_too_large'],
    ['with metadata that are none', { 'upload-length': '1', 'upload-metadata': 'a b c' }, 'invalid_request'],
    ['with metadata that are no base64', { 'upload-length': '1', 'upload-metadata': 'filename %%' }, 'invalid_request'],
    ['with a name that is no UTF-8', { 'upload-length': '1', 'upload-metadata': 'filename /4CA' }, 'invalid_request'],
    ['with a key twice', { 'upload-length': '1', 'upload-metadata': 'a YQ==,a YQ==' }, 'invalid_request'],
    [
      'with a name of NUL',
      { 'upload-length': '1', 'upload-metadata': metadataOf({ filename: '\0' }) },
      'file_name_invalid',
    ],
    [
      'for an unknown pipeline',
      { 'upload-length': '1', 'upload-metadata': metadataOf({ pipeline: 'x' }) },
      'pipeline_unknown',
    ],
    [
      'for an unknown priority',
      { 'upload-length': '1', 'upload-metadata': metadataOf({ priority: 'x' }) },
      'invalid_request',
    ],
    ['as a final one of nothing', { 'upload-concat': 'final;' }, 'invalid_request'],
    ['as a final one of what is not there', { 'upload-concat': 'final;/a/upload_0000000000000' }, 'not_found'],
    ['as something else', { 'upload-length': '1', 'upload-concat': 'both' }, 'invalid_request'],
  ])('%s', async (_, headers, code) => {
    const { place, tenantId, client } = await newClient()
    expect(await codeOf(client.create(headers))).toBe(code)
    expect(await leftOf(tenantId)).toEqual(nothingLeft)
    expect(place.objects.size).toBe(0)
  })

  it('at another offset, beyond its length, and with another length than it was begun with', async () => {
    const { tenantId, client } = await newClient()
    const content = randomBytes(1_000)
    const { uploadId } = await client.create({ 'upload-length': '1000' }, content.subarray(0, 400))
    for (const offset of [0, 399, 401, 1_000, 2_000])
      expect(await codeOf(client.patch(uploadId, offset, content.subarray(0, 10)))).toBe('upload_offset_mismatch')
    expect(await codeOf(client.patch(uploadId, 400, content))).toBe('upload_too_long')
    // A length that is not told beforehand is found out on the way.
    expect(await codeOf(client.patch(uploadId, 400, inPieces(content, 100)))).toBe('upload_too_long')
    expect(await codeOf(client.patch(uploadId, 400, content.subarray(400), { 'upload-length': '999' }))).toBe(
      'invalid_request',
    )
    expect(await client.head(uploadId)).toMatchObject({ 'upload-offset': '400' })
    await client.patch(uploadId, 400, content.subarray(400))
    expect((await client.fileOf(uploadId)).equals(content)).toBe(true)
    expect(await codeOf(client.patch(uploadId, 1_000, content))).toBe('upload_ended')
    expect(await leftOf(tenantId)).toEqual(nothingLeft)
  })

  it('with its first bytes, when these are refused: nobody knows of an upload that would stay open', async () => {
    const { place, tenantId, client } = await newClient({}, { stored_bytes_max: 10_000 })
    const content = randomBytes(1_000)
    const other = { 'upload-checksum': `sha1 ${createHash('sha1').update('x').digest('base64')}` }
    const wrong = metadataOf({ filename: 'a', sha256: '0'.repeat(64) })
    for (const [headers, body, code] of [
      [{ 'upload-length': '1000', ...other }, content, 'upload_checksum_mismatch'],
      [{ 'upload-length': '999' }, content, 'upload_too_long'],
      [{ 'upload-length': '999' }, inPieces(content, 100), 'upload_too_long'],
      [{ 'upload-length': '1000', 'upload-metadata': wrong }, content, 'checksum_mismatch'],
      [{ 'upload-defer-length': '1' }, randomBytes(10_001), 'quota_exceeded'],
    ] as [Record<string, string>, Body, string][])
      expect(await codeOf(client.create(headers, body))).toBe(code)
    expect(await leftOf(tenantId)).toEqual(nothingLeft)
    expect(place.objects.size).toBe(0)
  })

  it('with its first bytes, when these break off or find no store: the upload is named, and goes on', async () => {
    const { place, client } = await newClient()
    const content = randomBytes(1_000)
    const cut = await client.create({ 'upload-length': '1000' }, cutAfter(content, 300))
    expect(cut).toMatchObject({ status: 201, headers: { 'upload-offset': '300' } })
    await client.patch(cut.uploadId, 300, content.subarray(300))
    expect((await client.fileOf(cut.uploadId)).equals(content)).toBe(true)
    vi.spyOn(place.vault, 'writePart').mockRejectedValueOnce(new Problem('storage_unavailable'))
    const refused = await client.create({ 'upload-length': '1000' }, content)
    expect(refused).toMatchObject({ status: 201, headers: { 'upload-offset': '0' } })
    await client.patch(refused.uploadId, 0, content)
    expect((await client.fileOf(refused.uploadId)).equals(content)).toBe(true)
  })

  it('by a tenant that does not own it', async () => {
    const { place, client } = await newClient()
    const { uploadId } = await client.create({ 'upload-length': '10' })
    const stranger = clientOf(place, await newTenant(test.database))
    const doings = [
      stranger.patch(uploadId, 0, Buffer.from('x')),
      stranger.head(uploadId),
      stranger.abort(uploadId),
      stranger.get(uploadId),
      stranger.create({ 'upload-concat': `final;/${uploadId}` }),
    ]
    expect(new Set(await Promise.all(doings.map(codeOf)))).toEqual(new Set(['not_found']))
  })

  it('whose whole has another SHA-256 than was said, and says so ever after', async () => {
    const { place, tenantId, client } = await newClient()
    const metadata = metadataOf({ filename: 'a', sha256: '0'.repeat(64) })
    const { uploadId } = await client.create({ 'upload-length': '3', 'upload-metadata': metadata })
    expect(await codeOf(client.patch(uploadId, 0, Buffer.from('abc')))).toBe('checksum_mismatch')
    expect(await client.get(uploadId)).toMatchObject({ state: 'failed', problem: { code: 'checksum_mismatch' } })
    expect(await codeOf(client.head(uploadId))).toBe('checksum_mismatch')
    expect(place.objects.size).toBe(0)
    expect(await leftOf(tenantId)).toEqual(nothingLeft)
  })
})

describe('the quota', () => {
  it('is looked at when an upload is begun, as it goes where its length is not known, and given back at its end', async () => {
    const { place, tenantId, client } = await newClient({}, { stored_bytes_max: 10_000 })
    expect(await codeOf(client.create({ 'upload-length': '10001' }))).toBe('quota_exceeded')
    const { uploadId } = await client.create({ 'upload-length': '6000' })
    expect(await codeOf(client.create({ 'upload-length': '4001' }))).toBe('quota_exceeded')
    const deferred = await client.create({ 'upload-defer-length': '1' })
    expect(await codeOf(client.patch(deferred.uploadId, 0, inPieces(randomBytes(4_001), 500)))).toBe('quota_exceeded')
    const taken = Number((await client.head(deferred.uploadId))['upload-offset'])
    expect(taken).toBeLessThanOrEqual(4_000)
    await client.abort(deferred.uploadId)
    await client.abort(uploadId)
    expect(await leftOf(tenantId)).toEqual(nothingLeft)
    expect(place.objects.size).toBe(0)
  })

  it('has room for exactly 10 of 1,000 uploads that come at once, and nothing stays reserved', async () => {
    const { place, tenantId, client } = await newClient({}, { stored_bytes_max: 10_999 })
    const content = randomBytes(1_000)
    const one = async (index: number): Promise<string> => {
      // Some tell their length, some do not, some send all at once, and some vanish half way and abort.
      if (index % 4 === 0) return codeOf(patiently(() => client.create({ 'upload-length': '1000' }, content)))
      const length: Record<string, string> =
        index % 4 === 1 ? { 'upload-defer-length': '1' } : { 'upload-length': '1000' }
      let uploadId: string | undefined
      try {
        const id = (uploadId = (await patiently(() => client.create(length))).uploadId)
        if (index % 4 === 3) {
          await codeOf(client.patch(id, 0, cutAfter(content, 300)))
          throw new Problem('upload_incomplete')
        }
        const told: Record<string, string> = index % 4 === 1 ? { 'upload-length': '1000' } : {}
        await patiently(async () => {
          const { received_bytes: offset } = await client.get(id)
          if (offset < content.length) await client.patch(id, offset, content.subarray(offset), told)
        })
        return 'none'
      } catch (error) {
        const id = uploadId
        if (id !== undefined) await codeOf(patiently(() => client.abort(id)))
        return error instanceof Problem ? error.code : String(error)
      }
    }
    const codes = await Promise.all(Array.from({ length: 1_000 }, (_, index) => one(index)))
    expect(
      [...new Set(codes)].filter((code) => !['none', 'quota_exceeded', 'upload_incomplete'].includes(code)),
    ).toEqual([])
    await endOpenUploads(place, { database: test.database, tenantId })
    while ((await codeOf(client.create({ 'upload-length': '1000' }, content))) === 'none');
    expect(await usageOf(test.database, tenantId)).toEqual({
      files_count: 10,
      stored_bytes: 10_000,
      reserved_bytes: 0,
      reserved_files: 0,
    })
    expect(place.objects.size).toBe(10)
  }, 120_000)

  it('lets only so many uploads be open at once', async () => {
    const { client } = await newClient({}, { open_uploads_count_max: 2 })
    const first = await client.create({ 'upload-length': '1' })
    await client.create({ 'upload-length': '1' })
    expect(await codeOf(client.create({ 'upload-length': '1' }))).toBe('uploads_limit_reached')
    await client.abort(first.uploadId)
    expect(await codeOf(client.create({ 'upload-length': '1' }))).toBe('none')
  })
})

describe('an upload that nobody looks after', () => {
  it('expires with its bytes and its reservation', async () => {
    const { place, tenantId, client } = await newClient()
    const { uploadId } = await client.create({ 'upload-length': '1000' }, randomBytes(500))
    await test.database.query(`update upload_session set expires_at = now() - interval '1 s' where tenant_id = $1`, [
      tenantId,
    ])
    expect(await codeOf(client.patch(uploadId, 500, randomBytes(500)))).toBe('upload_ended')
    await place.sweeper.sweep()
    expect(await client.get(uploadId)).toMatchObject({ state: 'expired' })
    expect(await codeOf(client.head(uploadId))).toBe('upload_ended')
    expect(place.objects.size).toBe(0)
    expect(await leftOf(tenantId)).toEqual(nothingLeft)
  })

  it('is sealed by the sweeper when a process died after its last byte', async () => {
    const { place, client } = await newClient()
    const content = randomBytes(2_000)
    const { uploadId } = await client.create({ 'upload-length': '2000' }, content.subarray(0, 500))
    const id = decodeId('upload', uploadId)
    await test.database.query(
      `update upload_session set state = 'sealing', size_bytes = 500, lease_until = now() - interval '1 s' where id = $1`,
      [id],
    )
    await place.sweeper.sweep()
    expect(await client.get(uploadId)).toMatchObject({ state: 'sealed', result: { size_bytes: 500 } })
    expect((await client.fileOf(uploadId)).equals(content.subarray(0, 500))).toBe(true)
  })

  it('is tried again when the store did not answer, and has one file in the end', async () => {
    const memory = createMemoryStore()
    let broken = false
    const store = {
      ...memory,
      get: (...args: Parameters<typeof memory.get>) =>
        broken ? Promise.reject(new Problem('storage_unavailable')) : memory.get(...args),
    }
    const { place, tenantId, client } = await newClient({ store })
    const { uploadId } = await client.create({ 'upload-length': '2000' })
    broken = true
    expect(await codeOf(client.patch(uploadId, 0, randomBytes(2_000)))).toBe('storage_unavailable')
    expect(await client.get(uploadId)).toMatchObject({ state: 'sealing', problem: { code: 'storage_unavailable' } })
    broken = false
    await test.database.query(`update upload_session set lease_until = now() - interval '1 s' where tenant_id = $1`, [
      tenantId,
    ])
    await place.sweeper.sweep()
    expect(await client.get(uploadId)).toMatchObject({ state: 'sealed', problem: null })
    expect(await usageOf(test.database, tenantId)).toMatchObject({ files_count: 1, stored_bytes: 2_000 })
  })
})

it('progress is told at most twice a second, and the end once', async () => {
  let nowMs = 0
  const { tenantId, client } = await newClient({ clock: { ...systemClock, monotonicMs: () => nowMs } })
  const content = randomBytes(100_000)
  const { uploadId } = await client.create({ 'upload-length': '100000' })
  async function* steady(): AsyncGenerator<Buffer> {
    for await (const piece of inPieces(content, 1_000)) {
      nowMs += 100
      yield piece
    }
  }
  await client.patch(uploadId, 0, steady())
  const { rows } = await test.database.query<{ type: string; data: Record<string, unknown> }>(
    `select type, data from outbox where tenant_id = $1 and type like 'upload.%' order by id`,
    [tenantId],
  )
  const progress = rows.filter(({ type }) => type === 'upload.progress')
  expect(progress).toHaveLength(20)
  // A piece is read ahead of what is counted.
  expect(progress[1]!.data).toEqual({
    upload_id: uploadId,
    received_bytes: 9_000,
    size_bytes: 100_000,
    bytes_per_second: 8_400,
  })
  expect(rows.filter(({ type }) => type === 'upload.ended').map(({ data }) => data['state'])).toEqual(['sealed'])
})
