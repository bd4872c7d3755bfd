// What must hold of a job and its outputs, checked with programs that are not the product's own.

import { createHash } from 'node:crypto'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { zstdDecompressSync } from 'node:zlib'
import type { Client, JobResource, OutputResource } from '@millrace/contract'
import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import jpegJs from 'jpeg-js'
import { PNG } from 'pngjs'
import { expect } from 'vitest'
import type { FileKind } from '../fixtures/fixture.ts'
import { readOutput } from './jobs.ts'

const run = promisify(execFile)
const jpegMemoryMb = 1_024

/** Stages that a file of each kind passes; every job begins with the collector and ends with the archiver. */
const workStages: Record<FileKind, readonly string[]> = {
  image: ['transform'],
  table: ['transform', 'analyze'],
  document: ['analyze'],
  text: ['analyze'],
  archive: ['transform'],
  other: ['analyze'],
}

/** A job that ended well, with true figures and outputs that others can read. */
export async function proveCompletedJob(client: Client, job: JobResource, kind: FileKind): Promise<void> {
  const stages = new Set(job.steps.filter(({ state }) => state === 'succeeded').map(({ stage }) => stage as string))
  expect([...stages], job.file_name).toEqual(
    expect.arrayContaining(['collect', 'validate', ...workStages[kind], 'index', 'archive']),
  )
  expect(job.progress).toBe(100)
  expect(job.problem).toBeNull()
  expect(job.metadata.processing_time).toBeGreaterThanOrEqual(0)
  expect(job.output_files).toEqual(job.outputs.map((output) => output.uri))
  expect(new Set(job.output_files).size, 'no output twice').toBe(job.output_files.length)
  for (const output of job.outputs) {
    expect(output.uri).toBe(`s3://results/${job.job_id}/${output.name}`)
    const bytes = await readOutput(client, output)
    expect(bytes.length, output.uri).toBe(output.size_bytes)
    expect(createHash('sha256').update(bytes).digest('hex'), output.uri).toBe(output.sha256)
    await openOutput(output, bytes)
  }
}

/** Opens an output with a reader that is not the one that made it. */
export async function openOutput(output: OutputResource, bytes: Buffer): Promise<void> {
  switch (output.content_type) {
    case 'image/jpeg': {
      const { width, height } = jpegJs.decode(bytes, { maxMemoryUsageInMB: jpegMemoryMb })
      expect(width * height).toBeGreaterThan(0)
      return
    }
    case 'image/png':
      expect(PNG.sync.read(bytes).width).toBeGreaterThan(0)
      return
    case 'application/vnd.apache.parquet':
      expect(Number((await parquetMetadataAsync(toArrayBuffer(bytes))).num_rows)).toBeGreaterThanOrEqual(0)
      return
    case 'application/pdf':
      await openPdf(bytes)
      return
    case 'application/json':
      JSON.parse(bytes.toString('utf8'))
      return
    default:
      if (output.content_type.startsWith('text/')) new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  }
}

export const parquetRows = (bytes: Buffer): Promise<Record<string, unknown>[]> =>
  parquetReadObjects({
    file: toArrayBuffer(bytes),
    compressors: { ZSTD: (input) => zstdDecompressSync(input) },
  })

function toArrayBuffer(bytes: Buffer): ArrayBuffer {
  const copy = new ArrayBuffer(bytes.length)
  new Uint8Array(copy).set(bytes)
  return copy
}

/** By poppler where it is installed; the structure alone elsewhere. */
async function openPdf(bytes: Buffer): Promise<void> {
  expect(bytes.subarray(0, 5).toString('latin1')).toBe('%PDF-')
  expect(bytes.subarray(-1_024).toString('latin1')).toContain('%%EOF')
  if (!existsSync('/usr/bin/pdftotext')) return
  const folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-pdf-'))
  try {
    const file = path.join(folder, 'output.pdf')
    await writeFile(file, bytes)
    const { stdout } = await run('/usr/bin/pdftotext', [file, '-'])
    expect(stdout.trim().length).toBeGreaterThan(0)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The doctor finds nothing wrong, and every job that came in is accounted for. */
export async function proveHealthy(client: Client): Promise<void> {
  const { healthy, findings, jobs } = await client.call('getDoctorReport', {})
  expect(
    findings.filter(({ severity }) => severity !== 'info'),
    'findings of the doctor',
  ).toEqual([])
  expect(healthy).toBe(true)
  expect(jobs.done + jobs.failed + jobs.quarantined + jobs.cancelled + jobs.in_flight).toBe(jobs.inputs)
}
