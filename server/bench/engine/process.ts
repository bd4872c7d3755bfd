// One process of a side: argv is the side's name, the number of slots and, for all but the first, the database to join.
// Orders come by IPC, reports go the same way.

import { testRedisUrl } from '../../src/testing/redis.ts'
import { sides, type SideName } from './sides.ts'

export type Order =
  | { kind: 'enqueue'; count: number }
  | { kind: 'work' }
  | { kind: 'latency'; samples: number }
  | { kind: 'end' }
export type Report =
  | { kind: 'ready'; databaseUrl: string | undefined }
  | { kind: 'done' }
  | { kind: 'progress'; count: number; cpuSeconds: number }
  | { kind: 'latencies'; ms: number[] }

const [name = '', slotsText = '50', databaseUrl] = process.argv.slice(2)
const slots = Number(slotsText)
const open = sides[name as SideName] // engine.bench.ts starts this with one of them.
const redisUrl = process.env['MILLRACE_BENCH_REDIS_URL'] ?? testRedisUrl()
const { side, databaseUrl: madeUrl } = await open({ databaseUrl, redisUrl })
const tell = (report: Report): void => void process.send?.(report)

let count = 0
let started: (sentMs: number) => void = () => {}
let cpu = process.cpuUsage()
const ticker = setInterval(() => {
  const { user, system } = process.cpuUsage(cpu)
  tell({ kind: 'progress', count, cpuSeconds: (user + system) / 1e6 })
}, 20)

async function obey(order: Order): Promise<void> {
  if (order.kind === 'enqueue') await side.enqueue(order.count)
  if (order.kind === 'work') {
    cpu = process.cpuUsage()
    await side.work(slots, { started: (sentMs) => started(sentMs), done: (more) => void (count += more) })
  }
  if (order.kind === 'latency') return tell({ kind: 'latencies', ms: await measureLatency(order.samples) })
  if (order.kind === 'end') {
    clearInterval(ticker)
    process.removeAllListeners('uncaughtException').on('uncaughtException', () => process.exit(0)) // Of a peer that is cut off.
    await Promise.race([side.close(), new Promise((resolve) => setTimeout(resolve, 4_000))]).catch(() => {})
    process.exit(0)
  }
  tell({ kind: 'done' })
}

/** What a drained queue leaves to be tidied up. */
const idleMs = 2_000

/** One at a time in an idle engine; from before the call that puts it in to its start. */
async function measureLatency(samples: number): Promise<number[]> {
  const ms: number[] = []
  await new Promise((resume) => setTimeout(resume, idleMs))
  for (let index = 0; index < samples; index++) {
    const { promise, resolve } = Promise.withResolvers<number>()
    started = (sentMs) => resolve(performance.now() - sentMs)
    await side.enqueueOne(performance.now())
    ms.push(await promise)
    await new Promise((resume) => setTimeout(resume, 10))
  }
  return ms
}

process.on(
  'message',
  (order: Order) =>
    void obey(order).catch((error: unknown) => {
      console.error(name, error)
      process.exit(1)
    }),
)
tell({ kind: 'ready', databaseUrl: madeUrl })
