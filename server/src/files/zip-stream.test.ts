// What is written is read by another library (yauzl), which checks offsets, lengths and checksums of the directory.

import { createHash, randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import * as yauzl from 'yauzl'
import { writeZip, zipSizeOf, type ZipMember } from './zip-stream.ts'

const modifiedAt = new Date('2026-11-25T14:30:42Z')
interface Member extends ZipMember {
  content: Buffer
}
const member = (name: string, content: Buffer): Member => ({ name, content, sizeBytes: content.length, modifiedAt })

/** In pieces that fit no block. */
async function* piecesOf({ content }: Member): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < content.length; offset += 40_009) yield content.subarray(offset, offset + 40_009)
}

const zipOf = async (members: readonly Member[]): Promise<Buffer> => {
  const pieces: Buffer[] = []
  for await (const piece of writeZip(members, async (each) => piecesOf(each))) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

async function read(zip: Buffer): Promise<{ name: string; sha256: string; modifiedAt: Date }[]> {
  const file = await new Promise<yauzl.ZipFile>((resolve, reject) =>
    yauzl.fromBuffer(zip, { lazyEntries: true, validateEntrySizes: true }, (error, opened) =>
      error ? reject(error) : resolve(opened),
    ),
  )
  const found: { name: string; sha256: string; modifiedAt: Date }[] = []
  await new Promise<void>((resolve, reject) => {
    file.on('entry', (entry: yauzl.Entry) =>
      file.openReadStream(entry, (error, stream) => {
        if (error) return reject(error)
        buffer(stream).then((content) => {
          const sha256 = createHash('sha256').update(content).digest('hex')
          found.push({ name: entry.fileName, sha256, modifiedAt: entry.getLastModDate({ timezone: 'UTC' }) })
          file.readEntry()
        }, reject)
      }),
    )
    file.on('end', resolve)
    file.on('error', reject)
    file.readEntry()
  })
  return found
}

describe('a zip', () => {
  it.each([
    ['nothing', []],
    ['an empty file', [0]],
    ['files around the length of a block', [1, 65_534, 65_535, 65_536, 131_070, 131_071]],
    ['a large one between small ones', [10, 3_000_000, 10]],
  ])('of %s has the length that was told, and is read by another library', async (_, sizes) => {
    const members = sizes.map((size, index) => member(`größe ${index} 😀.bin`, randomBytes(size)))
    const zip = await zipOf(members)
    expect(zip.length).toBe(zipSizeOf(members))
    expect(await read(zip)).toEqual(
      members.map(({ name, content }) => ({
        name,
        sha256: createHash('sha256').update(content).digest('hex'),
        modifiedAt,
      })),
    )
  })

  it('of more files than a zip without zip64 can count is whole', async () => {
    const members = Array.from({ length: 70_000 }, (_, index) => member(`${index}`, Buffer.alloc(0)))
    const zip = await zipOf(members)
    expect(zip.length).toBe(zipSizeOf(members))
    const opened = await new Promise<yauzl.ZipFile>((resolve, reject) =>
      yauzl.fromBuffer(zip, { lazyEntries: true }, (error, file) => (error ? reject(error) : resolve(file))),
    )
    expect(opened.entryCount).toBe(70_000)
  })

  it('of a file beyond 4 GiB tells its lengths as zip64', async () => {
    const large = { name: 'large', sizeBytes: 5 * 1024 ** 3, modifiedAt }
    // Only the head is looked at: nobody waits here for five gigabytes.
    const [head] = await Array.fromAsync(
      { [Symbol.asyncIterator]: () => writeZip([large], async () => piecesOf(member('', Buffer.alloc(0)))) },
      (piece) => piece,
    ).catch(() => [])
    expect(head).toBeUndefined()
    const steps = writeZip([large], async () => piecesOf(member('', Buffer.alloc(0))))
    const { value } = await steps.next()
    expect(value?.readUInt16LE(4)).toBe(45)
    expect(value?.readUInt32LE(18)).toBe(0xffff_ffff)
    expect(zipSizeOf([large])).toBeGreaterThan(large.sizeBytes)
    await steps.return()
  })

  it.each([
    ['shorter', 9],
    ['longer', 11],
  ])('breaks off at a member that is %s than was told', async (_, sizeBytes) => {
    const lying = { ...member('a', randomBytes(10)), sizeBytes }
    await expect(zipOf([member('b', randomBytes(5)), lying])).rejects.toThrow(/length/)
  })
})
