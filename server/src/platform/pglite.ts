// Database in this process: PGlite, PostgreSQL compiled to WebAssembly. One session, so transactions take turns;
// no fsync, so it survives the death of the process but not a power cut.

import { PGlite } from '@electric-sql/pglite'
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm'
import { createPreparedStatements } from './pglite-statements.ts'
import {
  retryConflicts,
  tenantScope,
  type Database,
  type QueryResult,
  type Setting,
  type Sql,
  type Tx,
} from './database.ts'
import { createTransactionGuard } from './transaction-guard.ts'

export interface PgliteOptions {
  /** Folder of the data; in memory when left out. */
  directory?: string
  /** A dump made by dumpDataDir, to start from. */
  loadDataDir?: Blob
}

const int8Oid = 20
const parsers = { [int8Oid]: Number }

/** Names and values as parameters, so that it is prepared once for all tenants. */
const settingStatement = (count: number): string =>
  `select ${Array.from({ length: count }, (_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, true)`).join(', ')}`

export async function openPglite(options: PgliteOptions = {}): Promise<Database & { dump(): Promise<Blob> }> {
  const db = await PGlite.create({
    ...(options.directory === undefined ? {} : { dataDir: options.directory }),
    ...(options.loadDataDir === undefined ? {} : { loadDataDir: options.loadDataDir }),
    extensions: { pg_trgm },
    parsers,
  })

  const statements = createPreparedStatements(db)
  const sqlOn = (target: Pick<PGlite, 'query'>, scope: 'transaction' | 'alone'): Sql => ({
    async query<Row extends object>(text: string, values?: readonly unknown[]): Promise<QueryResult<Row>> {
      const result = values ? await statements.run<Row>(text, values, scope) : await target.query<Row>(text)
      return { rows: result.rows, rowCount: result.rows.length || (result.affectedRows ?? 0) }
    },
  })

  const transaction = <T>(settings: readonly Setting[], work: (tx: Tx) => Promise<T>): Promise<T> =>
    retryConflicts(() =>
      db.transaction(async (raw) => {
        if (settings.length > 0) await statements.run(settingStatement(settings.length), settings.flat(), 'transaction')
        const sql = sqlOn(raw, 'transaction')
        const guard = createTransactionGuard()
        const failures: unknown[] = []
        const sent: Promise<unknown>[] = []
        const tx: Tx = {
          kind: 'transaction',
          query: (text, values) => guard.run(() => sql.query(text, values)),
          send(text, values) {
            guard.requireOpen()
            sent.push(sql.query(text, values).catch((error: unknown) => failures.push(error)))
          },
        }
        const [outcome] = await Promise.allSettled([work(tx)])
        guard.end()
        await Promise.all(sent)
        // Every statement after it has failed too, and none of them says why.
        if (failures.length > 0) throw failures[0]
        if (outcome.status === 'rejected') throw outcome.reason
        guard.requireWhole()
        return outcome.value
      }),
    )

  const { rows } = await db.query<{ server_version: string }>('show server_version')
  return {
    kind: 'pglite',
    durability: 'survives a crash of the process, not a power cut (no fsync); meant for one machine and for trying out',
    version: rows[0]?.server_version.split(' ')[0] ?? 'unknown',
    ...sqlOn(db, 'alone'),
    withTenant: (tenantId, work, { settings = [] } = {}) => transaction([...settings, ...tenantScope(tenantId)], work),
    ofTenant: (tenantId) => ({
      query: (text, values) => transaction(tenantScope(tenantId), (tx) => tx.query(text, values)),
    }),
    ofSystem: (settings) => ({ query: (text, values) => transaction(settings, (tx) => tx.query(text, values)) }),
    asSystem: (work, { settings = [] } = {}) => transaction(settings, work),
    script: async (text) => {
      await db.exec(text)
      await statements.forget()
    },
    close: () => db.close(),
    dump: () => db.dumpDataDir('none'),
  }
}
