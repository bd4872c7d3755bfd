// Objects as files below one folder. A put writes a temporary file, forces it to the disk, renames it into place and
// forces the folder: a reader sees the whole object or none, and what was acknowledged survives a power cut.
//
//   <directory>/objects/<key>     the objects, a key's parts being folders
//   <directory>/temp/<name>       objects that are being written; stale ones are removed when the store is opened
//
// Local disks give no way to take a hanging call back, so here a deadline is the operating system's.

import { closeSync, constants, createReadStream, fstatSync, fsync, open, openSync, write } from 'node:fs'
import * as files from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { platform } from 'node:process'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import type { Log } from '../platform/log.ts'
import { Problem } from '../platform/problem.ts'
import { WholeContent } from '../platform/whole-content.ts'
import { abortable } from './abortable.ts'
import { newTempName, removeStaleTemps } from './disk-temp.ts'
import { checkKey, checkPrefix } from './object-key.ts'
import type { ByteRange, ObjectInfo, ObjectStore, PutOptions } from './object-store.ts'

export interface DiskStoreOptions {
  directory: string
  log: Log
  /** The calls that may fail for want of room; tests plant faults here. */
  openFile?: typeof files.open
}

const readBufferBytes = 512 * 1024
const renameAttemptsMax = 10

/** Opens or creates the store. Throws Problem('storage_unavailable') when the folder cannot be used. */
export async function openDiskStore(options: DiskStoreOptions): Promise<ObjectStore> {
  const objectsFolder = join(options.directory, 'objects')
  const tempFolder = join(options.directory, 'temp')
  const openFile = options.openFile ?? files.open
  const conditionalPut = await prepareFolders(options, objectsFolder, tempFolder)

  const pathOf = (key: string): string => {
    checkKey(key)
    return join(objectsFolder, ...key.split('/'))
  }

  /** Runs the writer on a new temporary file and moves that to the key; on failure nothing is left. */
  const publish = async (key: string, ifAbsent: boolean, write: (temp: string) => Promise<void>): Promise<void> => {
    const path = pathOf(key)
    const temp = join(tempFolder, newTempName())
    let moved = false
    try {
      await write(temp)
      moved = await moveIntoPlace(temp, path, objectsFolder, ifAbsent)
    } finally {
      if (!moved) await files.rm(temp, { force: true })
    }
  }

  return {
    kind: 'disk',
    durability: 'survives a crash and a power cut (every object is forced to the disk), not the loss of the disk',
    capabilities: { conditionalPut, presign: false },

    put: (key, body, options = {}) =>
      told(async () => {
        let sizeBytes = 0
        await publish(key, options.ifAbsent === true, async (temp) => {
          if (body instanceof WholeContent && body.bytes.length > 0 && forcesWrites) {
            sizeBytes = await writeWhole(temp, body.bytes, options)
            return
          }
          const handle = await openFile(temp, 'wx', 0o600)
          try {
            sizeBytes = await writeBody(handle, body, options)
            await handle.sync()
          } finally {
            await handle.close()
          }
        })
        return { key, sizeBytes }
      }),

    get: (key, options = {}) => told(() => openRange(pathOf(key), options)),

    head: (key) =>
      told(async () => {
        const found = await files.stat(pathOf(key)).catch(orAbsent)
        return found?.isFile() === true ? { key, sizeBytes: found.size } : undefined
      }),

    delete: (key) =>
      told(async () => {
        const path = pathOf(key)
        await files.unlink(path).catch(orAbsent)
        await removeEmptyFolders(dirname(path), objectsFolder)
      }),

    copy: (from, to) =>
      told(async () => {
        await publish(to, false, async (temp) => {
          await files.copyFile(pathOf(from), temp, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
          await syncPath(temp, 'r+')
        })
        return { key: to, sizeBytes: (await files.stat(pathOf(to))).size }
      }),

    list: ({ prefix, after = '', limit, signal }) =>
      told(async () => {
        checkPrefix(prefix)
        const found: ObjectInfo[] = []
        const top = prefix.slice(0, prefix.lastIndexOf('/') + 1)
        for await (const info of walk(objectsFolder, top, after)) {
          signal?.throwIfAborted()
          if (!info.key.startsWith(prefix)) continue
          if (found.push(info) >= limit) break
        }
        return found
      }),

    removeLeftovers: () => told(async () => void (await removeStaleTemps(tempFolder, Date.now()))),

    close: async () => {},
  }
}

/** Makes and cleans the folders; answers whether the disk can put only where nothing is. */
async function prepareFolders(
  { directory, log }: DiskStoreOptions,
  objectsFolder: string,
  tempFolder: string,
): Promise<boolean> {
  try {
    await files.mkdir(objectsFolder, { recursive: true })
    await files.mkdir(tempFolder, { recursive: true })
    const removedCount = await removeStaleTemps(tempFolder, Date.now())
    if (removedCount > 0) log.info('storage.stale_temps_removed', { filesCount: removedCount })
    return await canLink(tempFolder)
  } catch (cause) {
    throw new Problem('storage_unavailable', { detail: `The folder ${directory} cannot be used`, cause })
  }
}

/** Writes the body while the next piece of it is being made, and holds it to its stated length. */
async function writeBody(
  handle: files.FileHandle,
  body: AsyncIterable<Uint8Array>,
  options: PutOptions,
): Promise<number> {
  let sizeBytes = 0
  let writing: Promise<void> = Promise.resolve()
  try {
    for await (const piece of bodyOf(body, options.signal)) {
      sizeBytes += piece.length
      if (options.sizeBytes !== undefined && sizeBytes > options.sizeBytes) break
      await writing
      writing = writeFully(handle, piece)
      writing.catch(() => {}) // Awaited below or at the next piece; until then it must not count as unhandled.
    }
  } finally {
    await writing
  }
  checkSize(sizeBytes, options)
  return sizeBytes
}

function checkSize(bodyBytes: number, { sizeBytes }: PutOptions): void {
  if (sizeBytes !== undefined && bodyBytes !== sizeBytes)
    throw new Problem('upload_incomplete', { detail: `The body does not have the stated ${sizeBytes} bytes` })
}

/**
 * Linux says of a file opened so that a write has returned only when fsync would have (open(2)): one trip through the
 * thread pool for both. Elsewhere it may mean less, the cache of the disk left out.
 */
const forcesWrites = platform === 'linux'

async function writeWhole(temp: string, bytes: Uint8Array, options: PutOptions): Promise<number> {
  options.signal?.throwIfAborted()
  checkSize(bytes.length, options)
  const { O_WRONLY, O_CREAT, O_EXCL, O_SYNC } = constants
  const flags = O_WRONLY | O_CREAT | O_EXCL | O_SYNC
  const descriptor = await openDescriptor(temp, flags, 0o600)
  try {
    for (let offset = 0; offset < bytes.length;)
      offset += (await writeDescriptor(descriptor, bytes, offset)).bytesWritten
  } finally {
    closeSync(descriptor)
  }
  return bytes.length
}

/** An error of the body, which is passed on as it is: a lost client also has an errno, but it is not the disk's. */
class BodyFailure extends Error {}

async function* bodyOf(body: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  try {
    yield* abortable(body, signal)
  } catch (cause) {
    throw new BodyFailure('The body failed', { cause })
  }
}

async function writeFully(handle: files.FileHandle, piece: Uint8Array): Promise<void> {
  let offset = 0
  while (offset < piece.length) offset += (await handle.write(piece, offset, piece.length - offset)).bytesWritten
}

async function openRange(path: string, options: { range?: ByteRange; signal?: AbortSignal }): Promise<Readable> {
  const handle = await files.open(path, 'r')
  try {
    const found = fstatSync(handle.fd) // What is open is known without a look at the disk.
    if (!found.isFile()) throw new Problem('not_found')
    const { start, end } = options.range ?? { start: 0, end: Number.POSITIVE_INFINITY }
    if (options.range !== undefined && (start >= found.size || end < start))
      throw new Problem('range_not_satisfiable', { detail: `The object has ${found.size} bytes` })
    options.signal?.throwIfAborted()
    const stream = createReadStream(path, {
      fd: handle,
      start,
      end: Math.min(end, found.size),
      highWaterMark: readBufferBytes,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
    // An abort before anybody reads would be an error that nobody hears, and end the process; readers hear it all the same.
    return stream.on('error', () => {})
  } catch (error) {
    await handle.close()
    throw error
  }
}

/**
 * Answers whether the temporary name is gone. The folders of the key may be pruned by a delete at this very moment; then
 * they are made again.
 */
async function moveIntoPlace(temp: string, path: string, root: string, ifAbsent: boolean): Promise<boolean> {
  const folder = dirname(path)
  for (let attempt = 1; ; attempt++) {
    try {
      // The folder of an original is nearly always there; it is made when it turns out that it is not.
      const made = attempt === 1 ? undefined : await files.mkdir(folder, { recursive: true })
      await (ifAbsent ? files.link(temp, path) : files.rename(temp, path))
      await syncFolders(folder, made === undefined ? folder : dirname(made), root)
      return !ifAbsent
    } catch (error) {
      if (codeOf(error) === 'EEXIST') throw new Problem('conflict', { detail: 'The object exists', cause: error })
      if (codeOf(error) !== 'ENOENT' || attempt >= renameAttemptsMax) throw error
    }
  }
}

/** Forces the names from the lowest folder up to the highest that got a new entry. */
async function syncFolders(lowest: string, highest: string, root: string): Promise<void> {
  if (platform === 'win32') return // Folders cannot be opened there; NTFS journals names itself.
  for (let folder = lowest; ; folder = dirname(folder)) {
    await syncPath(folder, 'r').catch(orAbsent) // A folder that is gone was pruned: the object is deleted.
    if (folder === highest || folder === root) return
  }
}

/** Opened and closed without waiting: these only touch a name, and a trip through the thread pool costs more. */
async function syncPath(path: string, flags: 'r' | 'r+'): Promise<void> {
  const descriptor = openSync(path, flags)
  try {
    await forceToDisk(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

const forceToDisk = promisify(fsync)
const openDescriptor = promisify(open)
const writeDescriptor = promisify(write)

async function removeEmptyFolders(folder: string, root: string): Promise<void> {
  for (let empty = folder; empty !== root && empty.startsWith(root + sep); empty = dirname(empty)) {
    try {
      await files.rmdir(empty)
    } catch {
      return // Not empty, or in use.
    }
  }
}

/** All objects below a folder, in byte order of their keys, from the first after the given key. */
async function* walk(root: string, folder: string, after: string): AsyncGenerator<ObjectInfo> {
  const entries = await files.readdir(join(root, ...folder.split('/')), { withFileTypes: true }).catch(orAbsent)
  const keys = (entries ?? []).map((entry) => folder + entry.name + (entry.isDirectory() ? '/' : ''))
  for (const key of keys.sort(byBytes)) {
    if (key.endsWith('/')) {
      if (key > after || after.startsWith(key)) yield* walk(root, key, after)
    } else if (key > after) {
      const found = await files.stat(join(root, ...key.split('/'))).catch(orAbsent)
      if (found?.isFile() === true) yield { key, sizeBytes: found.size, modifiedAt: found.mtime }
    }
  }
}

/** Keys are ASCII, so the order of code units is the order of bytes. */
const byBytes = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

async function canLink(folder: string): Promise<boolean> {
  const one = join(folder, newTempName())
  const two = `${one}-link`
  try {
    await files.writeFile(one, '')
    await files.link(one, two)
    return true
  } catch {
    return false // FAT and some network file systems have no hard links.
  } finally {
    await files.rm(one, { force: true })
    await files.rm(two, { force: true })
  }
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** For use in catch: undefined for what is not there, anything else is thrown on. */
function orAbsent(error: unknown): undefined {
  const code = codeOf(error)
  if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error
}

/** Runs the call and tells the operating system's errors as Problems. */
async function told<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (error instanceof BodyFailure) throw error.cause
    const code = codeOf(error)
    if (code === undefined || !(error instanceof Error) || !('errno' in error)) throw error
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new Problem('storage_full', { cause: error })
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') throw new Problem('not_found', { cause: error })
    throw new Problem('storage_unavailable', { detail: `The disk answers ${code}`, cause: error })
  }
}
