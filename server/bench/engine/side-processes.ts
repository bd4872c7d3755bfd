import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Order, Report } from './process.ts'
import type { SideName } from './sides.ts'

interface Progress {
  count: number
  cpuSeconds: number
}
/** Longer than any side takes; a side that stands still is told of instead of being waited for. */
const drainMsMax = 50_000

export async function startSide(options: {
  name: SideName
  processes: number
  slots: number
  /** Without a server, whatever the environment says. */
  embedded: boolean
  redisUrl: string | undefined
}) {
  const children: { child: ChildProcess; progress: Progress; exited: Promise<unknown> }[] = []
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    ...(options.redisUrl !== undefined && { MILLRACE_BENCH_REDIS_URL: options.redisUrl }),
  }
  if (options.embedded) delete env['MILLRACE_TEST_DATABASE_URL']

  const next = async <Kind extends Report['kind']>(
    { child, exited }: (typeof children)[number],
    kind: Kind,
  ): Promise<Extract<Report, { kind: Kind }>> => {
    const heard = new Promise<Report>((resolve) => {
      const listen = (report: Report): void => {
        if (report.kind !== kind) return
        child.off('message', listen)
        resolve(report)
      }
      child.on('message', listen)
    })
    const ended = exited.then(() => {
      throw new Error('a process of it has ended')
    })
    return (await Promise.race([heard, ended])) as Extract<Report, { kind: Kind }> // Only that kind resolves it.
  }
  const order = async (entry: (typeof children)[number], what: Order): Promise<void> => {
    const done = next(entry, 'done')
    entry.child.send(what)
    await done
  }

  let databaseUrl: string | undefined
  for (let index = 0; index < options.processes; index++) {
    const words = [options.name, String(options.slots), ...(databaseUrl === undefined ? [] : [databaseUrl])]
    const child = fork(new URL('process.ts', import.meta.url), words, {
      env,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    const entry = { child, progress: { count: 0, cpuSeconds: 0 }, exited: once(child, 'exit') }
    child.on('message', (report: Report) => {
      if (report.kind === 'progress') entry.progress = report
    })
    children.push(entry)
    databaseUrl ??= (await next(entry, 'ready')).databaseUrl
  }
  const [first] = children
  if (first === undefined) throw new Error('a side needs a process')
  const sum = (of: keyof Progress): number => children.reduce((total, { progress }) => total + progress[of], 0)

  return {
    enqueue: (count: number) => order(first, { kind: 'enqueue', count }),
    /** Starts all processes and waits until as many tasks are done. */
    async drain(count: number) {
      const startMs = performance.now()
      await Promise.all(children.map((entry) => order(entry, { kind: 'work' })))
      while (sum('count') < count) {
        if (performance.now() - startMs > drainMsMax)
          throw new Error(`${sum('count')} of ${count} tasks in ${drainMsMax} ms`)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      return { seconds: (performance.now() - startMs) / 1_000, cpuSeconds: sum('cpuSeconds') }
    },
    /** Sorted. */
    async latencies(samples: number): Promise<number[]> {
      const answer = next(first, 'latencies')
      first.child.send({ kind: 'latency', samples } satisfies Order)
      return (await answer).ms.toSorted((a, b) => a - b)
    },
    async end(): Promise<void> {
      // The first has made the database and drops it, so it goes last.
      for (const { child, exited } of children.toReversed()) {
        if (child.connected) child.send({ kind: 'end' } satisfies Order)
        await exited
      }
    },
  }
}
