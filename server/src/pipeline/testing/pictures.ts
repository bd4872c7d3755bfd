// Pictures for tests, made on the spot: from sharp where it can write them, from bytes where a picture has to be wrong.

import { crc32, deflateSync } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'

export interface TestPicture {
  width: number
  height: number
  /** The left half is red, the right half blue; with some noise, so that damage shows. */
  alpha?: boolean
}

/** A picture to be written by the caller: `testPicture({ width, height }).jpeg().toBuffer()`. */
export function testPicture({ width, height, alpha = false }: TestPicture): Sharp {
  const channels = alpha ? 4 : 3
  const pixels = Buffer.alloc(width * height * channels)
  let noise = 1
  for (let at = 0; at < width * height; at += 1) {
    const isLeft = at % width < width / 2
    noise = (noise * 1_103_515_245 + 12_345) % 2 ** 31
    pixels.set(
      [isLeft ? 200 : 20, noise % 32, isLeft ? 20 : 200, ...(alpha ? [at % 2 === 0 ? 255 : 0] : [])],
      at * channels,
    )
  }
  return sharp(pixels, { raw: { width, height, channels } })
}

/** A chunk of a PNG with its right checksum. */
export function pngChunk(type: string, data: Uint8Array = Buffer.alloc(0)): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.byteLength)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}

/** A PNG whose header claims these dimensions, over a few bytes of pixels. */
export function claimedPng(width: number, height: number): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 2, 0, 0, 0], 8)
  const pixels = deflateSync(Buffer.alloc(1024))
  const start = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
  return Buffer.concat([start, pngChunk('IHDR', header), pngChunk('IDAT', pixels), pngChunk('IEND')])
}

/** An animated GIF of single pixels, by hand, because encoding so many frames takes minutes. */
export function manyFramesGif(framesCount: number): Buffer {
  const header = Buffer.from('GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff', 'latin1')
  const frame = Buffer.from('\x21\xf9\x04\0\x0a\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0', 'latin1')
  return Buffer.concat([header, ...Array.from({ length: framesCount }, () => frame), Buffer.from(';')])
}
