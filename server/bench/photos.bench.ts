// P1: a thousand photos from upload to outputs stored, against two bare loops over the same files: sharp as anybody would
// write it for the same pictures and tags; and the platform's own functions, which also look at a file's structure, ask
// three witnesses what it is, and draw a blurhash. Told as processor time, because the wall's depends on what else the
// machine does. Also how soon one photo is done when the platform is idle.

import { fork } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import * as images from '../../test/fixtures/images.ts'
import type { Benchmark, Row } from './benchmark.ts'
import {
  openMeasuredHouse,
  percentile,
  reportOf,
  type BareReport,
  type MeasuredHouse,
  type MeasuredRun,
} from './house/measured-house.ts'
import { warmUpCount, type Loop } from './photos/photos.ts'

/** MILLRACE_BENCH_PHOTOS makes it smaller for a look. */
const photosCount = warmUpCount + Number(process.env['MILLRACE_BENCH_PHOTOS'] ?? 1_000)
/** Different pictures; each is used several times under its own name and with its own last bytes. */
const picturesCount = 20
const idlePhotosCount = 20
const atOnce = 4

export const benchmark: Benchmark = {
  name: 'photos',
  summary: `${photosCount - warmUpCount} photos (12 and 3 megapixels) end to end, against bare loops; latency of one when idle`,
  uses: ['postgres15', 'valkey', 'seaweedfs'],
  async run() {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-bench-photos-'))
    try {
      const photos = await makePhotos()
      const input = path.join(folder, 'in')
      await mkdir(input)
      for (const { name, bytes } of photos) await writeFile(path.join(input, name), bytes)
      const before = await runLoops(folder, input)
      const measured: { side: string; ours: MeasuredRun; idleMs: number[] }[] = []
      const sources = new Set<string>()
      const shapes = serversAreHere() ? (['one-process', 'split'] as const) : (['one-process'] as const)
      for (const shape of shapes) {
        const house = await openMeasuredHouse({ shape })
        sources.add(house.timeSource)
        try {
          measured.push({ side: `millrace, ${shape}`, ...(await runIn(house, photos)) })
        } finally {
          await house.close()
        }
      }
      // Before and after, because other work on the machine comes and goes.
      const after = await runLoops(folder, input)
      const sharp = meanOf(before.sharp, after.sharp)
      const functions = meanOf(before.functions, after.functions)
      const counted = photosCount - warmUpCount
      return {
        rows: [
          rowOf('bare sharp', counted, sharp),
          { ...rowOf('bare loop of our functions', counted, functions), ...ratiosOf(functions, { sharp, functions }) },
          ...measured.flatMap(({ side, ours, idleMs }): Row[] => [
            { ...rowOf(side, counted, ours), ...ratiosOf(ours, { sharp, functions }) },
            {
              side: `${side}, idle`,
              photos: idleMs.length,
              p50_ms: percentile(idleMs, 50),
              p99_ms: percentile(idleMs, 99),
            },
          ]),
        ],
        notes: [
          `cpu_ratio: processor time of all our processes (${[...sources].join(', ')}) against bare sharp; to_functions: against`,
          'the loop of our functions. Each loop ran before and after, and the mean is shown. p50: from 202 to job.ended.',
          `On every side the first ${warmUpCount} photos are not counted.`,
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

async function runIn(house: MeasuredHouse, photos: readonly Photo[]): Promise<{ ours: MeasuredRun; idleMs: number[] }> {
  await house.run(photos.slice(0, warmUpCount), atOnce)
  const ours = await house.run(photos.slice(warmUpCount), atOnce)
  const idleMs = []
  for (const photo of photos.slice(0, idlePhotosCount)) idleMs.push(...(await house.run([photo], 1)).latenciesMs)
  return { ours, idleMs: idleMs.sort((a, b) => a - b) }
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
    name: `photo-${String(index).padStart(4, '0')}.jpg`,
    // Bytes behind the end of the picture keep memoisation from doing it once for all.
    bytes: Buffer.concat([pictures[index % picturesCount] ?? Buffer.alloc(0), Buffer.from(`#${index}`)]),
  }))
}

async function runLoops(folder: string, input: string): Promise<Record<Loop, BareReport>> {
  const run = async (loop: Loop): Promise<BareReport> => {
    const output = await mkdtemp(path.join(folder, 'out-'))
    return reportOf(fork(new URL('photos/bare.ts', import.meta.url), [loop, input, output, '2']))
  }
  return { sharp: await run('sharp'), functions: await run('functions') }
}

const meanOf = (one: BareReport, other: BareReport): BareReport => ({
  cpuSeconds: (one.cpuSeconds + other.cpuSeconds) / 2,
  seconds: (one.seconds + other.seconds) / 2,
})

const ratiosOf = ({ cpuSeconds }: BareReport, { sharp, functions }: Record<Loop, BareReport>) => ({
  cpu_ratio: round(cpuSeconds / sharp.cpuSeconds, 2),
  to_functions: round(cpuSeconds / functions.cpuSeconds, 2),
})

const rowOf = (side: string, photos: number, { cpuSeconds, seconds }: BareReport): Row => ({
  side,
  photos,
  cpu_s: round(cpuSeconds, 1),
  cpu_ms_per_photo: round((cpuSeconds * 1_000) / photos, 1),
  photos_per_s: round(photos / seconds, 1),
})

const round = (value: number, digits = 0): number => Math.round(value * 10 ** digits) / 10 ** digits
