// The servers of the rig and what can happen to them. PostgreSQL acknowledges a commit once the system has it, so that
// killing it loses nothing; a standby takes its place with every acknowledged commit, because commits wait for it.

import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { createBucket } from '../harness/servers/s3.ts'
import { signalTree } from '../harness/process-tree.ts'
import { postgres15 } from '../harness/servers/postgres-15.ts'
import { postgres18 } from '../harness/servers/postgres-18.ts'
import { seaweedfs } from '../harness/servers/seaweedfs.ts'
import type { ServerProcess } from '../harness/servers/server-process.ts'
import { valkey } from '../harness/servers/valkey.ts'
import { versitygw } from '../harness/servers/versitygw.ts'

const postgresServers = { '15': postgres15, '18': postgres18 } as const
const stores = { seaweedfs, versitygw } as const

export interface ServersChoice {
  postgres: keyof typeof postgresServers
  store: keyof typeof stores
}

// Keys of literal objects are their own.
export const postgresVersions = Object.keys(postgresServers) as ServersChoice['postgres'][]
export const storeNames = Object.keys(stores) as ServersChoice['store'][]

type Name = 'postgres' | 'redis' | 'store'

export interface Servers {
  /** Where each listens now. */
  portOf(server: Name): number
  /** The product's settings, over these ports. */
  settings(ports: Record<Name, number>): Record<string, string>
  process(server: Name): ServerProcess
  freeze(server: Name): void
  thaw(server: Name): void
  /** Kills the database after a standby has followed it, and puts that in its place. */
  failOver(moveTo: (port: number) => void): Promise<void>
  /** In the product's database, past all lines. */
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
  /** Runs a statement in a transaction that stays open for so long. */
  hold(statement: string, forMs: number): Promise<void>
  /** Takes back that the database takes no writes. */
  allowWrites(): Promise<void>
  redis(...words: string[]): Promise<string>
  /** The bucket, past all lines. */
  readonly storeUrl: string
  /** Starts what has ended, thaws what is frozen, and takes back settings: of all servers, so it ends every fault. */
  heal(): Promise<void>
  close(): Promise<void>
}

const databaseName = 'millrace_chaos'
const queryDeadlineMs = 20_000
const standbyDeadlineMs = 30_000

export async function openServers(choice: ServersChoice): Promise<Servers> {
  let [database, redis, store] = await Promise.all([
    postgresServers[choice.postgres].start({ survivesKill: true }),
    valkey.start(),
    stores[choice.store].start(),
  ])
  const storeUrl = await createBucket(store.url, databaseName.replaceAll('_', '-'))
  const retired: { stop: () => Promise<void> }[] = []
  const ended = new Set<Name>()
  const redisPort = Number(new URL(redis.url).port)
  const storePort = Number(new URL(new URL(store.url).searchParams.get('endpoint') ?? '').port)

  const processOf = (server: Name): ServerProcess => ({ postgres: database, redis, store })[server].process

  const urlOf = (name: string, port = database.port): string => `postgres://millrace@127.0.0.1:${port}/${name}`
  async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({
      connectionString: url,
      query_timeout: queryDeadlineMs,
      connectionTimeoutMillis: 5_000,
    })
    client.on('error', () => {})
    await client.connect()
    try {
      return await work(client)
    } finally {
      await client.end().catch(() => undefined)
    }
  }
  const query: Servers['query'] = (text, values) =>
    withClient(urlOf(databaseName), async (client) => (await client.query(text, values)).rows)

  await withClient(urlOf('postgres'), (client) => client.query(`create database ${databaseName}`))

  const redisCommand: Servers['redis'] = (...words) =>
    new Promise((resolve, reject) => {
      const socket = connect(redisPort, '127.0.0.1', () => socket.write(`${words.join(' ')}\r\n`))
      socket.setTimeout(5_000, () => socket.destroy(new Error('Redis does not answer')))
      socket.once('data', (answer) => {
        resolve(answer.toString().trim())
        socket.destroy()
      })
      socket.once('error', reject)
    })

  async function failOver(moveTo: (port: number) => void): Promise<void> {
    const standby = await database.startStandby()
    await withClient(urlOf('postgres'), async (client) => {
      await client.query(`alter system set synchronous_standby_names = '*'`)
      await client.query('select pg_reload_conf()')
      const deadline = Date.now() + standbyDeadlineMs
      for (;;) {
        const { rowCount } = await client.query(
          `select from pg_stat_replication where sync_state = 'sync' and state = 'streaming'`,
        )
        if (rowCount === 1) return
        if (Date.now() > deadline) throw new Error('the standby does not follow')
        await delay(50)
      }
    })
    // Commits that wait for the standby pass with it.
    await delay(1_000)
    await database.process.end('SIGKILL')
    await withClient(urlOf('postgres', standby.port), (client) => client.query('select pg_promote(true, 30)'))
    retired.push(database)
    database = standby
    moveTo(standby.port)
  }

  async function allowWrites(): Promise<void> {
    const [setting] = await query<{ read_only: string }>(
      `select current_setting('default_transaction_read_only') as read_only`,
    )
    if (setting?.read_only === 'on')
      await query(`begin read write; alter database ${databaseName} reset default_transaction_read_only; commit`)
  }

  return {
    storeUrl,
    portOf: (server) => ({ postgres: database.port, redis: redisPort, store: storePort })[server],
    settings(ports) {
      const objectStore = new URL(storeUrl)
      objectStore.searchParams.set('endpoint', `http://127.0.0.1:${ports.store}`)
      return {
        DATABASE_URL: urlOf(databaseName, ports.postgres),
        REDIS_URL: `redis://127.0.0.1:${ports.redis}/0`,
        OBJECT_STORE: objectStore.href,
      }
    },
    process: (server) => ({
      ...processOf(server),
      async end(signal) {
        ended.add(server)
        await processOf(server).end(signal)
      },
      async startAgain() {
        ended.delete(server)
        await processOf(server).startAgain()
      },
    }),
    freeze: (server) => signalTree(processOf(server).pid(), 'SIGSTOP'),
    thaw: (server) => signalTree(processOf(server).pid(), 'SIGCONT'),
    failOver,
    query,
    hold: (statement, forMs) =>
      withClient(urlOf(databaseName), async (client) => {
        await client.query('begin')
        await client.query(statement)
        await delay(forMs)
        await client.query('rollback')
      }),
    allowWrites,
    redis: redisCommand,
    async heal() {
      for (const server of ['postgres', 'redis', 'store'] as const) {
        if (ended.delete(server)) await processOf(server).startAgain()
        else signalTree(processOf(server).pid(), 'SIGCONT')
      }
      await redisCommand('CONFIG', 'SET', 'maxmemory', '0')
      await allowWrites()
    },
    async close() {
      for (const server of ['postgres', 'redis', 'store'] as const) signalTree(processOf(server).pid(), 'SIGCONT')
      await Promise.all([database, redis, store, ...retired].map((server) => server.stop()))
    },
  }
}
