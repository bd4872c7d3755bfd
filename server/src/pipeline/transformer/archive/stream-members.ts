// Members of what is read from its beginning to its end: tar, and one file or a tar packed by gzip or Zstandard.

import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import { Readable, type Transform } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { extract, type Header } from 'tar-stream'
import { sniffBytes, sniffContentType } from '../../formats/sniff.ts'
import type { Budget, Member } from './member.ts'
import { damagedArchive, isArchiveFault } from './zip-members.ts'

const unpackers: Record<string, () => Transform> = {
  'application/gzip': createGunzip,
  'application/zstd': createZstdDecompress,
}

/** Problems: file_unreadable, and those of the budget, which everything that is unpacked is counted against. */
export async function* packedMembers(options: {
  path: string
  name: string
  type: string
  budget: Budget
}): AsyncGenerator<Member> {
  const { path, name, type, budget } = options
  const unpacked = unpack(path, type)
  const head: Buffer[] = []
  let headBytes = 0
  while (headBytes < sniffBytes) {
    const next = await unpacked.next()
    if (next.done === true) break
    head.push(next.value)
    headBytes += next.value.length
  }
  const counted = countedFrom(head, unpacked, budget)
  if (sniffContentType(Buffer.concat(head), '') === 'application/x-tar') yield* tarMembersOf(counted)
  else yield { path: unpackedName(name), kind: 'file', content: () => counted }
}

export const tarMembers = (path: string, budget: Budget): AsyncGenerator<Member> =>
  tarMembersOf(countedFrom([], unpack(path), budget))

async function* unpack(path: string, type?: string): AsyncGenerator<Buffer> {
  const source = createReadStream(path)
  const unpacker = type === undefined ? undefined : unpackers[type]?.()
  const unpacked = unpacker === undefined ? source : source.pipe(unpacker)
  source.once('error', (error) => unpacked.destroy(error))
  try {
    // Chunks are Buffers, because neither stream has an encoding.
    yield* unpacked as AsyncIterable<Buffer>
  } catch (cause) {
    throw isArchiveFault(cause) ? damagedArchive(cause) : cause
  } finally {
    source.destroy()
    unpacked.destroy()
  }
}

async function* countedFrom(head: Buffer[], rest: AsyncGenerator<Buffer>, budget: Budget): AsyncGenerator<Buffer> {
  try {
    for (const chunk of head) {
      budget.take(chunk.length)
      yield chunk
    }
    for await (const chunk of rest) {
      budget.take(chunk.length)
      yield chunk
    }
  } finally {
    await rest.return(undefined)
  }
}

const kinds: Partial<Record<NonNullable<Header['type']>, Member['kind']>> = {
  file: 'file',
  'contiguous-file': 'file',
  directory: 'folder',
}

/** What the stream of a member says when its archive has ended before it. */
const isTornStream = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'STREAM_DESTROYED'

async function* tarMembersOf(bytes: AsyncGenerator<Buffer>): AsyncGenerator<Member> {
  const tar = extract()
  const source = Readable.from(bytes, { objectMode: false })
  let sourceFault: unknown
  source.once('error', (error) => {
    sourceFault = error
    tar.destroy(error)
  })
  source.pipe(tar)
  /** What went wrong before the tar did comes first: a stream that was destroyed says nothing about why. */
  async function* told<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* items
    } catch (cause) {
      throw sourceFault ?? (isArchiveFault(cause) || isTornStream(cause) ? damagedArchive(cause) : cause)
    }
  }
  try {
    for await (const entry of told(tar)) {
      const kind = kinds[entry.header.type ?? 'file'] ?? 'special'
      // tar-stream's streams are of Buffers.
      yield { path: entry.header.name, kind, content: () => told(entry as AsyncIterable<Buffer>) }
      entry.resume()
    }
  } finally {
    source.destroy()
    tar.destroy()
  }
}

/** "data.csv" of "folder/data.csv.gz". The name that gzip keeps inside is not asked: it is older than the file's. */
const unpackedName = (name: string): string => {
  const base = basename(name.replaceAll('\\', '/').replaceAll('\0', '')).replace(/\.(?:gz|zst)$/i, '')
  return /^\.{0,2}$/.test(base) ? 'unpacked' : base.replace(/\.(?:tgz)$/i, '.tar')
}
