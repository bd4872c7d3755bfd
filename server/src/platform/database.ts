// The one way to the database. Features reach it through withTenant, which drops to a role that sees a single
// tenant; the installation's own duties (engine, migrations, sign-in) use asSystem and query.

import { Problem } from './problem.ts'

export interface QueryResult<Row> {
  rows: Row[]
  /** Rows returned, or affected by a statement that returns none. */
  rowCount: number
}

/** Something that runs statements. Pass JSON values as JSON.stringify text: drivers read a JS array as an SQL array. */
export interface Sql {
  query<Row extends object = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
  ): Promise<QueryResult<Row>>
}

/** A transaction. It ends when the function that received it does: committed, or rolled back when it throws. */
export interface Tx extends Sql {
  readonly kind: 'transaction'
  /**
   * Runs a statement whose answer nobody needs, without a trip of its own: it goes with the next statement or with the
   * commit, in order. When it fails, so does the transaction.
   */
  send(text: string, values: readonly unknown[]): void
}

export interface TxOptions {
  /** Client-side bound on the whole transaction; the connection is thrown away when it passes. */
  timeoutMs?: number
  /** What holds in it beside what belongs to its kind. */
  settings?: readonly Setting[]
}

/**
 * Every call has a client-side deadline and throws Problem('database_unavailable') when it passes or the server is
 * gone; whether a commit that was cut happened is then unknown. A transaction that loses a deadlock or a
 * serialization conflict is run again, so its function must have no effect outside the transaction.
 * bigint columns arrive as numbers (ids stay below 2^53), timestamps as Date, json as parsed values.
 */
export interface Database extends Sql {
  readonly kind: 'postgres' | 'pglite'
  /** What survives what, in one line for people. */
  readonly durability: string
  /** Server version, e.g. "18.1". */
  readonly version: string
  withTenant<T>(tenantId: number, work: (tx: Tx) => Promise<T>, options?: TxOptions): Promise<T>
  /** A tenant's view for single statements, each a transaction of its own and one trip to the server. */
  ofTenant(tenantId: number): Sql
  /** The installation's view for single statements that need settings, the same way. */
  ofSystem(settings: readonly Setting[]): Sql
  asSystem<T>(work: (tx: Tx) => Promise<T>, options?: TxOptions): Promise<T>
  /** Runs a script of several statements, outside any transaction of ours. */
  script(text: string): Promise<void>
  close(): Promise<void>
}

export const queryTimeoutMsDefault = 30_000
export const deadlockRetriesMax = 5

/** SQLSTATE of a database error, whichever driver threw it. */
export const sqlState = (error: unknown): string | undefined => {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

/** The server is away, out of room (53) or out of time (57): not the fault of what a statement was given. */
export const isOutage = (error: unknown): boolean =>
  (error instanceof Problem && error.code === 'database_unavailable') || /^5[37]/.test(sqlState(error) ?? '')

export const isUniqueViolation = (error: unknown): boolean => sqlState(error) === '23505'

const conflictStates = new Set(['40001', '40P01'])

/** Runs the transaction again when the server chose it as the victim of a deadlock or conflict. */
export async function retryConflicts<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run()
    } catch (error) {
      if (attempt >= deadlockRetriesMax || !conflictStates.has(sqlState(error) ?? '')) throw error
    }
  }
}

/** Name and value of a setting; neither is quoted here. */
export type Setting = readonly [name: string, value: string]

/** For the transaction that runs it. */
export const settingSql = (settings: readonly Setting[]): string =>
  `select ${settings.map(([name, value]) => `set_config('${name}', '${value}', true)`).join(', ')}`

/** Opens a tenant's view inside a transaction; settings and role end with it, so nothing leaks through a pooler. */
export const tenantScope = (tenantId: number): Setting[] => {
  if (!Number.isSafeInteger(tenantId)) throw new TypeError('A tenant id is an integer')
  return [
    ['app.tenant_id', `${tenantId}`],
    ['role', 'millrace_app'],
  ]
}
