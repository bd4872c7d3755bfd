// Looks at who leads, again and again, past all lines: an epoch belongs to one owner, and epochs only grow.

import { setTimeout as delay } from 'node:timers/promises'
import type { Servers } from './servers.ts'

export interface LeaderWatch {
  readonly faults: readonly string[]
  /** How often the lead changed hands. */
  changesCount(): number
  stop(): Promise<void>
}

const lookMs = 400

export function watchLeaders(servers: Servers): LeaderWatch {
  const faults: string[] = []
  const owners = new Map<number, string>()
  let last = 0
  const stopping = new AbortController()

  async function look(): Promise<void> {
    const [row] = await servers.query<{ owner: string; epoch: string }>('select owner, epoch from scheduler_lease')
    if (row === undefined) return
    const epoch = Number(row.epoch)
    const owner = owners.get(epoch)
    if (owner !== undefined && owner !== row.owner && row.owner !== '')
      faults.push(`L1: epoch ${epoch} belongs to ${owner} and to ${row.owner}`)
    if (epoch < last) faults.push(`L1: epoch ${epoch} came after ${last}`)
    owners.set(epoch, row.owner)
    last = epoch
  }
  const running = (async () => {
    while (!stopping.signal.aborted) {
      // A database that is away has no leader to tell of.
      await look().catch(() => undefined)
      await delay(lookMs)
    }
  })()
  return {
    faults,
    changesCount: () => Math.max(0, owners.size - 1),
    async stop() {
      stopping.abort()
      await running
    },
  }
}
