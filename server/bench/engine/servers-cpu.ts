// Processor time of the servers that a benchmark works against, as far as this machine tells it (Linux).

import { readFileSync, readdirSync } from 'node:fs'
import { Redis } from 'ioredis'
import pg from 'pg'

const ticksPerSecond = 100

interface ProcessTimes {
  parent: number
  own: number
  ended: number
}

function readTimes(pid: number | string): ProcessTimes | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = line
      .slice(line.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
    const at = (index: number): number => fields[index] ?? 0
    return { parent: at(1), own: at(11) + at(12), ended: at(13) + at(14) }
  } catch {
    return undefined // It has ended, or there is no /proc.
  }
}

/** Of PostgreSQL with all its backends, those that have ended included, and of Redis. */
export async function createServersCpu(urls: { databaseUrl?: string; redisUrl?: string }) {
  let postmaster = 0
  if (urls.databaseUrl !== undefined) {
    const client = new pg.Client({ connectionString: urls.databaseUrl })
    await client.connect()
    const { rows } = await client.query<{ pid: number }>(
      `select pid from pg_stat_activity where backend_type = 'checkpointer'`,
    )
    await client.end()
    postmaster = readTimes(rows[0]?.pid ?? 0)?.parent ?? 0
  }
  const redis = urls.redisUrl === undefined ? undefined : new Redis(urls.redisUrl)
  return {
    async seconds(): Promise<number> {
      let seconds = 0
      if (postmaster > 0) {
        const root = readTimes(postmaster)
        let ticks = root ? root.own + root.ended : 0
        for (const pid of readdirSync('/proc')) {
          if (!/^\d+$/.test(pid)) continue
          const times = readTimes(pid)
          if (times?.parent === postmaster) ticks += times.own
        }
        seconds += ticks / ticksPerSecond
      }
      const info = (await redis?.info('cpu')) ?? ''
      for (const [, value] of info.matchAll(/used_cpu_(?:sys|user):([\d.]+)/g)) seconds += Number(value)
      return seconds
    },
    close: () => redis?.disconnect(),
  }
}
