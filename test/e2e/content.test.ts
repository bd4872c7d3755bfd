// The bytes of files and outputs: whole, in ranges, and by version.

import type { Client } from '@millrace/contract'
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRandom } from '../fixtures/random.ts'
import { utf8 } from '../fixtures/texts.ts'
import { openHouse, type House } from './house.ts'
import { formOf, refusalOf, runFile, untilEnded } from './jobs.ts'

const bytes = createRandom(11).bytes(1_000_000)
let house: House
let client: Client
let path = ''

beforeAll(async () => {
  house = await openHouse()
  client = house.client
  const job = await runFile(client, { name: 'random.bin', bytes })
  path = `/api/v1/files/${job.file_id}/content`
}, 120_000)
afterAll(() => house?.close())

const get = (headers: Record<string, string> = {}, method = 'GET'): Promise<Response> =>
  client.fetchPath(path, { headers, method })
const bodyOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer())

describe('the content of a file', () => {
  test('comes back byte for byte, with its digest and as something to save', async () => {
    const answer = await get()
    expect(answer.headers.get('content-length')).toBe(String(bytes.length))
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="random.bin"')
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect((await bodyOf(answer)).equals(bytes)).toBe(true)
  })

  test.each([
    ['the beginning', 'bytes=0-99', 0, 100],
    ['the middle, across chunks', 'bytes=16380-98309', 16_380, 98_310],
    ['one byte', 'bytes=500000-500000', 500_000, 500_001],
    ['the end', 'bytes=-7', bytes.length - 7, bytes.length],
    ['from somewhere to the end', 'bytes=999000-', 999_000, bytes.length],
    ['more than there is', 'bytes=999000-99999999', 999_000, bytes.length],
  ])('comes in part: %s', async (_, range, start, end) => {
    const answer = await get({ range })
    expect(answer.status).toBe(206)
    expect(answer.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/${bytes.length}`)
    expect((await bodyOf(answer)).equals(bytes.subarray(start, end))).toBe(true)
  })

  test('is refused outside its length', async () => {
    expect(await refusalOf(get({ range: 'bytes=1000000-' }))).toMatchObject({
      code: 'range_not_satisfiable',
      status: 416,
    })
  })

  test('is told without being sent, and not sent again when it is known', async () => {
    const told = await get({}, 'HEAD')
    expect(told.headers.get('content-length')).toBe(String(bytes.length))
    const etag = told.headers.get('etag') ?? ''
    expect(etag).not.toBe('')
    const raw = await fetch(house.url + path, {
      headers: { authorization: `Bearer ${house.credentials.api_key}`, 'if-none-match': etag },
    })
    expect(raw.status).toBe(304)
  })

  test('of an earlier version stays what it was', async () => {
    const fileId = path.split('/')[4] ?? ''
    const second = utf8('The second version.\n')
    const answer = await client.call('uploadFileVersion', {
      params: { file_id: fileId },
      form: formOf({ name: 'random.bin', bytes: second }),
    })
    expect(answer.file_id).toBe(fileId)
    await untilEnded(client, answer.job_id)
    const versions = await client.call('listFileVersions', { params: { file_id: fileId } })
    expect(versions.items.map(({ version }) => version)).toEqual([2, 1])
    const first = await bodyOf(await client.fetchPath(`${path}?version=1`))
    expect(createHash('sha256').update(first).digest('hex')).toBe(versions.items[1]?.sha256)
    expect(await bodyOf(await get())).toEqual(second)
  })
})

test('a file in the trash is not served until it is taken back', async () => {
  const job = await runFile(client, { name: 'trash.txt', bytes: utf8('To the trash.\n') })
  const params = { file_id: job.file_id }
  await client.call('deleteFile', { params })
  expect(await refusalOf(client.fetchPath(`/api/v1/files/${job.file_id}/content`))).toMatchObject({ code: 'not_found' })
  await client.call('restoreFile', { params })
  const again = await client.fetchPath(`/api/v1/files/${job.file_id}/content`)
  expect(await again.text()).toBe('To the trash.\n')
})
