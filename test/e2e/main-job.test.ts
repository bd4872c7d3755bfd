// The main job: a folder of every kind of file goes in, and every file ends as it should, with outputs that other
// programs open.

import type { Client, JobResource } from '@millrace/contract'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bytesOf, type Fixture } from '../fixtures/fixture.ts'
import { goodFiles } from '../fixtures/good-files.ts'
import { csv, sales } from '../fixtures/tables.ts'
import { openHouse, type House } from './house.ts'
import { forEachAtOnce, readOutput, untilEnded, upload } from './jobs.ts'
import { parquetRows, proveCompletedJob, proveHealthy } from './proof.ts'

const uploadsAtOnce = 4
let house: House
let client: Client
const jobs = new Map<string, string>()

beforeAll(async () => {
  house = await openHouse()
  client = house.client
  await forEachAtOnce(goodFiles, uploadsAtOnce, async (file) => {
    const { job_id: jobId } = await upload(client, { name: file.name, bytes: await bytesOf(file) })
    jobs.set(file.name, jobId)
  })
}, 120_000)
afterAll(() => house?.close())

const jobOf = (name: string): Promise<JobResource> => untilEnded(client, jobs.get(name) ?? `no job of ${name}`)
const outputOf = async (name: string, pattern: RegExp): Promise<Buffer> => {
  const job = await jobOf(name)
  const output = job.outputs.find((candidate) => pattern.test(candidate.name))
  if (!output) throw new Error(`${name} has no output ${pattern}: ${job.output_files.join(', ')}`)
  return readOutput(client, output)
}

describe('every file of the folder', () => {
  test.each(goodFiles.map((file): [string, Fixture] => [file.name, file]))('%s ends well', async (name, file) => {
    const { expected } = file
    if (!('ends' in expected)) throw new Error('a good file is not refused')
    const job = await jobOf(name)
    expect(job.problem).toBeNull()
    expect(job.status).toBe('completed')
    await proveCompletedJob(client, job, expected.kind)
    if (expected.records !== undefined) expect(job.metadata.records_processed).toBe(expected.records)
    if (expected.contentType !== undefined) {
      const found = await client.call('getFile', { params: { file_id: job.file_id } })
      expect(found.content_type).toBe(expected.contentType)
      expect(found.state).toBe('available')
    }
    if (expected.text !== undefined) {
      const texts = await Promise.all(
        job.outputs
          .filter(({ content_type: type }) => type.startsWith('text/plain'))
          .map((output) => readOutput(client, output)),
      )
      expect(Buffer.concat(texts).toString('utf8')).toContain(expected.text)
    }
  })
})

describe('what comes out', () => {
  test('a photo has thumbnails in three sizes, upright, and tells of its camera', async () => {
    const job = await jobOf('phone.jpg')
    const images = job.outputs.filter(({ content_type: type }) => type.startsWith('image/'))
    expect(images.length).toBeGreaterThanOrEqual(3)
    const { default: sharp } = await import('sharp')
    for (const output of images) {
      const { width, height } = await sharp(await readOutput(client, output)).metadata()
      expect(height, `${output.name} stands upright`).toBeGreaterThan(width)
    }
    const step = job.steps.find(({ processor }) => processor.startsWith('image.metadata'))
    expect(JSON.stringify(step?.result)).toContain('Fixture One')
    const { items } = await client.call('search', { query: { q: 'Fixture One' } })
    expect(items.map(({ file_id: fileId }) => fileId)).toContain(job.file_id)
  })

  test('a table becomes processed_data.csv, Parquet with the same rows and a report', async () => {
    const rows = await parquetRows(await outputOf('semicolon.csv', /\.parquet$/))
    expect(rows).toHaveLength(300)
    expect(rows.map((row) => Number(row['amount']))).toEqual(sales(300).map(({ amount }) => amount))
    const text = (await outputOf('windows.csv', /^processed_data\.csv$/)).toString('utf8')
    expect(text).toContain('Zürich')
    expect((await outputOf('sales.csv', /^analysis_report\.pdf$/)).length).toBeGreaterThan(1_000)
  })

  test('a hundred thousand rows keep their sum', async () => {
    const rows = await parquetRows(await outputOf('hundred-thousand-rows.csv', /\.parquet$/))
    const sum = (amounts: number[]): number => Math.round(amounts.reduce((total, amount) => total + amount, 0) * 100)
    expect(sum(rows.map((row) => Number(row['amount'])))).toBe(sum(sales(100_000).map(({ amount }) => amount)))
    expect(csv(sales(1))).toContain('id,day,town,amount,note')
  })

  test('members of an archive are files with jobs of their own, nested ones too', async () => {
    const parent = await jobOf('mixed.zip')
    const { items } = await client.call('listFiles', { query: { parent_file_id: parent.file_id } })
    expect(new Set(items.map(({ name }) => name.split('/').at(-1)))).toEqual(
      new Set(['Grüße 🌾.txt', 'a.jpg', 'sales.csv']),
    )
    for (const { latest_job_id: jobId } of items) {
      expect(await untilEnded(client, jobId ?? '')).toMatchObject({ status: 'completed', parent_job_id: parent.job_id })
    }
    const outer = await jobOf('nested.zip')
    const inner = await client.call('listFiles', { query: { parent_file_id: outer.file_id } })
    const zip = inner.items.find(({ name }) => name.endsWith('inner.zip'))
    await untilEnded(client, zip?.latest_job_id ?? '')
    const deep = await client.call('listFiles', { query: { parent_file_id: zip?.file_id ?? '' } })
    expect(deep.items.map(({ name }) => name)).toEqual([expect.stringContaining('deep.txt')])
  })

  test('afterwards the doctor finds nothing wrong', async () => {
    await proveHealthy(client)
  })
})
