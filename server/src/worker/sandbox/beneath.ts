// Access to folders that a hostile process may be changing at this very moment: no link in them is ever followed.
// Each step goes from the descriptor of a folder to one name in it (on Linux by way of /proc/self/fd, as openat would;
// elsewhere by path, where a swap between two steps is conceivable and the process sandbox is all there is anyway).

import { chmodSync, closeSync, constants, lstatSync, opendirSync, openSync } from 'node:fs'
import { open, rmdir, unlink, type FileHandle } from 'node:fs/promises'
import { platform } from 'node:os'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'

// Where the system has no such flag, the constant is missing and counts for nothing.
const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants

interface Folder extends Disposable {
  /** Path of a name in it. */
  at(name: string): string
}

const hasDescriptorPaths = platform() === 'linux'

/**
 * Throws ENOTDIR or ELOOP when it is a link or no folder. Without waiting, as everything here that only touches names:
 * a trip through the thread pool costs ten times the call, and every task makes a dozen of them.
 */
function openFolder(fullPath: string): Folder {
  if (!hasDescriptorPaths) {
    if (!lstatSync(fullPath).isDirectory()) throw Object.assign(new Error('Not a folder'), { code: 'ENOTDIR' })
    return { at: (name) => path.join(fullPath, name), [Symbol.dispose]: () => {} }
  }
  const descriptor = openSync(fullPath, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
  return { at: (name) => path.join(`/proc/self/fd/${descriptor}`, name), [Symbol.dispose]: () => closeSync(descriptor) }
}

export const errorCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/**
 * Opens a file below `folder` for reading; the path is names joined by /, without . and .. Throws what the system
 * throws for links (ELOOP) and folders that are links (ENOTDIR); never waits, not even for a FIFO.
 */
export async function openBeneath(folder: string, names: readonly string[]): Promise<FileHandle> {
  const [first = '', ...rest] = names
  using opened = openFolder(folder)
  if (rest.length > 0) return await openBeneath(opened.at(first), rest)
  return await open(opened.at(first), O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
}

export interface FolderSize {
  /** Files, folders and whatever else has a name. */
  entriesCount: number
  /** The larger of a file's length and the room it takes, so that neither holes nor tiny files hide anything. */
  sizeBytes: number
}

const blockBytes = 512
const depthMax = 64
const namesAtOnce = 100

/** What is in the folder; stops counting soon after `entriesMax`. Names that vanish meanwhile are not counted. */
export async function measureFolder(folder: string, entriesMax: number): Promise<FolderSize> {
  const size: FolderSize = { entriesCount: 0, sizeBytes: 0 }
  await measure(folder, { size, entriesMax, depth: 0 })
  return size
}

async function measure(
  fullPath: string,
  state: { size: FolderSize; entriesMax: number; depth: number },
): Promise<void> {
  const { size, entriesMax, depth } = state
  try {
    using folder = openFolder(fullPath)
    const folders: string[] = []
    const entries = opendirSync(folder.at('.'), { bufferSize: namesAtOnce })
    try {
      for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
        if (++size.entriesCount > entriesMax) return
        if (entry.isDirectory()) folders.push(entry.name)
        else addFile(folder.at(entry.name), size)
        // Others have their turn while a crowd is counted.
        if (size.entriesCount % namesAtOnce === 0) await nextTurn()
      }
    } finally {
      entries.closeSync()
    }
    if (depth === depthMax) return
    for (const name of folders) await measure(folder.at(name), { size, entriesMax, depth: depth + 1 })
  } catch (error) {
    ignoreVanished(error)
  }
}

function addFile(fullPath: string, size: FolderSize): void {
  try {
    const stat = lstatSync(fullPath)
    size.sizeBytes += Math.max(stat.size, (stat.blocks ?? 0) * blockBytes)
  } catch (error) {
    ignoreVanished(error)
  }
}

function ignoreVanished(error: unknown): void {
  if (!['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES'].includes(errorCode(error) ?? '')) throw error
}

/** Removes everything in the folder, and with `self` the folder too. Links are removed, never followed. */
export async function clearFolder(fullPath: string, options: { self?: boolean } = {}): Promise<void> {
  try {
    await clearOpened(fullPath)
    if (options.self) await rmdir(fullPath)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
}

async function clearOpened(fullPath: string): Promise<void> {
  using folder = openOwn(fullPath)
  for (let names = readNames(folder); names.length > 0; names = readNames(folder)) {
    for (const { name, isFolder } of names) {
      if (isFolder) await clearFolder(folder.at(name), { self: true })
      else await unlink(folder.at(name))
    }
  }
}

/** Some of the names, so that a crowd of them holds nobody up. */
function readNames(folder: Folder): { name: string; isFolder: boolean }[] {
  const entries = opendirSync(folder.at('.'), { bufferSize: namesAtOnce })
  try {
    const names: { name: string; isFolder: boolean }[] = []
    for (let entry = entries.readSync(); entry !== null && names.length < namesAtOnce; entry = entries.readSync())
      names.push({ name: entry.name, isFolder: entry.isDirectory() })
    return names
  } finally {
    entries.closeSync()
  }
}

/** A folder of ours whose mode the task took away gets it back. */
function openOwn(fullPath: string): Folder {
  try {
    return openFolder(fullPath)
  } catch (error) {
    // Changing the mode follows a link, so it is done only to what is no link and, being of our owner, harmless to open.
    if (errorCode(error) !== 'EACCES' || !lstatSync(fullPath).isDirectory()) throw error
    chmodSync(fullPath, 0o700)
    return openFolder(fullPath)
  }
}
