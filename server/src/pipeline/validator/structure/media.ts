// Sound and film in containers: ISO base media (MP4, MOV, M4A, HEIC, AVIF), RIFF (WAV, AVI), Ogg (RFC 3533), Matroska
// and WebM (RFC 9559).

import { cutOff, damaged, type FileBytes, type Structure, type StructureCheck } from './structure.ts'

const partsCountMax = 200_000

/** `needs` are the boxes of which all have to be there. */
export const checkIsoMedia =
  (what: string, needs: readonly string[]): StructureCheck =>
  async (bytes) => {
    const found = new Set<string>()
    const isComplete = () => needs.every((need) => found.has(need))
    let at = 0
    for (let count = 0; at < bytes.sizeBytes && count < partsCountMax; count += 1) {
      const head = await bytes.read(at, 16)
      // What is appended after the last box belongs to nobody.
      if (isComplete() && !/^[\x20-\x7e\xa9]{4}$/.test(head.toString('latin1', 4, 8))) break
      if (head.length < 8) throw cutOff(what)
      const short = head.readUInt32BE(0)
      if (short === 1 && head.length < 16) throw cutOff(what)
      const length = short === 1 ? Number(head.readBigUInt64BE(8)) : short === 0 ? bytes.sizeBytes - at : short
      if (length < 8) throw damaged(what, 'one of its parts has no length')
      if (at + length > bytes.sizeBytes) throw cutOff(what)
      found.add(head.toString('latin1', 4, 8))
      at += length
    }
    if (!isComplete()) throw cutOff(what, `its part "${needs.find((need) => !found.has(need))}" is missing`)
    const brand = (await bytes.read(8, 4))
      .toString('latin1')
      .replaceAll(/[^\x20-\x7e]/g, '')
      .trim()
    return { facts: { brand, is_fragmented: found.has('moof') }, endsAt: at }
  }

/** Lengths that are written when the length was not known at the beginning. */
const openLengths = new Set([0xffffffff, 0x7fffffff])

export const checkRiff =
  (what: string, needs: readonly string[]): StructureCheck =>
  async (bytes) => {
    const head = await bytes.read(0, 12)
    if (head.length < 12) throw cutOff(what)
    const told = head.readUInt32LE(4)
    const endsAt = told === 0 || openLengths.has(told) ? bytes.sizeBytes : told + 8
    if (endsAt > bytes.sizeBytes) throw cutOff(what)
    const found = new Set<string>()
    let at = 12
    for (let count = 0; at + 8 <= endsAt && count < partsCountMax; count += 1) {
      const chunk = await bytes.read(at, 8)
      const length = chunk.readUInt32LE(4)
      found.add(chunk.toString('latin1', 0, 4))
      if (openLengths.has(length)) break
      at += 8 + length + (length % 2)
    }
    // The last part may lack its byte of padding.
    if (at > bytes.sizeBytes + 1) throw cutOff(what)
    const missing = needs.find((need) => !found.has(need))
    if (missing !== undefined) throw cutOff(what, `its part "${missing.trim()}" is missing`)
    return { facts: {}, endsAt: endsAt + (endsAt % 2) }
  }

export async function checkOgg(bytes: FileBytes): Promise<Structure> {
  const what = 'recording'
  const openStreams = new Set<number>()
  let [at, pagesCount] = [0, 0]
  while (at < bytes.sizeBytes) {
    const head = await bytes.read(at, 27 + 255)
    if (head.toString('latin1', 0, 4) !== 'OggS') {
      if (openStreams.size === 0 && pagesCount > 0) break
      throw damaged(what, 'something else stands where one of its pages has to begin')
    }
    const segmentsCount = head[26] ?? 0
    if (head.length < 27 + segmentsCount) throw cutOff(what)
    const segments = head.subarray(27, 27 + segmentsCount)
    const length = segments.reduce((sum, segment) => sum + segment, 27 + segmentsCount)
    if (at + length > bytes.sizeBytes) throw cutOff(what)
    const isLast = ((head[5] ?? 0) & 4) !== 0
    if (isLast) openStreams.delete(head.readUInt32LE(14))
    else openStreams.add(head.readUInt32LE(14))
    pagesCount += 1
    at += length
  }
  if (openStreams.size > 0) throw cutOff(what)
  return { facts: { pages_count: pagesCount }, endsAt: at }
}

const segmentId = 0x18538067

/** EBML: an id, a length, content. A length of nothing but ones says that it was not known. */
export async function checkMatroska(bytes: FileBytes): Promise<Structure> {
  const what = 'film'
  let at = 0
  let hasSegment = false
  for (let count = 0; at < bytes.sizeBytes && count < partsCountMax; count += 1) {
    const head = await bytes.read(at, 12)
    const idBytes = numberBytes(head[0])
    const lengthBytes = numberBytes(head[idBytes])
    if (idBytes > 4 || lengthBytes > 8) {
      if (hasSegment) break
      throw damaged(what, 'its parts have no lengths')
    }
    if (head.length < idBytes + lengthBytes) throw cutOff(what)
    const length = numberOf(head.subarray(idBytes, idBytes + lengthBytes))
    hasSegment ||= head.readUIntBE(0, idBytes) === segmentId
    if (length >= 2 ** (7 * lengthBytes) - 1) return { facts: { checked: 'header' } }
    at += idBytes + lengthBytes + length
    if (at > bytes.sizeBytes) throw cutOff(what)
  }
  if (!hasSegment) throw cutOff(what)
  return { facts: {}, endsAt: at }
}

/** From the zeros in front of the first one; 9 when there is none. */
const numberBytes = (first: number | undefined): number => Math.clz32(first ?? 0) - 24 + 1

const numberOf = (bytes: Buffer): number =>
  bytes.reduce((sum, byte, index) => sum * 256 + (index === 0 ? byte & (2 ** (8 - bytes.length) - 1) : byte), 0)
