// The way out by the book: what RFC 9110 (conditions, ranges), RFC 9530 (digests) and RFC 6266 (names) want of each
// combination of request header fields.

import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Database, Tx } from '../platform/database.ts'
import { systemIds } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { Problem } from '../platform/problem.ts'
import type { RequestContext } from '../platform/routes.ts'
import { createVault } from '../storage/encrypted-vault.ts'
import { createMemoryKeyRing } from '../storage/testing/memory-key-ring.ts'
import { createMemoryStore } from '../storage/testing/memory-store.ts'
import { createServeObject, type ServeObject } from './content.ts'

const content = randomBytes(50_000)
const digest = createHash('sha256').update(content).digest()
const etag = `"${digest.toString('hex')}"`
const weak = `W/${etag}`
let serve: ServeObject

beforeAll(async () => {
  const vault = createVault({
    store: createMemoryStore(),
    keyRing: createMemoryKeyRing(),
    ids: systemIds,
    log: silentLog,
  })
  const object = await vault.write({
    tenantId: 1,
    content: Readable.from([content]),
    folder: 'files',
    sizeBytesMax: 1e6,
  })
  const row = {
    id: object.objectId,
    tenant_id: 1,
    store_key: object.storeKey,
    size_bytes: object.sizeBytes,
    stored_bytes: object.storedBytes,
    sha256: object.sha256,
    manifest: object.manifest,
    wrapped_key: object.wrappedKey,
    tenant_key_version: 1,
  }
  const tx = { query: async () => ({ rows: [row], rowCount: 1 }) } as unknown as Tx
  const database = { withTenant: async (_: number, work: (of: Tx) => unknown) => work(tx) } as unknown as Database
  serve = createServeObject({ database, vault, ids: systemIds })
})

async function ask(headers: Record<string, string>, method = 'GET') {
  const context: RequestContext = {
    principal: { kind: 'system', tenantId: 1, role: 'user', operator: false, actor: 'system' },
    requestId: 'req_1',
    method,
    headers,
    body: Readable.from([]),
    signal: new AbortController().signal,
    clientAddress: '127.0.0.1',
    log: silentLog,
  }
  try {
    const answer = await serve(context, { objectId: 'x', name: 'a.bin', contentType: 'application/octet-stream', etag })
    return { ...answer, bytes: answer.body ? await buffer(answer.body) : undefined }
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'precondition_failed') throw error
    return { status: 412, headers: {} as Record<string, string>, bytes: undefined }
  }
}

type Row = [what: string, headers: Record<string, string>, status: number, range?: string]
const first = { range: 'bytes=0-9' }

describe('a request with', () => {
  it.each<Row>([
    ['nothing', {}, 200],
    // Range: 14.1, 14.2
    ['one range', first, 206, 'bytes 0-9/50000'],
    ['a suffix', { range: 'bytes=-7' }, 206, 'bytes 49993-49999/50000'],
    ['a suffix longer than all', { range: 'bytes=-60000' }, 206, 'bytes 0-49999/50000'],
    ['an open range', { range: 'bytes=49990-' }, 206, 'bytes 49990-49999/50000'],
    ['a range past the end', { range: 'bytes=49990-99999' }, 206, 'bytes 49990-49999/50000'],
    ['a range beyond the end', { range: 'bytes=50000-50010' }, 416, 'bytes */50000'],
    ['a suffix of nothing', { range: 'bytes=-0' }, 416, 'bytes */50000'],
    ['one range of two that is there', { range: 'bytes=0-9,60000-' }, 206, 'bytes 0-9/50000'],
    ['a unit that we do not know', { range: 'lines=0-9' }, 200],
    ['a range that is upside down', { range: 'bytes=9-0' }, 200],
    ['a range that is none', { range: 'bytes=a-b' }, 200],
    ['a number beyond all numbers', { range: 'bytes=0-99999999999999999999999' }, 206, 'bytes 0-49999/50000'],
    // If-Range: 13.1.5
    ['If-Range and the same tag', { ...first, 'if-range': etag }, 206, 'bytes 0-9/50000'],
    ['If-Range and another tag', { ...first, 'if-range': '"other"' }, 200],
    ['If-Range and a weak tag', { ...first, 'if-range': weak }, 200],
    ['If-Range and a date', { ...first, 'if-range': 'Sat, 29 Oct 1994 19:43:31 GMT' }, 200],
    ['If-Range and no range', { 'if-range': etag }, 200],
    ['If-Range, another tag and a range beyond the end', { range: 'bytes=50000-', 'if-range': '"other"' }, 200],
    // If-Match: 13.1.1, compared strongly
    ['If-Match and the same tag', { 'if-match': etag }, 200],
    ['If-Match and a list with it', { 'if-match': `"a,b" , ${etag}` }, 200],
    ['If-Match and anything', { 'if-match': '*' }, 200],
    ['If-Match and another tag', { 'if-match': '"other"' }, 412],
    ['If-Match and a weak tag', { 'if-match': weak }, 412],
    ['If-Match and no tag at all', { 'if-match': digest.toString('hex') }, 412],
    ['If-Match, another tag and a range', { ...first, 'if-match': '"other"' }, 412],
    // If-None-Match: 13.1.2, compared weakly
    ['If-None-Match and the same tag', { 'if-none-match': etag }, 304],
    ['If-None-Match and a weak tag', { 'if-none-match': weak }, 304],
    ['If-None-Match and a list with it', { 'if-none-match': `"a", W/"b,c",${weak}` }, 304],
    ['If-None-Match and an empty element', { 'if-none-match': `, ,${etag}` }, 304],
    ['If-None-Match and anything', { 'if-none-match': '*' }, 304],
    ['If-None-Match and another tag', { 'if-none-match': '"other"' }, 200],
    ['If-None-Match and the tag inside another', { 'if-none-match': `"x,${etag.slice(1, -1)},y"` }, 200],
    ['If-None-Match and no tag at all', { 'if-none-match': 'other' }, 200],
    ['If-None-Match, the same tag and a range', { ...first, 'if-none-match': etag }, 304],
    // Precedence: 13.2.2
    ['If-Match that fails and If-None-Match that holds', { 'if-match': '"other"', 'if-none-match': etag }, 412],
    ['If-Match that holds and If-None-Match', { 'if-match': etag, 'if-none-match': etag }, 304],
    ['dates, of which we send none', { 'if-modified-since': new Date(0).toUTCString() }, 200],
    ['a date to be unmodified since', { 'if-unmodified-since': new Date(0).toUTCString() }, 200],
  ])('%s is answered by the book', async (_, headers, status, range) => {
    const answer = await ask(headers)
    expect([answer.status, answer.headers['content-range']]).toEqual([status, range])
    if (status === 200) expect(answer.bytes).toEqual(content)
    if (status === 206) {
      const [start = 0, end = 0] =
        /(\d+)-(\d+)/
          .exec(range ?? '')
          ?.slice(1)
          .map(Number) ?? []
      expect(answer.bytes).toEqual(content.subarray(start, end + 1))
    }
    if (answer.bytes !== undefined) expect(answer.headers['content-length']).toBe(String(answer.bytes.length))
    // A digest of the representation is the same for each of its parts (RFC 9530, 3).
    if (status === 200 || status === 206)
      expect(answer.headers['repr-digest']).toBe(`sha-256=:${digest.toString('base64')}:`)
    if (status === 304) expect(answer.headers).toMatchObject({ etag })
    // HEAD says the same without a body; Range is defined for GET alone (14.2).
    const head = await ask(headers, 'HEAD')
    expect([head.status, head.bytes]).toEqual([status === 206 || status === 416 ? 200 : status, undefined])
  })
})
