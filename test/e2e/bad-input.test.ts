// Requests that are wrong: each is answered with its status, a code and what to do about it; nothing is half stored, and
// other jobs go on.

import { createClient, problems, type Client, type ProblemCode, type ProblemDocument } from '@millrace/contract'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { utf8 } from '../fixtures/texts.ts'
import { openHouse, type House } from './house.ts'
import { formOf, refusalOf, runFile, until, untilEnded, upload } from './jobs.ts'
import { proveHealthy } from './proof.ts'
import { sendRaw } from './raw-request.ts'
import { listStoredObjects } from './stored-objects.ts'

let house: House
let client: Client
let before: string[]
const note = { name: 'note.txt', bytes: utf8('A note.\n') }

beforeAll(async () => {
  house = await openHouse()
  client = house.client
  await runFile(client, note)
  before = await listStoredObjects(house)
}, 120_000)
afterAll(() => house?.close())

function expectProblem(problem: ProblemDocument, code: ProblemCode): void {
  expect(problem).toMatchObject({ code, status: problems[code].status, remedy: problems[code].remedy })
  expect(problem.request_id).toEqual(expect.any(String))
}

/** Removal may follow the answer by a moment, and even the beginning of a file that is removed then. */
const proveNothingStored = (): Promise<void> =>
  until('the store is as it was', async () => (await listStoredObjects(house)).join() === before.join(), 10_000)

async function postForm(form: FormData, headers: Record<string, string> = {}): Promise<ProblemDocument> {
  const answer = await fetch(`${house.url}/api/v1/files`, {
    method: 'POST',
    body: form,
    headers: { authorization: `Bearer ${house.credentials.api_key}`, ...headers },
  })
  expect(answer.ok).toBe(false)
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  return (await answer.json()) as ProblemDocument
}

const boundary = 'fixture-boundary'
const head = (length: number): string =>
  `POST /api/v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${house.credentials.api_key}\r\n` +
  `Content-Type: multipart/form-data; boundary=${boundary}\r\nContent-Length: ${length}\r\n\r\n`
const partHead = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="cut.txt"\r\n\r\n`

function problemIn(answer: string): ProblemDocument {
  const body = answer.slice(answer.indexOf('\r\n\r\n') + 4)
  return JSON.parse(body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1)) as ProblemDocument
}

describe('a form', () => {
  test('without a file', async () => {
    const form = new FormData()
    form.set('metadata', '{}')
    expectProblem(await postForm(form), 'invalid_form')
    await proveNothingStored()
  })

  test('with two files', async () => {
    const form = formOf(note)
    form.append('file', new Blob(['another']), 'another.txt')
    expectProblem(await postForm(form), 'invalid_form')
    await proveNothingStored()
  })

  test('with a part that means nothing', async () => {
    const form = formOf(note)
    form.set('colour', 'red')
    expectProblem(await postForm(form), 'invalid_form')
    await proveNothingStored()
  })

  test('with metadata that are no JSON object', async () => {
    for (const metadata of ['{"a":', '[1]', '"text"']) {
      const form = new FormData()
      form.set('metadata', metadata)
      form.set('file', new Blob(['a']), 'a.txt')
      expectProblem(await postForm(form), 'invalid_request')
    }
    await proveNothingStored()
  })

  test('with an unknown priority', async () => {
    expectProblem(await postForm(formOf(note, { priority: 'at once' })), 'invalid_request')
    await proveNothingStored()
  })

  test('that names an unknown pipeline', async () => {
    expectProblem(await postForm(formOf(note, { pipeline: 'no-such-pipeline' })), 'pipeline_unknown')
    await proveNothingStored()
  })

  test('that names a pipeline which does not take the type', async () => {
    expectProblem(await postForm(formOf(note, { pipeline: 'image' })), 'pipeline_not_accepted')
    await proveNothingStored()
  })

  test('that is no form', async () => {
    const answer = await fetch(`${house.url}/api/v1/files`, {
      method: 'POST',
      body: '{"file": "a"}',
      headers: { authorization: `Bearer ${house.credentials.api_key}`, 'content-type': 'application/json' },
    })
    expectProblem((await answer.json()) as ProblemDocument, 'unsupported_media_type')
  })

  test('that is cut in the middle: the line goes dead', async () => {
    await sendRaw({
      url: house.url,
      pieces: [head(1_000_000), partHead, Buffer.alloc(300_000, 'a')],
      cut: true,
    }).catch(() => '')
    await proveNothingStored()
    const { items } = await client.call('listFiles', { query: { name: 'cut.txt' } })
    expect(items).toEqual([])
  })

  test('that ends before its last delimiter', async () => {
    const body = `${partHead}some bytes`
    const answer = await sendRaw({ url: house.url, pieces: [head(Buffer.byteLength(body)), body] })
    expectProblem(problemIn(answer), 'upload_incomplete')
    await proveNothingStored()
  })

  test('that is larger than the tenant allows is refused before it is sent', async () => {
    const answer = await sendRaw({ url: house.url, pieces: [head(6 * 1024 ** 3), partHead] })
    expectProblem(problemIn(answer), 'file_too_large')
    await proveNothingStored()
  })

  test('whose bytes are not those that were announced', async () => {
    const form = formOf(note)
    form.set('sha256', '0'.repeat(64))
    expectProblem(await postForm(form), 'checksum_mismatch')
    await proveNothingStored()
  })
})

describe('credentials', () => {
  test('none, a wrong one, one that is no key at all', async () => {
    for (const credentials of [undefined, `${house.credentials.api_key.slice(0, -4)}AAAA`, 'nonsense', 'a b c']) {
      const stranger = createClient({ baseUrl: house.url, ...(credentials !== undefined && { credentials }) })
      expectProblem(await refusalOf(stranger.call('listFiles', {})), 'unauthenticated')
      expectProblem(await refusalOf(upload(stranger, note)), 'unauthenticated')
    }
    await proveNothingStored()
  })

  test('a wrong password', async () => {
    const { email } = house.credentials
    const stranger = createClient({ baseUrl: house.url })
    for (const body of [
      { email, password: 'wrong' },
      { email: 'nobody@example.com', password: 'wrong' },
    ]) {
      expectProblem(await refusalOf(stranger.call('createSession', { body })), 'invalid_login')
    }
  })

  test('a key that may only read cannot write', async () => {
    const { api_key: credentials } = await client.call('createApiKey', { body: { name: 'reader', role: 'read-only' } })
    const reader = createClient({ baseUrl: house.url, credentials })
    expect((await reader.call('listFiles', {})).items.length).toBeGreaterThan(0)
    expectProblem(await refusalOf(upload(reader, note)), 'forbidden')
    expectProblem(await refusalOf(reader.call('getAdminMetrics', {})), 'forbidden')
    await proveNothingStored()
  })

  test('a key that was revoked', async () => {
    const made = await client.call('createApiKey', { body: { name: 'short-lived', role: 'user' } })
    const other = createClient({ baseUrl: house.url, credentials: made.api_key })
    await other.call('listFiles', {})
    await client.call('revokeApiKey', { params: { api_key_id: made.api_key_id } })
    await until('the key is refused', async () => {
      const answer = await other.call('listFiles', {}).catch((error: unknown) => error)
      return answer instanceof Error
    })
  })
})

describe('ids', () => {
  test('missing and malformed ones get the same answer', async () => {
    for (const id of [
      'job_0',
      'job_zzzzzzzzzzzzzzzz',
      'file_1',
      '..',
      '%00',
      "'; drop table job; --",
      'x'.repeat(99),
    ]) {
      expectProblem(await refusalOf(client.call('getJob', { params: { job_id: id } })), 'not_found')
      expectProblem(await refusalOf(client.call('getFile', { params: { file_id: id } })), 'not_found')
    }
  })
})

describe('pipelines', () => {
  const pipeline = (steps: string): string => `name: mine\naccept: [text/plain]\nsteps:\n${steps}`
  const cases: readonly (readonly [string, string, number])[] = [
    ['broken YAML', 'name: mine\naccept: [text/plain\nsteps: {}\n', 3],
    ['an unknown processor', pipeline('  a: { uses: no.such.thing }\n'), 4],
    ['an unknown step', pipeline('  a: { uses: file.ingest }\n  b: { uses: text.language, needs: [nowhere] }\n'), 5],
    ['a cycle', pipeline('  a: { uses: file.ingest, needs: [b] }\n  b: { uses: file.ingest, needs: [a] }\n'), 4],
  ]
  test.each(cases)('with %s are refused with the line', async (_, source, line) => {
    const problem = await refusalOf(client.call('createPipeline', { body: { source } }))
    expectProblem(problem, 'pipeline_invalid')
    expect(problem.errors?.map((error) => error.line)).toContain(line)
    const verdict = await client.call('validatePipeline', { body: { source } })
    expect(verdict).toMatchObject({ valid: false, errors: expect.arrayContaining([expect.objectContaining({ line })]) })
  })
})

describe('queries and bodies', () => {
  test('of the wrong shape', async () => {
    for (const path of [
      '/jobs?limit=0',
      '/jobs?limit=many',
      '/jobs?status=odd',
      '/jobs?cursor=xyz',
      '/jobs?stat=odd',
      '/search',
    ]) {
      expectProblem(await refusalOf(client.fetchPath(`/api/v1${path}`)), 'invalid_request')
    }
    const json = (body: string): RequestInit => ({
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    })
    expectProblem(await refusalOf(client.fetchPath('/api/v1/jobs', json('{"file_id":'))), 'invalid_request')
    expectProblem(await refusalOf(client.fetchPath('/api/v1/jobs', json('{}'))), 'invalid_request')
    expectProblem(await refusalOf(client.fetchPath('/api/v1/nothing-here')), 'not_found')
    expectProblem(await refusalOf(client.fetchPath('/api/v1/jobs', { method: 'DELETE' })), 'method_not_allowed')
  })

  test('with an Idempotency-Key: once, and the same answer again', async () => {
    const headers = { 'idempotency-key': 'e2e-1' }
    const first = await client.call('uploadFile', { form: formOf(note), headers })
    await untilEnded(client, first.job_id)
    expect(await client.call('uploadFile', { form: formOf(note), headers })).toEqual(first)
    const other = formOf({ name: 'other.txt', bytes: utf8('Something else.\n') })
    expectProblem(await refusalOf(client.call('uploadFile', { form: other, headers })), 'idempotency_key_reused')
  })
})

test('afterwards the house is healthy', async () => {
  await proveHealthy(client)
})
