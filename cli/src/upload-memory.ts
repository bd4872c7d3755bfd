// Which uploads were begun and are not through, by file: so the same command, given again after a Ctrl-C, a reboot or a
// broken line, goes on where the earlier one stopped. One small file per upload in the state folder of the user, named
// by a hash; it holds no key and no content. Losing it costs a second sending, nothing else.

import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'

/** What makes two uploads the same one. A file that has changed since is another. */
export interface RememberedUpload {
  path: string
  sizeBytes: number
  modifiedAtMs: number
  options: object
}

export interface UploadNote {
  /** The session that an earlier command began; undefined where there is none. */
  find(): Promise<string | undefined>
  keep(uploadId: string): Promise<void>
  /** It is through, or there is nothing to go on with. */
  forget(): Promise<void>
}

export interface UploadMemory {
  /** Two uploads of one file by one command do not share a session: the second is not remembered. */
  of(upload: RememberedUpload): UploadNote
  /** How many uploads were begun or gone on with and are not through. */
  readonly keptCount: number
}

export interface UploadMemoryOptions {
  /** uploads/ below it. */
  stateFolder: string
  /** Server and tenant. */
  account: string
  now: () => number
  /** It cannot be written to; told once. */
  onUnwritable: (folder: string) => void
}

/** The server gives up an upload a day after its last byte; one that goes on for a week is rare enough. */
const keptForMsMax = 7 * 24 * 60 * 60_000

export function createUploadMemory(options: UploadMemoryOptions): UploadMemory {
  const { stateFolder, account, now, onUnwritable } = options
  const folder = path.join(stateFolder, 'uploads')
  const taken = new Set<string>()
  const kept = new Set<string>()
  let isToldOf = false

  async function write(file: string, uploadId: string, upload: RememberedUpload): Promise<void> {
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await sweep(folder, now() - keptForMsMax)
      await writeFile(file, JSON.stringify({ upload_id: uploadId, path: upload.path }), { mode: 0o600 })
    } catch {
      if (!isToldOf) onUnwritable(folder)
      isToldOf = true
    }
  }

  return {
    of(upload) {
      const { path: at, sizeBytes, modifiedAtMs, options } = upload
      const identity = JSON.stringify([account, at, sizeBytes, modifiedAtMs, options])
      const name = `${createHash('sha256').update(identity).digest('hex').slice(0, 32)}.json`
      if (taken.has(name)) return { find: async () => undefined, keep: async () => {}, forget: async () => {} }
      taken.add(name)
      const file = path.join(folder, name)
      return {
        async find() {
          const uploadId = readUploadId(await readFile(file, 'utf8').catch(() => ''))
          if (uploadId !== undefined) kept.add(name)
          return uploadId
        },
        async keep(uploadId) {
          kept.add(name)
          await write(file, uploadId, upload)
        },
        async forget() {
          kept.delete(name)
          await rm(file, { force: true }).catch(() => {})
        },
      }
    },
    get keptCount() {
      return kept.size
    },
  }
}

function readUploadId(text: string): string | undefined {
  try {
    const { upload_id: uploadId } = JSON.parse(text) as { upload_id?: unknown }
    return typeof uploadId === 'string' && /^\w+$/.test(uploadId) ? uploadId : undefined
  } catch {
    return undefined
  }
}

/** Takes away what nobody will go on with. */
async function sweep(folder: string, beforeMs: number): Promise<void> {
  for (const name of await readdir(folder)) {
    const file = path.join(folder, name)
    const about = await stat(file).catch(() => undefined)
    if (about && about.mtimeMs < beforeMs) await rm(file, { force: true })
  }
}

/** Where programs of a user keep what they can do without: the XDG base directories, or what Windows has instead. */
export function stateFolderOf(environment: Record<string, string | undefined>, homeFolder: string): string {
  const base = environment['XDG_STATE_HOME'] || environment['LOCALAPPDATA'] || path.join(homeFolder, '.local', 'state')
  return path.join(base, 'millrace')
}
