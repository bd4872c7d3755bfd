// The inventory of a bucket (S3 Inventory): a manifest.json that names gzipped CSV files, whose lines name the objects. For
// buckets of which a listing would take hours. Only CSV is read: Parquet and ORC would have to be decoded in a sandbox.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
//
// A cursor says of which manifest, in which of its files and after how many of its lines a look goes on. A line that cannot
// be understood is counted and passed over; a file that is damaged ends the look with the reason.

import { Readable, pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { parseCells, splitRecords } from '../../platform/csv.ts'
import { Problem } from '../../platform/problem.ts'

export interface InventoryObject {
  key: string
  /** In quotes, as a listing tells it; left out where the inventory has none. */
  etag: string | undefined
  modifiedAt: string | undefined
  sizeBytes: number | undefined
}

export interface InventoryPage {
  objects: InventoryObject[]
  /** Lines that could not be understood, since the page before. */
  skippedCount: number
  cursor: string
}

/** An object of the bucket that holds the inventory. Throws like an opener. */
export type FetchObject = (key: string) => Promise<{ etag: string; content: AsyncIterable<Uint8Array> }>

export interface ReadInventory {
  /** Whose objects are listed. */
  bucket: string
  manifestKey: string
  after: string | undefined
  fetch: FetchObject
}

const manifestBytesMax = 16 * 1024 ** 2
const filesCountMax = 100_000
const keyBytesMax = 1_024
const pageObjectsCount = 500
/** So that a file without anything to take is gone on with as well. */
const pageLinesCount = 20_000

const manifestOf = Compile(
  Type.Object({
    sourceBucket: Type.String(),
    fileFormat: Type.String(),
    fileSchema: Type.String(),
    files: Type.Array(Type.Object({ key: Type.String({ minLength: 1, maxLength: keyBytesMax }) }), {
      maxItems: filesCountMax,
    }),
  }),
)
const position = { file: Type.Integer({ minimum: 0 }), line: Type.Integer({ minimum: 0 }) }
const cursorOf = Compile(Type.Object({ manifest: Type.String(), ...position }))

export async function* readInventory(read: ReadInventory): AsyncGenerator<InventoryPage, void, undefined> {
  const { etag: manifest, content } = await read.fetch(read.manifestKey)
  const { files, columns } = parseManifest(await readText(content), read.bucket)
  const start = parseCursor(read.after)
  // Of another inventory than this one nothing is known.
  const from = start?.manifest === manifest ? start : { file: 0, line: 0 }
  const cursor = (file: number, line: number): string => JSON.stringify({ manifest, file, line })
  for (const [file, { key }] of files.entries()) {
    if (file < from.file) continue
    let page: Omit<InventoryPage, 'cursor'> = { objects: [], skippedCount: 0 }
    let line = 0
    let begun = file === from.file ? from.line : 0
    for await (const { text } of splitRecords(linesOf(await read.fetch(key), key), false)) {
      line += 1
      if (line <= begun) continue
      const found = text === undefined ? 'bad' : toObject(text, columns, read.bucket)
      if (found === 'bad') page.skippedCount += 1
      else if (found !== undefined) page.objects.push(found)
      if (page.objects.length < pageObjectsCount && line - begun < pageLinesCount) continue
      yield { ...page, cursor: cursor(file, line) }
      page = { objects: [], skippedCount: 0 }
      begun = line
    }
    yield { ...page, cursor: cursor(file + 1, 0) }
  }
}

interface Columns {
  count: number
  at: (name: string) => number
}

function parseManifest(text: string, bucket: string): { files: { key: string }[]; columns: Columns } {
  const manifest = parseJson(text)
  if (!manifestOf.Check(manifest)) throw refused('Its manifest.json is none of S3 Inventory.')
  const { sourceBucket, fileFormat, fileSchema, files } = manifest
  if (fileFormat !== 'CSV') throw refused(`It is kept as ${fileFormat.slice(0, 20)}; only CSV is read.`)
  if (sourceBucket !== bucket) throw refused(`It is of the bucket ${sourceBucket.slice(0, 63)}.`)
  const names = fileSchema.split(',').map((name) => name.trim())
  const at = (name: string): number => names.indexOf(name)
  if (at('Key') < 0 || (at('ETag') < 0 && at('LastModifiedDate') < 0))
    throw refused('It needs the columns Key and ETag or LastModifiedDate.')
  return { files, columns: { count: names.length, at } }
}

/** Undefined for what is no file: an older version, the mark of a deletion. */
function toObject(text: string, { count, at }: Columns, bucket: string): InventoryObject | 'bad' | undefined {
  if (text === '') return undefined
  const cells = parseCells(text)
  if (cells?.length !== count) return 'bad'
  const cell = (name: string): string | undefined => (at(name) < 0 ? undefined : cells[at(name)])
  const key = decodeKey(cell('Key') ?? '')
  const size = cell('Size')
  if (key === undefined || (cell('Bucket') ?? bucket) !== bucket) return 'bad'
  if (cell('IsDeleteMarker') === 'true' || cell('IsLatest') === 'false') return undefined
  if (size !== undefined && !/^\d{1,15}$/.test(size)) return 'bad'
  const etag = cell('ETag')
  const modifiedAt = cell('LastModifiedDate')
  if (!etag && !modifiedAt) return 'bad'
  return {
    key,
    etag: etag ? `"${etag.replaceAll('"', '')}"` : undefined,
    modifiedAt,
    sizeBytes: size === undefined ? undefined : Number(size),
  }
}

/** Keys are encoded like the fields of a form. */
function decodeKey(text: string): string | undefined {
  try {
    const key = decodeURIComponent(text.replaceAll('+', ' '))
    return key !== '' && Buffer.byteLength(key) <= keyBytesMax && !key.includes('\0') ? key : undefined
  } catch {
    return undefined
  }
}

async function* linesOf({ content }: Awaited<ReturnType<FetchObject>>, key: string): AsyncGenerator<Uint8Array> {
  if (!key.endsWith('.gz')) return yield* content
  // Whatever goes wrong with the one is told by the other.
  const unzipped = pipeline(Readable.from(content), createGunzip(), () => {})
  try {
    yield* unzipped as AsyncIterable<Buffer>
  } catch (error) {
    const isDamaged = error instanceof Error && 'code' in error && String(error.code).startsWith('Z_')
    throw isDamaged ? refused(`The file ${key} of it is damaged.`, error) : error
  }
}

async function readText(content: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of content) {
    sizeBytes += chunk.length
    if (sizeBytes > manifestBytesMax) throw refused('Its manifest.json is longer than 16 MiB.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseCursor(text: string | undefined): { manifest: string; file: number; line: number } | undefined {
  const cursor = parseJson(text ?? '')
  return cursorOf.Check(cursor) ? cursor : undefined
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const refused = (detail: string, cause?: unknown): Problem =>
  new Problem('import_refused', { detail: `The inventory cannot be used. ${detail}`, cause })
