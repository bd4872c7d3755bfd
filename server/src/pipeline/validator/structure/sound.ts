// Sound without a container: MP3 (ISO 11172-3, layer III, with ID3 and the header of variable bit rate) and FLAC
// (RFC 9639). Neither says where it ends, so the frames are counted against what the header promises.

import { cutOff, damaged, type FileBytes, type Structure } from './structure.ts'

const what = 'sound'

interface Mp3Frame {
  lengthBytes: number
  samplesCount: number
  sampleRateHz: number
  /** Where the header of variable bit rate stands in a first frame. */
  promiseAt: number
}

const kbitRates = {
  mpeg1: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  mpeg2: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
} as const
const sampleRatesHz = [44_100, 48_000, 32_000] as const
const frameHeadBytes = 4

/** A frame of layer III, or nothing when these bytes begin none. */
function mp3FrameOf(head: Buffer): Mp3Frame | undefined {
  const [first, second = 0, third = 0, fourth = 0] = head
  if (head.length < frameHeadBytes || first !== 0xff || (second & 0xe6) !== 0xe2) return undefined
  const version = (second >> 3) & 3
  const isMpeg1 = version === 3
  const kbits = kbitRates[isMpeg1 ? 'mpeg1' : 'mpeg2'][third >> 4]
  const rateHz = sampleRatesHz[(third >> 2) & 3]
  if (version === 1 || kbits === undefined || kbits === 0 || rateHz === undefined) return undefined
  const sampleRateHz = rateHz / (isMpeg1 ? 1 : version === 2 ? 2 : 4)
  const samplesCount = isMpeg1 ? 1152 : 576
  const isMono = fourth >> 6 === 3
  const paddingBytes = (third >> 1) & 1
  return {
    lengthBytes: Math.floor((samplesCount / 8) * ((kbits * 1000) / sampleRateHz)) + paddingBytes,
    samplesCount,
    sampleRateHz,
    promiseAt: frameHeadBytes + (isMpeg1 ? (isMono ? 17 : 32) : isMono ? 9 : 17),
  }
}

/** As far as the next frame is looked for, and how often. */
const searchBytes = 64 * 1024
const gapsCountMax = 16

export async function checkMp3(bytes: FileBytes): Promise<Structure> {
  const start = await id3End(bytes)
  if (start >= bytes.sizeBytes) throw cutOff(what)
  const first = await nextMp3Frame(bytes, start)
  if (first === undefined) throw damaged(what, 'no sound was found in it')
  let [at, framesCount, gapsCount] = [first.at, 0, 0]
  while (at < bytes.sizeBytes) {
    const frame = mp3FrameOf(await bytes.read(at, frameHeadBytes))
    if (frame !== undefined) {
      if (at + frame.lengthBytes > bytes.sizeBytes) throw cutOff(what, 'it ends in the middle of a frame')
      framesCount += 1
      at += frame.lengthBytes
      continue
    }
    const isTag = /^(?:TAG|APETAGEX|LYRICS)/.test((await bytes.read(at, 8)).toString('latin1'))
    const next = isTag || gapsCount >= gapsCountMax ? undefined : await nextMp3Frame(bytes, at + 1)
    if (next === undefined) break
    gapsCount += 1
    at = next.at
  }
  const promised = await promisedFrames(bytes, first.at, first.frame.promiseAt)
  // The frame that promises may count itself or not.
  if (promised !== undefined && framesCount < promised) throw cutOff(what, 'it is shorter than it says')
  const { samplesCount, sampleRateHz } = first.frame
  const durationSeconds = Math.round((1000 * framesCount * samplesCount) / sampleRateHz) / 1000
  return { facts: { duration_seconds: durationSeconds, sample_rate_hz: sampleRateHz, gaps_count: gapsCount } }
}

async function id3End(bytes: FileBytes): Promise<number> {
  let at = 0
  for (let tags = 0; tags < 8; tags += 1) {
    const head = await bytes.read(at, 10)
    if (head.length < 10 || head.toString('latin1', 0, 3) !== 'ID3') return at
    const length = [6, 7, 8, 9].reduce((sum, index) => sum * 128 + ((head[index] ?? 0) & 0x7f), 0)
    at += 10 + length + (((head[5] ?? 0) & 0x10) === 0 ? 0 : 10)
  }
  return at
}

/** Believed only when another frame follows, or the end. */
async function nextMp3Frame(bytes: FileBytes, start: number): Promise<{ at: number; frame: Mp3Frame } | undefined> {
  const found = Buffer.from(await bytes.read(start, searchBytes))
  for (let index = found.indexOf(0xff); index >= 0; index = found.indexOf(0xff, index + 1)) {
    const frame = mp3FrameOf(found.subarray(index))
    if (frame === undefined) continue
    const next = start + index + frame.lengthBytes
    const isLast = next >= bytes.sizeBytes
    if (isLast || mp3FrameOf(await bytes.read(next, frameHeadBytes)) !== undefined) return { at: start + index, frame }
  }
  return undefined
}

async function promisedFrames(bytes: FileBytes, at: number, promiseAt: number): Promise<number | undefined> {
  const promise = await bytes.read(at + promiseAt, 12)
  if (promise.length < 12 || !/^(?:Xing|Info)$/.test(promise.toString('latin1', 0, 4))) return undefined
  return (promise.readUInt32BE(4) & 1) === 0 ? undefined : promise.readUInt32BE(8)
}

export async function checkFlac(bytes: FileBytes): Promise<Structure> {
  let at = 4
  for (let isLast = false; !isLast;) {
    const head = await bytes.read(at, 4)
    if (head.length < 4) throw cutOff(what)
    isLast = ((head[0] ?? 0) & 0x80) !== 0
    at += 4 + head.readUIntBE(1, 3)
  }
  const info = Buffer.from(await bytes.read(8, 34))
  const frame = await bytes.read(at, 2)
  if (frame.length < 2 || info.length < 34) throw cutOff(what)
  if (frame[0] !== 0xff || ((frame[1] ?? 0) & 0xfc) !== 0xf8) throw damaged(what, 'no sound was found in it')
  const sampleRateHz = info.readUIntBE(10, 3) >> 4
  const samplesCount = ((info[13] ?? 0) & 15) * 2 ** 32 + info.readUInt32BE(14)
  const [blockMin, blockMax] = [info.readUInt16BE(0), info.readUInt16BE(2)]
  if (samplesCount > 0 && blockMin === blockMax) {
    const framesCount = (await lastFlacFrame(bytes)) + 1
    if (framesCount * blockMax < samplesCount) throw cutOff(what)
  }
  const durationSeconds = sampleRateHz === 0 ? null : Math.round((1000 * samplesCount) / sampleRateHz) / 1000
  return { facts: { duration_seconds: durationSeconds, sample_rate_hz: sampleRateHz } }
}

const tailBytes = 512 * 1024

/** Number of the last frame, by the last header near the end whose checksum holds; -1 when there is none. */
async function lastFlacFrame(bytes: FileBytes): Promise<number> {
  const tail = await bytes.read(Math.max(0, bytes.sizeBytes - tailBytes), tailBytes)
  for (let index = tail.length - 6; index >= 0; index -= 1) {
    if (tail[index] !== 0xff || tail[index + 1] !== 0xf8) continue
    const numberLength = leadingOnes(tail[index + 4] ?? 0) || 1
    const [blockBits, rateBits] = [(tail[index + 2] ?? 0) >> 4, (tail[index + 2] ?? 0) & 15]
    const blockBytes = blockBits === 6 ? 1 : blockBits === 7 ? 2 : 0
    const rateBytes = rateBits === 12 ? 1 : rateBits === 13 || rateBits === 14 ? 2 : 0
    const sumAt = index + 4 + numberLength + blockBytes + rateBytes
    if (sumAt < tail.length && crc8(tail.subarray(index, sumAt)) === tail[sumAt])
      return codedNumber(tail.subarray(index + 4, index + 4 + numberLength))
  }
  return -1
}

const leadingOnes = (byte: number): number => Math.clz32(~byte << 24)

/** As in UTF-8, of up to 7 bytes. */
const codedNumber = (bytes: Buffer): number =>
  bytes.reduce((sum, byte, index) => {
    if (index > 0) return sum * 64 + (byte & 63)
    return bytes.length === 1 ? byte : byte & (2 ** (7 - bytes.length) - 1)
  }, 0)

/** Polynomial x^8 + x^2 + x + 1. */
function crc8(bytes: Buffer): number {
  let sum = 0
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit += 1) sum = (sum & 0x80) === 0 ? sum << 1 : ((sum << 1) ^ 7) & 0xff
  }
  return sum
}
