// The S3 store before a server that misbehaves.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLog } from '../platform/log.ts'
import { bodyOf } from './object-store.contract.ts'
import { openS3Store, type S3Store } from './s3.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const content = Buffer.from('0123456789'.repeat(20_000))
let answer: Answer
let requests: { method: string; range: string | undefined; ifMatch: string | undefined }[]
let server: Server
let store: S3Store

const ok: Answer = (_, response) => void response.end()
const open = (): Promise<S3Store> =>
  openS3Store({
    url: `s3://key:secret@bucket?endpoint=http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    log: silentLog,
    limits: { idleTimeoutMs: 200, connectTimeoutMs: 200 },
  })

beforeEach(async () => {
  answer = ok
  requests = []
  server = createServer((request, response) => {
    const { range, 'if-match': ifMatch } = request.headers
    requests.push({ method: request.method ?? '', range, ifMatch })
    request.resume().on('end', () => answer(request, response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  store = await open()
  requests = []
})
afterEach(async () => {
  await store.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

/** Answers a GET, with the asked range, and stops after that many bytes. */
const partly =
  (sentBytes: number, stop: (response: ServerResponse) => void): Answer =>
  (request, response) => {
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const body = content.subarray(start)
    response.writeHead(start > 0 ? 206 : 200, { 'content-length': body.length, etag: '"v1"' })
    if (body.length <= sentBytes) response.end(body)
    else response.write(body.subarray(0, sentBytes), () => stop(response))
  }

test('a body that breaks off is asked for again from there, and only of the same content', async () => {
  answer = partly(70_000, (response) => response.destroy())
  expect((await buffer(await store.get('a'))).equals(content)).toBe(true)
  expect(requests.map(({ range }) => range)).toEqual([undefined, 'bytes=70000-', 'bytes=140000-'])
  expect(requests.map(({ ifMatch }) => ifMatch)).toEqual([undefined, '"v1"', '"v1"'])
})

test('a body that falls silent is asked for again', async () => {
  answer = partly(150_000, () => {})
  expect((await buffer(await store.get('a'))).equals(content)).toBe(true)
  expect(requests).toHaveLength(2)
})

test('a body that never goes on ends with storage_unavailable', async () => {
  let first = true
  answer = (request, response) => {
    partly(first ? 1000 : 0, (response) => response.destroy())(request, response)
    first = false
  }
  const failure = expect(buffer(await store.get('a'))).rejects
  await failure.toMatchObject({ code: 'storage_unavailable' })
})

test.each<[string, Answer]>([
  ['says nothing', () => {}],
  ['hangs up', (_, response) => void response.destroy()],
  ['answers 503', (_, response) => void response.writeHead(503).end()],
  ['answers 403', (_, response) => void response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>')],
  ['answers nonsense', (_, response) => void response.writeHead(500).end('{"not": "xml"')],
])(
  'a store that %s is storage_unavailable to every call, in bounded time',
  async (_, misbehaviour) => {
    answer = misbehaviour
    const unavailable = { code: 'storage_unavailable' }
    await expect(store.get('a')).rejects.toMatchObject(unavailable)
    await expect(store.head('a')).rejects.toMatchObject(unavailable)
    await expect(store.delete('a')).rejects.toMatchObject(unavailable)
    await expect(store.list({ prefix: '', limit: 5 })).rejects.toMatchObject(unavailable)
    await expect(store.put('a', bodyOf(content))).rejects.toMatchObject(unavailable)
    await expect(open()).rejects.toMatchObject(unavailable)
  },
  30_000,
)

test('one failure is tried again', async () => {
  let failuresLeft = 1
  answer = (request, response) => (failuresLeft-- > 0 ? void response.writeHead(503).end() : ok(request, response))
  await store.put('a', bodyOf(content))
  expect(requests.map(({ method }) => method)).toEqual(['PUT', 'PUT'])
})

test('a full store is storage_full', async () => {
  answer = (_, response) =>
    void response.writeHead(507).end('<Error><Code>InsufficientStorage</Code><Message>full</Message></Error>')
  await expect(store.put('a', bodyOf(content))).rejects.toMatchObject({ code: 'storage_full' })
})

test('an aborted call ends with the reason of its signal', async () => {
  answer = () => {}
  const controller = new AbortController()
  const reason = new Error('enough')
  const calls = [
    store.get('a', { signal: controller.signal }),
    store.head('a', { signal: controller.signal }),
    store.put('a', bodyOf(content), { signal: controller.signal }),
  ]
  controller.abort(reason)
  for (const result of await Promise.allSettled(calls)) expect(result).toEqual({ status: 'rejected', reason })
})

test('nobody listens: storage_unavailable', async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await expect(store.head('a')).rejects.toMatchObject({ code: 'storage_unavailable' })
})
