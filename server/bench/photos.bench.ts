// P1: a thousand photos from upload to outputs stored, against the bare library doing the same to the same files. Told as
// processor time, because the wall's depends on what else the machine does. Also how soon one photo is done when the
// platform is idle.

import { fork } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import * as images from '../../test/fixtures/images.ts'
import type { Benchmark, Row } from './benchmark.ts'
import { openMeasuredHouse, percentile, reportOf, type BareReport, type MeasuredHouse } from './house/measured-house.ts'

/** MILLRACE_BENCH_PHOTOS makes it smaller for a look. */
const photosCount = Number(process.env['MILLRACE_BENCH_PHOTOS'] ?? 1_000)
/** Different pictures; each is used several times under its own name and with its own last bytes. */
const picturesCount = 20
const idlePhotosCount = 20
const atOnce = 4

export const benchmark: Benchmark = {
  name: 'photos',
  summary: `${photosCount} photos (12 and 3 megapixels) end to end, against a bare sharp loop; latency of one when idle`,
  uses: ['postgres15', 'valkey', 'seaweedfs'],
  async run() {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-bench-photos-'))
    try {
      const photos = await makePhotos()
      const bare = await runBare(folder, photos)
      const rows: Row[] = [rowOf('bare sharp', photos.length, bare)]
      const sources = new Set<string>()
      const shapes = serversAreHere() ? (['one-process', 'split'] as const) : (['one-process'] as const)
      for (const shape of shapes) {
        const house = await openMeasuredHouse({ shape })
        sources.add(house.timeSource)
        try {
          rows.push(...(await runIn(house, `millrace, ${shape}`, photos, bare)))
        } finally {
          await house.close()
        }
      }
      return {
        rows,
        notes: [
          `cpu_ratio: processor time of all our processes (${[...sources].join(', ')}) against the bare loop; p50: from 202 to job.ended.`,
          'split: one process per role on PostgreSQL, Valkey and an S3 store, whose own processor time is not in it.',
        ],
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
}

const serversAreHere = (): boolean =>
  ['MILLRACE_TEST_DATABASE_URL', 'MILLRACE_TEST_REDIS_URL', 'MILLRACE_TEST_S3_SEAWEEDFS'].every(
    (name) => process.env[name] !== undefined,
  )

async function runIn(house: MeasuredHouse, side: string, photos: readonly Photo[], bare: BareReport): Promise<Row[]> {
  await house.run(photos.slice(0, atOnce), atOnce) // Warms up: libraries are loaded in the sandboxes.
  const ours = await house.run(photos, atOnce)
  const idle = []
  for (const photo of photos.slice(0, idlePhotosCount)) idle.push(...(await house.run([photo], 1)).latenciesMs)
  idle.sort((a, b) => a - b)
  return [
    { ...rowOf(side, photos.length, ours), cpu_ratio: round(ours.cpuSeconds / bare.cpuSeconds, 2) },
    { side: `${side}, idle`, photos: idle.length, p50_ms: percentile(idle, 50), p99_ms: percentile(idle, 99) },
  ]
}

interface Photo {
  name: string
  bytes: Buffer
}

async function makePhotos(): Promise<Photo[]> {
  const pictures: Buffer[] = []
  for (let seed = 0; seed < picturesCount; seed++) {
    const size = seed % 4 === 0 ? { width: 4_000, height: 3_000 } : { width: 2_048, height: 1_536 }
    pictures.push(await images.phoneJpeg({ ...size, seed }, 1))
  }
  return Array.from({ length: photosCount }, (_, index) => ({
    name: `photo-${index}.jpg`,
    // Bytes behind the end of the picture keep memoisation from doing it once for all.
    bytes: Buffer.concat([pictures[index % picturesCount] ?? Buffer.alloc(0), Buffer.from(`#${index}`)]),
  }))
}

async function runBare(folder: string, photos: readonly Photo[]): Promise<BareReport> {
  const [input, output] = [path.join(folder, 'in'), path.join(folder, 'out')]
  await mkdir(input)
  await mkdir(output)
  for (const { name, bytes } of photos) await writeFile(path.join(input, name), bytes)
  const child = fork(new URL('photos/bare.ts', import.meta.url), [input, output, '2'])
  return reportOf(child)
}

const rowOf = (side: string, photos: number, { cpuSeconds, seconds }: BareReport): Row => ({
  side,
  photos,
  cpu_s: round(cpuSeconds, 1),
  cpu_ms_per_photo: round((cpuSeconds * 1_000) / photos, 1),
  photos_per_s: round(photos / seconds, 1),
})

const round = (value: number, digits = 0): number => Math.round(value * 10 ** digits) / 10 ** digits
