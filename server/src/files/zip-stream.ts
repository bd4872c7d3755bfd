// A zip as a stream: nothing is kept but a line of the directory per member. Each member is one deflate stream of stored
// blocks (RFC 1951, 3.2.4), so that its length is known beforehand, its end is seen by readers that only go forwards,
// and no time is spent on what is compressed already. Sizes of 4 GiB and more are told as zip64 (APPNOTE 6.3.10, 4.5.3).

import { crc32 } from 'node:zlib'
import { invariant } from '../platform/problem.ts'

export interface ZipMember {
  /** Safe and unique; see zipNames. */
  readonly name: string
  readonly sizeBytes: number
  readonly modifiedAt: Date
}

const blockBytesMax = 65_535
const blockHeadBytes = 5
const max32 = 0xffff_ffff
const max16 = 0xffff
const versionZip64 = 45
const versionPlain = 20
/** Checksum and lengths follow the content; names are UTF-8. */
const flags = 0x0808
const methodDeflate = 8

/** Length of the content as it stands in the zip; at least one block, which says that it is the last. */
const packedBytesOf = (sizeBytes: number): number =>
  sizeBytes + blockHeadBytes * Math.max(1, Math.ceil(sizeBytes / blockBytesMax))

const isLarge = ({ sizeBytes }: ZipMember): boolean => packedBytesOf(sizeBytes) >= max32

/** Exact, before a byte of a member has been read. */
export function zipSizeOf(members: readonly ZipMember[]): number {
  let offset = 0
  let directoryBytes = 0
  for (const member of members) {
    directoryBytes += directoryEntry(member, { offset, checksum: 0 }).length
    offset += localHead(member).length + packedBytesOf(member.sizeBytes) + (isLarge(member) ? 24 : 16)
  }
  return offset + directoryBytes + directoryEnd({ count: members.length, offset, directoryBytes }).length
}

/**
 * The bytes of the zip. Throws what `open` and its streams throw, in the middle of the zip, whose end is then missing;
 * and a member that has another length than was told breaks it off as well.
 */
export async function* writeZip<Member extends ZipMember>(
  members: readonly Member[],
  open: (member: Member) => Promise<AsyncIterable<Buffer>>,
): AsyncGenerator<Buffer, void, undefined> {
  const entries: Buffer[] = []
  let offset = 0
  for (const member of members) {
    const head = localHead(member)
    yield head
    let checksum = 0
    let left = member.sizeBytes
    // The last block ends on the last byte, whatever the pieces are; an empty member is one empty block.
    let blockLeft = 0
    if (left === 0) yield blockHead(0, true)
    for await (const piece of await open(member)) {
      invariant(piece.length <= left, 'a member of a zip has the length that was told')
      checksum = crc32(piece, checksum)
      for (let from = 0; from < piece.length;) {
        if (blockLeft === 0) {
          blockLeft = Math.min(left, blockBytesMax)
          yield blockHead(blockLeft, blockLeft === left)
        }
        const taken = piece.subarray(from, from + blockLeft)
        yield taken
        from += taken.length
        blockLeft -= taken.length
        left -= taken.length
      }
    }
    invariant(left === 0, 'a member of a zip has the length that was told')
    yield descriptor(member, checksum)
    entries.push(directoryEntry(member, { offset, checksum }))
    offset += head.length + packedBytesOf(member.sizeBytes) + (isLarge(member) ? 24 : 16)
  }
  yield* entries
  const directoryBytes = entries.reduce((sum, entry) => sum + entry.length, 0)
  yield directoryEnd({ count: entries.length, offset, directoryBytes })
}

function blockHead(sizeBytes: number, last: boolean): Buffer {
  const head = Buffer.allocUnsafe(blockHeadBytes)
  head.writeUInt8(last ? 1 : 0, 0)
  head.writeUInt16LE(sizeBytes, 1)
  head.writeUInt16LE(sizeBytes ^ max16, 3)
  return head
}

/** Date and time of MS-DOS, in UTC, two seconds exact; it begins with 1980. */
function dosTime(date: Date): number {
  const year = Math.min(Math.max(date.getUTCFullYear() - 1980, 0), 127)
  const day = (year << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate()
  const time = (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1)
  return day * 0x1_0000 + time
}

function localHead(member: ZipMember): Buffer {
  const name = Buffer.from(member.name)
  const large = isLarge(member)
  const head = Buffer.alloc(30)
  head.writeUInt32LE(0x04034b50, 0)
  head.writeUInt16LE(large ? versionZip64 : versionPlain, 4)
  head.writeUInt16LE(flags, 6)
  head.writeUInt16LE(methodDeflate, 8)
  head.writeUInt32LE(dosTime(member.modifiedAt), 10)
  if (large) head.fill(0xff, 18, 26)
  head.writeUInt16LE(name.length, 26)
  head.writeUInt16LE(large ? 20 : 0, 28)
  // A zip64 field with lengths still to come is what says that the descriptor's are of eight bytes.
  return Buffer.concat([head, name, large ? zip64Field([0, 0]) : Buffer.alloc(0)])
}

function zip64Field(numbers: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * numbers.length)
  field.writeUInt16LE(1, 0)
  field.writeUInt16LE(8 * numbers.length, 2)
  for (const [index, number] of numbers.entries()) field.writeBigUInt64LE(BigInt(number), 4 + 8 * index)
  return field
}

function descriptor(member: ZipMember, checksum: number): Buffer {
  const packedBytes = packedBytesOf(member.sizeBytes)
  const large = isLarge(member)
  const bytes = Buffer.alloc(large ? 24 : 16)
  bytes.writeUInt32LE(0x08074b50, 0)
  bytes.writeUInt32LE(checksum, 4)
  if (large) {
    bytes.writeBigUInt64LE(BigInt(packedBytes), 8)
    bytes.writeBigUInt64LE(BigInt(member.sizeBytes), 16)
  } else {
    bytes.writeUInt32LE(packedBytes, 8)
    bytes.writeUInt32LE(member.sizeBytes, 12)
  }
  return bytes
}

function directoryEntry(member: ZipMember, { offset, checksum }: { offset: number; checksum: number }): Buffer {
  const name = Buffer.from(member.name)
  const large = isLarge(member)
  const far = offset >= max32
  const extended = [...(large ? [member.sizeBytes, packedBytesOf(member.sizeBytes)] : []), ...(far ? [offset] : [])]
  const extra = extended.length === 0 ? Buffer.alloc(0) : zip64Field(extended)
  const entry = Buffer.alloc(46)
  entry.writeUInt32LE(0x02014b50, 0)
  entry.writeUInt16LE((3 << 8) | versionZip64, 4) // made under Unix, for the attributes
  entry.writeUInt16LE(extended.length === 0 ? versionPlain : versionZip64, 6)
  entry.writeUInt16LE(flags, 8)
  entry.writeUInt16LE(methodDeflate, 10)
  entry.writeUInt32LE(dosTime(member.modifiedAt), 12)
  entry.writeUInt32LE(checksum, 16)
  entry.writeUInt32LE(large ? max32 : packedBytesOf(member.sizeBytes), 20)
  entry.writeUInt32LE(large ? max32 : member.sizeBytes, 24)
  entry.writeUInt16LE(name.length, 28)
  entry.writeUInt16LE(extra.length, 30)
  entry.writeUInt32LE(0o100644 * 0x1_0000, 38) // a plain file that its owner may write
  entry.writeUInt32LE(far ? max32 : offset, 42)
  return Buffer.concat([entry, name, extra])
}

function directoryEnd(directory: { count: number; offset: number; directoryBytes: number }): Buffer {
  const { count, offset, directoryBytes } = directory
  const large = count >= max16 || offset >= max32 || directoryBytes >= max32
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(Math.min(count, max16), 8)
  end.writeUInt16LE(Math.min(count, max16), 10)
  end.writeUInt32LE(Math.min(directoryBytes, max32), 12)
  end.writeUInt32LE(Math.min(offset, max32), 16)
  if (!large) return end
  const end64 = Buffer.alloc(56 + 20)
  end64.writeUInt32LE(0x06064b50, 0)
  end64.writeBigUInt64LE(44n, 4)
  end64.writeUInt16LE(versionZip64, 12)
  end64.writeUInt16LE(versionZip64, 14)
  end64.writeBigUInt64LE(BigInt(count), 24)
  end64.writeBigUInt64LE(BigInt(count), 32)
  end64.writeBigUInt64LE(BigInt(directoryBytes), 40)
  end64.writeBigUInt64LE(BigInt(offset), 48)
  end64.writeUInt32LE(0x07064b50, 56)
  end64.writeBigUInt64LE(BigInt(offset + directoryBytes), 64)
  end64.writeUInt32LE(1, 72)
  return Buffer.concat([end64, end])
}
