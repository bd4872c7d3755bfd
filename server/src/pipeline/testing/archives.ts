// Archives for tests, written by hand so that any field of them can be wrong.

import { crc32, deflateRawSync } from 'node:zlib'

export interface ZipMember {
  /** Bytes when it is no UTF-8. */
  name: string | Buffer
  content?: Buffer | string
  method?: 'stored' | 'deflated'
  /** 0x800 says that names are UTF-8, 1 that the member is encrypted. */
  flags?: number
  /** Unix mode, in the upper half of the external attributes. */
  mode?: number
  /** Claims that are not so. */
  claimed?: { sizeBytes?: number; crc?: number; offset?: number }
}

/** A zip of these members, in their order. */
export function zipOf(members: ZipMember[], comment = ''): Buffer {
  const locals: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const member of members) {
    const { local, central } = zipEntry(member, offset)
    locals.push(local)
    directory.push(central)
    offset += local.length
  }
  const listing = Buffer.concat(directory)
  return Buffer.concat([...locals, listing, zipEnd(members.length, listing.length, offset, comment)])
}

function zipEntry(member: ZipMember, offset: number): { local: Buffer; central: Buffer } {
  const { method = 'deflated', flags = 0x800, mode = 0o100644, claimed = {} } = member
  const name = Buffer.from(member.name as string)
  const content = Buffer.from((member.content ?? '') as string)
  const packed = method === 'stored' ? content : deflateRawSync(content)
  // Version to extract, flags, method, time, date, checksum, packed and unpacked size, lengths of name and extra field.
  const shared = Buffer.alloc(26)
  shared.writeUInt16LE(20, 0)
  shared.writeUInt16LE(flags, 2)
  shared.writeUInt16LE(method === 'stored' ? 0 : 8, 4)
  shared.writeUInt16LE(0x5a21, 8)
  shared.writeUInt32LE(claimed.crc ?? crc32(content), 10)
  shared.writeUInt32LE(packed.length, 14)
  shared.writeUInt32LE(claimed.sizeBytes ?? content.length, 18)
  shared.writeUInt16LE(name.length, 22)
  const rest = Buffer.alloc(14)
  rest.writeUInt32LE((mode << 16) >>> 0, 6)
  rest.writeUInt32LE(claimed.offset ?? offset, 10)
  const madeByUnix = Buffer.from([20, 3])
  return {
    local: Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), shared, name, packed]),
    central: Buffer.concat([Buffer.from('PK\x01\x02', 'latin1'), madeByUnix, shared, rest, name]),
  }
}

export function zipEnd(count: number, sizeBytes: number, offset: number, comment = ''): Buffer {
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(count % 65_536, 8)
  end.writeUInt16LE(count % 65_536, 10)
  end.writeUInt32LE(sizeBytes, 12)
  end.writeUInt32LE(offset, 16)
  end.writeUInt16LE(comment.length, 20)
  return Buffer.concat([end, Buffer.from(comment, 'latin1')])
}

export interface TarMember {
  name: string
  content?: Buffer | string
  /** As in the header: 0 file, 1 hard link, 2 symbolic link, 3 device, 5 folder, x extended header. */
  type?: string
  linkName?: string
  /** What the header says instead of the length of the content. */
  claimedBytes?: number
}

/** A tar of these members with the two blocks that end it. */
export const tarOf = (members: TarMember[]): Buffer => Buffer.concat([...members.map(tarMember), Buffer.alloc(1024)])

export function tarMember({ name, content = '', type = '0', linkName = '', claimedBytes }: TarMember): Buffer {
  const bytes = Buffer.from(content as string)
  const header = Buffer.alloc(512)
  header.write(name, 0, 100)
  header.write('0000644\x000001750\x000001750\0', 100)
  header.write((claimedBytes ?? bytes.length).toString(8).padStart(11, '0') + '\0', 124)
  header.write('14000000000\0' + ' '.repeat(8) + type, 136)
  header.write(linkName, 157, 100)
  header.write('ustar\x0000', 257, 'latin1')
  const sum = header.reduce((sum, byte) => sum + byte, 0)
  header.write(sum.toString(8).padStart(6, '0') + '\0 ', 148)
  return Buffer.concat([header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)])
}
