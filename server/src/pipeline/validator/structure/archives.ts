// Archives and other containers: zip (APPNOTE 6.3) and what is packed in it, gzip (RFC 1952), tar (POSIX ustar), 7z, xz,
// Parquet, SQLite.

import { createReadStream } from 'node:fs'
import { crc32, createGunzip } from 'node:zlib'
import { openPromise } from 'yauzl'
import { Problem } from '../../../platform/problem.ts'
import { cutOff, damaged, type FileBytes, type Structure, type StructureCheck } from './structure.ts'

/** Entries whose places are looked at; what unpacks an archive looks at all. */
const entriesCountMax = 20_000
/** Local headers that are compared with the directory. */
const headersCountMax = 64

/** As much is unpacked to compare checksums; what lies behind is left to the step that unpacks it. */
const summedBytesMax = 32 * 1024 ** 2

/** `needs` is an entry without which the file is not what it claims to be. */
export const checkZip =
  (what: string, needs?: string): StructureCheck =>
  async (bytes) => {
    let close = (): void => {}
    try {
      const zip = await openPromise(bytes.path, { autoClose: false, lazyEntries: true, decodeStrings: false })
      close = () => zip.close()
      const facts = { entries_count: zip.entryCount, unpacked_bytes: 0, encrypted_count: 0 }
      let seenCount = 0
      let hasNeed = needs === undefined
      for await (const entry of zip.eachEntry()) {
        if (seenCount >= entriesCountMax) break
        seenCount += 1
        facts.unpacked_bytes += entry.uncompressedSize
        facts.encrypted_count += entry.isEncrypted() ? 1 : 0
        hasNeed ||= String(entry.fileNameRaw) === needs
        if (seenCount > headersCountMax || facts.unpacked_bytes > summedBytesMax || entry.isEncrypted()) continue
        const mark = await bytes.read(entry.relativeOffsetOfLocalHeader, 4)
        if (mark.toString('latin1') !== 'PK\x03\x04') throw damaged(what, 'a part is not where its list says')
        if (entry.compressionMethod !== 0 && entry.compressionMethod !== 8) continue
        let sum = 0
        // Chunks are Buffers, because the stream has no encoding; yauzl holds them to the size in the list.
        for await (const chunk of (await zip.openReadStreamPromise(entry)) as AsyncIterable<Buffer>)
          sum = crc32(chunk, sum)
        if (sum !== entry.crc32) throw damaged(what, 'the checksum of a part does not match')
      }
      if (facts.encrypted_count > 0)
        throw new Problem('file_encrypted', { detail: `The ${what} is protected by a password.` })
      if (!hasNeed && seenCount < entriesCountMax) throw damaged(what, `its part "${needs}" is missing`)
      return { facts: { ...facts, checked: seenCount < facts.entries_count ? 'first entries' : 'directory' } }
    } catch (cause) {
      if (isZlibFault(cause)) throw damaged(what, 'a part cannot be unpacked', cause)
      // yauzl's errors are plain.
      if (!(cause instanceof Error) || cause.constructor !== Error) throw cause
      throw cutOff(what, 'the list of its parts at the end is missing or damaged')
    } finally {
      close()
    }
  }

/** As much is unpacked to see whether it can be; beyond it the rest is believed. */
const gzipBytesMax = 256 * 1024 ** 2

export async function checkGzip(bytes: FileBytes): Promise<Structure> {
  const source = createReadStream(bytes.path)
  const unpacked = source.pipe(createGunzip())
  source.on('error', (error) => unpacked.destroy(error))
  let sizeBytes = 0
  try {
    // Chunks are Buffers, because the stream has no encoding.
    for await (const chunk of unpacked as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length
      if (sizeBytes > gzipBytesMax) return { facts: { unpacked_bytes: null, checked: 'beginning' } }
    }
    return { facts: { unpacked_bytes: sizeBytes } }
  } catch (cause) {
    if (!isZlibFault(cause)) throw cause
    throw cause.code === 'Z_BUF_ERROR' ? cutOff('archive') : damaged('archive', 'it cannot be unpacked', cause)
  } finally {
    source.destroy()
    unpacked.destroy()
  }
}

const isZlibFault = (error: unknown): error is Error & { code: string } =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('Z_')

const blockBytes = 512
const tarHeadersCountMax = 1_000_000

export async function checkTar(bytes: FileBytes): Promise<Structure> {
  let [at, entriesCount] = [0, 0]
  while (entriesCount < tarHeadersCountMax) {
    const head = await bytes.read(at, blockBytes)
    if (head.length < blockBytes) throw cutOff('archive')
    if (head.every((byte) => byte === 0)) return { facts: { entries_count: entriesCount } }
    const told = Number.parseInt(head.toString('latin1', 148, 156), 8)
    const sum = head.reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 0x20 : byte), 0)
    if (told !== sum) throw damaged('archive', 'the header of one of its parts is wrong')
    const isBinary = ((head[124] ?? 0) & 0x80) !== 0
    const length = isBinary ? head.readUIntBE(130, 6) : Number.parseInt(head.toString('latin1', 124, 136), 8) || 0
    entriesCount += 1
    at += blockBytes + Math.ceil(length / blockBytes) * blockBytes
    if (at > bytes.sizeBytes) throw cutOff('archive')
  }
  return { facts: { entries_count: entriesCount, checked: 'beginning' } }
}

export async function check7z(bytes: FileBytes): Promise<Structure> {
  const head = await bytes.read(0, 32)
  if (head.length < 32) throw cutOff('archive')
  if (head.readUInt32LE(8) !== crc32(head.subarray(12, 32))) throw damaged('archive', 'a checksum does not match')
  const endsAt = 32 + Number(head.readBigUInt64LE(12)) + Number(head.readBigUInt64LE(20))
  if (endsAt > bytes.sizeBytes) throw cutOff('archive')
  return { facts: {}, endsAt }
}

export async function checkXz(bytes: FileBytes): Promise<Structure> {
  const tail = (await bytes.read(Math.max(0, bytes.sizeBytes - 1024), 1024)).toString('latin1').replace(/\0+$/, '')
  if (!tail.endsWith('YZ')) throw cutOff('archive')
  return { facts: {} }
}

export async function checkParquet(bytes: FileBytes): Promise<Structure> {
  const tail = await bytes.read(bytes.sizeBytes - 8, 8)
  if (tail.length < 8 || !/PAR[1E]$/.test(tail.toString('latin1'))) throw cutOff('Parquet file')
  if (tail.readUInt32LE(0) + 12 > bytes.sizeBytes) throw damaged('Parquet file', 'the list of its columns is missing')
  return { facts: {}, endsAt: bytes.sizeBytes }
}

export async function checkSqlite(bytes: FileBytes): Promise<Structure> {
  const head = await bytes.read(0, 100)
  if (head.length < 100) throw cutOff('database')
  const pageBytes = head.readUInt16BE(16) === 1 ? 65_536 : head.readUInt16BE(16)
  if (pageBytes * head.readUInt32BE(28) > bytes.sizeBytes) throw cutOff('database')
  return { facts: { page_bytes: pageBytes, pages_count: head.readUInt32BE(28) } }
}
