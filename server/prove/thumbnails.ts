// The same on the product as it is started, with real work: pictures go in by HTTP and one batch makes thumbnails of all of
// them in the sandbox. Smaller, because pictures take their time; what a million would take is told as a multiple of it.

import { setTimeout as pause } from 'node:timers/promises'
import { isBatchEnded } from '@millrace/contract'
import { openMeasuredHouse, percentile } from '../bench/house/measured-house.ts'
import { createTestDatabase } from '../src/testing/database.ts'
import { untilEnded, upload } from '../../test/e2e/jobs.ts'
import * as images from '../../test/fixtures/images.ts'

export interface ThumbnailsReport {
  files: number
  succeeded: number
  seconds: number
  filesPerSecond: number
  /** Of all processes of the product, the sandboxes included. */
  processorMsPerFile: number
  hoursForAMillion: number
  /** Single uploads during the batch, from the acknowledgement to the end of the job. */
  other: { jobs: number; p50Ms: number; p99Ms: number }
}

const picturesCount = 20
const uploadsAtOnce = 8
const sources = [
  'name: take-in\naccept: [image/*]\nsteps:\n  check: { uses: file.ingest }\n',
  'name: thumbnails-only\naccept: [image/*]\nsteps:\n  thumbnails: { uses: image.thumbnail, with: { sizes: [320, 800] } }\n',
]

export async function runThumbnails(filesCount: number, tell: (line: string) => void): Promise<ThumbnailsReport> {
  const database = await createTestDatabase()
  const environment: Record<string, string> = database.url === undefined ? {} : { DATABASE_URL: database.url }
  const measured = await openMeasuredHouse({ environment })
  try {
    const { client } = measured.house
    for (const source of sources) await client.call('createPipeline', { body: { source } })
    const pictures: Buffer[] = []
    for (let seed = 0; seed < picturesCount; seed++)
      pictures.push(await images.phoneJpeg({ width: 2_048, height: 1_536, seed }, 1))
    // Bytes behind the end of a picture, so that each file is its own.
    const files = Array.from({ length: filesCount }, (_, index) => ({
      name: `picture-${index}.jpg`,
      bytes: Buffer.concat([pictures[index % picturesCount] ?? Buffer.alloc(0), Buffer.from(`#${index}`)]),
    }))
    await measured.run(files, uploadsAtOnce, { pipeline: 'take-in' })
    tell(`${filesCount} pictures are in`)

    const order = { query: { content_type: 'image/*' }, pipeline: 'thumbnails-only' }
    const cpuBefore = measured.cpuSeconds()
    const startMs = performance.now()
    let batch = await client.call('createBatch', { body: order })
    const waitsMs: number[] = []
    for (let index = 0; !isBatchEnded(batch.status); index++) {
      const sentMs = performance.now()
      const file = { name: `other-${index}.txt`, bytes: Buffer.from(`something else ${index}`) }
      const { job_id: jobId } = await upload(client, file, { priority: 'interactive' })
      await untilEnded(client, jobId)
      waitsMs.push(performance.now() - sentMs)
      await pause(1_000)
      batch = { ...batch, ...(await client.call('getBatch', { params: { batch_id: batch.batch_id } })) }
      tell(`${batch.items.succeeded} of ${filesCount}`)
    }
    const seconds = (performance.now() - startMs) / 1_000
    waitsMs.sort((a, b) => a - b)
    return {
      files: filesCount,
      succeeded: batch.items.succeeded,
      seconds: Math.round(seconds * 10) / 10,
      filesPerSecond: Math.round((filesCount / seconds) * 10) / 10,
      processorMsPerFile: Math.round(((measured.cpuSeconds() - cpuBefore) * 1_000) / filesCount),
      hoursForAMillion: Math.round(((seconds / filesCount) * 1_000_000) / 360) / 10,
      other: { jobs: waitsMs.length, p50Ms: percentile(waitsMs, 50), p99Ms: percentile(waitsMs, 99) },
    }
  } finally {
    await measured.close()
    await database.drop()
  }
}
