// What people do with jobs: cancel, run again, replay a step.

import type { Client } from '@millrace/contract'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makePdf } from '../fixtures/pdf.ts'
import { csv, sales } from '../fixtures/tables.ts'
import { prose, utf8 } from '../fixtures/texts.ts'
import { openHouse, type House } from './house.ts'
import { formOf, refusalOf, runFile, untilEnded, upload } from './jobs.ts'
import { proveHealthy } from './proof.ts'

let house: House
let client: Client
const missing = 'job_0'

beforeAll(async () => {
  house = await openHouse()
  client = house.client
}, 120_000)
afterAll(() => house?.close())

describe('cancel', () => {
  test('ends a job and leaves the others alone', async () => {
    const book = makePdf(Array.from({ length: 150 }, (_, page) => ({ lines: [`Page ${page}`, ...prose] })))
    const [first, second, note] = await Promise.all([
      upload(client, { name: 'first.pdf', bytes: book }),
      upload(client, { name: 'second.pdf', bytes: book }),
      upload(client, { name: 'note.txt', bytes: utf8('A note.\n') }),
    ])
    for (const { job_id: jobId } of [first, second]) await client.call('cancelJob', { params: { job_id: jobId } })
    for (const { job_id: jobId } of [first, second]) {
      const job = await untilEnded(client, jobId)
      expect(job.status).toBe('cancelled')
      expect(job.steps.map(({ state }) => state)).not.toContain('running')
    }
    expect(await untilEnded(client, note.job_id)).toMatchObject({ status: 'completed' })
    expect(await refusalOf(client.call('cancelJob', { params: { job_id: first.job_id } }))).toMatchObject({
      code: 'job_ended',
    })
  })

  test('and retry runs what was cancelled', async () => {
    const { job_id: jobId } = await upload(client, { name: 'again.csv', bytes: utf8(csv(sales(3_000))) })
    await client.call('cancelJob', { params: { job_id: jobId } })
    await untilEnded(client, jobId)
    const { status } = await client.call('retryJob', { params: { job_id: jobId } })
    expect(['queued', 'running']).toContain(status)
    expect(await untilEnded(client, jobId)).toMatchObject({ status: 'completed', progress: 100 })
  })
})

describe('replay', () => {
  test('runs one step again, and its outputs are there once', async () => {
    const before = await runFile(client, { name: 'replayed.csv', bytes: utf8(csv(sales(40))) })
    const step = before.steps.find((candidate) => before.outputs.some((output) => output.step === candidate.name))
    if (!step) throw new Error('a step has outputs')
    await client.call('replayStep', { params: { job_id: before.job_id, step: step.name } })
    const after = await untilEnded(client, before.job_id)
    expect(after.status).toBe('completed')
    expect(after.output_files.toSorted()).toEqual(before.output_files.toSorted())
  })

  test('of a step that is not there, and of a job that is not there', async () => {
    const { job_id: jobId } = await runFile(client, { name: 'note.txt', bytes: utf8('Another note.\n') })
    const replay = (id: string, step: string) => client.call('replayStep', { params: { job_id: id, step } })
    expect(await refusalOf(replay(jobId, 'nowhere'))).toMatchObject({ code: 'not_found' })
    expect(await refusalOf(replay(missing, 'nowhere'))).toMatchObject({ code: 'not_found' })
    expect(await refusalOf(client.call('retryJob', { params: { job_id: jobId } }))).toMatchObject({ code: 'conflict' })
  })
})

test('a file can be run through another pipeline, and through one of its own', async () => {
  const { file_id: fileId } = await runFile(client, { name: 'words.txt', bytes: utf8(prose.join('\n')) })
  const source =
    'name: just-language\naccept: [text/plain]\nsteps:\n  check: { uses: file.ingest }\n  language: { uses: text.language, needs: [check] }\n'
  const made = await client.call('createPipeline', { body: { source } })
  expect(made).toMatchObject({ name: 'just-language', version: 1, built_in: false, source })
  const { job_id: jobId } = await client.call('createJob', { body: { file_id: fileId, pipeline: 'just-language' } })
  const job = await untilEnded(client, jobId)
  expect(job).toMatchObject({ status: 'completed', pipeline: 'just-language', pipeline_version: 1 })
  expect(job.steps.map(({ name }) => name)).toEqual(expect.arrayContaining(['check', 'language']))
})

test('the first step goes by what was said of the file, of a new version and of another run as well', async () => {
  const source =
    'name: letters-only\naccept: [text/plain]\nsteps:\n  check: { uses: file.ingest, if: file.metadata.kind == "letter" }\n'
  await client.call('createPipeline', { body: { source } })
  const pipeline = 'letters-only'
  const stateOf = async ({ job_id: jobId }: { job_id: string }): Promise<string | undefined> =>
    (await untilEnded(client, jobId)).steps.find(({ name }) => name === 'check')?.state
  const words = { name: 'letter.txt', bytes: utf8('Dear all.\n') }
  const letter = await upload(client, words, { pipeline, metadata: { kind: 'letter' } })
  expect(await stateOf(letter)).toBe('succeeded')
  expect(await stateOf(await upload(client, words, { pipeline, metadata: { kind: 'note' } }))).toBe('skipped')
  const params = { file_id: letter.file_id }
  const form = formOf({ name: 'letter.txt', bytes: utf8('Dear both.\n') }, { pipeline })
  expect(await stateOf(await client.call('uploadFileVersion', { params, form }))).toBe('succeeded')
  expect(await stateOf(await client.call('createJob', { body: { ...params, pipeline } }))).toBe('succeeded')
})

test('afterwards the house is healthy', async () => {
  await proveHealthy(client)
})
