// Imports from a server that breaks off, changes, lies and stalls: what arrives is the file, once, or the reason why not.

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { UploadResource } from '@millrace/contract'
import { usageOf } from '../../files/testing/catalogue.ts'
import { decodeId } from '../../platform/ids.ts'
import { createTestDatabase, type TestDatabase } from '../../testing/database.ts'
import { codeOf } from '../../testing/problem-code.ts'
import { contextOf, createUploadHouse, newTenant, type UploadHouseOptions } from '../testing/upload-house.ts'
import { createAddressRules } from './address-rules.ts'

let test: TestDatabase
beforeAll(async () => {
  test = await createTestDatabase()
})
afterAll(() => test.drop())

type Handle = (request: IncomingMessage, response: ServerResponse) => void

async function serve(handle: Handle): Promise<string> {
  const server = createServer(handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function newClient(options: Partial<UploadHouseOptions> = {}, limits: Record<string, number> = {}) {
  const place = createUploadHouse({ database: test.database, ...options })
  const tenantId = await newTenant(test.database, limits)
  const context = (headers: Record<string, string> = {}) => contextOf(tenantId, Buffer.alloc(0), headers)
  return {
    place,
    tenantId,
    create: async (body: Parameters<typeof place.routes.createImport>[0]['body'], headers = {}) =>
      (await place.routes.createImport(
        { params: undefined, query: undefined, body },
        context(headers),
      )) as UploadResource,
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
    /** Runs it until it has ended, without the pauses between its attempts. */
    async runToEnd(uploadId: string): Promise<UploadResource> {
      for (let round = 0; round < 60; round++) {
        await place.importer.runDue()
        const { rows } = await test.database.query<{ ended_at: Date | null }>(
          `update upload_session set lease_until = now() - interval '1 ms' where id = $1 and lease_until is not null returning ended_at`,
          [decodeId('upload', uploadId)],
        )
        if (rows.length === 0) break
        // A seal that was overtaken here is taken up by whoever sweeps.
        if (round > 5) await place.sweeper.sweep()
      }
      return this.get(uploadId)
    },
    contentOf: ({ result }: UploadResource) => place.contentOf(result!.file_id),
  }
}

const content = randomBytes(1_000_000)
const sha256 = createHash('sha256').update(content).digest('hex')

/** Serves the content with ranges, cutting each answer after so many bytes. */
const cutting =
  (answers: { range: string | undefined; ifRange: string | undefined }[], cutBytes: number, etag = '"v1"'): Handle =>
  (request, response) => {
    const { range, 'if-range': ifRange } = request.headers
    answers.push({ range, ifRange: ifRange as string | undefined })
    const start = ifRange === etag ? Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0) : 0
    const rest = content.subarray(start)
    response.writeHead(start > 0 ? 206 : 200, {
      etag,
      'content-length': rest.length,
      ...(start > 0 && { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` }),
    })
    if (rest.length <= cutBytes) return void response.end(rest)
    response.write(rest.subarray(0, cutBytes), () => setTimeout(() => response.destroy(), 30))
  }

describe('an import', () => {
  it('is accepted at once, fetched in the background, and ends in a file named by its origin', async () => {
    const seen: IncomingMessage['headers'][] = []
    const origin = await serve((request, response) => {
      seen.push(request.headers)
      const disposition = `attachment; filename="plain.csv"; filename*=UTF-8''na%C3%AFve.csv`
      response.writeHead(200, { 'content-disposition': disposition }).end(content)
    })
    const client = await newClient()
    const headers = { authorization: 'Bearer canary-of-headers' }
    const begun = await client.create({ url: `${origin}/a/b?token=canary-of-url`, headers, sha256 })
    expect(begun).toMatchObject({ kind: 'import', state: 'receiving', source: `${origin}/a/b`, size_bytes: null })
    const { rows } = await test.database.query('select * from upload_session where tenant_id = $1', [client.tenantId])
    expect(JSON.stringify(rows)).not.toContain('canary')
    const ended = await client.runToEnd(begun.upload_id)
    expect(ended).toMatchObject({ state: 'sealed', name: 'naïve.csv', result: { name: 'naïve.csv', sha256 } })
    expect((await client.contentOf(ended)).equals(content)).toBe(true)
    expect(seen[0]).toMatchObject({ authorization: 'Bearer canary-of-headers' })
    expect(await usageOf(test.database, client.tenantId)).toMatchObject({ reserved_bytes: 0, reserved_files: 0 })
  })

  it('is of the type that its server says, unless whoever asks for it says another', async () => {
    const client = await newClient()
    const typeOf = async (declared: Record<string, string>, body: { content_type?: string } = {}) => {
      let requestsCount = 0
      const origin = await serve((_, response) => {
        // The page of an error has a type too.
        if (requestsCount++ === 0) return response.writeHead(503, { 'content-type': 'text/html' }).end('no')
        response.writeHead(200, declared).end(content)
      })
      const { result } = await client.runToEnd((await client.create({ url: origin, ...body })).upload_id)
      const { rows } = await test.database.query<{ declared_type: string | null }>(
        'select declared_type from file_version where file_id = $1',
        [decodeId('file', result!.file_id)],
      )
      return rows[0]?.declared_type
    }
    expect(await typeOf({ 'content-type': 'Text/CSV; charset=utf-8' })).toBe('text/csv')
    expect(await typeOf({ 'content-type': 'text/csv' }, { content_type: 'image/png' })).toBe('image/png')
    expect(await typeOf({ 'content-type': 'none' })).toBe(null)
    expect(await typeOf({})).toBe(null)
  })

  it('goes on where it broke off, as often as it has to', async () => {
    const answers: { range: string | undefined; ifRange: string | undefined }[] = []
    const origin = await serve(cutting(answers, 60_000))
    const client = await newClient()
    const { upload_id: uploadId } = await client.create({ url: `${origin}/file.bin`, name: 'mine.bin' })
    const ended = await client.runToEnd(uploadId)
    expect(ended).toMatchObject({ state: 'sealed', name: 'mine.bin', result: { sha256, size_bytes: content.length } })
    expect((await client.contentOf(ended)).equals(content)).toBe(true)
    expect(answers.length).toBeGreaterThan(10)
    expect(answers[0]).toEqual({ range: undefined, ifRange: undefined })
    // What was cut before a byte of it was stored is asked for from its beginning again.
    const continued = answers.filter(({ range }) => range !== undefined)
    expect(continued.length).toBeGreaterThan(10)
    for (const { range, ifRange } of continued)
      expect([range, ifRange]).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/), '"v1"'])
  })

  it('begins anew when the file has changed meanwhile', async () => {
    let etag = '"v1"'
    const other = randomBytes(300_000)
    const origin = await serve((request, response) => {
      if (etag === '"v1"') {
        etag = '"v2"'
        return cutting([], 100_000, '"v1"')(request, response)
      }
      // If-Range names the first version, so all of the second is sent.
      response.writeHead(200, { etag, 'content-length': other.length }).end(other)
    })
    const client = await newClient()
    const { upload_id: uploadId } = await client.create({ url: origin })
    const ended = await client.runToEnd(uploadId)
    expect((await client.contentOf(ended)).equals(other)).toBe(true)
    expect(client.place.objects.size).toBe(1)
  })

  it('without anything to continue by begins anew', async () => {
    let requestsCount = 0
    const origin = await serve((request, response) => {
      expect(request.headers.range).toBeUndefined()
      if (requestsCount++ > 0) return void response.end(content)
      response.writeHead(200, { 'content-length': content.length })
      response.write(content.subarray(0, 200_000), () => setTimeout(() => response.destroy(), 30))
    })
    const client = await newClient()
    const ended = await client.runToEnd((await client.create({ url: origin })).upload_id)
    expect((await client.contentOf(ended)).equals(content)).toBe(true)
    expect(client.place.objects.size).toBe(1)
  })

  it('of unknown length that was whole when its process died is not fetched again', async () => {
    const client = await newClient()
    let status = 200
    const origin = await serve((_, response) => {
      if (status === 416) return void response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end()
      status = 416
      response.writeHead(200, { etag: '"v1"' }).end(content)
    })
    const { upload_id: uploadId } = await client.create({ url: origin })
    await client.place.importer.runDue()
    // As if the process had died before it could say that this was all.
    await client.get(uploadId)
    const ended = await client.runToEnd(uploadId)
    expect((await client.contentOf(ended)).equals(content)).toBe(true)
  })

  it('that another process goes on with ends in one file', async () => {
    const hanging: ServerResponse[] = []
    let requestsCount = 0
    const origin = await serve((request, response) => {
      if (requestsCount++ > 0) return cutting([], Infinity)(request, response)
      hanging.push(response)
      response.writeHead(200, { etag: '"v1"', 'content-length': content.length })
      response.write(content.subarray(0, 300_000))
    })
    const client = await newClient()
    const { upload_id: uploadId } = await client.create({ url: origin })
    const first = client.place.importer.runDue()
    await expect.poll(() => hanging.length).toBe(1)
    const ended = client.runToEnd(uploadId)
    // Only now does the first one hear the rest of its content.
    await expect.poll(() => requestsCount).toBeGreaterThan(0)
    await test.database.query(`update upload_session set lease_until = now() - interval '1 s' where id = $1`, [
      decodeId('upload', uploadId),
    ])
    await client.runToEnd(uploadId)
    hanging[0]!.end(content.subarray(300_000))
    await Promise.all([first, ended])
    const upload = await client.get(uploadId)
    expect(upload).toMatchObject({ state: 'sealed', result: { sha256 } })
    expect(await usageOf(test.database, client.tenantId)).toEqual({
      files_count: 1,
      stored_bytes: content.length,
      reserved_bytes: 0,
      reserved_files: 0,
    })
  })

  it('is handed back when its process ends, with what has arrived', async () => {
    const origin = await serve((request, response) => {
      if (request.headers.range !== undefined) return cutting([], Infinity)(request, response)
      response.writeHead(200, { etag: '"v1"', 'content-length': content.length })
      response.write(content.subarray(0, 300_000))
    })
    const client = await newClient()
    const { upload_id: uploadId } = await client.create({ url: origin })
    const running = client.place.importer.runDue()
    await expect
      .poll(
        async () =>
          (
            await test.database.query('select 1 from upload_session where id = $1 and size_bytes is not null', [
              decodeId('upload', uploadId),
            ])
          ).rows.length,
      )
      .toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 100))
    await client.place.importer.stop(5_000)
    await running
    expect(await client.get(uploadId)).toMatchObject({ state: 'receiving', received_bytes: 300_000, problem: null })
    // Another process, another importer.
    const next = createUploadHouse({ database: test.database })
    void next
  })

  it('is begun once under one Idempotency-Key', async () => {
    const client = await newClient()
    const headers = { 'idempotency-key': 'k' }
    const [one, two] = [
      await client.create({ url: 'http://127.0.0.1:9/a' }, headers),
      await client.create({ url: 'http://127.0.0.1:9/a' }, headers),
    ]
    expect(two.upload_id).toBe(one.upload_id)
    await client.abort(one.upload_id)
  })

  it('is aborted while it runs', async () => {
    const origin = await serve((_, response) => {
      response.writeHead(200, { 'content-length': content.length })
      const timer = setInterval(() => response.write(randomBytes(1_000)), 10)
      response.once('close', () => clearInterval(timer))
    })
    const client = await newClient()
    const { upload_id: uploadId } = await client.create({ url: origin })
    const running = client.place.importer.runDue()
    await expect.poll(async () => (await client.get(uploadId)).size_bytes).toBe(content.length)
    await client.abort(uploadId)
    await running
    expect(await client.get(uploadId)).toMatchObject({ state: 'aborted' })
    expect(client.place.objects.size).toBe(0)
    expect(await usageOf(test.database, client.tenantId)).toMatchObject({ reserved_bytes: 0, reserved_files: 0 })
  })
})

describe('an import fails, with the reason', () => {
  const status =
    (code: number): Handle =>
    (_, response) =>
      response.writeHead(code).end('no')

  it.each<[string, Handle, string]>([
    ['for a file that is not there', status(404), 'import_refused'],
    ['without the right', status(403), 'import_refused'],
    ['for an empty file', status(200), 'none'],
    ['for a file of no bytes', (_, response) => response.writeHead(200, { 'content-length': 0 }).end(), 'file_empty'],
    [
      'over the limit',
      (_, response) => response.writeHead(200, { 'content-length': 10_000_001 }).end(),
      'file_too_large',
    ],
    ['over the limit without saying so', (_, response) => response.end(randomBytes(10_000_001)), 'file_too_large'],
    ['with another checksum', (_, response) => response.end('other'), 'checksum_mismatch'],
    ['of a server that never gets better', status(503), 'import_source_unavailable'],
    [
      'for what redirects nowhere',
      (_, response) => response.writeHead(302, { location: 'http://' }).end(),
      'import_refused',
    ],
  ])('%s', async (name, handle, code) => {
    const origin = await serve(handle)
    const client = await newClient({}, { file_size_bytes_max: 10_000_000 })
    const check = name.includes('checksum') ? { sha256 } : {}
    const { upload_id: uploadId } = await client.create({ url: origin, ...check })
    const ended = await client.runToEnd(uploadId)
    if (code === 'none') return expect(ended.state).toBe('sealed')
    expect(ended).toMatchObject({ state: 'failed', problem: { code } })
    expect(client.place.objects.size).toBe(0)
    expect(await usageOf(test.database, client.tenantId)).toEqual({
      files_count: 0,
      stored_bytes: 0,
      reserved_bytes: 0,
      reserved_files: 0,
    })
  })

  it('over the quota', async () => {
    const origin = await serve((_, response) =>
      response.writeHead(200, { 'content-length': content.length }).end(content),
    )
    const client = await newClient({}, { stored_bytes_max: 999_999 })
    const ended = await client.runToEnd((await client.create({ url: origin })).upload_id)
    expect(ended).toMatchObject({ state: 'failed', problem: { code: 'quota_exceeded' } })
  })

  it('and never begins where it must not go', async () => {
    const client = await newClient({ rules: createAddressRules({ allowPrivate: false }) })
    for (const url of ['http://127.0.0.1/', 'http://169.254.169.254/latest/', 'file:///etc/passwd', 'http://x:22/'])
      expect(await codeOf(client.create({ url }))).toBe('import_url_forbidden')
    expect(await codeOf(client.create({ url: 'nonsense' }))).toBe('invalid_request')
    // A name shows where it leads only when it is looked up.
    const named = await newClient({
      rules: createAddressRules({ allowPrivate: false }),
      resolve: async () => ['10.0.0.1'],
    })
    const ended = await named.runToEnd((await named.create({ url: 'http://intranet.example.com/' })).upload_id)
    expect(ended).toMatchObject({ state: 'failed', problem: { code: 'import_url_forbidden' } })
  })
})
