// An object store that fails and lies, drawn from a seed: for the proof that the vault hands on no wrong byte and loses
// nothing that it has acknowledged, whatever a store does on the way.

import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { untilAborted } from '../abortable.ts'
import type { ObjectStore } from '../object-store.ts'
import { Problem } from '../../platform/problem.ts'

export const storeFaults = [
  '503',
  'truncates',
  'flips',
  'flips when written',
  'swaps',
  'hangs',
  'loses the answer',
  'keeps the deleted',
] as const
export type StoreFault = (typeof storeFaults)[number]

export interface FaultyStore extends ObjectStore {
  /** How often each was done. */
  readonly done: Record<StoreFault, number>
  /** From then on it is an honest store. */
  heal(): void
}

const unavailable = (): Problem => new Problem('storage_unavailable', { detail: '503 Slow Down' })

/** Every call fails with this probability, by one of the faults that it can have. */
export function createFaultyStore(
  store: ObjectStore,
  options: { random: () => number; probability: number },
): FaultyStore {
  const { random } = options
  let { probability } = options
  const done = Object.fromEntries(storeFaults.map((fault) => [fault, 0])) as Record<StoreFault, number>

  function draw(...faults: StoreFault[]): StoreFault | undefined {
    if (random() >= probability) return undefined
    const fault = faults[Math.floor(random() * faults.length)]
    if (fault !== undefined) done[fault]++
    return fault
  }

  /** As a frozen server: nothing comes, until whoever waits has had enough. */
  const hang = (signal: AbortSignal | undefined): Promise<never> => untilAborted(new Promise<never>(() => {}), signal)

  async function spoil(fault: StoreFault, content: Buffer, key: string): Promise<Buffer> {
    switch (fault) {
      case 'truncates':
        return content.subarray(0, Math.floor(random() * content.length))
      case 'flips':
      case 'flips when written': {
        const spoilt = Buffer.from(content)
        const at = Math.floor(random() * spoilt.length)
        if (spoilt.length > 0) spoilt.writeUInt8(spoilt.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at)
        return spoilt
      }
      case 'swaps': {
        const others = (await store.list({ prefix: '', limit: 1_000 })).filter((info) => info.key !== key)
        const other = others[Math.floor(random() * others.length)]
        return other === undefined ? Buffer.alloc(0) : buffer(await store.get(other.key))
      }
      default:
        return content
    }
  }

  return {
    ...store,
    done,
    heal: () => void (probability = 0),
    async put(key, body, putOptions = {}) {
      switch (draw('503', 'truncates', 'flips when written', 'hangs', 'loses the answer')) {
        case '503':
          throw unavailable()
        case 'hangs':
          return hang(putOptions.signal)
        case 'truncates': {
          // It keeps a beginning and says that it has all it was sent: what it says is the length that it has.
          const pieces: Buffer[] = []
          for await (const piece of body) pieces.push(Buffer.from(piece))
          const content = Buffer.concat(pieces)
          return store.put(key, Readable.from([content.subarray(0, Math.floor(random() * content.length))]))
        }
        case 'flips when written':
          return store.put(key, Readable.from([await spoil('flips when written', await buffer(body), key)]), putOptions)
        case 'loses the answer':
          await store.put(key, body, putOptions)
          throw unavailable()
        default:
          return store.put(key, body, putOptions)
      }
    },
    async get(key, getOptions = {}) {
      const fault = draw('503', 'truncates', 'flips', 'swaps', 'hangs')
      if (fault === '503') throw unavailable()
      if (fault === 'hangs') return hang(getOptions.signal)
      const honest = await store.get(key, getOptions)
      return fault === undefined ? honest : Readable.from([await spoil(fault, await buffer(honest), key)])
    },
    async delete(key, deleteOptions) {
      const fault = draw('503', 'keeps the deleted')
      if (fault === '503') throw unavailable()
      if (fault === undefined) await store.delete(key, deleteOptions)
    },
  }
}

export interface StoreFaultReport {
  operations: number
  acknowledged: number
  /** Reads that gave exactly what was written, and those that were refused with a problem. */
  right: number
  refused: number
  /** Acknowledged, and not readable once the store was honest again. */
  lost: number
  done: Record<StoreFault, number>
  /** What must stay empty. */
  faults: string[]
}
