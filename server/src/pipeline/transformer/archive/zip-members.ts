// Members of a zip. Its directory is read whole before anything is unpacked, because it may lie: several of its entries
// may name the same bytes, which makes a bomb of a few kilobytes (D. Fifield, A better zip bomb, 2019).

import { isUtf8 } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { getFileNameLowLevel, openPromise, type Entry } from 'yauzl'
import { Problem } from '../../../platform/problem.ts'
import type { Member } from './member.ts'

/** Problems: file_unreadable, file_encrypted, file_too_complex, file_type_unsupported, archive_unsafe. */
export async function* zipMembers(path: string, membersMax: number): AsyncGenerator<Member> {
  const zip = await readable(() => openPromise(path, { autoClose: false, lazyEntries: true, decodeStrings: false }))
  try {
    const entries = await readable(async () => {
      const entries: Entry[] = []
      for await (const entry of zip.eachEntry()) {
        if (entries.length >= membersMax) throw tooMany(membersMax)
        entries.push(entry)
      }
      return entries
    })
    refuseOverlaps(entries)
    for (const entry of entries) {
      if (entry.isEncrypted())
        throw new Problem('file_encrypted', { detail: 'The archive is protected by a password.' })
      const name = nameOf(entry)
      yield { path: name, kind: kindOf(entry, name), content: () => contentOf(zip, entry, name) }
    }
  } finally {
    zip.close()
  }
}

export const tooMany = (membersMax: number): Problem =>
  new Problem('file_too_complex', { detail: `The archive has more than ${membersMax} members.` })

/** yauzl's errors are plain and zlib's have a code that begins with Z_; both tell of the file. */
async function readable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw isArchiveFault(cause) ? damagedArchive(cause) : cause
  }
}

export const isArchiveFault = (error: unknown): boolean =>
  error instanceof Error &&
  (error.constructor === Error ||
    ('code' in error && typeof error.code === 'string' && /^(?:Z_|ZSTD_)/.test(error.code)))

export const damagedArchive = (cause?: unknown, detail?: string): Problem =>
  new Problem('file_unreadable', { detail: detail ?? 'The archive is damaged or was cut off.', cause })

const localHeaderBytes = 30

function refuseOverlaps(entries: Entry[]): void {
  const inOrder = entries.toSorted((a, b) => a.relativeOffsetOfLocalHeader - b.relativeOffsetOfLocalHeader)
  let end = 0
  for (const { relativeOffsetOfLocalHeader: start, fileNameLength, compressedSize } of inOrder) {
    if (start < end)
      throw new Problem('archive_unsafe', { detail: 'Several members of the archive lie in the same place.' })
    end = start + localHeaderBytes + fileNameLength + compressedSize
  }
}

/** UTF-8 when the entry says so or its bytes are; else the code page of the first PCs, as the format has it. */
function nameOf(entry: Entry): string {
  const { generalPurposeBitFlag, fileNameRaw, extraFields } = entry
  const flags = generalPurposeBitFlag | (isUtf8(fileNameRaw) ? 0x800 : 0)
  return getFileNameLowLevel(flags, fileNameRaw, extraFields, true).replaceAll('\\', '/')
}

const madeByUnix = new Set([3, 19])
const formatMask = 0o170000
const formatKinds = new Map<number, Member['kind']>([
  [0, 'file'],
  [0o100000, 'file'],
  [0o040000, 'folder'],
])

function kindOf(entry: Entry, name: string): Member['kind'] {
  const mode = madeByUnix.has(entry.versionMadeBy >> 8) ? entry.externalFileAttributes >>> 16 : 0
  const kind = formatKinds.get(mode & formatMask) ?? 'special'
  return kind === 'file' && name.endsWith('/') ? 'folder' : kind
}

const stored = 0
const deflated = 8

async function* contentOf(
  zip: Awaited<ReturnType<typeof openPromise>>,
  entry: Entry,
  name: string,
): AsyncGenerator<Buffer> {
  if (entry.compressionMethod !== stored && entry.compressionMethod !== deflated)
    throw new Problem('file_type_unsupported', {
      detail: `"${name}" is compressed by method ${entry.compressionMethod}, which cannot be unpacked here.`,
    })
  let sum = 0
  try {
    // Chunks are Buffers, because the stream has no encoding.
    for await (const chunk of (await zip.openReadStreamPromise(entry)) as AsyncIterable<Buffer>) {
      sum = crc32(chunk, sum)
      yield chunk
    }
  } catch (cause) {
    throw isArchiveFault(cause) ? damagedArchive(cause) : cause
  }
  if (sum !== entry.crc32)
    throw damagedArchive(undefined, `The archive is damaged: the checksum of "${name}" does not match.`)
}
