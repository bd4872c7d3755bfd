// The three examples that the API is promised by, to the letter.

import type { Client } from '@millrace/contract'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { csv, sales } from '../fixtures/tables.ts'
import { openHouse, type House } from './house.ts'
import { untilEnded } from './jobs.ts'

const rowsCount = 1_234
const isoTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z$/
let house: House
let client: Client
let jobId = ''

beforeAll(async () => {
  house = await openHouse()
  client = house.client
}, 120_000)
afterAll(() => house?.close())

const ask = (path: string, init: Pick<RequestInit, 'method' | 'body'> = {}): Promise<Response> =>
  fetch(house.url + path, { ...init, headers: { authorization: `Bearer ${house.credentials.api_key}` } })

test('POST /api/v1/files with file, pipeline, metadata and priority answers 202 and the job', async () => {
  const form = new FormData()
  form.set('file', new Blob([csv(sales(rowsCount))]), 'sales.csv')
  form.set('pipeline', 'table')
  form.set('metadata', '{"order":"A-17","nested":{"snake_case":1,"camelCase":2}}')
  form.set('priority', 'interactive')
  const answer = await ask('/api/v1/files', { method: 'POST', body: form })
  expect(answer.status).toBe(202)
  const body = (await answer.json()) as Record<string, unknown>
  expect(body).toMatchObject({
    job_id: expect.stringMatching(/^job_/),
    status: 'queued',
    estimated_completion: expect.stringMatching(isoTime),
    file_id: expect.stringMatching(/^file_/),
    name: 'sales.csv',
    size_bytes: Buffer.byteLength(csv(sales(rowsCount))),
    content_type: 'text/csv',
  })
  expect(Date.parse(String(body['estimated_completion']))).toBeGreaterThan(Date.now() - 5_000)
  jobId = String(body['job_id'])
})

test('GET /api/v1/jobs/{id} answers status, progress, output files and true figures', async () => {
  await untilEnded(client, jobId)
  const answer = await ask(`/api/v1/jobs/${jobId}`)
  expect(answer.status).toBe(200)
  const body = (await answer.json()) as {
    output_files: string[]
    outputs: { name: string; uri: string; download_url: string }[]
    metadata: Record<string, number>
  }
  expect(body).toMatchObject({
    job_id: jobId,
    status: 'completed',
    progress: 100,
    problem: null,
    priority: 'interactive',
  })
  expect(body.output_files).toEqual(
    expect.arrayContaining([
      `s3://results/${jobId}/processed_data.csv`,
      expect.stringMatching(/\.parquet$/),
      `s3://results/${jobId}/analysis_report.pdf`,
    ]),
  )
  expect(body.metadata['records_processed']).toBe(rowsCount)
  expect(body.metadata['file_size_mb']).toBeCloseTo(Buffer.byteLength(csv(sales(rowsCount))) / 1e6, 3)
  expect(body.metadata['processing_time']).toBeGreaterThan(0)
  expect(body.metadata['processing_time']).toBeLessThan(120)
  for (const output of body.outputs) {
    expect((await ask(output.download_url)).status, output.uri).toBe(200)
  }
})

test('GET /api/v1/admin/metrics answers the figures of the installation', async () => {
  const answer = await ask('/api/v1/admin/metrics')
  expect(answer.status).toBe(200)
  expect(await answer.json()).toMatchObject({
    system: {
      active_workers: expect.any(Number),
      queued_jobs: 0,
      processing_throughput: expect.any(Number),
      error_rate: 0,
    },
    storage: { total_files: 1, total_size_gb: expect.any(Number), storage_cost_hour: expect.any(Number) },
    users: { active_tenants: 1, total_users: 1 },
  })
})

test('healthz, readyz, openapi.json and docs answer without credentials', async () => {
  for (const path of ['/healthz', '/readyz', '/openapi.json', '/docs']) {
    expect((await fetch(house.url + path)).status, path).toBe(200)
  }
  const description = (await (await fetch(`${house.url}/openapi.json`)).json()) as { openapi: string; paths: object }
  expect(description.openapi).toMatch(/^3\.1/)
  expect(Object.keys(description.paths)).toEqual(expect.arrayContaining(['/api/v1/files', '/api/v1/jobs/{job_id}']))
})
