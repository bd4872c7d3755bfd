// Files of a folder on the server's own disk, such as a share that scanners write to. Only below the folders that the
// operator has named, never through a link, and only files that nobody has written to for a moment.

import { constants } from 'node:fs'
import { open, opendir, realpath } from 'node:fs/promises'
import path from 'node:path'
import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Clock } from '../../platform/clock.ts'
import { invariant, Problem } from '../../platform/problem.ts'
import type { FileOpener, FoundFile, PlaceLister } from './import-origin.ts'

export const FolderPlace = Type.Object({ folder: Type.String() })
export type FolderPlace = Static<typeof FolderPlace>
const folderPlace = Compile(FolderPlace)
const folderFile = Compile(Type.Object({ folder: Type.String(), file: Type.String() }))

export interface FolderOriginOptions {
  /** Folders below which a place may lie; absolute. */
  roots: readonly string[]
  clock: Clock
}

const pageLimit = 500
const depthMax = 20
/** Whoever copies a file touches it more often than that. */
const settledMs = 2_000

/** The folder itself, links followed. Throws Problem('import_url_forbidden') for one that is not below a root. */
export async function checkFolder(folder: string, roots: readonly string[]): Promise<string> {
  const forbidden = new Problem('import_url_forbidden', {
    detail: 'This folder is not below one that the operator has opened to imports (MILLRACE_IMPORT_FOLDERS).',
  })
  const real = await realpath(folder).catch(() => undefined)
  for (const root of roots) {
    const realRoot = await realpath(root).catch(() => undefined)
    if (real !== undefined && realRoot !== undefined && (real === realRoot || real.startsWith(realRoot + path.sep)))
      return real
  }
  throw forbidden
}

export function createFolderOrigin({ roots, clock }: FolderOriginOptions): { open: FileOpener; list: PlaceLister } {
  return {
    open: async ({ secret, offsetBytes, validator }) => {
      invariant(folderFile.Check(secret), 'the secret of an import from a folder names its file')
      const folder = await checkFolder(path.dirname(path.join(secret.folder, secret.file)), roots)
      // No link is followed at the last step either.
      const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)
      const handle = await open(path.join(folder, path.basename(secret.file)), flags).catch((cause: unknown) => {
        throw new Problem('import_refused', { detail: 'The file cannot be read.', cause })
      })
      const info = await handle.stat()
      if (!info.isFile()) {
        await handle.close()
        throw new Problem('import_refused', { detail: 'It is no file.' })
      }
      const found = fingerprintOf(info)
      const start = found === validator ? offsetBytes : 0
      const content = handle.createReadStream({ start })
      return {
        offsetBytes: start,
        sizeBytes: info.size,
        name: undefined,
        validator: found,
        content,
        dispose: () => content.destroy(),
      }
    },

    async *list({ place }) {
      invariant(folderPlace.Check(place), 'the place of a folder is one')
      const folder = await checkFolder(place.folder, roots)
      let files: FoundFile[] = []
      let skippedCount = 0
      for await (const entry of walk(folder, '', depthMax)) {
        const found = entry === 'closed' ? entry : await look(folder, entry.file, clock)
        if (found === 'closed') skippedCount++
        else if (found !== undefined) files.push(found)
        if (files.length < pageLimit) continue
        yield { files, cursor: undefined, skippedCount }
        files = []
        skippedCount = 0
      }
      yield { files, cursor: undefined, skippedCount }
    },
  }
}

const fingerprintOf = ({ size, mtimeMs }: { size: number; mtimeMs: number }): string => `${size} ${mtimeMs}`

/** Something that may not be read, or not be reached; it must not keep back what lies beside it. */
type Closed = 'closed'

/** Paths of files below the folder, relative to it. */
async function* walk(
  folder: string,
  below: string,
  depth: number,
): AsyncGenerator<{ file: string } | Closed, void, undefined> {
  if (depth === 0) return yield 'closed'
  const entries = await opendir(path.join(folder, below)).catch((cause: unknown) => {
    if (below !== '') return undefined
    throw new Problem('import_source_unavailable', { detail: 'The folder cannot be read.', cause })
  })
  if (entries === undefined) return yield 'closed'
  for await (const entry of entries) {
    const file = path.join(below, entry.name)
    if (entry.isDirectory()) yield* walk(folder, file, depth - 1)
    else if (entry.isFile()) yield { file }
  }
}

async function look(folder: string, file: string, clock: Clock): Promise<FoundFile | Closed | undefined> {
  const handle = await open(path.join(folder, file), constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)).catch(
    (error: unknown) => (isClosed(error, file) ? 'closed' : undefined),
  )
  if (handle === 'closed') return handle
  const info = await handle?.stat()
  await handle?.close()
  // It has gone, it is empty, or somebody is at it.
  if (info === undefined || info.size === 0 || clock.now().getTime() - info.mtimeMs < settledMs) return undefined
  const name = path.basename(file)
  return { key: file, fingerprint: fingerprintOf(info), name, shown: file, secret: { folder, file } }
}

/** A name that is no UTF-8 was read with replaced characters, by which nothing is found. */
const isClosed = (error: unknown, file: string): boolean =>
  error instanceof Error &&
  'code' in error &&
  (error.code === 'EACCES' || (error.code === 'ENOENT' && file.includes('\ufffd')))
