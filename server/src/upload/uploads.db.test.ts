import { createHash, randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { UploadResource, UploadResult } from '@millrace/contract'
import { usageOf } from '../files/testing/catalogue.ts'
import { systemClock, type Clock } from '../platform/clock.ts'
import { decodeId, encodeId, type RowId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import { findObject } from '../storage/object.sql.ts'
import { createMemoryStore } from '../storage/testing/memory-store.ts'
import { toTenantLimits } from '../tenants/limits.ts'
import { createQuota, type TenantRoom } from '../tenants/quota.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { codeOf } from '../testing/problem-code.ts'
import {
  contextOf,
  createUploadHouse,
  newTenant,
  testSubmission,
  writeForm,
  type UploadHouseOptions,
} from './testing/upload-house.ts'
import { createUnreservedBytes } from './unreserved-bytes.ts'

let test: TestDatabase
beforeAll(async () => {
  test = await createTestDatabase()
})
afterAll(() => test.drop())

const house = (options: Partial<UploadHouseOptions> = {}) => createUploadHouse({ database: test.database, ...options })
type House = ReturnType<typeof house>

interface FormSpec {
  bytes?: Buffer
  name?: string
  before?: Record<string, string>
  after?: Record<string, string>
}

function formOf({ bytes = Buffer.from('a,b\n1,2\n'), name = 'data.csv', before = {}, after = {} }: FormSpec): FormData {
  const form = new FormData()
  for (const [field, value] of Object.entries(before)) form.append(field, value)
  form.append('file', new Blob([new Uint8Array(bytes)]), name)
  for (const [field, value] of Object.entries(after)) form.append(field, value)
  return form
}

async function upload(
  { routes }: House,
  tenantId: number,
  spec: FormSpec | FormData = {},
  headers: Record<string, string> = {},
): Promise<UploadResult> {
  const form = await writeForm(spec instanceof FormData ? spec : formOf(spec))
  const context = contextOf(tenantId, form.body, { ...form.headers, ...headers })
  // Uploads answer JSON.
  return (await routes.uploadFile({ params: undefined, query: undefined, body: undefined }, context)) as UploadResult
}

/** Everything that an upload could have left behind. */
async function tracesOf(tenantId: number, { objects }: House) {
  const { rows } = await test.database.query(
    `select (select count(*)::int from object where tenant_id = $1) as objects,
       (select count(*)::int from file where tenant_id = $1) as files,
       (select count(*)::int from job where tenant_id = $1) as jobs,
       (select count(*)::int from quota_reservation where tenant_id = $1) as reservations,
       (select count(*)::int from idempotency_key where tenant_id = $1) as keys`,
    [tenantId],
  )
  return { ...rows[0], ...(await usageOf(test.database, tenantId)), stored: objects.size }
}

const nothing = {
  objects: 0,
  files: 0,
  jobs: 0,
  reservations: 0,
  keys: 0,
  files_count: 0,
  stored_bytes: 0,
  reserved_bytes: 0,
  reserved_files: 0,
  stored: 0,
}

describe('an upload', () => {
  it('ends in a file with its job, its bytes encrypted, and its events', async () => {
    const place = house()
    const tenantId = await newTenant(test.database)
    const bytes = randomBytes(300_000)
    const before = { pipeline: 'any', metadata: '{"Owner":"Ann"}', priority: 'bulk' }
    const result = await upload(place, tenantId, { bytes, name: 'photo.bin', before })
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    expect(result).toMatchObject({
      status: 'queued',
      name: 'photo.bin',
      size_bytes: bytes.length,
      sha256,
      content_type: 'application/octet-stream',
      pipeline: 'any',
    })
    const { rows } = await test.database.query<{ object_id: string }>(
      `select f.object_id, f.state, f.metadata, j.id as job_id, j.lane, j.file_version from file f join job j on j.file_id = f.id where f.id = $1`,
      [decodeId('file', result.file_id)],
    )
    expect(rows[0]).toMatchObject({
      state: 'quarantined',
      metadata: { Owner: 'Ann' },
      job_id: decodeId('job', result.job_id),
      lane: 2,
      file_version: 1,
    })
    const object = await findObject(test.database, rows[0]!.object_id)
    expect(await buffer(await place.vault.read(object!))).toEqual(bytes)
    expect(place.objects.get(object!.storeKey)?.includes(bytes.subarray(0, 32))).toBe(false)
    expect(place.woken).toEqual(['backlog', 'outbox'])
    expect(await tracesOf(tenantId, place)).toMatchObject({
      files_count: 1,
      stored_bytes: bytes.length,
      reserved_bytes: 0,
      reservations: 0,
    })
  })

  it('takes its fields after the file as well', async () => {
    const place = house()
    const tenantId = await newTenant(test.database)
    const after = { pipeline: 'texts', metadata: '{"a":1}', priority: 'interactive' }
    const result = await upload(place, tenantId, { after })
    expect(result).toMatchObject({ pipeline: 'texts', content_type: 'text/csv' })
  })

  it.each(['../../etc/passwd', 'two\r\nlines "quoted".csv', '\u202e😀.csv', `${'x'.repeat(3_996)}.csv`])(
    'keeps the name %j to the letter',
    async (name) => {
      const place = house()
      const tenantId = await newTenant(test.database)
      expect(await upload(place, tenantId, { name })).toMatchObject({ name })
      for (const key of place.objects.keys()) expect(key).toMatch(/^files\/[0-9a-f]{2}\/[0-9a-f]{32}$/)
    },
  )

  it('without a stated length reserves as it goes', async () => {
    const place = house()
    const tenantId = await newTenant(test.database, { stored_bytes_max: 3_000_000 })
    const chunked = { 'content-length': undefined } as unknown as Record<string, string>
    await upload(place, tenantId, { bytes: randomBytes(2_900_000) }, chunked)
    expect(await codeOf(upload(place, tenantId, { bytes: randomBytes(100_001) }, chunked))).toBe('quota_exceeded')
    await upload(place, tenantId, { bytes: randomBytes(100_000) }, chunked)
    expect(await usageOf(test.database, tenantId)).toMatchObject({ stored_bytes: 3_000_000, reserved_bytes: 0 })
  })

  it('adds a version to a file under the name that the file has', async () => {
    const place = house()
    const tenantId = await newTenant(test.database)
    const first = await upload(place, tenantId, { before: { metadata: '{"a":1}' } })
    const form = await writeForm(formOf({ bytes: Buffer.from('{}'), name: 'newer.json' }))
    const addVersion = (fileId: string, tenant = tenantId) =>
      place.routes.uploadFileVersion(
        { params: { file_id: fileId }, query: undefined, body: undefined },
        contextOf(tenant, form.body, form.headers),
      )
    expect(await addVersion(first.file_id)).toMatchObject({
      file_id: first.file_id,
      name: 'data.csv',
      content_type: 'application/json',
    })
    expect(await usageOf(test.database, tenantId)).toMatchObject({ files_count: 1, stored_bytes: 10 })
    const stranger = await newTenant(test.database)
    for (const id of ['nonsense', encodeId('file', 999_999 as RowId<'file'>)])
      expect(await codeOf(Promise.resolve(addVersion(id)))).toBe('not_found')
    expect(await codeOf(Promise.resolve(addVersion(first.file_id, stranger)))).toBe('not_found')
  })
})

describe('a bad upload leaves nothing behind', () => {
  const twoFiles = formOf({})
  twoFiles.append('file', new Blob(['x']), 'second.txt')
  const asText = new FormData()
  asText.append('file', '@data.csv')
  const noFile = new FormData()
  noFile.append('pipeline', 'any')
  const doubled = formOf({ before: { pipeline: 'any' }, after: { pipeline: 'any' } })

  it.each<[string, FormSpec | FormData, string]>([
    ['an empty file', { bytes: Buffer.alloc(0) }, 'file_empty'],
    ['two files', twoFiles, 'invalid_form'],
    ['no file', noFile, 'invalid_form'],
    ['an empty form', new FormData(), 'invalid_form'],
    ['a file sent as text', asText, 'invalid_form'],
    ['a file that was not chosen', { name: '' }, 'invalid_form'],
    ['an unknown field', { after: { color: 'red' } }, 'invalid_form'],
    ['a field that comes twice', doubled, 'invalid_form'],
    ['a name with NUL', { name: 'a\0b' }, 'file_name_invalid'],
    ['a name of 4,001 characters', { name: 'x'.repeat(4_001) }, 'file_name_invalid'],
    ['an unknown pipeline', { before: { pipeline: 'nope' } }, 'pipeline_unknown'],
    ['an unknown pipeline after the file', { after: { pipeline: 'nope' } }, 'pipeline_unknown'],
    [
      'a pipeline for other types',
      { name: 'a.json', bytes: Buffer.from('{}'), before: { pipeline: 'texts' } },
      'pipeline_not_accepted',
    ],
    ['metadata that are not JSON', { before: { metadata: '{' } }, 'invalid_request'],
    ['metadata that are a list', { after: { metadata: '[]' } }, 'invalid_request'],
    [
      'metadata beyond their limit',
      { before: { metadata: JSON.stringify({ a: 'x'.repeat(70_000) }) } },
      'invalid_request',
    ],
    ['endless metadata', { before: { metadata: 'x'.repeat(200_000) } }, 'invalid_request'],
    ['an unknown priority', { before: { priority: 'high' } }, 'invalid_request'],
    ['a wrong checksum', { before: { sha256: '0'.repeat(64) } }, 'checksum_mismatch'],
    ['a wrong checksum after the file', { after: { sha256: '0'.repeat(64) } }, 'checksum_mismatch'],
    ['a file over the limit', { bytes: randomBytes(200_001) }, 'file_too_large'],
    ['a file over the quota', { bytes: randomBytes(150_000) }, 'quota_exceeded'],
  ])('%s', async (_, spec, code) => {
    const place = house()
    const tenantId = await newTenant(test.database, { file_size_bytes_max: 200_000, stored_bytes_max: 140_000 })
    const limits = code === 'file_too_large' ? { stored_bytes_max: 1_000_000, file_size_bytes_max: 200_000 } : undefined
    if (limits)
      await test.database.query('update tenant set limits = $2 where id = $1', [tenantId, JSON.stringify(limits)])
    expect(await codeOf(upload(place, tenantId, spec, { 'idempotency-key': 'k' }))).toBe(code)
    expect(await tracesOf(tenantId, place)).toEqual(nothing)
    expect(place.woken).toEqual([])
  })

  it('a form that is cut anywhere', async () => {
    const place = house()
    const tenantId = await newTenant(test.database)
    const { body, headers } = await writeForm(formOf({ bytes: randomBytes(20_000), after: { metadata: '{}' } }))
    for (const length of [0, 10, 200, 5_000, 20_150, body.length - 130, body.length - 60, body.length - 5]) {
      const context = contextOf(tenantId, body.subarray(0, length), headers)
      const cut = place.routes.uploadFile({ params: undefined, query: undefined, body: undefined }, context)
      expect(await codeOf(cut), `cut at ${length}`).toBe('upload_incomplete')
    }
    expect(await tracesOf(tenantId, place)).toEqual(nothing)
  })

  it('a client that goes away in the middle', async () => {
    const place = house()
    const tenantId = await newTenant(test.database)
    const { body, headers } = await writeForm(formOf({ bytes: randomBytes(500_000) }))
    const leaving = new AbortController()
    async function* halfOf() {
      yield body.subarray(0, 250_000)
      leaving.abort()
      throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' })
    }
    const context = contextOf(tenantId, halfOf(), headers, leaving.signal)
    const left = place.routes.uploadFile({ params: undefined, query: undefined, body: undefined }, context)
    expect(await codeOf(left)).toBe('upload_incomplete')
    expect(await tracesOf(tenantId, place)).toEqual(nothing)
  })

  it('a body that Content-Length already shows to be too large, before a byte of it is read', async () => {
    const place = house()
    const tenantId = await newTenant(test.database, { file_size_bytes_max: 1_000 })
    let piecesCount = 0
    async function* body(): AsyncGenerator<Buffer> {
      piecesCount++
      yield Buffer.from('--B\r\n')
    }
    const headers = { 'content-type': 'multipart/form-data; boundary=B', 'content-length': '50000000' }
    const context = contextOf(tenantId, body(), headers)
    const large = place.routes.uploadFile({ params: undefined, query: undefined, body: undefined }, context)
    expect(await codeOf(large)).toBe('file_too_large')
    expect(piecesCount).toBe(0)
  })

  it.each(['storage_full', 'storage_unavailable'] as const)('a store that is %s', async (code) => {
    const memory = createMemoryStore()
    const place = house({
      store: {
        ...memory,
        async put(_, body) {
          for await (const piece of body) if (piece.length > 0) throw new Problem(code)
          throw new Problem(code)
        },
      },
    })
    const tenantId = await newTenant(test.database)
    expect(await codeOf(upload(place, tenantId))).toBe(code)
    expect(await tracesOf(tenantId, place)).toEqual(nothing)
  })

  it('a job that cannot be submitted', async () => {
    const submission = {
      ...testSubmission,
      submitJobs: async () => {
        throw new Error('a bug')
      },
    }
    const place = house({ submission })
    const tenantId = await newTenant(test.database)
    await expect(upload(place, tenantId)).rejects.toThrow('a bug')
    expect(await tracesOf(tenantId, place)).toEqual(nothing)
  })
})

describe('a commit whose answer was lost', () => {
  const cut = (afterCommit: boolean): UploadHouseOptions => ({
    database: {
      ...test.database,
      async withTenant(tenantId, work, options) {
        let isSeal = false
        const watched: typeof work = async (tx) => {
          const value = await work({
            ...tx,
            query: (text, values) => {
              isSeal ||= text.includes('insert into job')
              return tx.query(text, values)
            },
          })
          if (isSeal && !afterCommit) throw new Problem('database_unavailable')
          return value
        }
        const value = await test.database.withTenant(tenantId, watched, options)
        if (isSeal) throw new Problem('database_unavailable')
        return value
      },
    },
  })

  it('keeps the bytes when it had happened', async () => {
    const place = house(cut(true))
    const tenantId = await newTenant(test.database)
    expect(await codeOf(upload(place, tenantId))).toBe('database_unavailable')
    expect(await tracesOf(tenantId, place)).toMatchObject({ files: 1, objects: 1, stored: 1, reservations: 0 })
  })

  it.each([
    ['keeps the bytes of all that were sealed together', true],
    ['removes the bytes of all that were not', false],
  ])('%s', async (_, happened) => {
    const place = house(cut(happened))
    const tenantId = await newTenant(test.database)
    const codes = await Promise.all(Array.from({ length: 8 }, () => codeOf(upload(place, tenantId))))
    expect(codes).toEqual(Array.from({ length: 8 }, () => 'database_unavailable'))
    const traces = await tracesOf(tenantId, place)
    if (happened) expect(traces).toMatchObject({ files: 8, objects: 8, jobs: 8, stored: 8, files_count: 8 })
    else expect(traces).toEqual(nothing)
  })

  it('removes them when it had not', async () => {
    const place = house(cut(false))
    const tenantId = await newTenant(test.database)
    expect(await codeOf(upload(place, tenantId))).toBe('database_unavailable')
    expect(await tracesOf(tenantId, place)).toEqual(nothing)
  })
})

describe('an Idempotency-Key', () => {
  it('makes an upload that is sent again one upload with one answer', async () => {
    const place = house()
    const tenantId = await newTenant(test.database)
    const headers = { 'idempotency-key': 'once' }
    const first = await upload(place, tenantId, {}, headers)
    expect(await upload(place, tenantId, {}, headers)).toEqual(first)
    expect(await tracesOf(tenantId, place)).toMatchObject({ files: 1, jobs: 1, stored: 1, keys: 1, reserved_bytes: 0 })
  })

  it.each<[string, FormSpec]>([
    ['other bytes', { bytes: Buffer.from('other') }],
    ['another name', { name: 'other.csv' }],
    ['another field', { before: { priority: 'bulk' } }],
  ])('is refused for %s', async (_, spec) => {
    const place = house()
    const tenantId = await newTenant(test.database)
    await upload(place, tenantId, {}, { 'idempotency-key': 'once' })
    expect(await codeOf(upload(place, tenantId, spec, { 'idempotency-key': 'once' }))).toBe('idempotency_key_reused')
    expect(await tracesOf(tenantId, place)).toMatchObject({ files: 1, stored: 1 })
  })

  it('lets one of many that come at once through', async () => {
    const place = house()
    const tenantId = await newTenant(test.database)
    const results = await Promise.all(
      Array.from({ length: 20 }, () => codeOf(upload(place, tenantId, {}, { 'idempotency-key': 'once' }))),
    )
    expect(results).toContain('none')
    expect(results.filter((code) => code !== 'none' && code !== 'idempotency_in_flight')).toEqual([])
    expect(await tracesOf(tenantId, place)).toMatchObject({ files: 1, jobs: 1, stored: 1, reservations: 0 })
  })
})

it('keeps what its sender says that a file is, whatever the way in', async () => {
  const place = house()
  const tenantId = await newTenant(test.database)
  const formAs = (type: string, bytes = 100): FormData => {
    const form = new FormData()
    form.append('file', new Blob([randomBytes(bytes)], { type }), 'a.bin')
    return form
  }
  const declared = async () => {
    const { rows } = await test.database.query<{ declared_type: string | null }>(
      'select declared_type from file_version where tenant_id = $1 order by id',
      [tenantId],
    )
    return rows.map((row) => row.declared_type)
  }
  // One that is sealed with others, one that is reserved for, and a version.
  const { file_id } = await upload(place, tenantId, formAs('image/png'))
  await upload(place, tenantId, formAs('Text/CSV; charset=utf-8', 300_000))
  const version = await writeForm(formAs('application/pdf'))
  const context = contextOf(tenantId, version.body, version.headers)
  await place.routes.uploadFileVersion({ params: { file_id }, query: undefined, body: undefined }, context)
  const none = { params: undefined, query: undefined, body: undefined }
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const tus = {
    'tus-resumable': '1.0.0',
    'upload-length': '3',
    'upload-metadata': `filename ${base64('a')},filetype ${base64('video/mp4')}`,
    'content-length': '3',
  }
  await place.routes.createUpload(none, contextOf(tenantId, Buffer.from('abc'), tus))
  await upload(place, tenantId, formAs(''))
  expect(await declared()).toEqual([
    'image/png',
    'text/csv',
    'application/pdf',
    'video/mp4',
    'application/octet-stream',
  ])
  const { upload_id } = (await place.routes.createPartsUpload(
    { ...none, body: { name: 'a', size_bytes: 1, content_type: 'audio/mpeg' } },
    contextOf(tenantId, Buffer.alloc(0), {}),
  )) as UploadResource
  const session = await place.sessions.get(tenantId, upload_id)
  expect(session.fields).toEqual({ declaredType: 'audio/mpeg' })
})

it('200 parallel uploads into room for 10 store exactly 10, and nothing stays reserved', async () => {
  const place = house()
  const tenantId = await newTenant(test.database, { stored_bytes_max: 10_999 })
  const codes = await Promise.all(
    Array.from({ length: 200 }, () => codeOf(upload(place, tenantId, { bytes: randomBytes(1_000) }))),
  )
  const count = (code: string) => codes.filter((each) => each === code).length
  // While others hold what their forms could need at most, a few that would have fitted are told that there is no room.
  expect(count('none') + count('quota_exceeded')).toBe(200)
  expect(count('none')).toBeLessThanOrEqual(10)
  while ((await codeOf(upload(place, tenantId, { bytes: randomBytes(1_000) }))) === 'none');
  const traces = await tracesOf(tenantId, place)
  expect(traces).toMatchObject({ files: 10, stored: 10, stored_bytes: 10_000, reserved_bytes: 0, reservations: 0 })
})

describe('a small upload where much room is left', () => {
  /** Of which it can be told how many reservations it has made. */
  function countingHouse(options: Partial<UploadHouseOptions> = {}) {
    let count = 0
    const withTenant: typeof test.database.withTenant = (tenantId, work, txOptions) =>
      test.database.withTenant(
        tenantId,
        (tx) =>
          work({
            ...tx,
            query: (text, values) => {
              if (text.includes('insert into quota_reservation')) count++
              return tx.query(text, values)
            },
          }),
        txOptions,
      )
    return { place: house({ ...options, database: { ...test.database, withTenant } }), reservations: () => count }
  }

  it('is not reserved for, and counted when it is sealed', async () => {
    const { place, reservations } = countingHouse()
    const tenantId = await newTenant(test.database)
    await upload(place, tenantId, { bytes: randomBytes(100_000) })
    expect(reservations()).toBe(0)
    expect(await tracesOf(tenantId, place)).toMatchObject({ files: 1, files_count: 1, stored_bytes: 100_000 })
  })

  it('is refused when the room has gone by the time it is stored, and leaves nothing', async () => {
    const tenantId = await newTenant(test.database, { stored_bytes_max: 2_000_000_000 })
    const use = (bytes: number) =>
      test.database.query('update tenant_usage set stored_bytes = $2 where tenant_id = $1', [tenantId, bytes])
    const memory = createMemoryStore()
    const store = {
      ...memory,
      put: async (...args: Parameters<typeof memory.put>) => {
        await use(1_999_999_001)
        return memory.put(...args)
      },
    }
    const { place, reservations } = countingHouse({ store })
    expect(await codeOf(upload(place, tenantId, { bytes: randomBytes(1_000) }))).toBe('quota_exceeded')
    expect(reservations()).toBe(0)
    expect(memory.objects.size).toBe(0)
    await use(0)
    expect(await tracesOf(tenantId, place)).toEqual(nothing)
  })

  it.each<[string, Record<string, number>, number]>([
    ['of whose tenant the users have limits', { user_stored_bytes_max: 1_000_000 }, 1_000],
    ['with less than a gigabyte left', { stored_bytes_max: 1_000_000_000 }, 1_000],
    ['with few files left', { files_count_max: 1_000 }, 1_000],
    ['longer than what counts as small', {}, 300_000],
  ])('is reserved for when it is one %s', async (_, limits, bytesCount) => {
    const { place, reservations } = countingHouse()
    const tenantId = await newTenant(test.database, limits)
    await upload(place, tenantId, { bytes: randomBytes(bytesCount) })
    expect(reservations()).toBe(1)
    expect(await tracesOf(tenantId, place)).toMatchObject({ files_count: 1, stored_bytes: bytesCount, reservations: 0 })
  })

  it('is reserved for when too much is under way in this process', async () => {
    const unreserved = unreservedOf(() => ({ ...ample, limits: toTenantLimits({}) }))
    const taken = await Promise.all(Array.from({ length: 256 }, () => unreserved.take(1, 256 * 1024)))
    expect(taken).not.toContain(undefined)
    expect(await unreserved.take(1, 1)).toBeUndefined()
    taken[0]?.end()
    expect(await unreserved.take(1, 1)).toBeDefined()
  })

  it('looks at the room of a tenant once a second, and again when a look has failed', async () => {
    let nowMs = 0
    let looksCount = 0
    let fails = true
    const look = () => {
      looksCount++
      if (fails) throw new Problem('not_found')
      return { ...ample, limits: toTenantLimits({}) }
    }
    const unreserved = unreservedOf(look, { ...systemClock, monotonicMs: () => nowMs })
    await expect(unreserved.take(1, 1)).rejects.toThrow(Problem)
    fails = false
    await Promise.all([unreserved.take(1, 1), unreserved.take(1, 1), unreserved.take(2, 1)])
    expect(looksCount).toBe(3)
    nowMs = 999
    await unreserved.take(1, 1)
    expect(looksCount).toBe(3)
    nowMs = 1_000
    await unreserved.take(1, 1)
    expect(looksCount).toBe(4)
  })

  it('is held to the limits as they are when it is sealed, whatever they were at the last look', async () => {
    const place = house()
    const tenantId = await newTenant(test.database)
    await upload(place, tenantId, { bytes: randomBytes(1_000) })
    await test.database.query('update tenant set limits = $2 where id = $1', [tenantId, '{"stored_bytes_max":1999}'])
    expect(await codeOf(upload(place, tenantId, { bytes: randomBytes(1_000) }))).toBe('quota_exceeded')
    await test.database.query('update tenant set limits = $2 where id = $1', [tenantId, '{"stored_bytes_max":2000}'])
    await upload(place, tenantId, { bytes: randomBytes(1_000) })
    expect(await tracesOf(tenantId, place)).toMatchObject({
      files: 2,
      stored: 2,
      stored_bytes: 2_000,
      reserved_bytes: 0,
    })
  })
})

const ample = { usersLimited: false, leftBytes: 1e12, leftFiles: 1e6 }
const unreservedOf = (look: () => TenantRoom, clock: Clock = systemClock) =>
  createUnreservedBytes({
    database: test.database,
    quota: { ...createQuota({ database: test.database }), look: async () => look() },
    clock,
  })

it('an upload that takes long keeps its reservation and its key alive', async () => {
  let nowMs = 0
  const place = house({ clock: { ...systemClock, monotonicMs: () => nowMs } })
  const tenantId = await newTenant(test.database)
  const { body, headers } = await writeForm(formOf({ bytes: randomBytes(300_000) }))
  const ages: unknown[] = []
  async function* slowly() {
    for (let at = 0; at < body.length; at += 30_000) {
      yield body.subarray(at, at + 30_000)
      nowMs += 20 * 60_000
      if (at > 0) continue
      await test.database.query('update quota_reservation set expires_at = now() where tenant_id = $1', [tenantId])
      await test.database.query('update idempotency_key set in_flight_until = now() where tenant_id = $1', [tenantId])
    }
    const { rows } = await test.database.query(
      `select (r.expires_at > now() + interval '1 min') as reserved, (k.in_flight_until > now() + interval '10 s') as claimed
       from quota_reservation r join idempotency_key k using (tenant_id) where tenant_id = $1`,
      [tenantId],
    )
    ages.push(...rows)
  }
  const context = contextOf(tenantId, slowly(), { ...headers, 'idempotency-key': 'slow' })
  await place.routes.uploadFile({ params: undefined, query: undefined, body: undefined }, context)
  expect(ages).toEqual([{ reserved: true, claimed: true }])
  expect(await tracesOf(tenantId, place)).toMatchObject({ files: 1, reservations: 0, reserved_bytes: 0 })
})
