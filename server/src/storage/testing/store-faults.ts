// Writes and reads through a vault on a store that fails and lies, and that is read back for that. Nobody may be given a wrong byte, everything that was
// acknowledged must be there once the store is honest again, and every refusal is a problem with a code.

import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { systemIds } from '../../platform/ids.ts'
import { silentLog } from '../../platform/log.ts'
import { Problem } from '../../platform/problem.ts'
import { createVault } from '../encrypted-vault.ts'
import type { SealedObject } from '../vault.ts'
import { createVerifyingStore } from '../verifying.ts'
import { seededRandom } from './corruptions.ts'
import { createFaultyStore, type StoreFaultReport } from './faulty-store.ts'
import { createMemoryKeyRing } from './memory-key-ring.ts'
import { createMemoryStore } from './memory-store.ts'

/** Whoever waits for a store that hangs has had enough after this. */
const deadlineMs = 20
const objectsCountMax = 2_000

export async function runStoreFaults(options: {
  operations: number
  seed: number
  probability: number
}): Promise<StoreFaultReport> {
  const random = seededRandom(options.seed)
  const store = createFaultyStore(createMemoryStore(), { random, probability: options.probability })
  const vault = createVault({
    store: createVerifyingStore(store),
    keyRing: createMemoryKeyRing(),
    ids: systemIds,
    log: silentLog,
    partSizeBytes: 30_000,
  })
  // Deadlines alone keep no process alive, and a store that hangs has nothing else.
  const alive = setInterval(() => {}, 1_000)
  const written: { object: SealedObject; content: Buffer }[] = []
  const report: StoreFaultReport = {
    operations: options.operations,
    acknowledged: 0,
    right: 0,
    refused: 0,
    lost: 0,
    done: store.done,
    faults: [],
  }

  const refuse = (what: string, error: unknown, signal: AbortSignal): void => {
    report.refused++
    if (!(error instanceof Problem) && error !== signal.reason) report.faults.push(`${what}: ${String(error)}`)
  }

  async function write(): Promise<void> {
    const content = randomBytes(Math.floor(random() * 80_000))
    const signal = AbortSignal.timeout(deadlineMs)
    try {
      const object = await vault.write({
        tenantId: 1,
        content: (async function* () {
          yield content
        })(),
        folder: 'files',
        sizeBytesMax: 1e6,
        signal,
      })
      report.acknowledged++
      written.push({ object, content })
    } catch (error) {
      refuse('write', error, signal)
    }
  }

  async function read(): Promise<void> {
    const found = written[Math.floor(random() * written.length)]
    if (found === undefined) return
    const { object, content } = found
    const start = Math.floor(random() * content.length)
    const range = content.length > 0 && random() < 0.5 ? { start, end: content.length - 1 } : undefined
    const right = range === undefined ? content : content.subarray(range.start)
    const signal = AbortSignal.timeout(deadlineMs)
    const pieces: Buffer[] = []
    try {
      // A stream of bytes gives buffers.
      for await (const piece of await vault.read(object, { signal, ...(range && { range }) }))
        pieces.push(piece as Buffer)
      report.right++
      if (!Buffer.concat(pieces).equals(right)) report.faults.push('read: wrong or missing bytes')
    } catch (error) {
      refuse('read', error, signal)
      const released = Buffer.concat(pieces)
      if (!right.subarray(0, released.length).equals(released))
        report.faults.push('read: wrong bytes before the refusal')
    }
  }

  for (let index = 0; index < options.operations; index++) {
    if (written.length < objectsCountMax && random() < 0.3) await write()
    else await read()
  }
  clearInterval(alive)
  store.heal()
  for (const { object, content } of written) {
    const whole = await vault.read(object).then(buffer, () => undefined)
    if (whole?.equals(content) !== true) report.lost++
  }
  return report
}
