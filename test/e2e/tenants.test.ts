// Two tenants on one installation: neither sees, changes or learns anything of the other.

import { createClient, type Client, type JobResource } from '@millrace/contract'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { utf8 } from '../fixtures/texts.ts'
import { openHouse, shape, type House } from './house.ts'
import { refusalOf, runFile } from './jobs.ts'

const secret = 'Xylophone'
let house: House
let stranger: Client
let job: JobResource

beforeAll(async () => {
  house = await openHouse()
  job = await runFile(house.client, { name: 'private.txt', bytes: utf8(`${secret} sonata.\n`) })
  // Embedded parts belong to one process at a time.
  if (shape === 'one-process') await house.stop()
  const { code, output } = await house.command('tenant', 'Other', '--email', 'other@example.com')
  if (code !== 0) throw new Error(output)
  await house.start()
  const key = /^key\s+(\S+)$/m.exec(output)?.[1] ?? ''
  stranger = createClient({ baseUrl: house.url, credentials: key })
}, 180_000)
afterAll(() => house?.close())

test('the other tenant works', async () => {
  expect(await stranger.call('getPrincipal', {})).toMatchObject({ tenant_name: 'Other', role: 'admin' })
  expect(await runFile(stranger, { name: 'own.txt', bytes: utf8('My own.\n') })).toMatchObject({ status: 'completed' })
})

test('every operation on a foreign id answers as if it did not exist', async () => {
  const params = { file_id: job.file_id }
  const jobParams = { job_id: job.job_id }
  const calls = [
    stranger.call('getFile', { params }),
    stranger.call('updateFile', { params, body: { name: 'mine' } }),
    stranger.call('deleteFile', { params }),
    stranger.call('restoreFile', { params }),
    stranger.call('listFileVersions', { params }),
    stranger.fetchPath(`/api/v1/files/${job.file_id}/content`),
    stranger.call('createJob', { body: { file_id: job.file_id } }),
    stranger.call('getJob', { params: jobParams }),
    stranger.call('cancelJob', { params: jobParams }),
    stranger.call('retryJob', { params: jobParams }),
    stranger.call('replayStep', { params: { ...jobParams, step: job.steps[0]?.name ?? '' } }),
    stranger.stream('jobEvents', { params: jobParams }),
    ...job.outputs.map(({ download_url: url }) => stranger.fetchPath(url)),
  ]
  const problems = await Promise.all(calls.map(refusalOf))
  const unknown = await refusalOf(stranger.call('getFile', { params: { file_id: 'file_0' } }))
  for (const problem of problems) {
    expect({ ...problem, request_id: '' }).toEqual({ ...unknown, request_id: '' })
  }
})

test('lists and search show nothing of it', async () => {
  expect((await stranger.call('listFiles', {})).items.map(({ name }) => name)).toEqual(['own.txt'])
  expect((await stranger.call('listJobs', {})).items.map((item) => item.file_name)).toEqual(['own.txt'])
  expect((await stranger.call('search', { query: { q: secret } })).items).toEqual([])
  expect((await house.client.call('search', { query: { q: secret } })).items).toHaveLength(1)
})
