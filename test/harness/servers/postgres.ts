// PostgreSQL of any version from a folder of its programs. It refuses to run as root, so root hands it to an ordinary user.
// Durability is off: a test database has nothing to lose. fsync is on in none of the suites; what fsync promises is
// PostgreSQL's own matter.

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { isRoot } from './cache.ts'
import type { Finding, Package, RunningServer, Server } from './server.ts'
import { findFreePorts, makeServerFolder, startServerProcess, type RunAs } from './server-process.ts'

const run = promisify(execFile)
const nobody: RunAs = { uid: 65_534, gid: 65_534 }

const settings = {
  listen_addresses: '127.0.0.1',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '300',
  shared_buffers: '256MB',
  max_wal_size: '2GB',
  unix_socket_directories: '.',
  log_min_messages: 'warning',
}

export interface PostgresOptions {
  name: string
  package: Package
  /** Folder of initdb, postgres and pg_isready; undefined when it is not installed. */
  programs: () => string | undefined
}

export interface PostgresServer extends Server {
  start(options?: StartPostgres): Promise<RunningPostgres>
}

export interface StartPostgres {
  /** A commit is acknowledged once the system has it, so that what kills the server loses nothing. */
  survivesKill?: boolean
}

export interface RunningPostgres extends RunningServer {
  readonly port: number
  /** A copy that follows this server; with synchronous_standby_names set here, every commit waits for it. */
  startStandby(): Promise<RunningPostgres>
}

export function createPostgres(options: PostgresOptions): PostgresServer {
  return {
    name: options.name,
    package: options.package,
    async find(): Promise<Finding> {
      const folder = options.programs()
      if (!folder) return { found: false, why: 'not installed' }
      const { stdout } = await run(path.join(folder, 'postgres'), ['--version'])
      return { found: true, version: stdout.trim().replace(/^postgres \(PostgreSQL\) /, '') }
    },
    async start({ survivesKill = false } = {}) {
      const folder = options.programs()
      if (!folder) throw new Error(`${options.name} is not installed.`)
      const chosen = survivesKill ? { ...settings, synchronous_commit: 'on' } : settings
      const place = { name: options.name, programs: folder, settings: chosen }
      const authentication = ['--username', 'millrace', '--auth', 'trust']
      return startPostgres(place, {
        program: 'initdb',
        args: ['--pgdata', 'data', ...authentication, '--encoding', 'UTF8', '--locale', 'C', '--no-sync'],
      })
    },
  }
}

interface Place {
  name: string
  programs: string
  settings: Record<string, string>
}

/** Of the data folder. */
interface Beginning {
  program: 'initdb' | 'pg_basebackup'
  args: readonly string[]
}

async function startPostgres(place: Place, beginning: Beginning): Promise<RunningPostgres> {
  const { name, programs } = place
  const runAs = isRoot() ? ordinaryUser() : undefined
  const folder = await makeServerFolder('postgres', runAs)
  const [port = 0] = await findFreePorts(1)
  const asUser = runAs ? { ...runAs } : {}
  await run(path.join(programs, beginning.program), [...beginning.args], {
    cwd: folder,
    env: { PATH: process.env['PATH'], LC_ALL: 'C', HOME: folder },
    ...asUser,
  })
  const server = await startServerProcess({
    name,
    command: path.join(programs, 'postgres'),
    args: [
      '-D',
      path.join(folder, 'data'),
      '-p',
      String(port),
      ...Object.entries(place.settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
    ],
    folder,
    runAs,
    ready: async () => {
      await run(path.join(programs, 'pg_isready'), ['-q', '-h', '127.0.0.1', '-p', String(port)])
      return true
    },
    stopSignal: 'SIGINT', // Fast shutdown: PostgreSQL would otherwise wait for its clients to leave.
  })
  return {
    url: `postgres://millrace@127.0.0.1:${port}/postgres`,
    port,
    process: server,
    stop: () => server.stop(),
    startStandby: () =>
      startPostgres(
        { ...place, name: `${name} standby` },
        {
          program: 'pg_basebackup',
          args: `--pgdata data --host 127.0.0.1 --port ${port} --username millrace --no-sync --wal-method stream --write-recovery-conf --checkpoint fast`.split(
            ' ',
          ),
        },
      ),
  }
}

/** The user postgres where there is one, else nobody. */
function ordinaryUser(): RunAs {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith('postgres:'))
  const [, , uid, gid] = line?.split(':') ?? []
  return uid && gid ? { uid: Number(uid), gid: Number(gid) } : nobody
}
