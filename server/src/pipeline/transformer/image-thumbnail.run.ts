import { join } from 'node:path'
import { encode as encodeBlurhash } from 'blurhash'
import sharp, { type Sharp } from 'sharp'
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
  const base = await decoding(() => decodeLargest(picture, parameters, sizes.at(-1) ?? 0))
  const { ending, contentType } = pictureFiles[parameters.format]
  const thumbnails = []
  for (const size of sizes) {
    const name = `thumbnail_${size}.${ending}`
    const written = await resized(base, size, parameters).toFile(join(outputFolder, name))
    thumbnails.push({ name, width: written.width, height: written.height, size_bytes: written.size })
  }
  const outputs = thumbnails.map(({ name }) => ({ path: name, name, contentType }))
  return done(outputs, {
    kind: 'thumbnails',
    width: picture.width,
    height: picture.height,
    frames_count: picture.framesCount,
    format: parameters.format,
    ...(await impressionOf(base)),
    thumbnails,
  })
})

/** The one decode: every copy is made from the largest, which JPEG and WebP shrink to while they are read. */
async function decodeLargest(picture: Picture, { fit, damaged }: Wishes, size: number): Promise<Pixels> {
  const isVector = picture.format === 'svg'
  const decoded = picture.decode({ tolerant: damaged === 'allow', edge: size })
  const edge = fit === 'cover' && !isVector ? Math.min(size, picture.width, picture.height) : size
  const { data, info } = await decoded
    .resize({ width: edge, height: edge, fit, withoutEnlargement: true })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  return { data, raw: { width: info.width, height: info.height, channels: info.channels } }
}

function resized({ data, raw }: Pixels, size: number, { format, quality, background }: Wishes): Sharp {
  const copy = sharp(data, { raw }).resize({ width: size, height: size, fit: 'inside', withoutEnlargement: true })
  return encoded(format === 'jpeg' ? copy.flatten({ background }) : copy, format, quality)
}

/** What is shown while the picture is not there yet. */
async function impressionOf({ data, raw }: Pixels): Promise<{ blurhash: string; dominant_colour: string }> {
  const small = sharp(data, { raw }).resize({ width: blurEdge, height: blurEdge, fit: 'inside' })
  const { data: pixels, info } = await small.ensureAlpha().raw().toBuffer({ resolveWithObject: true })
  const { width, height, channels } = info
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
