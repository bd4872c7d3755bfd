// Readers of file formats, shared by the stages. Everything in this folder opens untrusted bytes or loads a library
// that does, so it is imported by run files only, which run inside the sandbox.
// It knows files and formats; it must not know steps, tenants or the engine.
// Invariant: work is bounded by a constant named in the file, and what cannot be read ends in a Problem in the
// owner's words (file_unreadable, file_encrypted, file_too_complex, data_invalid), not in a stack trace.
//
// This file: DuckDB, locked down. It reads and writes only the folders it is given, loads no extension, opens no
// connection, and its settings cannot be changed by the SQL that runs in it.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance, type DuckDBConnection, type Json } from '@duckdb/node-api'

/** Beyond it DuckDB spills to the scratch folder. Half of what the table processors may use in all. */
const memoryBytesMax = 768 * 1024 ** 2
const spillBytesMax = 8 * 1024 ** 3

export interface Duckdb {
  /** Runs statements one after another; throws what DuckDB throws. */
  run(sql: string): Promise<void>
  /** All rows; 64-bit integers come as text. Only for answers whose size is bounded by the query. */
  rows(sql: string): Promise<Record<string, Json>[]>
}

/** Opens a fresh in-memory database for `work` and closes it afterwards, whatever happens. */
export async function withDuckdb<T>(
  options: { folders: readonly string[]; scratchFolder: string; threadsCount?: number },
  work: (database: Duckdb) => Promise<T>,
): Promise<T> {
  const spillFolder = join(options.scratchFolder, 'duckdb')
  await mkdir(spillFolder, { recursive: true })
  const instance = await DuckDBInstance.create(':memory:', {
    threads: String(options.threadsCount ?? 1),
    memory_limit: `${memoryBytesMax / 1024 ** 2}MiB`,
    temp_directory: spillFolder,
    max_temp_directory_size: `${spillBytesMax / 1024 ** 2}MiB`,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
  })
  let connection: DuckDBConnection | undefined
  try {
    connection = await instance.connect()
    const folders = [...options.folders, options.scratchFolder].map((folder) => literal(`${folder}/`))
    await connection.run(`SET allowed_directories = [${folders.join(', ')}]`)
    await connection.run("SET TimeZone = 'UTC'")
    await connection.run('SET enable_external_access = false')
    await connection.run('SET lock_configuration = true')
    return await work(databaseOn(connection))
  } finally {
    connection?.closeSync()
    instance.closeSync()
  }
}

const databaseOn = (connection: DuckDBConnection): Duckdb => ({
  run: async (sql) => void (await connection.run(sql)),
  rows: async (sql) => (await connection.runAndReadAll(sql)).getRowObjectsJson(),
})

/** A scalar of a row as text; nothing for NULL. */
export function textOf(value: Json | undefined): string | null {
  if (value === null || value === undefined) return null
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** A text literal. NUL cannot be written in one and is dropped. */
export const literal = (text: string): string => `'${text.replaceAll('\0', '').replaceAll("'", "''")}'`

/** A quoted identifier. */
export const identifier = (name: string): string => `"${name.replaceAll('\0', '').replaceAll('"', '""')}"`
