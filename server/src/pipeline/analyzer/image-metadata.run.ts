import { readFile } from 'node:fs/promises'
import { parse, sidecar } from 'exifr/dist/full.esm.mjs'
import type { Metadata } from 'sharp'
import { toJsonValue, type JsonValue } from '../formats/json-value.ts'
import { readPictureHeader, type PictureFile } from '../formats/picture.ts'
import { defineRun, inputOf } from '../processor-run.ts'
import { done } from '../processor.ts'
import { imageMetadata } from './image-metadata.ts'

type Tags = Record<string, JsonValue>

/**
 * Blocks of tags that are read; makers' notes and colour profiles say nothing to people. Made anew for each call, because
 * exifr remembers an object of options together with what it last did with it.
 */
const tagOptions = () => ({
  tiff: true,
  exif: true,
  gps: true,
  iptc: true,
  xmp: true,
  icc: false,
  jfif: false,
  ihdr: false,
  interop: false,
  makerNote: false,
  reviveValues: false,
  mergeOutput: false,
})

/**
 * Result: { kind: 'image', format, width, height, … , tags: { ifd0, exif, iptc, xmp, … } | null, gps }.
 * Tags that cannot be read are none: they do not spoil the picture. Title, description and keywords are found by search.
 */
export const run = defineRun(imageMetadata, async ({ parameters, ...rest }) => {
  const file = inputOf(rest)
  const header = await readPictureHeader(file)
  const blocks = await readTags(file, header)
  const { latitude, longitude } = blocks['gps'] ?? {}
  const isPlaced = typeof latitude === 'number' && typeof longitude === 'number'
  const tags = Object.fromEntries(
    Object.entries(blocks)
      .filter(([block]) => block !== 'gps')
      .map(([block, tags]) => [block, parameters.gps === 'keep' ? tags : withoutPlace(tags)]),
  )
  const foundText = textOf(tags)
  const result = {
    kind: 'image',
    ...shapeOf(header),
    tags: Object.keys(tags).length === 0 ? null : tags,
    has_gps: isPlaced,
    ...(parameters.gps === 'keep' && isPlaced && { gps: { latitude, longitude } }),
  }
  return done([], result, foundText === '' ? {} : { foundText })
})

function shapeOf(header: Metadata): Record<string, JsonValue> {
  const { width, height } = header.autoOrient
  return {
    format: header.format ?? null,
    width,
    height,
    megapixels: Math.round((width * height) / 10_000) / 100,
    orientation: header.orientation ?? 1,
    colour_space: header.space ?? null,
    channels_count: header.channels ?? null,
    bits_per_channel: header.bitsPerSample ?? null,
    has_alpha: header.hasAlpha ?? false,
    has_colour_profile: header.hasProfile ?? false,
    density_dpi: header.density ?? null,
    is_progressive: header.isProgressive ?? false,
    chroma_subsampling: header.chromaSubsampling ?? null,
    compression: header.compression ?? null,
    frames_count: header.pages ?? 1,
    duration_ms: header.delay?.reduce((sum, delay) => sum + delay, 0) ?? null,
  }
}

const exifMark = Buffer.from('Exif\0\0', 'latin1')
const tiffBytesMax = 32 * 1024 ** 2

/**
 * The blocks that libvips has found, parsed by exifr. It is given bytes and never a path: of a file that it cannot read
 * it leaves the handle open, which ends a process of this Node.
 */
async function readTags(file: PictureFile, header: Metadata): Promise<Record<string, Tags>> {
  const { exif, xmp, iptc } = header
  const isWholeTiff = header.format === 'tiff' && file.sizeBytes <= tiffBytesMax
  const tiff = isWholeTiff
    ? await readFile(file.path)
    : exif?.subarray(exif.indexOf(exifMark) === 0 ? exifMark.length : 0)
  const found = []
  // One after the other: exifr keeps state between its parsers.
  if (tiff !== undefined) found.push(await quietly(() => parse(tiff, tagOptions())))
  if (xmp !== undefined) found.push(await quietly(() => sidecar(xmp, tagOptions(), 'xmp')))
  if (iptc !== undefined) found.push({ iptc: await quietly(() => sidecar(iptc, tagOptions(), 'iptc')) })
  return Object.assign({}, ...found.map((value) => blocksOf(toJsonValue(value))))
}

/** exifr promises nothing, neither about its values nor about what it throws. */
async function quietly(read: () => Promise<unknown>): Promise<unknown> {
  try {
    return await read()
  } catch {
    return undefined
  }
}

const leftOut = new Set(['errors', 'xmlns', 'thumbnail'])

function blocksOf(value: JsonValue | undefined): Record<string, Tags> {
  if (!isBlock(value)) return {}
  const blocks = Object.entries(value).filter((entry): entry is [string, Tags] => isBlock(entry[1]))
  return Object.fromEntries(
    blocks.filter(([name]) => !leftOut.has(name)).map(([name, tags]) => [name, withPlainDates(tags)]),
  )
}

const isBlock = (value: JsonValue | undefined): value is Tags =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Times in Exif have no zone: they are written as ISO 8601 without one. */
const withPlainDates = (tags: Tags): Tags =>
  Object.fromEntries(
    Object.entries(tags).map(([name, value]) => [
      name,
      typeof value === 'string' ? value.replace(/^(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)$/, '$1-$2-$3T$4') : value,
    ]),
  )

/** XMP repeats the coordinates of the GPS block under names of its own. */
const withoutPlace = (tags: Tags): Tags =>
  Object.fromEntries(
    Object.entries(tags)
      .filter(([name]) => !/gps|latitude|longitude|geotag/i.test(name))
      .map(([name, value]) => [name, isBlock(value) ? withoutPlace(value) : value]),
  )

const textTags =
  /^(?:title|headline|caption|imagedescription|description|subject|keywords|usercomment|xpsubject|xptitle|xpkeywords|xpcomment)$/i

/** What a person wrote about the picture, wherever it stands. */
function textOf(blocks: Record<string, Tags>): string {
  const texts = Object.values(blocks).flatMap((tags) =>
    Object.entries(tags)
      .filter(([name]) => textTags.test(name))
      .flatMap(([, value]) => wordsOf(value)),
  )
  return [...new Set(texts)].join('\n')
}

function wordsOf(value: JsonValue): string[] {
  if (typeof value === 'string') return value === '' ? [] : [value]
  if (Array.isArray(value)) return value.flatMap(wordsOf)
  // XMP: { lang, value }.
  return isBlock(value) && value['value'] !== undefined ? wordsOf(value['value']) : []
}
