// Files of a folder on an SFTP server. The server is known by the fingerprint of its key, which must be given: whoever
// answers in its place gets neither credentials nor a chance to slip in files. ssh2 is the only maintained SSH client for
// Node; without its native parts, which need install scripts, it uses Node's own cryptography.

import { once } from 'node:events'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { Client, type ConnectConfig, type SFTPWrapper } from 'ssh2'
import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { createHash } from 'node:crypto'
import { invariant, Problem } from '../../platform/problem.ts'
import type { AddressRules } from './address-rules.ts'
import { connectGuarded, findAddress, hostOf, type GuardOptions } from './guarded-connect.ts'
import type { FileOpener, FoundFile, PlaceLister } from './import-origin.ts'

export const SftpPlace = Type.Object({
  host: Type.String(),
  port: Type.Integer(),
  /** SHA256:… as ssh-keygen -lf says it. */
  host_key: Type.String(),
  user: Type.String(),
  password: Type.Optional(Type.String()),
  private_key: Type.Optional(Type.String()),
  folder: Type.String(),
})
export type SftpPlace = Static<typeof SftpPlace>
const sftpPlace = Compile(SftpPlace)
const sftpFile = Compile(Type.Object({ place: SftpPlace, file: Type.String() }))

const portDefault = 22
const readyTimeoutMs = 20_000
const pageLimit = 500
const depthMax = 20
/** A file of that age is not being written to any more. Servers tell whole seconds. */
const settledSeconds = 5

/** Throws invalid_request and import_url_forbidden. */
export function checkSftpPlace(
  place: Omit<SftpPlace, 'port' | 'folder'> & { port?: number; folder?: string },
  rules: AddressRules,
): SftpPlace {
  const { port = portDefault, folder = '/' } = place
  if (port !== portDefault && !rules.allowsPort(port))
    throw new Problem('import_url_forbidden', { detail: `Port ${port} is not allowed.` })
  if ((place.password === undefined) === (place.private_key === undefined))
    throw new Problem('invalid_request', { detail: 'Exactly one of password and private_key is needed.' })
  if (!/^SHA256:[A-Za-z0-9+/]{43}=?$/.test(place.host_key))
    throw new Problem('invalid_request', { detail: 'host_key must be SHA256:… as ssh-keygen -lf says it.' })
  if (!folder.startsWith('/')) throw new Problem('invalid_request', { detail: 'folder must begin with /.' })
  return { ...place, port, folder }
}

export function createSftpOrigin(guard: GuardOptions): { open: FileOpener; list: PlaceLister } {
  return {
    open: async ({ secret, offsetBytes, validator, signal }) => {
      invariant(sftpFile.Check(secret), 'the secret of an import by SFTP names its file')
      const { sftp, end } = await connect(guard, secret.place, signal)
      try {
        const info = await call<FileInfo>((done) => sftp.stat(secret.file, done))
        const found = fingerprintOf(info)
        const start = found === validator ? offsetBytes : 0
        const content: Readable = sftp.createReadStream(secret.file, { start })
        const dispose = (): void => {
          content.destroy()
          end()
        }
        return { offsetBytes: start, sizeBytes: info.size, name: undefined, validator: found, content, dispose }
      } catch (error) {
        end()
        throw error
      }
    },

    async *list({ place, signal }) {
      invariant(sftpPlace.Check(place), 'the place of an SFTP source is one')
      const { sftp, end } = await connect(guard, place, signal)
      try {
        let files: FoundFile[] = []
        let skippedCount = 0
        for await (const found of walk(sftp, place.folder, depthMax)) {
          if (found === 'closed') {
            skippedCount++
            continue
          }
          const { file, info } = found
          // Empty, or somebody is at it.
          if (info.size === 0 || guard.clock.now().getTime() / 1_000 - info.mtime < settledSeconds) continue
          const name = path.posix.basename(file)
          const shown = `sftp://${place.host}${file}`
          files.push({ key: file, fingerprint: fingerprintOf(info), name, shown, secret: { place, file } })
          if (files.length < pageLimit) continue
          yield { files, cursor: undefined, skippedCount }
          files = []
          skippedCount = 0
        }
        yield { files, cursor: undefined, skippedCount }
      } finally {
        end()
      }
    },
  }
}

interface FileInfo {
  size: number
  /** Seconds. */
  mtime: number
}

const fingerprintOf = ({ size, mtime }: FileInfo): string => `${size} ${mtime}`

async function connect(
  guard: GuardOptions,
  place: SftpPlace,
  signal: AbortSignal,
): Promise<{ sftp: SFTPWrapper; end: () => void }> {
  const host = hostOf(place.host)
  const address = await findAddress(guard, host)
  const client = new Client()
  // Told below; afterwards they end the streams that are open.
  client.on('error', () => {})
  const end = (): void => void client.end()
  signal.addEventListener('abort', end, { once: true })
  let isOtherServer = false
  const config: ConnectConfig = {
    sock: connectGuarded(guard, { address, port: place.port }),
    username: place.user,
    readyTimeout: readyTimeoutMs,
    ...(place.password !== undefined && { password: place.password }),
    ...(place.private_key !== undefined && { privateKey: place.private_key }),
    hostVerifier: (key: Buffer) => {
      const fingerprint = createHash('sha256').update(key).digest('base64').replace(/=$/, '')
      isOtherServer = `SHA256:${fingerprint}` !== place.host_key.replace(/=$/, '')
      return !isOtherServer
    },
  }
  try {
    const ready = once(client, 'ready', { signal })
    client.connect(config)
    await ready
    return { sftp: await call<SFTPWrapper>((done) => client.sftp(done)), end }
  } catch (cause) {
    end()
    if (cause instanceof Problem) throw cause
    if (isOtherServer)
      throw new Problem('import_refused', { detail: 'The server has another key than host_key says.', cause })
    const isRefused = cause instanceof Error && 'level' in cause && cause.level === 'client-authentication'
    throw new Problem(isRefused ? 'import_refused' : 'import_source_unavailable', {
      cause,
      ...(isRefused && { detail: 'The server does not take these credentials.' }),
    })
  }
}

/** 'closed' is a folder that may not be read, or not be reached; it must not keep back what lies beside it. */
async function* walk(
  sftp: SFTPWrapper,
  folder: string,
  depth: number,
): AsyncGenerator<{ file: string; info: FileInfo } | 'closed', void, undefined> {
  if (depth === 0) return yield 'closed'
  const entries = await call<Entry[]>((done) => sftp.readdir(folder, done)).catch((error: unknown) => {
    if (depth < depthMax && error instanceof Problem && error.code === 'import_refused') return undefined
    throw error
  })
  if (entries === undefined) return yield 'closed'
  for (const { filename, attrs } of entries) {
    if (filename === '.' || filename === '..' || filename.includes('/')) continue
    const file = path.posix.join(folder, filename)
    // Links are not followed.
    if (attrs.isDirectory()) yield* walk(sftp, file, depth - 1)
    else if (attrs.isFile()) yield { file, info: attrs }
  }
}

interface Entry {
  filename: string
  attrs: FileInfo & { isDirectory(): boolean; isFile(): boolean }
}

const sftpNoSuchFile = 2
const sftpPermissionDenied = 3

function call<T>(ask: (done: (error: Error | undefined | null, value: T) => void) => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    ask((error, value) => {
      if (!error) return resolve(value)
      const code = 'code' in error ? error.code : undefined
      const isRefused = code === sftpNoSuchFile || code === sftpPermissionDenied
      reject(
        new Problem(isRefused ? 'import_refused' : 'import_source_unavailable', {
          cause: error,
          ...(isRefused && { detail: 'The server does not hand out this file or folder.' }),
        }),
      )
    })
  })
}
