// What an archive is made of, whatever its format: members, told one after the other while it is read.

import { Problem } from '../../../platform/problem.ts'

export interface Member {
  /** As it is written in the archive, with / between folders. */
  path: string
  /** What is neither a file nor a folder: a link, a device, a pipe. */
  kind: 'file' | 'folder' | 'special'
  /** The bytes; to be read before the next member is asked for, or not at all. */
  content(): AsyncIterable<Buffer>
}

/** Names that can stand on no disk of some system. */
const reservedName = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)/i
const pathCharactersMax = 4_000

/** Why nothing may be unpacked under this path, or nothing. */
export function pathFault(path: string): string | undefined {
  if (path.includes('\0')) return 'its name has a NUL in it'
  if (path.length > pathCharactersMax) return `its name has more than ${pathCharactersMax} characters`
  if (/^[/\\]/.test(path) || /^[a-z]:/i.test(path)) return 'its path does not begin inside the archive'
  const names = path.split('/')
  if (names.includes('..')) return 'its path leads out of the archive'
  if (names.every((name) => name === '' || name === '.')) return 'it has no name'
  if (names.some((name) => reservedName.test(name))) return 'its name is reserved for a device'
  return undefined
}

/** The path without empty and . parts. */
export const plainPath = (path: string): string =>
  path
    .split('/')
    .filter((name) => name !== '' && name !== '.')
    .join('/')

/** What systems that do not tell upper from lower case, or composed from decomposed letters, take for one path. */
export const collisionKey = (path: string): string => path.normalize('NFC').toLowerCase()

/** What macOS adds to archives for itself. */
export const isDesktopNoise = (path: string): boolean => /^__MACOSX\/|(?:^|\/)\.DS_Store$/.test(path)

/** Below it an archive may be as well compressed as it likes: no harm can be done with so little. */
const freeBytes = 10 * 1024 ** 2

export interface Budget {
  readonly unpackedBytes: number
  /** Problems: file_too_complex, archive_unsafe. */
  take(bytes: number): void
}

/** Counts what really comes out, whatever the headers claim. */
export function createBudget(limits: { archiveBytes: number; bytesMax: number; ratioMax: number }): Budget {
  const { archiveBytes, bytesMax, ratioMax } = limits
  let unpackedBytes = 0
  return {
    get unpackedBytes() {
      return unpackedBytes
    },
    take(bytes) {
      unpackedBytes += bytes
      if (unpackedBytes > bytesMax)
        throw new Problem('file_too_complex', { detail: `The archive unpacks to more than ${bytesMax} bytes.` })
      if (unpackedBytes > freeBytes && unpackedBytes > archiveBytes * ratioMax)
        throw new Problem('archive_unsafe', { detail: `The archive unpacks to more than ${ratioMax} times its size.` })
    },
  }
}
