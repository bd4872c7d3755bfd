// The peer of photos.bench.ts: sharp in a loop, in one process, making of each photo what the platform makes: three
// JPEGs from one decode, the metadata, a digest. No upload, no store, no encryption, no job, no sandbox.

import { createHash } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import exifr from 'exifr'
import sharp from 'sharp'

const [inputFolder = '', outputFolder = '', atOnce = '2'] = process.argv.slice(2)
const sizes = [1600, 800, 320] as const
sharp.concurrency(1)
sharp.cache(false)

async function work(name: string): Promise<void> {
  const bytes = await readFile(path.join(inputFolder, name))
  createHash('sha256').update(bytes).digest('hex')
  const metadata: unknown = await exifr.parse(bytes).catch(() => undefined)
  await writeFile(path.join(outputFolder, `${name}.json`), JSON.stringify(metadata ?? {}))
  const { data, info } = await sharp(bytes, { failOn: 'warning' })
    .rotate()
    .resize({ width: sizes[0], height: sizes[0], fit: 'inside', withoutEnlargement: true })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  const raw = { width: info.width, height: info.height, channels: info.channels }
  for (const size of sizes) {
    await sharp(data, { raw })
      .resize({ width: size, height: size, fit: 'inside', withoutEnlargement: true })
      .jpeg({ quality: 80 })
      .toFile(path.join(outputFolder, `${name}_${size}.jpg`))
  }
}

const queue = (await readdir(inputFolder)).values()
const started = performance.now()
await Promise.all(
  Array.from({ length: Number(atOnce) }, async () => {
    for (const name of queue) await work(name)
  }),
)
const { user, system } = process.cpuUsage()
process.send?.({ cpuSeconds: (user + system) / 1e6, seconds: (performance.now() - started) / 1_000 })
process.disconnect?.()
