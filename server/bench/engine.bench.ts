// P3 to P8: what the engine costs, how fast it is, and how fair, beside the engines that one would choose from otherwise.
// Throughput counts tasks that leave a result row; every side runs in processes of its own, so that nothing is lent.

import os from 'node:os'
import { openTestRedis, testRedisUrl } from '../src/testing/redis.ts'
import { testDatabaseUrl } from '../src/testing/database.ts'
import type { Benchmark, Row } from './benchmark.ts'
import { measureCaps, measureFanOut, measureShares, measureSmallTenant } from './engine/fairness.ts'
import { measureBullmqFanOut, measurePgBossFanOut } from './engine/peer-fan-outs.ts'
import { createServersCpu } from './engine/servers-cpu.ts'
import { startSide } from './engine/side-processes.ts'
import type { SideName } from './engine/sides.ts'

const slots = 50
const latencySamples = 100
/** MILLRACE_BENCH_SIDES makes it shorter for a look: a pattern of the names of sides, or of: small tenant, shares, caps, fan-out. */
const chosen = new RegExp(process.env['MILLRACE_BENCH_SIDES'] ?? '')

interface Case {
  name: SideName
  processes: readonly number[]
  /** Tasks of a run; fewer where they are slow. */
  tasks: number
  needsRedis?: true
  embedded?: true
}
const cases: readonly Case[] = [
  { name: 'millrace, PGlite, in-process', processes: [1], tasks: 2_000, embedded: true },
  { name: 'millrace, in-process', processes: [1], tasks: 3_000 },
  { name: 'millrace, pg', processes: [1, 3], tasks: 3_000 },
  { name: 'millrace, bullmq', processes: [1, 3], tasks: 3_000, needsRedis: true },
  { name: 'bullmq', processes: [1, 3], tasks: 3_000, needsRedis: true },
  { name: 'pg-boss', processes: [1, 3], tasks: 3_000 },
  { name: 'graphile-worker', processes: [1, 3], tasks: 3_000 },
  { name: 'DBOS', processes: [1, 3], tasks: 500 },
]

export const benchmark: Benchmark = {
  name: 'engine',
  summary:
    'tasks with a result row, enqueue to start, fairness and fan-out, against bullmq, pg-boss, graphile-worker, DBOS',
  uses: ['postgres15', 'valkey'],
  async run({ full }) {
    const databaseUrl = testDatabaseUrl()
    const redis = testRedisUrl()
    const notes: string[] = []
    const rows: Row[] = []
    const attempt = async (name: string, measure: () => Promise<Row | undefined>): Promise<void> => {
      try {
        const row = await measure()
        if (row === undefined) notes.push(`${name}: not measured, its server is missing`)
        else rows.push(row)
      } catch (error) {
        notes.push(`${name}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    for (const each of cases.filter(({ name }) => chosen.test(name))) {
      const isMissing = (!each.embedded && databaseUrl === undefined) || (each.needsRedis && redis === undefined)
      for (const processes of each.processes) {
        const measure = async () => (isMissing ? undefined : measureSide(each, processes, full))
        await attempt(`${each.name}, ${processes} processes`, measure)
      }
    }
    addRatios(rows)
    for (const [name, measure] of othersOf(full).filter(([name]) => chosen.test(name))) await attempt(name, measure)
    notes.push(
      'tasks_per_s: with a result row each; cpu_ms: of all processes and servers per task; ratio: tasks_per_s against bullmq of as many processes.',
      'One tenant with one task: behind the backlog of another, tasks of 20 ms, 50 slots. A queue in order would start it after the whole backlog.',
    )
    return { rows, notes }
  },
}

/** What is not measured side by side. Peers have no tenants to be fair to, and fan-outs only up to a size. */
function othersOf(full: boolean): (readonly [string, () => Promise<Row | undefined>])[] {
  const backlogs = full ? [10_000, 100_000, 1_000_000] : [10_000]
  const fanOuts = full ? [10_000, 100_000, 1_000_000] : [10_000]
  return [
    ...backlogs.map((count) => [`small tenant behind ${count}`, () => measureSmallTenant(count)] as const),
    ['shares', measureShares],
    ['caps', measureCaps],
    ...fanOuts.map((count) => [`fan-out of ${count}`, () => measureFanOut(count)] as const),
    ...fanOuts
      .filter((count) => count <= peerFanOutMax)
      .flatMap((count) => [
        [`fan-out of ${count}, bullmq`, () => measureBullmqFanOut(count)] as const,
        [`fan-out of ${count}, pg-boss`, () => measurePgBossFanOut(count)] as const,
      ]),
  ]
}

/** A million takes the memory of a process that runs bullmq or pg-boss. */
const peerFanOutMax = 100_000

async function measureSide({ name, tasks, embedded }: Case, processes: number, full: boolean): Promise<Row> {
  const count = full ? tasks * 7 : tasks
  const databaseUrl = embedded ? undefined : testDatabaseUrl()
  const redisServer = testRedisUrl()
  const redis = redisServer === undefined ? undefined : await openTestRedis(redisServer)
  const servers = await createServersCpu({
    ...(databaseUrl !== undefined && { databaseUrl }),
    ...(redis && { redisUrl: redis.url }),
  })
  const load = os.loadavg()[0] ?? 0
  const side = await startSide({ name, processes, slots, embedded: embedded === true, redisUrl: redis?.url })
  try {
    await side.enqueue(count)
    const before = await servers.seconds()
    const { seconds, cpuSeconds } = await side.drain(count)
    const cpu = cpuSeconds + (await servers.seconds()) - before
    const latencies = processes === 1 ? await side.latencies(latencySamples) : []
    const at = (share: number): number | string =>
      latencies.length === 0 ? '' : round(latencies[Math.floor(share * (latencies.length - 1))] ?? 0, 1)
    return {
      what: name,
      processes,
      count,
      tasks_per_s: Math.round(count / seconds),
      cpu_ms: round((cpu * 1_000) / count, 3),
      ratio: '',
      start_p50_ms: at(0.5),
      start_p99_ms: at(0.99),
      load: round(load, 1),
    }
  } finally {
    await side.end()
    servers.close()
    redis?.client.disconnect()
  }
}

function addRatios(rows: Row[]): void {
  for (const row of rows) {
    const peer = rows.find(({ what, processes }) => what === 'bullmq' && processes === row['processes'])
    if (peer) row['ratio'] = round(Number(row['tasks_per_s']) / Number(peer['tasks_per_s']), 2)
  }
}

const round = (value: number, digits: number): number => Math.round(value * 10 ** digits) / 10 ** digits
