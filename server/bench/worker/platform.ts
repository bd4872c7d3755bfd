// The measured side of worker.bench.ts: inputs from an encrypted disk store, the task loop with its sandbox, outputs
// back into the store; a desk in memory stands for the engine.

import { createReadStream } from 'node:fs'
import path from 'node:path'
import { systemClock } from '../../src/platform/clock.ts'
import { systemIds } from '../../src/platform/ids.ts'
import { silentLog } from '../../src/platform/log.ts'
import { createMetrics } from '../../src/platform/metrics.ts'
import { createLocalWakeBus } from '../../src/platform/wake.ts'
import { openDiskStore } from '../../src/storage/disk.ts'
import { createVault } from '../../src/storage/encrypted-vault.ts'
import { createMemoryKeyRing } from '../../src/storage/testing/memory-key-ring.ts'
import type { SealedObject } from '../../src/storage/vault.ts'
import { createSandbox } from '../../src/worker/sandbox/choose.ts'
import { createTaskLoop } from '../../src/worker/task-loop.ts'
import { createFakeDesk, testTask } from '../../src/worker/testing/fake-desk.ts'
import { eventually } from '../../src/worker/testing/eventually.ts'
import { countProcessorTime } from '../house/processor-time.ts'
import { photosIn, thumbnailParameters, warmUpCount } from './photos.ts'

const [photoFolder = '', folder = '', slots = '2', count = '0', level = 'auto'] = process.argv.slice(2)
const slotsCount = Number(slots)
const common = { clock: systemClock, ids: systemIds, log: silentLog }
const store = await openDiskStore({ directory: path.join(folder, 'objects'), log: silentLog })
const vault = createVault({ store, keyRing: createMemoryKeyRing(), ...common })
const objects = new Map<string, SealedObject>()

const sealed: SealedObject[] = []
for (const file of new Set(await photosIn(photoFolder, Number(count)))) {
  const object = await vault.write({ tenantId: 7, folder: 'files', sizeBytesMax: 1e9, content: createReadStream(file) })
  objects.set(object.objectId, object)
  sealed.push(object)
}

const desk = createFakeDesk()
const loop = createTaskLoop({
  desk,
  sandbox: await createSandbox({
    level: level as 'auto' | 'bubblewrap' | 'process',
    scratchFolder: path.join(folder, 'scratch'),
    slotsCount,
    ...common,
  }),
  vault,
  checkStore: async () => {},
  findObject: async (objectId) => objects.get(objectId),
  slotsCount,
  wake: createLocalWakeBus(),
  metrics: createMetrics({ processFigures: false }),
  ...common,
})
await loop.start(new AbortController().signal)

let nextId = 1
async function runTasks(tasksCount: number): Promise<void> {
  const until = desk.reports.length + tasksCount
  desk.add(
    ...Array.from({ length: tasksCount }, () => {
      const { objectId, sizeBytes, sha256 } = sealed[nextId % sealed.length]! // At least one photo was sealed.
      const file = { name: 'photo.jpg', contentType: 'image/jpeg', sizeBytes, sha256, objectId, from: 'original' }
      return testTask(nextId++, 'image.thumbnail', { input: { parameters: thumbnailParameters, files: [file] } })
    }),
  )
  await eventually(() => {
    if (desk.reports.length < until) throw new Error('still running')
  }, 120_000)
  const failed = desk.reports.find(({ outcome }) => outcome.kind !== 'done')
  if (failed !== undefined) throw new Error(JSON.stringify(failed.outcome))
}

await runTasks(warmUpCount)
const processorTime = countProcessorTime([process.pid])
const before = { cpu: processorTime.seconds(), own: process.cpuUsage(), at: performance.now() }
await runTasks(Number(count))
const own = process.cpuUsage(before.own)
const report = {
  cpuSeconds: processorTime.seconds() - before.cpu,
  supervisorSeconds: (own.user + own.system) / 1e6,
  seconds: (performance.now() - before.at) / 1_000,
}
await loop.stop(5_000)
processorTime.close()
process.send?.(report)
process.disconnect?.()
