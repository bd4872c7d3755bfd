import { join } from 'node:path'
import { encode as encodeBlurhash } from 'blurhash'
import sharp, { type Sharp } from 'sharp'
import { releaseBytes } from '../../platform/owned-bytes.ts'
import { decoding, encoded, openPicture, pictureFiles, type Picture } from '../formats/picture.ts'
import { defineRun, inputOf, type TypedRun } from '../processor-run.ts'
import { done } from '../processor.ts'
import { imageThumbnail } from './image-thumbnail.ts'

type Wishes = TypedRun<(typeof imageThumbnail)['parameters']>['parameters']

/** Decoded pixels, interleaved, 8 bits each. */
interface Pixels {
  data: Buffer
  raw: { width: number; height: number; channels: 1 | 2 | 3 | 4 }
}

/** Longest edge of the copy that blurhash and colour are taken from; finer detail changes neither. */
const blurEdge = 32

/**
 * Writes thumbnail_<size>.<ending>, smallest first.
 * Result: { kind: 'thumbnails', width, height, frames_count, format, blurhash, dominant_colour, thumbnails }.
 */
export const run = defineRun(imageThumbnail, async ({ parameters, outputFolder, ...rest }) => {
  const picture = await openPicture(inputOf(rest))
  const sizes = parameters.sizes.toSorted((left, right) => left - right)
  const copies: [Pixels, ...Pixels[]] = [await decoding(() => decodeLargest(picture, parameters, sizes.at(-1) ?? 0))]
  const { ending, contentType } = pictureFiles[parameters.format]
  const thumbnails = []
  for (const size of sizes.toReversed()) {
    const name = `thumbnail_${size}.${ending}`
    const copy = await scaled(copies, size)
    copies.push(copy)
    const written = await inFormat(copy, parameters).toFile(join(outputFolder, name))
    thumbnails.unshift({ name, width: written.width, height: written.height, size_bytes: written.size })
  }
  const impression = await impressionOf(await scaled(copies, blurEdge))
  for (const { data } of copies) releaseBytes(data)
  const outputs = thumbnails.map(({ name }) => ({ path: name, name, contentType }))
  return done(outputs, {
    kind: 'thumbnails',
    width: picture.width,
    height: picture.height,
    frames_count: picture.framesCount,
    format: parameters.format,
    ...impression,
    thumbnails,
  })
})

/** The one decode: the other copies come from the largest, which JPEG and WebP shrink to while they are read. */
async function decodeLargest(picture: Picture, { fit, damaged }: Wishes, size: number): Promise<Pixels> {
  const isVector = picture.format === 'svg'
  const decoded = picture.decode({ tolerant: damaged === 'allow', edge: size })
  const edge = fit === 'cover' && !isVector ? Math.min(size, picture.width, picture.height) : size
  return pixelsOf(decoded.resize({ width: edge, height: edge, fit, withoutEnlargement: true }).toColourspace('srgb'))
}

/** How many times as large a copy has to be that a smaller one is made of: then nobody sees that it was not the largest. */
const sourceScale = 2

/**
 * Pixels with this longest edge, or all where there are fewer. Made of the smallest copy that will do: to read the largest
 * again for each would take longer than to encode the small ones.
 */
async function scaled(copies: readonly [Pixels, ...Pixels[]], size: number): Promise<Pixels> {
  const [largest] = copies
  const scale = size / edgeOf(largest)
  if (scale >= 1) return largest
  const { data, raw } = copies.findLast((copy) => edgeOf(copy) >= size * sourceScale) ?? largest
  const scaledTo = (pixels: number): number => Math.max(1, Math.round(pixels * scale))
  const [width, height] = [scaledTo(largest.raw.width), scaledTo(largest.raw.height)]
  return pixelsOf(sharp(data, { raw }).resize({ width, height, fit: 'fill' }))
}

const edgeOf = ({ raw }: Pixels): number => Math.max(raw.width, raw.height)

async function pixelsOf(picture: Sharp): Promise<Pixels> {
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true })
  return { data, raw: { width: info.width, height: info.height, channels: info.channels } }
}

function inFormat({ data, raw }: Pixels, { format, quality, background }: Wishes): Sharp {
  const copy = sharp(data, { raw })
  return encoded(format === 'jpeg' ? copy.flatten({ background }) : copy, format, quality)
}

/** What is shown while the picture is not there yet. */
async function impressionOf({ data, raw }: Pixels): Promise<{ blurhash: string; dominant_colour: string }> {
  const {
    data: pixels,
    raw: { width, height, channels },
  } = await pixelsOf(sharp(data, { raw }).ensureAlpha())
  const isWide = width >= height
  return {
    blurhash: encodeBlurhash(new Uint8ClampedArray(pixels), width, height, isWide ? 4 : 3, isWide ? 3 : 4),
    dominant_colour: dominantColour(pixels, channels),
  }
}

/** The colour that most pixels are near to, of 16 steps in each channel; sharp's own count costs as much as the rest. */
function dominantColour(pixels: Buffer, channels: number): string {
  const counts = new Map<number, number>()
  for (let at = 0; at < pixels.length; at += channels) {
    const step = pixels.readUIntBE(at, 3) & 0xf0f0f0
    counts.set(step, (counts.get(step) ?? 0) + 1)
  }
  const [most = 0] = [...counts].toSorted(([, left], [, right]) => right - left)[0] ?? []
  return `#${(most + 0x080808).toString(16).padStart(6, '0')}`
}
