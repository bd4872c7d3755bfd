// Pictures through libvips (sharp): opened by what the header says, before any pixel is decoded, so that a bomb is
// refused for its dimensions and not for what it did to memory. One decode at a time, on one thread and without
// libvips's own cache: the worker runs as many processes as it has cores.

import { open } from 'node:fs/promises'
import sharp, { type Metadata, type Sharp, type SharpOptions } from 'sharp'
import { Problem } from '../../platform/problem.ts'
import type { InputFile } from '../processor.ts'
import { sniffBytes, sniffContentType } from './sniff.ts'

/** Sharp's own limit, a square of 16,383 pixels: more than any camera takes, and 1 GiB decoded. */
const pixelsMax = 16_383 ** 2

/** Of a picture in a vector format that does not say how it is drawn. */
const vectorDpi = 72
const vectorDpiMax = 100_000

export type PictureFile = Pick<InputFile, 'path' | 'name' | 'sizeBytes'>

export interface Picture {
  /** As sharp names it: jpeg, png, webp, gif, tiff, heif (AVIF), svg. */
  format: string
  /** As it is to be seen: after the orientation of the camera. */
  width: number
  height: number
  framesCount: number
  hasAlpha: boolean
  /** The picture, turned upright. Decodes nothing before it is written. */
  decode(options?: DecodeOptions): Sharp
}

export interface DecodeOptions {
  /** Every frame of an animation; the first one otherwise. */
  allFrames?: boolean
  /** Makes the best of damaged pixels where the decoder can. */
  tolerant?: boolean
  /** Longest edge that is needed: what has no pixels of its own is drawn so large. */
  edge?: number
}

/**
 * Reads the header of a picture.
 * Problems: file_empty, file_unreadable, file_too_complex, file_type_unsupported.
 */
export async function openPicture(file: PictureFile): Promise<Picture> {
  const header = await readPictureHeader(file)
  const { autoOrient, format, pages: framesCount = 1, hasAlpha } = header
  const { width, height } = autoOrient
  if (format === 'heif' && header.compression !== 'av1') throw unsupported('image/heic')
  refusePixels(width, height, 1)
  return {
    format: format ?? 'unknown',
    width,
    height,
    framesCount,
    hasAlpha,
    decode: ({ allFrames = false, tolerant = false, edge } = {}) => {
      if (allFrames) refusePixels(width, height, framesCount)
      const options: SharpOptions = {
        failOn: tolerant ? 'none' : 'warning',
        limitInputPixels: pixelsMax,
        autoOrient: true,
        sequentialRead: true,
        ...(allFrames && { animated: true }),
      }
      if (format === 'svg' && edge !== undefined) {
        const dpi = (vectorDpi * edge) / Math.max(width, height)
        options.density = Math.min(vectorDpiMax, Math.max(vectorDpi, dpi))
      }
      return sharp(file.path, options)
    },
  }
}

/**
 * What the header of a picture says, of pictures that cannot be decoded here as well.
 * Problems: file_empty, file_unreadable, file_type_unsupported.
 */
export async function readPictureHeader(file: PictureFile): Promise<Metadata> {
  if (file.sizeBytes === 0)
    throw new Problem('file_empty', { detail: 'The file has no bytes, so it shows no picture.' })
  sharp.concurrency(1)
  sharp.cache(false)
  try {
    return await sharp(file.path, { limitInputPixels: false }).metadata()
  } catch (cause) {
    const type = await pictureTypeOf(file)
    if (type !== undefined && foreignTypes.has(type)) throw unsupported(type, cause)
    const detail =
      type === undefined
        ? 'The content of the file is not a picture of a known kind.'
        : 'The picture is damaged or was cut off: its header cannot be read.'
    throw new Problem('file_unreadable', { detail, cause })
  }
}

/** Kinds of pictures that libvips is built without here, each with what to do instead. */
const foreignTypes = new Map([
  [
    'image/heic',
    'HEIC pictures (from iPhones) need a decoder that is not part of this installation. Export it as JPEG.',
  ],
  ['image/heif', 'HEIF pictures need a decoder that is not part of this installation. Export it as JPEG.'],
  ['image/jxl', 'JPEG XL pictures need a decoder that is not part of this installation. Export it as JPEG or PNG.'],
  ['image/jp2', 'JPEG 2000 pictures need a decoder that is not part of this installation. Export it as JPEG or PNG.'],
  ['image/bmp', 'BMP pictures need a decoder that is not part of this installation. Save it as PNG.'],
  ['image/vnd.microsoft.icon', 'Icon files (.ico) cannot be decoded here. Save it as PNG.'],
  ['image/vnd.adobe.photoshop', 'Photoshop files cannot be decoded here. Export it as PNG or JPEG.'],
  ['image/x-canon-cr3', 'Raw files of cameras cannot be decoded here. Export it as JPEG.'],
])

const unsupported = (type: string, cause?: unknown): Problem =>
  new Problem('file_type_unsupported', {
    detail: foreignTypes.get(type) ?? `Pictures of type ${type} cannot be decoded here.`,
    cause,
  })

async function pictureTypeOf({ path, name }: PictureFile): Promise<string | undefined> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(sniffBytes), 0, sniffBytes, 0)
    const type = sniffContentType(buffer.subarray(0, bytesRead), name)
    return type.startsWith('image/') ? type : undefined
  } finally {
    await file.close()
  }
}

function refusePixels(width: number, height: number, framesCount: number): void {
  if (width * height * framesCount <= pixelsMax) return
  const frames = framesCount === 1 ? '' : ` in ${framesCount} frames`
  throw new Problem('file_too_complex', {
    detail: `The picture has ${width} × ${height} pixels${frames}; at most ${Math.floor(pixelsMax / 1e6)} million can be decoded.`,
  })
}

/**
 * Does what decodes pixels, and says in the owner's words why it could not.
 * Problems: file_unreadable.
 */
export async function decoding<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    // What libvips reports is a plain Error; a bug of ours is a TypeError or another kind.
    if (!(cause instanceof Error) || cause.constructor !== Error) throw cause
    throw new Problem('file_unreadable', {
      detail: 'The picture is damaged or was cut off: its pixels cannot be decoded.',
      cause,
    })
  }
}

export type PictureFormat = 'jpeg' | 'png' | 'webp' | 'avif' | 'tiff' | 'gif'

export const pictureFiles: Record<PictureFormat, { ending: string; contentType: string }> = {
  jpeg: { ending: 'jpg', contentType: 'image/jpeg' },
  png: { ending: 'png', contentType: 'image/png' },
  webp: { ending: 'webp', contentType: 'image/webp' },
  avif: { ending: 'avif', contentType: 'image/avif' },
  tiff: { ending: 'tif', contentType: 'image/tiff' },
  gif: { ending: 'gif', contentType: 'image/gif' },
}

/** How the picture is written. Quality is from 1 to 100 and means nothing to PNG and GIF, which lose nothing. */
export function encoded(picture: Sharp, format: PictureFormat, quality: number): Sharp {
  switch (format) {
    case 'jpeg':
      return picture.jpeg({ quality })
    case 'png':
      return picture.png()
    case 'webp':
      return picture.webp({ quality })
    case 'avif':
      return picture.avif({ quality, effort: 2 })
    case 'tiff':
      return picture.tiff({ quality, compression: 'deflate' })
    case 'gif':
      return picture.gif()
  }
}
