import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { findInPackage } from './cache.ts'
import { s3Credentials, s3Url, s3Works } from './s3.ts'
import type { Package, Server } from './server.ts'
import { findFreePorts, makeServerFolder, startServerProcess } from './server-process.ts'

const run = promisify(execFile)
const built = {
  by: 'go',
  module: 'github.com/versity/versitygw/cmd/versitygw',
  version: 'v1.7.0',
} as const satisfies Package
const program = (): string | undefined => findInPackage(built, 'versitygw')

/** A second, independent S3 server, over plain files: what only one of the two accepts is not S3. */
export const versitygw: Server = {
  name: 'versitygw',
  package: built,
  async find() {
    const server = program()
    if (!server) return { found: false, why: 'not built' }
    const { stdout } = await run(server, ['--version'])
    return { found: true, version: /v\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? built.version }
  },
  async start() {
    const server = program()
    if (!server) throw new Error('versitygw is not built.')
    const folder = await makeServerFolder('versitygw')
    const [data, versions, users] = ['data', 'versions', 'users'].map((name) => path.join(folder, name))
    for (const part of [data, versions, users]) await mkdir(part ?? folder, { recursive: true })
    const [port = 0] = await findFreePorts(1)
    const url = s3Url(port)
    const started = await startServerProcess({
      name: 'versitygw',
      command: server,
      args: [
        '--port',
        `127.0.0.1:${port}`,
        '--region',
        'us-east-1',
        '--iam-dir',
        `${users}`,
        '--quiet',
        'posix',
        '--versioning-dir',
        `${versions}`,
        `${data}`,
      ],
      environment: {
        ROOT_ACCESS_KEY: s3Credentials.accessKeyId,
        ROOT_SECRET_KEY: s3Credentials.secretAccessKey,
      },
      folder,
      ready: () => s3Works(url),
    })
    return { url, process: started, stop: () => started.stop() }
  },
}
