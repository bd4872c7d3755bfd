// What a worker adds to the bare library (a part of P1): thumbnails of 5.9-megapixel photos through store, sandbox and
// task loop, against the same function called in a loop on plain files. Told as processor time of all processes.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import * as images from '../../test/fixtures/images.ts'
import type { Benchmark, Row } from './benchmark.ts'

const thumbnailsCount = Number(process.env['MILLRACE_BENCH_THUMBNAILS'] ?? 200)
const picturesCount = 10
const slotsCount = os.availableParallelism()

interface Report {
  cpuSeconds: number
  seconds: number
  /** Of the process that the children work for. */
  supervisorSeconds?: number
}

export const benchmark: Benchmark = {
  name: 'worker',
  summary: `${thumbnailsCount} thumbnails through a worker, against the same function in a bare loop`,
  async run() {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-bench-worker-'))
    try {
      const photos = path.join(folder, 'photos')
      await mkdir(photos)
      for (let seed = 0; seed < picturesCount; seed++)
        await writeFile(
          path.join(photos, `${seed}.jpg`),
          await images.phoneJpeg({ width: 2_816, height: 2_112, seed }, 1),
        )
      const measure = async (program: string, ...more: string[]): Promise<Report> => {
        const own = await mkdtemp(path.join(folder, 'side-'))
        const words = [photos, own, String(slotsCount), String(thumbnailsCount), ...more]
        const child = fork(new URL(`worker/${program}.ts`, import.meta.url), words)
        const ended = once(child, 'exit')
        const report = await Promise.race([once(child, 'message'), ended])
        const [code] = (await ended) as [number | null]
        if (code !== 0) throw new Error(`${program} ended with ${code}`)
        return report[0] as Report // What both programs send.
      }
      // Before and after, because other work on the machine comes and goes.
      const first = await measure('bare')
      const confined = await measure('platform', 'auto')
      const plain = await measure('platform', 'process')
      const second = await measure('bare')
      const bare = (first.cpuSeconds + second.cpuSeconds) / 2
      return {
        rows: [
          rowOf('bare loop', first, bare),
          rowOf('worker, strongest sandbox here', confined, bare),
          rowOf('worker, process sandbox', plain, bare),
          rowOf('bare loop again', second, bare),
        ],
        notes: ['cpu_ratio: processor time of all processes against the mean of the two bare loops.'],
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
}

const rowOf = (side: string, { cpuSeconds, seconds, supervisorSeconds }: Report, bare: number): Row => ({
  side,
  cpu_ms_per_photo: round((cpuSeconds * 1_000) / thumbnailsCount, 2),
  supervisor_ms: supervisorSeconds === undefined ? '' : round((supervisorSeconds * 1_000) / thumbnailsCount, 2),
  cpu_ratio: round(cpuSeconds / bare, 3),
  photos_per_s: round(thumbnailsCount / seconds, 1),
})

const round = (value: number, digits: number): number => Math.round(value * 10 ** digits) / 10 ** digits
