// The catalogue: what can happen, and where. Each fault begins, lasts, and is over when the rig is healed; what it does
// beyond breaking lines, freezing and ending processes it undoes itself.

import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Trouble } from '../harness/fault-proxy.ts'
import { processTree, sendSignal } from '../harness/process-tree.ts'
import {
  canFillDisk,
  maintainers,
  roleNames,
  skewFile,
  workers,
  type Rig,
  type RoleName,
  type ServerName,
} from './rig.ts'

export interface Fault {
  readonly name: string
  readonly what: string
  /** What it hurts: two faults of a pair hurt different things. */
  readonly hurts: 'api' | 'upload' | 'workers' | 'leader' | 'postgres' | 'redis' | 'store'
  /** Clients must not notice anything of it. */
  readonly isQuiet?: boolean
  /** It lasts too long to be one of a pair. */
  readonly isLong?: boolean
  /** Why it cannot be had on this machine. */
  readonly missing?: string
  /** Resolves when it has lasted long enough. */
  run(rig: Rig): Promise<void>
}

/** Of a task, a dispatch or a lead: processing/desk.ts, maintenance/leader.ts. */
const taskLeaseMs = 12_000
const leadMs = 6_000
const beyondMs = 3_000

// Processes of ours.

const kill = (
  name: string,
  what: string,
  hurts: Fault['hurts'],
  victims: (rig: Rig) => Promise<readonly RoleName[]>,
): Fault => ({
  name,
  what,
  hurts,
  isQuiet: hurts === 'workers' || hurts === 'leader',
  async run(rig) {
    const roles = await victims(rig)
    await Promise.all(roles.map((role) => rig.end(role, 'SIGKILL')))
    await Promise.all(roles.map((role) => rig.start(role)))
  },
})

const terminate = (
  name: string,
  what: string,
  hurts: Fault['hurts'],
  victims: (rig: Rig) => Promise<readonly RoleName[]>,
): Fault => ({
  ...kill(name, what, hurts, victims),
  async run(rig) {
    for (const role of await victims(rig)) {
      await rig.end(role, 'SIGTERM')
      await rig.start(role)
    }
  },
})

const freeze = (
  name: string,
  what: string,
  hurts: Fault['hurts'],
  { ms, victims }: { ms: number; victims: (rig: Rig) => Promise<readonly RoleName[]> },
): Fault => ({
  ...kill(name, what, hurts, victims),
  async run(rig) {
    const roles = await victims(rig)
    for (const role of roles) rig.freeze(role)
    await delay(ms)
    for (const role of roles) rig.thaw(role)
  },
})

const only =
  (...roles: readonly RoleName[]) =>
  async (): Promise<readonly RoleName[]> =>
    roles
const leading = async (rig: Rig): Promise<readonly RoleName[]> => [await rig.leader()]

const processFaults: readonly Fault[] = [
  kill('kill-api', 'kill -9 of the api', 'api', only('api')),
  kill('kill-upload', 'kill -9 of the upload role', 'upload', only('upload')),
  kill('kill-worker', 'kill -9 of a worker with its tasks', 'workers', only('worker-1')),
  kill('kill-workers', 'kill -9 of every worker', 'workers', only(...workers)),
  kill('kill-leader', 'kill -9 of the maintenance role that leads', 'leader', leading),
  kill('kill-maintenance', 'kill -9 of both maintenance roles', 'leader', only(...maintainers)),
  { ...kill('kill-all', 'kill -9 of every process of ours at once', 'api', only(...roleNames)), isQuiet: false },
  terminate('stop-api', 'SIGTERM of the api', 'api', only('api')),
  terminate('stop-upload', 'SIGTERM of the upload role', 'upload', only('upload')),
  terminate('stop-worker', 'SIGTERM of a worker, which hands back what it holds', 'workers', only('worker-1')),
  terminate('stop-leader', 'SIGTERM of the maintenance role that leads', 'leader', leading),
  {
    ...terminate('roll', 'every process is stopped and started, one after the other', 'api', only(...roleNames)),
    isLong: true,
    isQuiet: false,
  },
  freeze('freeze-api', 'the api stands still for 4 s', 'api', { ms: 4_000, victims: only('api') }),
  freeze('freeze-upload', 'the upload role stands still for 4 s', 'upload', { ms: 4_000, victims: only('upload') }),
  freeze('freeze-worker-short', 'a worker stands still for a third of its lease', 'workers', {
    ms: taskLeaseMs / 3,
    victims: only('worker-1'),
  }),
  freeze('freeze-worker-long', 'a worker stands still beyond its lease, and wakes up', 'workers', {
    ms: taskLeaseMs + beyondMs,
    victims: only('worker-1'),
  }),
  freeze('freeze-workers-long', 'both workers stand still beyond their leases', 'workers', {
    ms: taskLeaseMs + beyondMs,
    victims: only(...workers),
  }),
  freeze('freeze-leader-short', 'the leader stands still for half of its lead', 'leader', {
    ms: leadMs / 2,
    victims: leading,
  }),
  freeze('two-leaders', 'the leader stands still until another leads, and wakes up', 'leader', {
    ms: leadMs + beyondMs,
    victims: leading,
  }),
  {
    name: 'kill-child',
    what: 'the processes of running tasks are killed, three times',
    hurts: 'workers',
    isQuiet: true,
    async run(rig) {
      for (let time = 0; time < 3; time++) {
        for (const role of workers) for (const pid of childrenOf(rig, role)) sendSignal(pid, 'SIGKILL')
        await delay(500)
      }
    },
  },
  {
    name: 'freeze-child',
    what: 'the processes of running tasks stand still for 6 s',
    hurts: 'workers',
    isQuiet: true,
    async run(rig) {
      const pids = workers.flatMap((role) => childrenOf(rig, role))
      for (const pid of pids) sendSignal(pid, 'SIGSTOP')
      await delay(6_000)
      for (const pid of pids) sendSignal(pid, 'SIGCONT')
    },
  },
  skew('clock-ahead', 'a worker whose clock is ten minutes ahead', 600_000),
  skew('clock-behind', 'a worker whose clock is ten minutes behind', -600_000),
  {
    name: 'disk-full',
    what: 'the scratch disk of a worker is full for 5 s',
    hurts: 'workers',
    isQuiet: true,
    ...(!canFillDisk && { missing: 'a file system that is soon full is made by root on Linux only' }),
    async run(rig) {
      const ballast = path.join(rig.scratchOf('worker-1'), 'ballast')
      fill(ballast)
      await delay(5_000)
      rmSync(ballast)
    },
  },
]

/** All below the process of the worker itself. */
const childrenOf = (rig: Rig, role: RoleName): number[] =>
  rig.pidOf(role) === 0 ? [] : processTree(rig.pidOf(role)).slice(1)

function skew(name: string, what: string, ms: number): Fault {
  return {
    name,
    what,
    hurts: 'workers',
    isQuiet: true,
    async run(rig) {
      await rig.end('worker-1', 'SIGTERM')
      await rig.start('worker-1', { NODE_OPTIONS: `--import=${skewFile}`, MILLRACE_CHAOS_SKEW_MS: String(ms) })
      await delay(6_000)
      await rig.end('worker-1', 'SIGTERM')
      await rig.start('worker-1')
    },
  }
}

/** Until there is no room left. */
function fill(file: string): void {
  const piece = Buffer.alloc(1024 * 1024)
  const handle = openSync(file, 'w', 0o600)
  try {
    for (;;) writeSync(handle, piece)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
  } finally {
    closeSync(handle)
  }
}

// The servers.

const restart = (
  name: string,
  what: string,
  server: ServerName,
  { signal, downMs = 0 }: { signal: NodeJS.Signals; downMs?: number },
): Fault => ({
  name,
  what,
  hurts: server,
  isQuiet: server === 'redis',
  async run(rig) {
    await rig.servers.process(server).end(signal)
    await delay(downMs)
    await rig.servers.process(server).startAgain()
  },
})

const stand = (name: string, what: string, server: ServerName, ms: number): Fault => ({
  name,
  what,
  hurts: server,
  isQuiet: server === 'redis',
  async run(rig) {
    rig.servers.freeze(server)
    await delay(ms)
    rig.servers.thaw(server)
  },
})

const redisSays = (name: string, what: string, commands: readonly (readonly string[])[], pauseMs = 0): Fault => ({
  name,
  what,
  hurts: 'redis',
  isQuiet: true,
  async run(rig) {
    for (const command of commands) {
      await rig.servers.redis(...command)
      await delay(pauseMs)
    }
  },
})

const terminateSql = `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`

const serverFaults: readonly Fault[] = [
  redisSays('redis-flush', 'FLUSHALL, three times', [['FLUSHALL'], ['FLUSHALL'], ['FLUSHALL']], 700),
  redisSays('redis-full', 'Redis is out of memory for 5 s', [['CONFIG', 'SET', 'maxmemory', '1']], 5_000),
  redisSays('redis-scripts', 'Redis forgets its scripts', [['SCRIPT', 'FLUSH']]),
  redisSays(
    'redis-clients',
    'Redis ends every connection, three times',
    Array.from({ length: 3 }, () => ['CLIENT', 'KILL', 'TYPE', 'normal']),
    700,
  ),
  redisSays('redis-busy', 'Redis is busy with something else for 4 s', [['CLIENT', 'PAUSE', '4000']], 4_000),
  restart('redis-restart', 'kill -9 of Redis, which comes back empty', 'redis', { signal: 'SIGKILL' }),
  restart('redis-down', 'Redis is gone for 8 s', 'redis', { signal: 'SIGTERM', downMs: 8_000 }),
  stand('redis-frozen-short', 'Redis stands still for 2 s', 'redis', 2_000),
  stand('redis-frozen', 'Redis stands still for 10 s', 'redis', 10_000),
  restart('pg-restart', 'PostgreSQL is restarted (fast shutdown)', 'postgres', { signal: 'SIGINT' }),
  restart('pg-crash', 'PostgreSQL ends at once (immediate shutdown)', 'postgres', { signal: 'SIGQUIT' }),
  restart('pg-kill', 'kill -9 of PostgreSQL with all its processes, gone for 3 s', 'postgres', {
    signal: 'SIGKILL',
    downMs: 3_000,
  }),
  stand('pg-frozen-short', 'PostgreSQL stands still for 3 s', 'postgres', 3_000),
  stand('pg-frozen', 'PostgreSQL stands still beyond every lease', 'postgres', taskLeaseMs + beyondMs),
  {
    name: 'pg-terminate',
    what: 'PostgreSQL ends every connection, three times',
    hurts: 'postgres',
    async run(rig) {
      for (let time = 0; time < 3; time++) {
        await rig.servers.query(terminateSql)
        await delay(700)
      }
    },
  },
  {
    name: 'pg-read-only',
    what: 'PostgreSQL takes no writes for 4 s, as one that was demoted',
    hurts: 'postgres',
    async run(rig) {
      await rig.servers.query('alter database millrace_chaos set default_transaction_read_only = on')
      await rig.servers.query(terminateSql)
      await delay(4_000)
      await rig.servers.allowWrites()
      await rig.servers.query(terminateSql)
    },
  },
  {
    name: 'pg-locked',
    what: 'somebody holds the table of tasks for 5 s',
    hurts: 'postgres',
    run: (rig) => rig.servers.hold('lock table task in access exclusive mode', 5_000),
  },
  {
    name: 'pg-failover',
    what: 'PostgreSQL is killed, and its standby takes its place',
    hurts: 'postgres',
    run: (rig) => rig.failOver(),
  },
  restart('store-restart', 'kill -9 of the store', 'store', { signal: 'SIGKILL' }),
  stand('store-frozen', 'the store stands still for 6 s', 'store', 6_000),
]

// The lines between.

const slowDownBody = '<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
const slowDown = [
  'HTTP/1.1 503 Slow Down',
  'Content-Type: application/xml',
  `Content-Length: ${slowDownBody.length}`,
  'Connection: close',
  '',
  slowDownBody,
].join('\r\n')

interface Break {
  server: ServerName
  /** All of them when left out. */
  roles?: (rig: Rig) => Promise<readonly RoleName[]>
  trouble: Trouble | 'forget'
  ms: number
  hurts?: Fault['hurts']
  isQuiet?: boolean
}

const broken = (name: string, what: string, { server, roles, trouble, ms, hurts, isQuiet }: Break): Fault => ({
  name,
  what,
  hurts: hurts ?? server,
  isQuiet: isQuiet ?? server === 'redis',
  async run(rig) {
    const lines = roles ? (await roles(rig)).map((role) => rig.line(role, server)) : rig.lines(server)
    for (const line of lines) {
      if (trouble === 'forget') line.forget()
      else line.set(trouble)
    }
    await delay(ms)
    for (const line of lines) line.set(undefined)
  },
})

const lineFaults: readonly Fault[] = [
  broken('redis-slow', 'every answer of Redis is 300 ms late', {
    server: 'redis',
    trouble: { kind: 'slow', delayMs: 150 },
    ms: 6_000,
  }),
  broken('redis-cut-leader', 'the leader is cut off from Redis for 8 s', {
    server: 'redis',
    roles: leading,
    trouble: { kind: 'hang' },
    ms: 8_000,
  }),
  broken('redis-cut-worker', 'a worker is cut off from Redis for 8 s', {
    server: 'redis',
    roles: only('worker-1'),
    trouble: { kind: 'reset' },
    ms: 8_000,
  }),
  broken('redis-half-open', 'every connection to Redis is dead without a word', {
    server: 'redis',
    trouble: 'forget',
    ms: 3_000,
  }),
  broken('redis-one-way', 'the answers of Redis do not arrive for 6 s', {
    server: 'redis',
    trouble: { kind: 'hang', direction: 'down' },
    ms: 6_000,
  }),
  broken('pg-slow', 'every answer of PostgreSQL is 100 ms late', {
    server: 'postgres',
    trouble: { kind: 'slow', delayMs: 50 },
    ms: 6_000,
  }),
  broken('pg-reset', 'connections to PostgreSQL are refused for 4 s', {
    server: 'postgres',
    trouble: { kind: 'reset' },
    ms: 4_000,
  }),
  broken('pg-cut-worker', 'a worker is cut off from PostgreSQL beyond its leases', {
    server: 'postgres',
    roles: only('worker-1'),
    trouble: { kind: 'hang' },
    ms: taskLeaseMs + beyondMs,
    hurts: 'workers',
    isQuiet: true,
  }),
  broken('pg-cut-leader', 'the leader is cut off from PostgreSQL until another leads', {
    server: 'postgres',
    roles: leading,
    trouble: { kind: 'hang' },
    ms: leadMs + beyondMs,
    hurts: 'leader',
    isQuiet: true,
  }),
  broken('pg-cut-api', 'the api is cut off from PostgreSQL for 5 s', {
    server: 'postgres',
    roles: only('api'),
    trouble: { kind: 'hang' },
    ms: 5_000,
    hurts: 'api',
  }),
  broken('pg-cut-upload', 'the upload role is cut off from PostgreSQL for 5 s', {
    server: 'postgres',
    roles: only('upload'),
    trouble: { kind: 'reset' },
    ms: 5_000,
    hurts: 'upload',
  }),
  broken(
    'pg-one-way-worker',
    'a worker reaches PostgreSQL and does not hear it, for 5 s: commits whose answers are lost',
    {
      server: 'postgres',
      roles: only('worker-1'),
      trouble: { kind: 'hang', direction: 'down' },
      ms: 5_000,
      hurts: 'workers',
      isQuiet: true,
    },
  ),
  broken('pg-half-open', 'every connection of a worker and of the leader to PostgreSQL is dead without a word', {
    server: 'postgres',
    roles: async (rig) => ['worker-1', await rig.leader()],
    trouble: 'forget',
    ms: 2_000,
    hurts: 'workers',
    isQuiet: true,
  }),
  broken('store-503', 'the store answers 503 Slow Down for 5 s', {
    server: 'store',
    trouble: { kind: 'answer', bytes: slowDown },
    ms: 5_000,
  }),
  broken('store-hang', 'the store does not answer for 6 s', { server: 'store', trouble: { kind: 'hang' }, ms: 6_000 }),
  broken('store-reset', 'connections to the store are refused for 5 s', {
    server: 'store',
    trouble: { kind: 'reset' },
    ms: 5_000,
  }),
  broken('store-cut', 'answers of the store end in the middle for 5 s', {
    server: 'store',
    trouble: { kind: 'cut', afterBytes: 500 },
    ms: 5_000,
  }),
  broken('store-slow', 'every answer of the store is 500 ms late', {
    server: 'store',
    trouble: { kind: 'slow', delayMs: 250 },
    ms: 6_000,
    isQuiet: true,
  }),
  broken('store-one-way', 'the answers of the store do not arrive for 5 s', {
    server: 'store',
    trouble: { kind: 'hang', direction: 'down' },
    ms: 5_000,
  }),
  broken('store-cut-worker', 'a worker is cut off from the store for 6 s', {
    server: 'store',
    roles: only('worker-1'),
    trouble: { kind: 'reset' },
    ms: 6_000,
    hurts: 'workers',
    isQuiet: true,
  }),
  broken('store-cut-upload', 'the upload role is cut off from the store for 5 s', {
    server: 'store',
    roles: only('upload'),
    trouble: { kind: 'hang' },
    ms: 5_000,
    hurts: 'upload',
  }),
]

export const faults: readonly Fault[] = [...processFaults, ...serverFaults, ...lineFaults]
