// The peers of photos.bench.ts, in one process: sharp in a loop, making of each photo what the platform makes, three JPEGs
// from one decode, the tags, a digest; or the work of our processors in a loop, and a digest. No upload, no store, no
// encryption, no job, no sandbox.

import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import exifr from 'exifr'
import sharp from 'sharp'
import type { SandboxedProcessor } from '../../src/pipeline/processor.ts'
import { run as imageMetadata } from '../../src/pipeline/analyzer/image-metadata.run.ts'
import { run as imageThumbnail } from '../../src/pipeline/transformer/image-thumbnail.run.ts'
import { run as fileIngest } from '../../src/pipeline/validator/file-ingest.run.ts'
import { thumbnailSizes, warmUpCount, type Loop } from './photos.ts'

const [loop = 'sharp', inputFolder = '', outputFolder = '', atOnce = '2'] = process.argv.slice(2)
sharp.concurrency(1)
sharp.cache(false)

async function bySharp(file: string, folder: string): Promise<void> {
  const bytes = await readFile(file)
  createHash('sha256').update(bytes).digest('hex')
  const metadata: unknown = await exifr.parse(bytes).catch(() => undefined)
  await writeFile(path.join(folder, 'metadata.json'), JSON.stringify(metadata ?? {}))
  const [largest = 0] = thumbnailSizes.toSorted((a, b) => b - a)
  const { data, info } = await sharp(bytes, { failOn: 'warning' })
    .rotate()
    .resize({ width: largest, height: largest, fit: 'inside', withoutEnlargement: true })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  const raw = { width: info.width, height: info.height, channels: info.channels }
  for (const size of thumbnailSizes) {
    await sharp(data, { raw })
      .resize({ width: size, height: size, fit: 'inside', withoutEnlargement: true })
      .jpeg({ quality: 80 })
      .toFile(path.join(folder, `${size}.jpg`))
  }
}

/** The steps of the built-in pipeline that open bytes. */
const steps: [SandboxedProcessor, Record<string, unknown>][] = [
  [fileIngest, {}],
  [imageThumbnail, { sizes: thumbnailSizes }],
  [imageMetadata, {}],
]

async function byFunctions(file: string, folder: string): Promise<void> {
  const bytes = await readFile(file)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const about = { name: path.basename(file), contentType: 'image/jpeg', sizeBytes: bytes.length }
  for (const [run, parameters] of steps) {
    const outcome = await run({
      files: [{ ...about, path: file, from: 'original' }],
      outputFolder: folder,
      scratchFolder: folder,
      parameters,
      results: {},
      file: { ...about, sha256, metadata: {}, depth: 0 },
    })
    if (outcome.kind !== 'done') throw new Error(JSON.stringify(outcome))
  }
}

const loops: Record<Loop, (file: string, folder: string) => Promise<void>> = { sharp: bySharp, functions: byFunctions }
const work = loops[loop as Loop] // Named by the benchmark.

async function workAll(names: readonly string[]): Promise<void> {
  const queue = names.values()
  const lane = async (): Promise<void> => {
    for (const name of queue) {
      const folder = path.join(outputFolder, name)
      await mkdir(folder)
      await work(path.join(inputFolder, name), folder)
    }
  }
  await Promise.all(Array.from({ length: Number(atOnce) }, lane))
}

const names = (await readdir(inputFolder)).sort()
await workAll(names.slice(0, warmUpCount))
const before = process.cpuUsage()
const started = performance.now()
await workAll(names.slice(warmUpCount))
const { user, system } = process.cpuUsage(before)
process.send?.({ cpuSeconds: (user + system) / 1e6, seconds: (performance.now() - started) / 1_000 })
process.disconnect?.()
