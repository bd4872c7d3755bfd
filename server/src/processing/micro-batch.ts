// Gathers single calls into batches: one statement for many, at the price of a moment's wait. While a batch is under
// way the next one gathers, so that under load nobody waits for the clock.

import type { Clock } from '../platform/clock.ts'

export interface MicroBatchOptions<Item, Value> {
  clock: Clock
  countMax: number
  /** How long the first of a batch waits for others; 0: only as long as as many batches as may are under way. */
  waitMs: number
  /** Whether others are about to come: while they are not, nobody waits for the clock. Left out: one never knows. */
  othersCome?: () => boolean
  /** Batches under way at once. */
  parallelMax: number
  /** Answers in the order of the items; when it throws, all of them fail. */
  run: (items: readonly Item[]) => Promise<readonly Value[]>
}

interface Waiting<Item, Value> {
  item: Item
  resolve: (value: Value) => void
  reject: (error: unknown) => void
}

export function createMicroBatch<Item, Value>(options: MicroBatchOptions<Item, Value>): (item: Item) => Promise<Value> {
  const { clock, countMax, waitMs, othersCome = () => true, parallelMax, run } = options
  let waiting: Waiting<Item, Value>[] = []
  let running = 0
  let due = waitMs === 0
  let timing = false

  const flush = (): void => {
    while (waiting.length > 0 && running < parallelMax && (due || waiting.length >= countMax || !othersCome())) {
      const batch = waiting.slice(0, countMax)
      waiting = waiting.slice(countMax)
      running += 1
      void settle(batch)
    }
    if (waiting.length === 0) due = waitMs === 0
    else if (!due && !timing) {
      timing = true
      void clock.sleep(waitMs).then(() => {
        timing = false
        due = true
        flush()
      })
    }
  }

  async function settle(batch: readonly Waiting<Item, Value>[]): Promise<void> {
    try {
      const values = await run(batch.map(({ item }) => item))
      // One value per item.
      for (const [index, { resolve }] of batch.entries()) resolve(values[index] as Value)
    } catch (error) {
      for (const { reject } of batch) reject(error)
    } finally {
      running -= 1
      // Whoever came while this batch was under way has waited long enough.
      due = waitMs === 0 || waiting.length > 0
      flush()
    }
  }

  return (item) =>
    new Promise<Value>((resolve, reject) => {
      waiting.push({ item, resolve, reject })
      flush()
    })
}
