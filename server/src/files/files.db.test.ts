import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { Compile } from 'typebox/compile'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { FileResource, FileVersionResource, operations, type ResponseOf } from '@millrace/contract'
import { encodeId, systemIds, type RowId } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import type { RequestContext, StreamAnswer } from '../platform/routes.ts'
import { createPostgresSearch } from '../search/postgres.ts'
import { createVault } from '../storage/encrypted-vault.ts'
import { createMemoryKeyRing } from '../storage/testing/memory-key-ring.ts'
import { createMemoryStore } from '../storage/testing/memory-store.ts'
import type { Vault } from '../storage/vault.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { codeOf } from '../testing/problem-code.ts'
import { createServeObject } from './content.ts'
import { fileRoutes } from './file-routes.ts'
import { createErasure } from './erasure.ts'
import { createFiles } from './files.ts'
import { sealFile, sealFileVersion } from './seal.ts'
import { insertTestTenant } from './testing/catalogue.ts'

let test: TestDatabase
let tenantId: number
let routes: ReturnType<typeof fileRoutes>
let vault: Vault
let serveObject: ReturnType<typeof createServeObject>
const store = createMemoryStore()
const woken: string[] = []
const searchIndex = createPostgresSearch()
const none = { params: undefined, query: undefined, body: undefined } as const

beforeAll(async () => {
  test = await createTestDatabase()
  const { database } = test
  vault = createVault({ store, keyRing: createMemoryKeyRing(), ids: systemIds, log: silentLog })
  serveObject = createServeObject({ database, vault, ids: systemIds })
  const files = createFiles({ database, searchIndex, metadataBytesMax: async () => 1_000 })
  const wake = { wake: (topic: string) => void woken.push(topic), listen: () => () => {} }
  const erasure = createErasure({ database, searchIndex, vault, objectStore: store, log: silentLog })
  routes = fileRoutes({ database, files, searchIndex, serveObject, erasure, wake })
})
afterAll(() => test.drop())
beforeEach(async () => {
  tenantId = await insertTestTenant(test.database)
  woken.length = 0
})

const contextOf = (headers: Record<string, string> = {}, method = 'GET', tenant = tenantId): RequestContext => ({
  principal: { kind: 'system', tenantId: tenant, role: 'user', operator: false, actor: 'system' },
  requestId: 'req_1',
  method,
  headers,
  body: Readable.from([]),
  signal: new AbortController().signal,
  clientAddress: '127.0.0.1',
  log: silentLog,
})

interface Made {
  fileId: RowId<'file'>
  file_id: string
}

async function make(
  file: {
    name?: string
    content?: Buffer
    contentType?: string
    state?: string
    parentFileId?: RowId<'file'>
    body?: string
  } = {},
): Promise<Made> {
  const content = file.content ?? Buffer.from('a,b\n1,2\n')
  const object = await vault.write({ tenantId, content: Readable.from([content]), folder: 'files', sizeBytesMax: 1e9 })
  const name = file.name ?? 'data.csv'
  const contentType = file.contentType ?? 'text/csv'
  const { fileId } = await test.database.withTenant(tenantId, async (tx) => {
    const sealed = await sealFile(tx, {
      tenantId,
      name,
      contentType,
      object,
      metadata: {},
      createdBy: 'system',
      ...(file.parentFileId !== undefined && { parentFileId: file.parentFileId }),
    })
    const entry = { fileId: sealed.fileId, name, contentType, metadata: {}, body: file.body ?? '' }
    await searchIndex.put(tx, tenantId, entry)
    return sealed
  })
  await test.database.query('update file set state = $2 where id = $1', [fileId, file.state ?? 'available'])
  return { fileId, file_id: encodeId('file', fileId) }
}

const get = async ({ file_id }: Made, context = contextOf()) =>
  (await routes.getFile({ ...none, params: { file_id } }, context)) as FileResource
const list = async (query: Parameters<typeof routes.listFiles>[0]['query'] = {}, context = contextOf()) =>
  (await routes.listFiles({ ...none, query }, context)) as ResponseOf<'listFiles'>
const search = async (q: string) =>
  (await routes.search({ ...none, query: { q } }, contextOf())) as ResponseOf<'search'>
const audits = async (): Promise<string[]> => {
  const { rows } = await test.database.query<{ action: string }>(
    'select action from audit_event where tenant_id = $1 order by id',
    [tenantId],
  )
  return rows.map((row) => row.action)
}

describe('a file', () => {
  it('is told as the contract says', async () => {
    const file = await make({ name: 'ä "b".csv' })
    const told = await get(file)
    expect(Compile(FileResource).Check(told)).toBe(true)
    expect(told).toMatchObject({ file_id: file.file_id, name: 'ä "b".csv', state: 'available', latest_job_id: null })
  })

  it('of another tenant, a missing and a malformed one answer alike, whatever is asked of them', async () => {
    const file = await make()
    const stranger = contextOf({}, 'GET', await insertTestTenant(test.database))
    for (const [file_id, context] of [
      [file.file_id, stranger],
      [encodeId('file', 999_999 as RowId<'file'>), contextOf()],
      ['nonsense', contextOf()],
    ] as const) {
      const params = { file_id }
      const codes = await Promise.all(
        [
          routes.getFile({ ...none, params }, context),
          routes.updateFile({ ...none, params, body: { name: 'x' } }, context),
          routes.deleteFile({ ...none, params, query: {} }, context),
          routes.restoreFile({ ...none, params }, context),
          routes.listFileVersions({ ...none, params, query: {} }, context),
          routes.getFileContent({ ...none, params, query: {} }, context),
        ].map(codeOf),
      )
      expect(new Set(codes)).toEqual(new Set(['not_found']))
    }
    expect(await get(file)).toMatchObject({ name: 'data.csv', state: 'available' })
  })

  it('is renamed and described anew, and found by that', async () => {
    const file = await make({ body: 'old text' })
    const update = (body: { name?: string; metadata?: Record<string, unknown> }) =>
      routes.updateFile({ ...none, params: { file_id: file.file_id }, body }, contextOf())
    expect(await update({ name: '../\u202enew.csv', metadata: { Owner: 'Ann' } })).toMatchObject({
      name: '../\u202enew.csv',
      metadata: { Owner: 'Ann' },
    })
    expect(await update({ metadata: {} })).toMatchObject({ name: '../\u202enew.csv', metadata: {} })
    expect((await search('new csv')).items.map((item) => item.file_id)).toEqual([file.file_id])
    expect(await codeOf(update({ name: 'a\0' }))).toBe('file_name_invalid')
    expect(await codeOf(update({ metadata: { a: 'x'.repeat(1_000) } }))).toBe('invalid_request')
    expect(await audits()).toEqual(['file.create', 'file.update', 'file.update'])
  })

  it('in the trash is not listed, found, changed or read, and comes back as it was', async () => {
    const file = await make({ name: 'trashed.csv' })
    const params = { file_id: file.file_id }
    await routes.deleteFile({ ...none, params, query: {} }, contextOf())
    await routes.deleteFile({ ...none, params, query: {} }, contextOf())
    expect(await get(file)).toMatchObject({ state: 'deleted', deleted_at: expect.any(String) })
    expect((await list()).items).toEqual([])
    expect((await list({ trash: true })).items.map((item) => item.file_id)).toEqual([file.file_id])
    expect((await search('trashed')).items).toEqual([])
    expect(await codeOf(routes.updateFile({ ...none, params, body: {} }, contextOf()))).toBe('not_found')
    expect(await codeOf(routes.getFileContent({ ...none, params, query: {} }, contextOf()))).toBe('not_found')
    const restored = await routes.restoreFile({ ...none, params }, contextOf())
    expect(restored).toMatchObject({ state: 'available', deleted_at: null })
    expect((await list({ trash: true })).items).toEqual([])
    expect((await search('trashed')).items).toHaveLength(1)
    expect(await audits()).toEqual(['file.create', 'file.delete', 'file.restore'])
    const { rows } = await test.database.query(
      `select data from outbox where tenant_id = $1 and type = 'file.state' order by id`,
      [tenantId],
    )
    expect(rows).toEqual([{ data: { state: 'deleted' } }, { data: { state: 'available' } }])
    expect(woken).toContain('outbox')
  })
})

describe('the list of files', () => {
  it('is newest first, in pages that miss and double nothing', async () => {
    const made: string[] = []
    for (let i = 0; i < 7; i++) made.push((await make({ name: `${i}.csv` })).file_id)
    const pages = []
    let cursor: string | undefined
    do {
      const page: ResponseOf<'listFiles'> = await list({ limit: 3, ...(cursor !== undefined && { cursor }) })
      pages.push(page.items.map((item) => item.file_id))
      cursor = page.next_cursor ?? undefined
    } while (cursor !== undefined)
    expect(pages.map((page) => page.length)).toEqual([3, 3, 1])
    expect(pages.flat()).toEqual(made.toReversed())
  })

  it('is narrowed by name, type and archive, and a cursor holds for its filters only', async () => {
    const archive = await make({ name: 'All.zip', contentType: 'application/zip' })
    const member = await make({ name: '100%_Photo.png', contentType: 'image/png', parentFileId: archive.fileId })
    const other = await make({ name: 'photo.jpg', contentType: 'image/jpeg' })
    const ids = async (query: Parameters<typeof list>[0]) => (await list(query)).items.map((item) => item.file_id)
    expect(await ids({ name: 'PHOTO' })).toEqual([other.file_id, member.file_id])
    expect(await ids({ name: '%_' })).toEqual([member.file_id])
    expect(await ids({ name: 'a\0b' })).toEqual([])
    expect(await ids({ content_type: 'image/png' })).toEqual([member.file_id])
    expect(await ids({ content_type: 'image/*' })).toEqual([other.file_id, member.file_id])
    expect(await ids({ parent_file_id: archive.file_id })).toEqual([member.file_id])
    expect(await ids({ parent_file_id: 'nonsense' })).toEqual([])
    const { next_cursor: cursor } = await list({ limit: 1 })
    expect(await codeOf(list({ limit: 1, name: 'photo', cursor: cursor! }))).toBe('invalid_request')
    expect(await codeOf(list({ cursor: 'nonsense' }))).toBe('invalid_request')
    const stranger = contextOf({}, 'GET', await insertTestTenant(test.database))
    expect((await list({ cursor: cursor! }, stranger)).items).toEqual([])
  })
})

it('versions are told newest first, and each can be read', async () => {
  const file = await make({ content: Buffer.from('first') })
  const content = Buffer.from('second')
  const object = await vault.write({ tenantId, content: Readable.from([content]), folder: 'files', sizeBytesMax: 100 })
  await test.database.withTenant(tenantId, (tx) =>
    sealFileVersion(tx, { tenantId, fileId: file.fileId, contentType: 'text/plain', object, createdBy: 'system' }),
  )
  const params = { file_id: file.file_id }
  const versions = async (query: { limit?: number; cursor?: string }) =>
    (await routes.listFileVersions({ ...none, params, query }, contextOf())) as ResponseOf<'listFileVersions'>
  const first = await versions({ limit: 1 })
  const second = await versions({ limit: 1, cursor: first.next_cursor! })
  expect([...first.items, ...second.items].map((item) => item.version)).toEqual([2, 1])
  expect([...first.items, ...second.items].every((item) => Compile(FileVersionResource).Check(item))).toBe(true)
  expect(second.next_cursor).toBeNull()
  const read = (version?: number) =>
    routes.getFileContent({ ...none, params, query: version === undefined ? {} : { version } }, contextOf())
  expect([await codeOf(read(1)), await codeOf(read(2))]).toEqual(['none', 'file_quarantined'])
  await test.database.query(`update file set state = 'available' where id = $1`, [file.fileId])
  const textOf = async (version?: number) => String(await buffer(((await read(version)) as StreamAnswer).body!))
  expect([await textOf(1), await textOf(2), await textOf()]).toEqual(['first', 'second', 'second'])
  expect(await codeOf(read(3))).toBe('not_found')
  expect(await codeOf(read(Number.MAX_SAFE_INTEGER))).toBe('not_found')
})

describe('the content of a file', () => {
  const content = randomBytes(300_000)
  const sha256 = createHash('sha256').update(content)
  const digest = sha256.copy().digest('base64')
  const etag = `"${sha256.copy().digest('hex')}"`
  const read = async (file: Made, headers: Record<string, string> = {}, method = 'GET') =>
    (await routes.getFileContent(
      { ...none, params: { file_id: file.file_id }, query: {} },
      contextOf(headers, method),
    )) as StreamAnswer
  const bytesOf = async ({ body, headers }: StreamAnswer): Promise<Buffer> => {
    const bytes = await buffer(body!)
    expect(headers['content-length']).toBe(String(bytes.length))
    return bytes
  }

  it('comes whole, with its digest, as something that no browser runs', async () => {
    const file = await make({ content, name: 'größe.html', contentType: 'text/html' })
    const answer = await read(file)
    expect(answer).toMatchObject({
      status: 200,
      headers: {
        etag,
        'content-type': 'text/html',
        'content-disposition': `attachment; filename="gr__e.html"; filename*=UTF-8''gr%C3%B6%C3%9Fe.html`,
        'accept-ranges': 'bytes',
        'repr-digest': `sha-256=:${digest}:`,
        'x-content-type-options': 'nosniff',
        'content-security-policy': expect.stringContaining('sandbox'),
        'cross-origin-resource-policy': 'same-origin',
      },
    })
    expect(await bytesOf(answer)).toEqual(content)
  })

  it('comes in the range that is asked for', async () => {
    const file = await make({ content })
    for (const [range, start, end] of [
      ['bytes=0-0', 0, 0],
      ['bytes=100000-100099', 100_000, 100_099],
      ['bytes=-5', 299_995, 299_999],
      ['bytes=299999-', 299_999, 299_999],
    ] as const) {
      const answer = await read(file, { range })
      expect(answer).toMatchObject({ status: 206, headers: { 'content-range': `bytes ${start}-${end}/300000` } })
      expect(await bytesOf(answer)).toEqual(content.subarray(start, end + 1))
    }
  })

  it('comes in several ranges as parts', async () => {
    const file = await make({ content })
    const answer = await read(file, { range: 'bytes=0-9,200000-200009,-10' })
    const boundary = /boundary=(\w+)$/.exec(answer.headers['content-type']!)![1]!
    const text = (await bytesOf(answer)).toString('latin1')
    const part = (start: number, end: number) =>
      `--${boundary}\r\ncontent-type: text/csv\r\ncontent-range: bytes ${start}-${end}/300000\r\n\r\n${content.toString('latin1', start, end + 1)}\r\n`
    expect(text).toBe(`${part(0, 9)}${part(200_000, 200_009)}${part(299_990, 299_999)}--${boundary}--\r\n`)
  })

  it('of no such range is refused with its length', async () => {
    const answer = await read(await make({ content }), { range: 'bytes=300000-' })
    expect(answer).toMatchObject({ status: 416, headers: { 'content-range': 'bytes */300000' } })
    expect(JSON.parse(String(await bytesOf(answer)))).toMatchObject({
      code: 'range_not_satisfiable',
      request_id: 'req_1',
    })
  })

  it('comes whole when If-Range names another representation', async () => {
    const file = await make({ content })
    const statusOf = async (headers: Record<string, string>) => {
      const answer = await read(file, { range: 'bytes=0-9', ...headers })
      answer.body?.destroy()
      return answer.status
    }
    expect(await statusOf({ 'if-range': etag })).toBe(206)
    expect(await statusOf({ 'if-range': '"other"' })).toBe(200)
    expect(await statusOf({ 'if-range': `W/${etag}` })).toBe(200)
    expect(await statusOf({ 'if-range': 'Sat, 29 Oct 1994 19:43:31 GMT' })).toBe(200)
  })

  it('is not sent again to somebody who has it', async () => {
    const file = await make({ content })
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const answer = await read(file, { 'if-none-match': known })
      expect(answer).toMatchObject({ status: 304, headers: { etag }, body: undefined })
    }
    const answer = await read(file, { 'if-none-match': '"other"' })
    answer.body?.destroy()
    expect(answer.status).toBe(200)
  })

  it('is described without being read when HEAD asks', async () => {
    const file = await make({ content })
    const kept = new Map(store.objects)
    store.objects.clear()
    const answer = await read(file, { range: 'bytes=0-9' }, 'HEAD')
    expect(answer).toMatchObject({ status: 200, headers: { etag, 'content-length': '300000' }, body: undefined })
    for (const [key, bytes] of kept) store.objects.set(key, bytes)
  })

  it('never leaves while the file is quarantined or rejected, by any kind of request', async () => {
    for (const [state, code] of [
      ['quarantined', 'file_quarantined'],
      ['rejected', 'file_rejected'],
    ] as const) {
      const file = await make({ state })
      for (const headers of [{}, { range: 'bytes=0-0' }, { 'if-none-match': '*' }, { range: 'bytes=0-1,5-6' }])
        for (const method of ['GET', 'HEAD']) expect(await codeOf(read(file, headers, method))).toBe(code)
    }
  })

  it('that was changed in the store is refused before a byte of it is answered', async () => {
    const file = await make({ content })
    const { rows } = await test.database.query<{ store_key: string }>(
      'select o.store_key from file f join object o on o.id = f.object_id where f.id = $1',
      [file.fileId],
    )
    const stored = store.objects.get(rows[0]!.store_key)!
    stored[stored.length >> 1]! ^= 1
    const damaged = await codeOf(read(file).then((answer) => buffer(answer.body!)))
    expect(damaged).toBe('object_damaged')
    stored[10]! ^= 1
    for (const range of ['bytes=0-9', 'bytes=0-9,200000-200009'])
      expect(await codeOf(read(file, { range }))).toBe('object_damaged')
  })

  it('of our own images may be shown in place, of anything else not', async () => {
    const file = await make({ content, contentType: 'image/png', name: 'p.png' })
    const { rows } = await test.database.query<{ object_id: string }>('select object_id from file where id = $1', [
      file.fileId,
    ])
    const dispositionOf = async (contentType: string, inline: boolean) => {
      const served = { objectId: rows[0]!.object_id, name: 'p.png', contentType, etag, inline }
      const { headers } = await serveObject(contextOf({}, 'HEAD'), served)
      return headers['content-disposition']
    }
    expect(await dispositionOf('image/png', true)).toBe('inline; filename="p.png"')
    expect(await dispositionOf('image/png', false)).toBe('attachment; filename="p.png"')
    expect(await dispositionOf('image/svg+xml', true)).toBe('attachment; filename="p.png"')
    expect(await dispositionOf('text/html', true)).toBe('attachment; filename="p.png"')
  })
})

it('search answers as the contract says', async () => {
  const file = await make({ name: 'minutes.txt', body: 'we met on the fourth of May' })
  const answer = await search('fourth')
  const check = Compile(operations.search.response)
  expect(check.Check(answer)).toBe(true)
  expect(answer.items).toMatchObject([{ file_id: file.file_id, snippet: 'we met on the «fourth» of May' }])
})
