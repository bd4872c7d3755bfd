// Database on a PostgreSQL server (15 or newer), directly or through PgBouncer in transaction mode.

import { createHash } from 'node:crypto'
import pg from 'pg'
import {
  queryTimeoutMsDefault,
  retryConflicts,
  sqlState,
  settingSql,
  tenantScope,
  type Database,
  type QueryResult,
  type Setting,
  type Tx,
  type TxOptions,
} from './database.ts'
import type { Log } from './log.ts'
import { connectionOf, transactionOn } from './postgres-transaction.ts'
import { Problem } from './problem.ts'

export interface PostgresOptions {
  url: string
  log: Log
  connectionsMax?: number
  /** Named prepared statements; off for a PgBouncer older than 1.21 in transaction mode. */
  prepare?: boolean
  applicationName?: string
}

const connectTimeoutMs = 5_000
const connectionsMaxDefault = 10
const keepAliveMs = 10_000

const int8Oid: number = 20
const int8ArrayOid: number = 1016 // Missing from the driver's list of types.
const parseInt8Array = (text: string): number[] => (text === '{}' ? [] : text.slice(1, -1).split(',').map(Number))
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid, format) => {
    const number: number = oid
    if (number === int8Oid) return Number
    if (number === int8ArrayOid) return parseInt8Array
    return pg.types.getTypeParser(oid, format)
  },
}

/**
 * Connects once, to learn the version. Throws Problem('setting_invalid') when the server refuses the user, password or
 * database of the URL, and Problem('database_unavailable') when nobody answers.
 */
export async function openPostgres(options: PostgresOptions): Promise<Database> {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.connectionsMax ?? connectionsMaxDefault,
    connectionTimeoutMillis: connectTimeoutMs,
    // A connection that died without a word while it lay idle is found before somebody is lent it.
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    idleTimeoutMillis: 30_000,
    application_name: options.applicationName ?? 'millrace',
    // A statement need not wait for the answers to those before it: see transactionOn.
    pipeline: true,
    // The driver's own read timeout is off: it would leave the connection waiting. lend() throws the connection away instead.
    types,
  })
  pool.on('error', (error) => options.log.warn('database.connection_lost', { error: error.message }))
  // A lent connection that breaks emits too; whoever holds it learns of it from the query that fails.
  pool.on('connect', (client) => client.on('error', () => {}))
  const prepare = options.prepare ?? true
  const names = new Map<string, string>()

  const nameOf = (text: string): string => {
    let name = names.get(text)
    if (name === undefined) names.set(text, (name = createHash('sha1').update(text).digest('hex').slice(0, 24)))
    return name
  }

  const run = async <Row extends object>(
    client: pg.PoolClient,
    text: string,
    values: readonly unknown[] | undefined,
  ): Promise<QueryResult<Row>> => {
    const config = { text, values: [...(values ?? [])], ...(prepare && values ? { name: nameOf(text) } : {}) }
    const result = await client.query<Row & pg.QueryResultRow>(config)
    return { rows: result.rows, rowCount: result.rowCount ?? 0 }
  }

  /** Lends a connection; a deadline or a broken connection destroys it, any other outcome gives it back. */
  async function lend<T>(timeoutMs: number, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await pool.connect().catch((error: unknown) => {
      throw unavailable(error)
    })
    let late = false
    const timer = setTimeout(() => {
      late = true
      // The driver would wait for the answers that are still due.
      connectionOf(client).stream.destroy()
      client.release(new Error('deadline'))
    }, timeoutMs)
    try {
      const value = await work(client)
      if (!late) client.release()
      return value
    } catch (error) {
      if (late) throw new Problem('database_unavailable', { detail: `No answer within ${timeoutMs} ms.`, cause: error })
      const broken = sqlState(error) === undefined && !(error instanceof Problem) && isConnectionError(error)
      client.release(broken || isDemoted(error))
      throw broken || isDemoted(error) || isShutdown(error) ? unavailable(error) : error
    } finally {
      clearTimeout(timer)
    }
  }

  const transaction = <T>(
    scope: readonly Setting[],
    work: (tx: Tx) => Promise<T>,
    txOptions: TxOptions & { alone?: boolean } = {},
  ): Promise<T> => {
    const { timeoutMs = queryTimeoutMsDefault, settings = [], alone = false } = txOptions
    return retryConflicts(() =>
      lend(timeoutMs, (client) =>
        transactionOn(client, {
          opening: `begin; ${settingSql([...serverSideBounds(timeoutMs), ...settings, ...scope])}`,
          work,
          alone,
          run: (text, values) => run(client, text, values),
        }),
      ),
    )
  }

  const version = await lend(connectTimeoutMs, async (client) => {
    const { rows } = await client.query<{ server_version: string }>('show server_version')
    return rows[0]?.server_version.split(' ')[0] ?? 'unknown'
  }).catch(async (error: unknown) => {
    await pool.end()
    throw explainRefusal(error)
  })

  return {
    kind: 'postgres',
    durability: 'every acknowledged write is on disk (fsync)',
    version,
    query: <Row extends object>(text: string, values?: readonly unknown[]) =>
      lend(queryTimeoutMsDefault, (client) => run<Row>(client, text, values)),
    withTenant: (tenantId, work, txOptions) => transaction(tenantScope(tenantId), work, txOptions),
    ofTenant: (tenantId) => ({
      query: (text, values) => transaction(tenantScope(tenantId), (tx) => tx.query(text, values), { alone: true }),
    }),
    ofSystem: (settings) => ({
      query: (text, values) => transaction([], (tx) => tx.query(text, values), { alone: true, settings }),
    }),
    asSystem: (work, txOptions) => transaction([], work, txOptions),
    script: async (text) => void (await lend(10 * 60_000, (client) => client.query(text))),
    close: () => pool.end(),
  }
}

/**
 * Our own deadline comes first. These are for when the server does not hear of it: a line that is down tells nobody that
 * the connection was thrown away, and what the transaction has locked would stay so for hours.
 */
const serverSideBounds = (timeoutMs: number): Setting[] => [
  ['statement_timeout', `${timeoutMs}`],
  ['idle_in_transaction_session_timeout', `${timeoutMs}`],
]

const isShutdown = (error: unknown): boolean =>
  ['57P01', '57P02', '57P03', '08006', '08003', '53100', '53200', '53300'].includes(sqlState(error) ?? '')

/** It takes no writes, as a primary that has become a standby; a new connection may lead to the one in its place. */
const isDemoted = (error: unknown): boolean => sqlState(error) === '25006'

const isConnectionError = (error: unknown): boolean =>
  error instanceof Error &&
  (('code' in error && /^E[A-Z]+$/.test(String(error.code))) ||
    /terminated|closed|ended|not queryable/i.test(error.message))

const unavailable = (cause: unknown): Problem => new Problem('database_unavailable', { cause })

/** Why the first connection failed, in words about the setting; the driver's message carries no password. */
function explainRefusal(error: unknown): unknown {
  const cause = error instanceof Problem ? error.cause : error
  if (!(cause instanceof Error)) return error
  const refused = /^(?:28|3D)/.test(sqlState(cause) ?? '')
  const reason =
    cause instanceof AggregateError ? cause.errors.map((each) => (each as Error).message).join('; ') : cause.message
  return new Problem(refused ? 'setting_invalid' : 'database_unavailable', {
    detail: `DATABASE_URL: ${reason}.`,
    cause,
  })
}
