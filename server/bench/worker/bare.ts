// The peer of worker.bench.ts: the same work on the same files by the same function, in a loop in one process. No
// encryption, no store, no sandbox, no task.

import { mkdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { run } from '../../src/pipeline/transformer/image-thumbnail.run.ts'
import { photosIn, thumbnailParameters, warmUpCount } from './photos.ts'

const [photoFolder = '', outputFolder = '', atOnce = '1', count = '0'] = process.argv.slice(2)
const photos = await photosIn(photoFolder, Number(count) + warmUpCount)

async function work(file: string, index: number): Promise<void> {
  const folder = path.join(outputFolder, String(index))
  await mkdir(folder)
  const { size: sizeBytes } = await stat(file)
  const outcome = await run({
    files: [{ path: file, name: 'photo.jpg', contentType: 'image/jpeg', sizeBytes, from: 'original' }],
    outputFolder: folder,
    scratchFolder: folder,
    parameters: thumbnailParameters,
    results: {},
    file: { name: 'photo.jpg', contentType: 'image/jpeg', sizeBytes: 0, sha256: '', metadata: {}, depth: 0 },
  })
  if (outcome.kind !== 'done') throw new Error(JSON.stringify(outcome))
}

async function workAll(entries: [number, string][]): Promise<void> {
  const queue = entries.values()
  const lane = async () => {
    for (const [index, file] of queue) await work(file, index)
  }
  await Promise.all(Array.from({ length: Number(atOnce) }, lane))
}

const entries = [...photos.entries()]
await workAll(entries.slice(0, warmUpCount))
const before = process.cpuUsage()
const started = performance.now()
await workAll(entries.slice(warmUpCount))
const { user, system } = process.cpuUsage(before)
process.send?.({ cpuSeconds: (user + system) / 1e6, seconds: (performance.now() - started) / 1_000 })
process.disconnect?.()
