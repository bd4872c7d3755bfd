// Brings a database to the newest schema: the numbered files of server/migrations, forward only, each once,
// each in one transaction. Several processes may start this at the same moment; one works, the others wait.

import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { sqlState, type Database } from './database.ts'
import { Problem } from './problem.ts'

const migrationsFolder = new URL('../../migrations/', import.meta.url)
const lockKey = 7_262_153 // Any constant; all our processes use the same.

export interface Migration {
  number: number
  name: string
  text: string
  checksum: string
}

export async function readMigrations(): Promise<Migration[]> {
  const names = (await readdir(migrationsFolder)).filter((name) => /^\d{4}_.+\.sql$/.test(name)).toSorted()
  return Promise.all(
    names.map(async (name) => {
      const text = await readFile(new URL(name, migrationsFolder), 'utf8')
      return { number: Number(name.slice(0, 4)), name, text, checksum: createHash('sha256').update(text).digest('hex') }
    }),
  )
}

/**
 * Applies what is missing and returns the names of what was applied. Throws Problem('setting_invalid') when the
 * database was migrated by a newer release or an applied migration has been changed since.
 */
export async function migrate(database: Database): Promise<string[]> {
  const migrations = await readMigrations()
  return database.asSystem(
    async (tx) => {
      if (database.kind === 'postgres') await tx.query(`select pg_advisory_xact_lock(${lockKey})`)
      await tx.query(
        'create table if not exists migration (number integer primary key, name text not null, checksum text not null, applied_at timestamptz not null default now())',
      )
      const { rows } = await tx.query<{ number: number; checksum: string }>('select number, checksum from migration')
      const applied = new Map(rows.map((row) => [row.number, row.checksum]))
      const newest = migrations.at(-1)?.number ?? 0
      if (rows.some((row) => row.number > newest)) {
        throw new Problem('setting_invalid', {
          detail:
            'The database was migrated by a newer release of Millrace. Start that release, or restore a backup from before.',
        })
      }
      const names: string[] = []
      for (const migration of migrations) {
        const checksum = applied.get(migration.number)
        if (checksum === migration.checksum) continue
        if (checksum !== undefined) {
          throw new Problem('setting_invalid', {
            detail: `Migration ${migration.name} was changed after it had been applied to this database.`,
          })
        }
        for (const statement of splitStatements(migration.text)) await tx.query(statement).catch(explainRefusal)
        await tx.query('insert into migration (number, name, checksum) values ($1, $2, $3)', [
          migration.number,
          migration.name,
          migration.checksum,
        ])
        names.push(migration.name)
      }
      return names
    },
    { timeoutMs: 10 * 60_000 },
  )
}

/** A migration that refuses says how to help it in a hint; that is for the operator's eyes. */
function explainRefusal(error: unknown): never {
  if (error instanceof Error && sqlState(error) === 'P0001' && 'hint' in error && typeof error.hint === 'string') {
    throw new Problem('setting_invalid', { detail: `DATABASE_URL: ${error.message}. ${error.hint}.`, cause: error })
  }
  throw error
}

/** Statements of a script, cut at semicolons outside quotes, dollar quotes and comments. */
export function splitStatements(script: string): string[] {
  const statements: string[] = []
  let start = 0
  const token = /--[^\n]*|'(?:[^']|'')*'|\$(\w*)\$[\s\S]*?\$\1\$|;/g
  for (const match of script.matchAll(token)) {
    if (match[0] !== ';') continue
    statements.push(script.slice(start, match.index))
    start = match.index + 1
  }
  statements.push(script.slice(start))
  return statements.filter((statement) => statement.replace(/--[^\n]*/g, '').trim() !== '')
}
