// Uploads in parts: in any order, at once, again, late, lying, and by signed URLs that are bent.

import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { UploadPartResource, UploadResource, UploadResult } from '@millrace/contract'
import { usageOf } from '../files/testing/catalogue.ts'
import { systemClock } from '../platform/clock.ts'
import { Problem } from '../platform/problem.ts'
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

const partSizeBytes = 65_536

async function newClient(options: Partial<UploadHouseOptions> = {}, limits: Record<string, number> = {}) {
  const place = createUploadHouse({ database: test.database, ...options })
  const tenantId = await newTenant(test.database, limits)
  const context = (headers: Record<string, string> = {}, body: Buffer | AsyncIterable<Uint8Array> = Buffer.alloc(0)) =>
    contextOf(tenantId, body, headers)
  const client = {
    begin: async (
      body: { size_bytes: number; part_size_bytes?: number; sha256?: string; name?: string },
      headers = {},
    ) =>
      (await place.routes.createPartsUpload(
        { params: undefined, query: undefined, body: { name: 'a.bin', part_size_bytes: partSizeBytes, ...body } },
        context(headers),
      )) as UploadResource,
    list: async (uploadId: string, query: { cursor?: string; limit?: number; state?: 'missing' | 'stored' } = {}) =>
      (await place.routes.listUploadParts({ params: { upload_id: uploadId }, query, body: undefined }, context())) as {
        items: UploadPartResource[]
        next_cursor: string | null
      },
    /** PUT to a URL of the list of parts, as a client without credentials would. */
    async put(url: string, body: Buffer | AsyncIterable<Uint8Array>, headers: Record<string, string> = {}) {
      const { pathname, searchParams } = new URL(url, 'http://x/api/v1/uploads/upload_x/parts')
      const [, , , , upload_id = '', , number = ''] = pathname.split('/')
      const length: Record<string, string> = Buffer.isBuffer(body)
        ? { 'content-length': String(body.length) }
        : { 'transfer-encoding': 'chunked' }
      return (await place.routes.putUploadPart(
        { params: { upload_id, number }, query: Object.fromEntries(searchParams), body: undefined },
        { ...contextOf(-1, body, { ...length, ...headers }), method: 'PUT' },
      )) as UploadPartResource
    },
    complete: async (uploadId: string) =>
      (await place.routes.completeUpload(
        { params: { upload_id: uploadId }, query: undefined, body: undefined },
        context(),
      )) as UploadResult,
    get: async (uploadId: string) =>
      (await place.routes.getUpload(
        { params: { upload_id: uploadId }, query: undefined, body: undefined },
        {
          ...context(),
          method: 'GET',
        },
      )) as UploadResource,
    abort: (uploadId: string) =>
      place.routes.abortUpload({ params: { upload_id: uploadId }, query: undefined, body: undefined }, context()),
  }
  return { place, tenantId, client }
}

const pieceOf = (content: Buffer, part: { offset_bytes: number; size_bytes: number }): Buffer =>
  content.subarray(part.offset_bytes, part.offset_bytes + part.size_bytes)

const content = randomBytes(5 * partSizeBytes + 1_234)
const sha256 = createHash('sha256').update(content).digest('hex')

async function* cutAfter(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
  throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' })
}

describe('an upload in parts', () => {
  it('takes them at once and in any order, and makes one file of them', async () => {
    const { place, tenantId, client } = await newClient()
    const upload = await client.begin({ size_bytes: content.length, sha256 })
    expect(upload).toMatchObject({ kind: 'parts', state: 'receiving', parts_count: 6, part_size_bytes: partSizeBytes })
    const { items } = await client.list(upload.upload_id)
    expect(items.map(({ number, state, size_bytes }) => [number, state, size_bytes])).toEqual([
      ...[1, 2, 3, 4, 5].map((number) => [number, 'missing', partSizeBytes]),
      [6, 'missing', 1_234],
    ])
    const stored = await Promise.all(items.toReversed().map((part) => client.put(part.url, pieceOf(content, part))))
    for (const part of stored) {
      const digest = createHash('sha256').update(pieceOf(content, part)).digest('hex')
      expect(part).toMatchObject({ state: 'stored', sha256: digest })
    }
    const result = await client.complete(upload.upload_id)
    expect(result).toMatchObject({ name: 'a.bin', size_bytes: content.length, sha256 })
    expect((await place.contentOf(result.file_id)).equals(content)).toBe(true)
    expect(await client.complete(upload.upload_id)).toEqual(result)
    expect(await usageOf(test.database, tenantId)).toEqual({
      files_count: 1,
      stored_bytes: content.length,
      reserved_bytes: 0,
      reserved_files: 0,
    })
    expect(place.objects.size).toBe(6)
  })

  it('takes a part again, and the last one that was acknowledged counts', async () => {
    const { place, client } = await newClient()
    const { upload_id: uploadId } = await client.begin({ size_bytes: content.length })
    const { items } = await client.list(uploadId)
    for (const part of items) {
      await client.put(part.url, randomBytes(part.size_bytes))
      await client.put(part.url, pieceOf(content, part))
    }
    expect(place.objects.size).toBe(6)
    expect(await client.get(uploadId)).toMatchObject({ received_bytes: content.length })
    // Many at once at the same part: one of them counts, and nothing of the others stays.
    await Promise.all(Array.from({ length: 20 }, () => client.put(items[0]!.url, pieceOf(content, items[0]!))))
    expect(place.objects.size).toBe(6)
    expect((await place.contentOf((await client.complete(uploadId)).file_id)).equals(content)).toBe(true)
  })

  it('lists its parts in pages, and those that are missing', async () => {
    const { client } = await newClient()
    const { upload_id: uploadId } = await client.begin({ size_bytes: content.length })
    const first = await client.list(uploadId, { limit: 4 })
    for (const part of first.items.slice(1)) await client.put(part.url, pieceOf(content, part))
    const second = await client.list(uploadId, { limit: 4, cursor: first.next_cursor! })
    expect([...first.items, ...second.items].map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6])
    expect(second.next_cursor).toBeNull()
    const missing = await client.list(uploadId, { state: 'missing' })
    expect(missing.items.map(({ number }) => number)).toEqual([1, 5, 6])
    await expect(client.complete(uploadId)).rejects.toMatchObject({
      code: 'upload_parts_missing',
      detail: '3 of 6 parts are here; missing: 1, 5, 6.',
    })
    expect(await client.get(uploadId)).toMatchObject({ state: 'receiving' })
  })

  it('chooses the length of its parts so that there are at most 10,000', async () => {
    const { client } = await newClient({}, { file_size_bytes_max: 1e12, stored_bytes_max: 1e13 })
    const large = await client.begin({ size_bytes: 1e12, part_size_bytes: 100_000_000 })
    expect(large.parts_count).toBe(10_000)
    expect(await codeOf(client.begin({ size_bytes: 1e12, part_size_bytes: 99_999_999 }))).toBe('invalid_request')
  })

  it('is aborted, and a part that comes after is refused and not kept', async () => {
    const { place, tenantId, client } = await newClient()
    const { upload_id: uploadId } = await client.begin({ size_bytes: content.length })
    const [part] = (await client.list(uploadId)).items
    await client.put(part!.url, pieceOf(content, part!))
    await client.abort(uploadId)
    expect(await codeOf(client.put(part!.url, pieceOf(content, part!)))).toBe('upload_ended')
    expect(place.objects.size).toBe(0)
    expect(await usageOf(test.database, tenantId)).toMatchObject({ reserved_bytes: 0, reserved_files: 0 })
  })

  it('that is aborted while a part comes keeps nothing of it', async () => {
    const { place, client } = await newClient()
    const { upload_id: uploadId } = await client.begin({ size_bytes: content.length })
    const [part] = (await client.list(uploadId)).items
    async function* slowly(): AsyncGenerator<Buffer> {
      yield pieceOf(content, part!).subarray(0, 1_000)
      await client.abort(uploadId)
      yield pieceOf(content, part!).subarray(1_000)
    }
    expect(await codeOf(client.put(part!.url, slowly()))).toBe('upload_ended')
    expect(place.objects.size).toBe(0)
  })
})

describe('a part is refused', () => {
  it('with another length than its number calls for, however it is told', async () => {
    const { place, client } = await newClient()
    const { upload_id: uploadId } = await client.begin({ size_bytes: content.length })
    const { items } = await client.list(uploadId)
    const [first, last] = [items[0]!, items.at(-1)!]
    for (const [part, bytes] of [
      [first, partSizeBytes - 1],
      [first, partSizeBytes + 1],
      [first, 0],
      [last, partSizeBytes],
    ] as const) {
      const body = randomBytes(bytes)
      expect(await codeOf(client.put(part.url, body))).toBe('upload_part_invalid')
      expect(
        await codeOf(
          client.put(
            part.url,
            (async function* () {
              yield body
            })(),
          ),
        ),
      ).toBe('upload_part_invalid')
      // A length that lies.
      const lying = { 'content-length': String(part.size_bytes) }
      expect(
        await codeOf(
          client.put(
            part.url,
            (async function* () {
              yield body
            })(),
            lying,
          ),
        ),
      ).toBe('upload_part_invalid')
    }
    expect(place.objects.size).toBe(0)
    expect(await client.get(uploadId)).toMatchObject({ received_bytes: 0 })
  })

  it('with another checksum, or cut', async () => {
    const { place, client } = await newClient()
    const { upload_id: uploadId } = await client.begin({ size_bytes: content.length })
    const [part] = (await client.list(uploadId)).items
    const piece = pieceOf(content, part!)
    const digestOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('base64')
    const wrong = { 'content-digest': `sha-256=:${digestOf(Buffer.from('x'))}:` }
    expect(await codeOf(client.put(part!.url, piece, wrong))).toBe('checksum_mismatch')
    for (const broken of [':AAAA:', createHash('sha256').update(piece).digest('hex'), ':\u00e4:', ''])
      expect(await codeOf(client.put(part!.url, piece, { 'content-digest': `sha-256=${broken}` }))).toBe(
        'invalid_request',
      )
    expect(await codeOf(client.put(part!.url, cutAfter(piece.subarray(0, 100))))).not.toBe('none')
    expect(place.objects.size).toBe(0)
    await client.put(part!.url, piece, { 'content-digest': `md5=:AAAA:, sha-256=:${digestOf(piece)}:` })
  })

  it('by a URL that is bent in any of its parts, or over', async () => {
    let nowMs = Date.now()
    const clock = { ...systemClock, now: () => new Date(nowMs) }
    const { place, client } = await newClient({ clock })
    const { upload_id: uploadId } = await client.begin({ size_bytes: content.length })
    const { upload_id: otherId } = await client.begin({ size_bytes: content.length })
    const [first, second] = (await client.list(uploadId)).items
    const piece = pieceOf(content, first!)
    const bent = [
      first!.url.replace('/parts/1?', '/parts/2?'),
      first!.url.replace('/parts/1?', '/parts/01?'),
      first!.url.replace(uploadId, otherId),
      first!.url.replace(/expires=\d+/, `expires=${Math.floor(nowMs / 1_000) + 999_999}`),
      first!.url.replace(/tenant=tenant_./, 'tenant=tenant_z'),
      first!.url.replace(/signature=./, (found) => (found === 'signature=A' ? 'signature=B' : 'signature=A')),
      first!.url.replace(/signature=[^&]*/, 'signature='),
      first!.url.replace(/&signature=[^&]*/, ''),
      first!.url.replace(/\?.*/, ''),
      first!.url.replace(/signature=[^&]*/, second!.url.match(/signature=[^&]*/)![0]),
    ]
    for (const url of bent) expect([url, await codeOf(client.put(url, piece))]).toEqual([url, 'upload_url_expired'])
    nowMs += 14 * 60_000
    expect(await codeOf(client.put(first!.url, piece))).toBe('none')
    nowMs += 2 * 60_000
    expect(await codeOf(client.put(first!.url, piece))).toBe('upload_url_expired')
    expect(place.objects.size).toBe(1)
  })
})

it('1,000 uploads at once into a quota with room for 10: never a byte over, and nothing stays reserved', async () => {
  const { place, tenantId, client } = await newClient({}, { stored_bytes_max: 10 * partSizeBytes + 99 })
  const piece = randomBytes(partSizeBytes)
  const one = async (index: number): Promise<string> => {
    let uploadId: string | undefined
    try {
      const id = (uploadId = (await patiently(() => client.begin({ size_bytes: partSizeBytes }))).upload_id)
      const [part] = (await patiently(() => client.list(id))).items
      if (index % 3 === 0) throw new Problem('upload_incomplete')
      await patiently(() => client.put(part!.url, piece))
      await patiently(() => client.complete(id))
      return 'none'
    } catch (error) {
      const id = uploadId
      if (id !== undefined) await codeOf(patiently(async () => client.abort(id)))
      return error instanceof Problem ? error.code : String(error)
    }
  }
  const codes = await Promise.all(Array.from({ length: 1_000 }, (_, index) => one(index)))
  expect(codes.filter((code) => !['none', 'quota_exceeded', 'upload_incomplete'].includes(code))).toEqual([])
  await endOpenUploads(place, { database: test.database, tenantId })
  while ((await one(1)) === 'none');
  expect(await usageOf(test.database, tenantId)).toEqual({
    files_count: 10,
    stored_bytes: 10 * partSizeBytes,
    reserved_bytes: 0,
    reserved_files: 0,
  })
  expect(place.objects.size).toBe(10)
}, 120_000)

it('sessions are listed for their owner, newest first, by state and kind', async () => {
  const { place, tenantId, client } = await newClient()
  const begun: string[] = []
  for (let i = 0; i < 5; i++) begun.unshift((await client.begin({ size_bytes: 10, name: `${i}` })).upload_id)
  await client.abort(begun[2]!)
  const list = async (query: object, tenant = tenantId) =>
    (await place.routes.listUploads(
      { params: undefined, query, body: undefined },
      contextOf(tenant, Buffer.alloc(0), {}),
    )) as { items: UploadResource[]; next_cursor: string | null }
  const idsOf = ({ items }: { items: UploadResource[] }) => items.map((item) => item.upload_id)
  const first = await list({ limit: 3 })
  const second = await list({ limit: 3, cursor: first.next_cursor })
  expect([...idsOf(first), ...idsOf(second)]).toEqual(begun)
  expect(idsOf(await list({ state: 'aborted' }))).toEqual([begun[2]])
  expect(idsOf(await list({ kind: 'tus' }))).toEqual([])
  expect(idsOf(await list({}, await newTenant(test.database)))).toEqual([])
})
