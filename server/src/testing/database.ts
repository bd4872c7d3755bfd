// Databases for tests: an own, freshly migrated one per test file. On a real server (MILLRACE_TEST_DATABASE_URL) it is
// cloned from a template; without one it is PGlite in memory. Tests run in parallel and in any order.

import { createHash, randomBytes } from 'node:crypto'
import type { Database } from '../platform/database.ts'
import { silentLog } from '../platform/log.ts'
import { migrate, readMigrations } from '../platform/migrate.ts'
import { openPglite } from '../platform/pglite.ts'
import { openPostgres } from '../platform/postgres.ts'

export interface TestDatabase {
  database: Database
  /** Connection string, when it is a real server. */
  url: string | undefined
  drop(): Promise<void>
}

export const testDatabaseUrl = (): string | undefined => process.env['MILLRACE_TEST_DATABASE_URL']

export async function createTestDatabase(): Promise<TestDatabase> {
  const serverUrl = testDatabaseUrl()
  if (serverUrl === undefined) {
    const database = await openPglite()
    await migrate(database)
    return { database, url: undefined, drop: () => database.close() }
  }
  const name = `test_${randomBytes(6).toString('hex')}`
  const server = await openPostgres({ url: serverUrl, log: silentLog, connectionsMax: 1 })
  const template = await ensureTemplate(server, serverUrl)
  await server.script(`create database ${name} template ${template}`)
  const url = databaseUrl(serverUrl, name)
  const database = await openPostgres({ url, log: silentLog })
  return {
    database,
    url,
    async drop() {
      await database.close()
      await server.script(`drop database if exists ${name} with (force)`)
      await server.close()
    },
  }
}

async function ensureTemplate(server: Database, serverUrl: string): Promise<string> {
  const checksums = (await readMigrations()).map((migration) => migration.checksum).join()
  const name = `template_${createHash('sha256').update(checksums).digest('hex').slice(0, 12)}`
  // A session lock: the only connection of this pool holds it until the template stands.
  await server.query('select pg_advisory_lock(7262154)')
  try {
    const { rowCount } = await server.query('select from pg_database where datname = $1 and not datallowconn', [name])
    if (rowCount === 0) {
      await server.script(`drop database if exists ${name} with (force)`)
      await server.script(`create database ${name}`)
      const database = await openPostgres({ url: databaseUrl(serverUrl, name), log: silentLog, connectionsMax: 1 })
      await migrate(database)
      await database.close()
      await server.script(`alter database ${name} with allow_connections false`)
    }
  } finally {
    await server.query('select pg_advisory_unlock(7262154)')
  }
  return name
}

const databaseUrl = (serverUrl: string, name: string): string => {
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.href
}
