// A task loop over hostile processors, a fake desk, a vault in memory and a real sandbox.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Type } from 'typebox'
import { systemClock, type Clock } from '../../platform/clock.ts'
import { systemIds } from '../../platform/ids.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { createLocalWakeBus, type WakeBus } from '../../platform/wake.ts'
import { defineProcessor, type Processor } from '../../pipeline/processor.ts'
import type { TaskInputFile } from '../../processing/task.ts'
import { createVault } from '../../storage/encrypted-vault.ts'
import type { SealedObject, Vault } from '../../storage/vault.ts'
import { createMemoryKeyRing } from '../../storage/testing/memory-key-ring.ts'
import { createMemoryStore } from '../../storage/testing/memory-store.ts'
import { createSandbox } from '../sandbox/choose.ts'
import type { SandboxLevel } from '../sandbox/sandbox.ts'
import { createTaskLoop, type TaskLoop } from '../task-loop.ts'
import { createFakeDesk, type FakeDesk } from './fake-desk.ts'
import { runs } from './hostile-runs.ts'
import { hostileRunsFile } from './test-sandbox.ts'

export interface WorkerHouse extends AsyncDisposable {
  desk: FakeDesk
  loop: TaskLoop
  wake: WakeBus
  vault: Vault
  scratchFolder: string
  /** Keys and bytes of the object store. */
  stored: Map<string, Buffer>
  /** Stores bytes as a tenant's object, to be the input of a task. */
  input(bytes: string, tenantId?: number): Promise<TaskInputFile>
  objects: Map<string, SealedObject>
}

const limits = { memoryBytes: 1024 ** 3, timeoutMs: 20_000, outputBytesMax: 1024 ** 2, outputFilesMax: 5 }

const describeHostile = (name: string, isolation: Processor['isolation']): Processor =>
  defineProcessor({
    name,
    stage: 'transform',
    version: 1,
    summary: 'For tests.',
    accepts: ['*/*'],
    parameters: Type.Object({}),
    limits,
    costClass: 'S',
    cost: { baseMs: 1, perMbMs: 0 },
    isolation,
  })

export async function openWorkerHouse(
  options: {
    level?: SandboxLevel
    slotsCount?: number
    heartbeatMs?: number
    vault?: (vault: Vault) => Vault
    checkStore?: () => Promise<void>
    /** Of the loop, so that a test says how long tasks take. */
    clock?: Clock
  } = {},
): Promise<WorkerHouse> {
  const { level = 'process', slotsCount = 2, heartbeatMs = 50, checkStore = async () => {} } = options
  const scratchFolder = await mkdtemp(path.join(tmpdir(), 'millrace-worker-'))
  const common = { clock: systemClock, ids: systemIds, log: silentLog }
  const wake = createLocalWakeBus()
  const sandbox = await createSandbox({ level, scratchFolder, slotsCount, runsFile: hostileRunsFile, ...common })
  const store = createMemoryStore()
  const plainVault = createVault({ store, keyRing: createMemoryKeyRing(), ...common })
  const vault = options.vault?.(plainVault) ?? plainVault
  const objects = new Map<string, SealedObject>()
  const desk = createFakeDesk()
  const processors = Object.fromEntries(Object.keys(runs).map((name) => [name, describeHostile(name, 'warm')]))
  const loop = createTaskLoop({
    desk,
    sandbox,
    vault,
    checkStore,
    findObject: async (objectId) => objects.get(objectId),
    slotsCount,
    heartbeatMs,
    wake,
    metrics: createMetrics({ processFigures: false }),
    processors: {
      ...processors,
      fifo: describeHostile('fifo', 'cli'),
      plant: describeHostile('plant', 'cli'),
      fact: describeHostile('fact', 'supervisor'),
    },
    runs: {
      fact: async () => ({
        run: async ({ files, file }) => ({
          kind: 'done',
          outputs: [],
          result: { paths: files.map(({ path }) => path), name: file.name },
        }),
      }),
    },
    ...common,
    clock: options.clock ?? systemClock,
  })
  await loop.start(new AbortController().signal)
  return {
    desk,
    loop,
    wake,
    vault,
    scratchFolder,
    stored: store.objects,
    objects,
    async input(bytes, tenantId = 7) {
      async function* content() {
        yield Buffer.from(bytes)
      }
      const object = await plainVault.write({ tenantId, folder: 'files', sizeBytesMax: 1e9, content: content() })
      objects.set(object.objectId, object)
      const { objectId, sizeBytes, sha256 } = object
      return { name: '../../evil.txt', contentType: 'text/plain', sizeBytes, sha256, objectId, from: 'original' }
    },
    async [Symbol.asyncDispose]() {
      await loop.stop(2_000)
      await rm(scratchFolder, { recursive: true, force: true })
    },
  }
}
