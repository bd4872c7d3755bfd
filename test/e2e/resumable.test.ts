// Real clients over lines that break: tus-js-client and Uppy behind a proxy that strips a path prefix and cuts connections,
// processes that are killed in the middle of a request, parts by signed URLs, and imports.

import { createClient, type UploadPartResource, type UploadResource } from '@millrace/contract'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { Upload, type UploadOptions } from 'tus-js-client'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openCuttingProxy } from './cutting-proxy.ts'
import { openHouse, type House } from './house.ts'
import { runFile, untilEnded } from './jobs.ts'
import { proveHealthy } from './proof.ts'

let house: House

beforeAll(async () => {
  house = await openHouse({ environment: { MILLRACE_IMPORT_PRIVATE: 'on' } })
}, 120_000)
afterAll(() => house?.close())

const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Uploads by tus-js-client, which goes on by itself after each break, and answers the session. */
async function uploadByTus(
  url: string,
  content: Buffer,
  options: Partial<UploadOptions> = {},
): Promise<UploadResource> {
  const upload = await new Promise<Upload>((resolve, reject) => {
    const made: Upload = new Upload(content, {
      endpoint: `${url}/api/v1/uploads`,
      headers: { authorization: `Bearer ${house.credentials.api_key}` },
      metadata: { filename: 'data.bin', priority: 'bulk' },
      retryDelays: Array.from({ length: 200 }, () => 20),
      onSuccess: () => resolve(made),
      onError: reject,
      ...options,
    })
    made.start()
  })
  const uploadId = upload.url?.split('/').at(-1) ?? ''
  return untilSealed(uploadId)
}

async function untilSealed(uploadId: string): Promise<UploadResource> {
  for (;;) {
    const session = await house.client.call('getUpload', { params: { upload_id: uploadId } })
    if (session.ended_at !== null) return session
    await delay(50)
  }
}

async function expectFile(session: UploadResource, content: Buffer): Promise<void> {
  expect(session).toMatchObject({ state: 'sealed', result: { sha256: sha256Of(content), size_bytes: content.length } })
  const { file_id: fileId = '', job_id: jobId = '' } = session.result ?? {}
  expect((await untilEnded(house.client, jobId)).status).toBe('completed')
  const stored = await house.client.fetchPath(`/api/v1/files/${fileId}/content`)
  expect(sha256Of(new Uint8Array(await stored.arrayBuffer()))).toBe(sha256Of(content))
}

describe('tus-js-client', () => {
  test('behind a prefix, with its line cut 50 times, ends in the file it sent', async () => {
    const content = randomBytes(48 * 1024 * 1024)
    const proxy = await openCuttingProxy({
      target: house.url,
      prefix: '/millrace',
      cutsCount: 50,
      cutAfterBytes: 900_000,
    })
    onTestFinished(() => proxy.close())
    const session = await uploadByTus(`${proxy.url}/millrace`, content)
    expect(proxy.cutsCount()).toBe(50)
    await expectFile(session, content)
  })

  test('with parallel uploads that are joined', async () => {
    const content = randomBytes(5_000_001)
    const session = await uploadByTus(house.url, content, { parallelUploads: 3 })
    await expectFile(session, content)
  })

  test('with small chunks, and a length that is told at the end', async () => {
    const content = randomBytes(3_000_000)
    const session = await uploadByTus(house.url, content, { chunkSize: 500_000, uploadLengthDeferred: true })
    await expectFile(session, content)
  })

  test('goes on after kill -9 in the middle of a request', async () => {
    const content = randomBytes(40 * 1024 * 1024)
    const proxy = await openCuttingProxy({ target: house.url, prefix: '', bytesPerSecond: 12_000_000 })
    onTestFinished(() => proxy.close())
    const going = uploadByTus(proxy.url, content, { retryDelays: Array.from({ length: 600 }, () => 100) })
    for (let round = 0; round < 2; round++) {
      await delay(1_000)
      await house.kill()
      await house.start()
    }
    await expectFile(await going, content)
    await proveHealthy(house.client)
  })
})

interface UppyLike {
  use(plugin: unknown, options: object): this
  addFile(file: { name: string; type: string; data: Buffer }): unknown
  upload(): Promise<{ failed: unknown[]; successful: { uploadURL?: string }[] } | undefined>
  destroy(): void
}

test('Uppy, with its line cut', async () => {
  const content = randomBytes(8 * 1024 * 1024)
  const proxy = await openCuttingProxy({ target: house.url, prefix: '/p', cutsCount: 5, cutAfterBytes: 1_000_000 })
  onTestFinished(() => proxy.close())
  const [{ default: Uppy }, { default: Tus }] = (await Promise.all(
    // By names that the compiler does not follow: their types bring those of a browser into the whole project.
    ['@uppy/core', '@uppy/tus'].map((name) => import(name)),
  )) as [{ default: new () => UppyLike }, { default: unknown }]
  const uppy = new Uppy().use(Tus, {
    endpoint: `${proxy.url}/p/api/v1/uploads`,
    headers: { authorization: `Bearer ${house.credentials.api_key}` },
    retryDelays: Array.from({ length: 50 }, () => 20),
  })
  onTestFinished(() => uppy.destroy())
  // Under Node its uploader takes a Buffer, whose length it looks for where a Blob has it.
  const data = Object.assign(Buffer.from(content), { size: content.length })
  uppy.addFile({ name: 'from-uppy.bin', type: 'application/x-thing', data })
  const outcome = await uppy.upload()
  expect(outcome?.failed).toEqual([])
  const uploadId = outcome?.successful[0]?.uploadURL?.split('/').at(-1) ?? ''
  const session = await untilSealed(uploadId)
  expect(session.name).toBe('from-uppy.bin')
  await expectFile(session, content)
})

test('parts by signed URLs, without credentials, at once and in any order, behind a prefix', async () => {
  const proxy = await openCuttingProxy({ target: house.url, prefix: '/millrace' })
  onTestFinished(() => proxy.close())
  const client = createClient({ baseUrl: `${proxy.url}/millrace`, credentials: house.credentials.api_key })
  const content = randomBytes(1_000_000)
  const body = { name: 'parts.bin', size_bytes: content.length, part_size_bytes: 131_072, sha256: sha256Of(content) }
  const { upload_id: uploadId } = await client.call('createPartsUpload', { body })
  const params = { upload_id: uploadId }
  const { items } = await client.call('listUploadParts', { params, query: {} })
  await Promise.all(
    items.toReversed().map(async (part) => {
      const piece = content.subarray(part.offset_bytes, part.offset_bytes + part.size_bytes)
      const address = client.addressOf('listUploadParts', { params }, part.url)
      const put = async (to: string) => {
        const response = await fetch(to, { method: 'PUT', body: new Uint8Array(piece) })
        expect(response.status).toBe(200)
        return (await response.json()) as UploadPartResource
      }
      // The answer names the address again, from where it has come.
      const again = new URL((await put(address)).url, address).href
      expect(again.split('?')[0]).toBe(`${proxy.url}/millrace/api/v1/uploads/${uploadId}/parts/${part.number}`)
      if (part.number === 1) await put(again)
    }),
  )
  await client.call('completeUpload', { params })
  await expectFile(await untilSealed(uploadId), content)
})

test('links to a file and to an output open behind a prefix', async () => {
  const proxy = await openCuttingProxy({ target: house.url, prefix: '/millrace' })
  onTestFinished(() => proxy.close())
  const client = createClient({ baseUrl: `${proxy.url}/millrace`, credentials: house.credentials.api_key })
  const bytes = Buffer.from('name,age\nAda,36\n')
  const { file_id: fileId, job_id: jobId, outputs } = await runFile(client, { name: 'people.csv', bytes })
  const file = { file_id: fileId }
  const { url: ofFile } = await client.call('createFileLink', { params: file, body: {} })
  const opened = await fetch(client.addressOf('createFileLink', { params: file }, ofFile))
  expect(await opened.text()).toBe(bytes.toString())
  const output = { job_id: jobId, output_id: outputs[0]?.output_id ?? '' }
  const { url: ofOutput } = await client.call('createOutputLink', { params: output, body: {} })
  expect((await fetch(client.addressOf('createOutputLink', { params: output }, ofOutput))).status).toBe(200)
})

test('an import is fetched in the background, over a line that breaks and a process that is killed', async () => {
  const content = randomBytes(20 * 1024 * 1024)
  let requestsCount = 0
  const origin = http.createServer((request, response) => {
    requestsCount++
    const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const rest = content.subarray(start)
    response.writeHead(start > 0 ? 206 : 200, {
      etag: '"one"',
      'content-length': rest.length,
      ...(start > 0 && { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` }),
    })
    const pieces = async function* (): AsyncGenerator<Buffer> {
      for (let at = 0; at < rest.length; at += 100_000) {
        yield rest.subarray(at, at + 100_000)
        // Slow at first, so that it is killed in the middle.
        if (requestsCount === 1) await delay(5)
      }
    }
    pipeline(pieces, response).catch(() => {})
  })
  origin.listen(0, '127.0.0.1')
  await once(origin, 'listening')
  onTestFinished(() => {
    origin.closeAllConnections()
    origin.close()
  })
  const url = `http://127.0.0.1:${(origin.address() as AddressInfo).port}/a/thing.bin?secret=1`
  const begun = await house.client.call('createImport', { body: { url } })
  expect(begun).toMatchObject({ kind: 'import', state: 'receiving', source: url.split('?')[0] })
  await expect.poll(() => requestsCount).toBe(1)
  await delay(300)
  await house.kill()
  await house.start()
  // The lease of the dead process has to pass first.
  const session = await untilSealed(begun.upload_id)
  expect(session.name).toBe('thing.bin')
  await expectFile(session, content)
})
