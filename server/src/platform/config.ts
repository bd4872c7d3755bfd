// Every setting of the server, read once from flags and environment and checked; nothing else reads the environment.
// A setting that is missing or wrong stops the start with its name and what was expected.

import path from 'node:path'
import type { LogLevel } from './log.ts'
import { Problem } from './problem.ts'

export const roleNames = ['all', 'api', 'upload', 'worker', 'maintenance'] as const
export type RoleName = (typeof roleNames)[number]

export interface Config {
  role: RoleName
  /** Folder of the embedded parts, the key file and scratch. */
  dataFolder: string
  host: string
  /** undefined: 8080 or the next free port. */
  port: number | undefined
  /** Where clients reach the server when that is not host and port, e.g. behind a proxy. */
  publicUrl: string | undefined
  trustProxy: boolean
  databaseUrl: string | undefined
  databasePrepare: boolean
  redisUrl: string | undefined
  /** A folder, s3://bucket?endpoint=…, or sharded:FILE; undefined: the data folder. */
  objectStore: { kind: 'disk'; folder: string } | { kind: 's3'; url: string } | { kind: 'sharded'; file: string }
  /** Each object is read back once it is put. */
  objectStoreVerify: boolean
  masterKeyFile: string
  /** Prints what a key file holds; it then takes the file's place. */
  masterKeyCommand: string | undefined
  workerSlotsCount: number
  sandbox: 'auto' | 'bubblewrap' | 'process'
  logLevel: LogLevel
  /** Price of a GB for a month, for the cost figure of the admin metrics. */
  storagePricePerGbMonth: number
  demoTenant: boolean
  /** Imports may fetch from private and loopback addresses and any port: for intranets. */
  importPrivate: boolean
  /** Folders of this machine that the operator's import sources may read from; absolute. */
  importFolders: readonly string[]
}

export type Environment = Record<string, string | undefined>

/** Flags of `serve`, as they came from the command line. */
export interface ServeFlags {
  role?: string | undefined
  data?: string | undefined
  host?: string | undefined
  port?: string | undefined
}

const workerSlotsPerCpu = 2 // One slot computes while another waits for the store or the database.

/** Throws Problem('setting_invalid') that names the setting, its value and what was expected. */
export function readConfig(
  flags: ServeFlags,
  environment: Environment,
  machine: { cpusCount: number; cwd: string },
): Config {
  const role = oneOf('--role', flags.role ?? environment['MILLRACE_ROLE'] ?? 'all', roleNames)
  const dataFolder = path.resolve(machine.cwd, flags.data ?? environment['MILLRACE_DATA'] ?? 'data')
  const port = flags.port ?? environment['PORT']
  const databaseUrl = url('DATABASE_URL', environment['DATABASE_URL'], ['postgres:', 'postgresql:'])
  const objectStore = readObjectStore(environment, dataFolder)
  if (role !== 'all') requireShared(role, environment)
  return {
    role,
    dataFolder,
    host: flags.host ?? environment['HOST'] ?? '127.0.0.1',
    port: port === undefined ? undefined : integer('--port or PORT', port, 0, 65_535),
    publicUrl: url('MILLRACE_PUBLIC_URL', environment['MILLRACE_PUBLIC_URL'], ['http:', 'https:']),
    trustProxy: flag('MILLRACE_TRUST_PROXY', environment['MILLRACE_TRUST_PROXY'], false),
    databaseUrl,
    databasePrepare: flag('DATABASE_PREPARE', environment['DATABASE_PREPARE'], true),
    redisUrl: url('REDIS_URL', environment['REDIS_URL'], ['redis:', 'rediss:']),
    objectStore,
    objectStoreVerify: flag('OBJECT_STORE_VERIFY', environment['OBJECT_STORE_VERIFY'], false),
    masterKeyFile: path.resolve(
      machine.cwd,
      environment['MILLRACE_MASTER_KEY_FILE'] ?? path.join(dataFolder, 'master.key'),
    ),
    masterKeyCommand: environment['MILLRACE_MASTER_KEY_COMMAND'] || undefined,
    workerSlotsCount: integer(
      'MILLRACE_WORKER_SLOTS',
      environment['MILLRACE_WORKER_SLOTS'] ?? String(machine.cpusCount * workerSlotsPerCpu),
      1,
      1_000,
    ),
    sandbox: oneOf('MILLRACE_SANDBOX', environment['MILLRACE_SANDBOX'] ?? 'auto', [
      'auto',
      'bubblewrap',
      'process',
    ] as const),
    logLevel: oneOf('LOG_LEVEL', environment['LOG_LEVEL'] ?? 'info', [
      'debug',
      'info',
      'warn',
      'error',
      'silent',
    ] as const),
    storagePricePerGbMonth: decimal('MILLRACE_STORAGE_PRICE', environment['MILLRACE_STORAGE_PRICE'] ?? '0.023'),
    importFolders: folders('MILLRACE_IMPORT_FOLDERS', environment['MILLRACE_IMPORT_FOLDERS']),
    importPrivate: flag('MILLRACE_IMPORT_PRIVATE', environment['MILLRACE_IMPORT_PRIVATE'], false),
    demoTenant: flag('MILLRACE_DEMO_TENANT', environment['MILLRACE_DEMO_TENANT'], true),
  }
}

/** A role by itself shares its truth with others, so the embedded parts, which one process owns, cannot serve it. */
function requireShared(role: RoleName, environment: Environment): void {
  for (const [name, example] of [
    ['DATABASE_URL', 'postgres://user:password@host:5432/millrace'],
    ['OBJECT_STORE', 's3://bucket?endpoint=http://host:8333, or a folder that all roles share'],
  ] as const) {
    if (!environment[name]) throw wrong(name, environment[name], `a value for --role=${role}, such as ${example}`)
  }
}

function readObjectStore(environment: Environment, dataFolder: string): Config['objectStore'] {
  const value = environment['OBJECT_STORE']
  if (!value) return { kind: 'disk', folder: path.join(dataFolder, 'objects') }
  if (!value.startsWith('s3://')) {
    const file = value.startsWith('sharded:') ? value.slice('sharded:'.length) : undefined
    if (!path.isAbsolute(file ?? value))
      throw wrong('OBJECT_STORE', value, 'an absolute folder, s3://bucket?endpoint=http://host:port or sharded:/FILE')
    return file === undefined ? { kind: 'disk', folder: value } : { kind: 'sharded', file }
  }
  if (!URL.canParse(value)) throw wrong('OBJECT_STORE', '(hidden)', 's3://bucket?endpoint=http://host:port')
  const parsed = new URL(value)
  if (!parsed.username) {
    const key = environment['AWS_ACCESS_KEY_ID']
    const secret = environment['AWS_SECRET_ACCESS_KEY']
    if (!key || !secret)
      throw wrong('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY', undefined, 'the credentials of the S3 store')
    parsed.username = encodeURIComponent(key)
    parsed.password = encodeURIComponent(secret)
  }
  return { kind: 's3', url: parsed.href }
}

const wrong = (name: string, value: string | undefined, expected: string): Problem =>
  new Problem('setting_invalid', { detail: `${name} is ${value ? `"${value}"` : 'not set'}; expected ${expected}.` })

function oneOf<const Options extends readonly string[]>(
  name: string,
  value: string,
  options: Options,
): Options[number] {
  if (!options.includes(value)) throw wrong(name, value, `one of ${options.join(', ')}`)
  return value
}

function integer(name: string, value: string, min: number, max: number): number {
  const number = Number(value)
  if (!/^\d+$/.test(value) || number < min || number > max)
    throw wrong(name, value, `a whole number from ${min} to ${max}`)
  return number
}

function decimal(name: string, value: string): number {
  const number = Number(value)
  if (value.trim() === '' || !Number.isFinite(number) || number < 0) throw wrong(name, value, 'a number of 0 or more')
  return number
}

function flag(name: string, value: string | undefined, otherwise: boolean): boolean {
  if (value === undefined || value === '') return otherwise
  if (['1', 'true', 'on', 'yes'].includes(value)) return true
  if (['0', 'false', 'off', 'no'].includes(value)) return false
  throw wrong(name, value, 'on or off')
}

function folders(name: string, value: string | undefined): string[] {
  const list = (value ?? '').split(path.delimiter).filter((folder) => folder !== '')
  for (const folder of list)
    if (!path.isAbsolute(folder)) throw wrong(name, value, `absolute folders, parted by "${path.delimiter}"`)
  return list
}

/** The value is not repeated in the message: it may carry a password. */
function url(name: string, value: string | undefined, protocols: string[]): string | undefined {
  if (!value) return undefined
  const expected = `a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`
  if (!URL.canParse(value)) throw wrong(name, '(not a URL)', expected)
  if (!protocols.includes(new URL(value).protocol)) throw wrong(name, `${new URL(value).protocol}//…`, expected)
  return value
}
