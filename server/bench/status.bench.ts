// P10: how fast is a status query while 10,000 watchers hold event streams on the same process, and what does a
// watcher cost? Status queries come at a fixed rate whether or not earlier ones have been answered, so that a stall
// shows; the same rate without a watcher, in the same run, is the measure to compare with.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import type { Benchmark, Row } from './benchmark.ts'
import type { Order, Report } from './status/server.ts'

const watchersWanted = 10_000
const queriesPerSecond = 100
const eventsPerSecond = 100
const measuredSeconds = 15
const connectsAtOnce = 100

export const benchmark: Benchmark = {
  name: 'status',
  summary: `status query while ${watchersWanted} event streams are open on one process; memory per watcher`,
  run: async (): Promise<{ rows: Row[] }> => {
    const server = await startServer()
    const agent = new http.Agent({ keepAlive: true, maxSockets: 50 })
    try {
      await measure(server, agent, 2) // Warms up.
      const quiet = await measure(server, agent, measuredSeconds)
      const before = await server.figures()
      const watchers = await openWatchers(server)
      await pause(1_000)
      const idle = await server.figures()
      const still = await measure(server, agent, measuredSeconds)
      server.tell({ kind: 'events', perSecond: eventsPerSecond })
      const busy = await measure(server, agent, measuredSeconds)
      server.tell({ kind: 'events', perSecond: 0 })
      await pause(1_000)
      const after = await server.figures()
      const perWatcher = (idle.residentBytes - before.residentBytes) / idle.watchers
      const row = (what: string, figures: Latency, more: Row = {}): Row => ({
        what,
        database: server.database,
        ...figures,
        ...more,
      })
      return {
        rows: [
          row('no watchers', quiet),
          row('watchers, quiet', still, {
            watchers: idle.watchers,
            kb_per_watcher: round(perWatcher / 1_000),
            heap_kb_per_watcher: round((idle.heapBytes - before.heapBytes) / idle.watchers / 1_000),
          }),
          row(`watchers, ${eventsPerSecond} events/s`, busy, {
            watchers: after.watchers,
            kb_per_watcher: round((after.residentBytes - before.residentBytes) / Math.max(1, after.watchers) / 1_000),
            events_inserted: after.eventsCount,
            events_delivered: watchers.delivered(),
          }),
        ],
      }
    } finally {
      agent.destroy()
      await server.end()
    }
  },
}

interface Server {
  url: URL
  key: string
  jobIds: string[]
  database: string
  tell(order: Order): void
  figures(): Promise<Extract<Report, { kind: 'figures' }>>
  end(): Promise<void>
}

async function startServer(): Promise<Server> {
  const child = fork(new URL('status/server.ts', import.meta.url), { execArgv: [...process.execArgv, '--expose-gc'] })
  const exited = once(child, 'exit')
  const next = async <Kind extends Report['kind']>(kind: Kind): Promise<Extract<Report, { kind: Kind }>> => {
    const [report] = (await Promise.race([once(child, 'message'), exited])) as [Report]
    if (report?.kind !== kind) throw new Error(`the server answered ${JSON.stringify(report)} instead of ${kind}`)
    return report as Extract<Report, { kind: Kind }>
  }
  const ready = await next('ready')
  const tell = (order: Order): void => void child.send(order)
  return {
    ...ready,
    url: new URL(ready.url),
    tell,
    async figures() {
      tell({ kind: 'figures' })
      return next('figures')
    },
    async end() {
      if (child.connected) tell({ kind: 'end' })
      await exited
    },
  }
}

interface Latency extends Row {
  queries: number
  failed: number
  p50_ms: number
  p99_ms: number
  max_ms: number
}

/** Asks for jobs at a fixed rate; a latency counts from when the query was due. */
async function measure(server: Server, agent: http.Agent, seconds: number): Promise<Latency> {
  const latenciesMs: number[] = []
  let failed = 0
  const pending: Promise<void>[] = []
  const startMs = performance.now()
  for (let n = 0; n < seconds * queriesPerSecond; n++) {
    const dueMs = startMs + (n * 1_000) / queriesPerSecond
    const waitMs = dueMs - performance.now()
    if (waitMs > 0) await pause(waitMs)
    pending.push(
      get(server, agent, `/api/v1/jobs/${server.jobIds[(n * 7) % server.jobIds.length]}`).then(
        (status) => {
          if (status !== 200) failed++
          latenciesMs.push(performance.now() - dueMs)
        },
        () => void failed++,
      ),
    )
  }
  await Promise.all(pending)
  latenciesMs.sort((a, b) => a - b)
  const at = (share: number): number => round(latenciesMs[Math.floor((latenciesMs.length - 1) * share)] ?? NaN)
  return { queries: latenciesMs.length, failed, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1) }
}

const optionsOf = (server: Server, path: string) => ({
  hostname: server.url.hostname,
  port: server.url.port,
  path,
  headers: { authorization: `Bearer ${server.key}` },
})

const get = (server: Server, agent: http.Agent, path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const request = http.get({ ...optionsOf(server, path), agent }, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode ?? 0))
    })
    request.once('error', reject)
  })

/** Ten watchers per job, opened a few at a time. Stops at the limit on open files, and says so in the count. */
async function openWatchers(server: Server): Promise<{ delivered(): number }> {
  let delivered = 0
  const open = (n: number): Promise<boolean> =>
    new Promise((resolve) => {
      const path = `/api/v1/jobs/${server.jobIds[n % server.jobIds.length]}/events`
      const request = http.get({ ...optionsOf(server, path), agent: false }, (response) => {
        response.on('data', (chunk: Buffer) => {
          for (let at = chunk.indexOf('data:'); at >= 0; at = chunk.indexOf('data:', at + 5)) delivered++
        })
        resolve(response.statusCode === 200)
      })
      request.on('error', () => resolve(false))
    })
  for (let n = 0; n < watchersWanted; n += connectsAtOnce) {
    const opened = await Promise.all(Array.from({ length: connectsAtOnce }, (_, i) => open(n + i)))
    if (opened.includes(false)) break
  }
  return { delivered: () => delivered }
}

const round = (value: number): number => Math.round(value * 10) / 10
