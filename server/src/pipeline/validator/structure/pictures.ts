// Pictures: JPEG (ITU T.81 B), PNG (ISO 15948), GIF89a, WebP (RFC 9649), TIFF 6.0, BMP.

import { crc32 } from 'node:zlib'
import { cutOff, damaged, windowBytes, type FileBytes, type Structure } from './structure.ts'

const what = 'picture'

export async function checkJpeg(bytes: FileBytes): Promise<Structure> {
  let facts: Structure['facts'] | undefined
  let scansCount = 0
  for (let at = 2; ;) {
    const head = await bytes.read(at, 9)
    const [mark, marker = 0] = head
    if (head.length < 2) throw cutOff(what)
    if (mark !== 0xff) throw damaged(what, 'something else stands where one of its parts has to begin')
    if (marker === 0xff) at += 1
    else if (marker === 0xd9) {
      if (facts === undefined || scansCount === 0) throw damaged(what, 'it ends before any pixels')
      return { facts: { ...facts, scans_count: scansCount }, endsAt: at + 2 }
    } else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)) at += 2
    else if (marker < 0xc0) throw damaged(what, 'its pixels are interrupted by bytes without meaning')
    else {
      if (head.length < 4) throw cutOff(what)
      const length = head.readUInt16BE(2)
      if (length < 2) throw damaged(what, 'one of its parts has no length')
      if (at + 2 + length > bytes.sizeBytes) throw cutOff(what)
      if (isFrame(marker)) facts = frameOf(head)
      at += 2 + length
      if (marker === 0xda) {
        if (facts === undefined) throw damaged(what, 'its pixels come before its dimensions')
        scansCount += 1
        at = await scanEnd(bytes, at)
      }
    }
  }
}

const isFrame = (marker: number): boolean => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)

function frameOf(head: Buffer): Structure['facts'] {
  if (head.length < 9) throw cutOff(what)
  const [height, width] = [head.readUInt16BE(5), head.readUInt16BE(7)]
  if (width === 0) throw damaged(what, 'it claims to be 0 pixels wide')
  return { width, height }
}

/** Offset of the marker that ends coded pixels; 0xff inside of them is followed by 0 or by a restart marker. */
async function scanEnd(bytes: FileBytes, start: number): Promise<number> {
  for (let at = start; at < bytes.sizeBytes - 1;) {
    const piece = await bytes.read(at, windowBytes)
    for (let index = piece.indexOf(0xff); index >= 0 && index < piece.length - 1; index = piece.indexOf(0xff, index)) {
      const next = piece[index + 1] ?? 0
      if (next !== 0 && next !== 0xff && (next < 0xd0 || next > 0xd7)) return at + index
      index += next === 0xff ? 1 : 2
    }
    // The last byte is looked at again with the one that follows it.
    at += piece.length - 1
  }
  throw cutOff(what)
}

export async function checkPng(bytes: FileBytes): Promise<Structure> {
  let facts: Structure['facts'] = {}
  let hasPixels = false
  for (let at = 8, index = 0; ; index += 1) {
    const head = await bytes.read(at, 8)
    if (head.length < 8) throw cutOff(what)
    const length = head.readUInt32BE(0)
    const type = head.toString('latin1', 4, 8)
    if (index === 0 && (type !== 'IHDR' || length !== 13)) throw damaged(what, 'it does not begin with its dimensions')
    if (length > 0x7fffffff || !/^[A-Za-z]{4}$/.test(type)) throw damaged(what, 'one of its parts has no meaning')
    if (at + 12 + length > bytes.sizeBytes) throw cutOff(what)
    await checkPngSum(bytes, at, length)
    const data = await bytes.read(at + 8, Math.min(length, 13))
    if (type === 'IHDR') {
      facts = { width: data.readUInt32BE(0), height: data.readUInt32BE(4) }
      if (facts['width'] === 0 || facts['height'] === 0) throw damaged(what, 'it claims to have no pixels')
    }
    if (type === 'acTL' && length >= 4) facts['frames_count'] = data.readUInt32BE(0)
    hasPixels ||= type === 'IDAT'
    at += 12 + length
    if (type === 'IEND') {
      if (!hasPixels) throw damaged(what, 'it has no pixels')
      return { facts, endsAt: at }
    }
  }
}

async function checkPngSum(bytes: FileBytes, at: number, length: number): Promise<void> {
  let sum = 0
  for await (const piece of bytes.pieces(at + 4, at + 8 + length)) sum = crc32(piece, sum)
  const told = await bytes.read(at + 8 + length, 4)
  if (told.readUInt32BE(0) !== sum) throw damaged(what, 'a checksum does not match')
}

export async function checkGif(bytes: FileBytes): Promise<Structure> {
  const head = await bytes.read(0, 13)
  if (head.length < 13) throw cutOff(what)
  const facts = { width: head.readUInt16LE(6), height: head.readUInt16LE(8) }
  let at = 13 + colourBytes(head[10] ?? 0)
  for (let framesCount = 0; ;) {
    const block = await bytes.read(at, 10)
    switch (block[0]) {
      case 0x3b:
        if (framesCount === 0) throw damaged(what, 'it has no pixels')
        return { facts: { ...facts, frames_count: framesCount }, endsAt: at + 1 }
      case 0x21:
        at = await subBlocksEnd(bytes, at + 2)
        break
      case 0x2c:
        framesCount += 1
        at = await subBlocksEnd(bytes, at + 11 + colourBytes(block[9] ?? 0))
        break
      case undefined:
        throw cutOff(what)
      default:
        throw damaged(what, 'something else stands where a frame has to begin')
    }
  }
}

const colourBytes = (flags: number): number => ((flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1))

async function subBlocksEnd(bytes: FileBytes, start: number): Promise<number> {
  for (let at = start; ;) {
    const [length] = await bytes.read(at, 1)
    if (length === undefined) throw cutOff(what)
    at += 1 + length
    if (length === 0) return at
  }
}

export async function checkWebp(bytes: FileBytes): Promise<Structure> {
  const head = await bytes.read(0, 12)
  if (head.length < 12) throw cutOff(what)
  const endsAt = 8 + head.readUInt32LE(4)
  if (endsAt > bytes.sizeBytes) throw cutOff(what)
  let facts: Structure['facts'] = {}
  let framesCount = 0
  for (let at = 12; at + 8 <= endsAt;) {
    const chunk = await bytes.read(at, 18)
    const type = chunk.toString('latin1', 0, 4)
    const length = chunk.readUInt32LE(4)
    if (at + 8 + length > endsAt) throw damaged(what, 'one of its parts is longer than the whole')
    if (type === 'VP8X' && chunk.length >= 18)
      facts = { width: 1 + chunk.readUIntLE(12, 3), height: 1 + chunk.readUIntLE(15, 3) }
    if (type === 'VP8 ' || type === 'VP8L' || type === 'ANMF') framesCount += 1
    at += 8 + length + (length % 2)
  }
  if (framesCount === 0) throw damaged(what, 'it has no pixels')
  return { facts: { ...facts, frames_count: framesCount }, endsAt: endsAt + (endsAt % 2) }
}

const directoriesCountMax = 10_000
/** Places of pixels that are looked at in each directory. */
const placesCountMax = 4_096
const placeTags = [
  { offsets: 273, lengths: 279 },
  { offsets: 324, lengths: 325 },
] as const

export async function checkTiff(bytes: FileBytes): Promise<Structure> {
  const head = await bytes.read(0, 8)
  if (head.length < 8) throw cutOff(what)
  const isLittle = head[0] === 0x49
  const numbers: ByteOrder = {
    u16: (from, at) => (isLittle ? from.readUInt16LE(at) : from.readUInt16BE(at)),
    u32: (from, at) => (isLittle ? from.readUInt32LE(at) : from.readUInt32BE(at)),
  }
  if (numbers.u16(head, 2) !== 42) return { facts: { checked: 'header' } }
  const seen = new Set<number>()
  for (let at = numbers.u32(head, 4); at !== 0;) {
    if (seen.has(at) || seen.size >= directoriesCountMax)
      throw damaged(what, 'its pages point to each other in a circle')
    seen.add(at)
    const count = await bytes.read(at, 2)
    if (count.length < 2) throw cutOff(what, 'the list of its parts is missing')
    const entriesBytes = numbers.u16(count, 0) * 12
    const directory = Buffer.from(await bytes.read(at + 2, entriesBytes + 4))
    if (directory.length < entriesBytes + 4) throw cutOff(what, 'the list of its parts is incomplete')
    await checkTiffPlaces(bytes, directory.subarray(0, entriesBytes), numbers)
    at = numbers.u32(directory, entriesBytes)
  }
  if (seen.size === 0) throw damaged(what, 'it has no pixels')
  return { facts: { frames_count: seen.size } }
}

interface ByteOrder {
  u16: (from: Buffer, at: number) => number
  u32: (from: Buffer, at: number) => number
}

/** Whether the strips or tiles that a directory names lie inside the file. */
async function checkTiffPlaces(bytes: FileBytes, directory: Buffer, { u16, u32 }: ByteOrder): Promise<void> {
  const values = new Map<number, number[]>()
  for (let entry = 0; entry < directory.length; entry += 12) {
    const [tag, type, count] = [u16(directory, entry), u16(directory, entry + 2), u32(directory, entry + 4)]
    if (![273, 279, 324, 325].includes(tag) || (type !== 3 && type !== 4)) continue
    const width = type === 3 ? 2 : 4
    const kept = Math.min(count, placesCountMax)
    const isInline = count * width <= 4
    const list = isInline ? directory.subarray(entry + 8) : await bytes.read(u32(directory, entry + 8), kept * width)
    if (list.length < kept * width) throw cutOff(what, 'the list of its pixels is incomplete')
    values.set(
      tag,
      Array.from({ length: kept }, (_, n) => (width === 2 ? u16(list, n * 2) : u32(list, n * 4))),
    )
  }
  for (const { offsets, lengths } of placeTags)
    for (const [n, offset] of (values.get(offsets) ?? []).entries())
      if (offset + (values.get(lengths)?.[n] ?? 0) > bytes.sizeBytes)
        throw cutOff(what, 'some of its pixels are missing')
}

export async function checkBmp(bytes: FileBytes): Promise<Structure> {
  const head = await bytes.read(0, 34)
  if (head.length < 34) throw cutOff(what)
  const [width, height] = [head.readInt32LE(18), Math.abs(head.readInt32LE(22))]
  const isPlain = head.readUInt32LE(14) >= 40 && head.readUInt32LE(30) === 0
  const rowBytes = Math.ceil((width * head.readUInt16LE(28)) / 32) * 4
  if (head.readUInt32LE(10) + (isPlain ? rowBytes * height : 0) > bytes.sizeBytes) throw cutOff(what)
  return { facts: { width, height } }
}
