// Which check a type has. A type without one is only told, not checked.

import { checkGzip, checkParquet, checkSqlite, checkTar, checkXz, checkZip, check7z } from './archives.ts'
import { checkJson, checkOle, checkPdf, checkRtf, checkText, checkXml } from './documents.ts'
import { checkIsoMedia, checkMatroska, checkOgg, checkRiff } from './media.ts'
import { checkBmp, checkGif, checkJpeg, checkPng, checkTiff, checkWebp } from './pictures.ts'
import { checkFlac, checkMp3 } from './sound.ts'
import type { StructureCheck } from './structure.ts'

const film = checkIsoMedia('film', ['ftyp', 'moov'])
const picture = checkIsoMedia('picture', ['ftyp', 'meta'])
const office = checkZip('document', '[Content_Types].xml')
const openDocument = checkZip('document', 'mimetype')

const checks: Record<string, StructureCheck> = {
  'image/jpeg': checkJpeg,
  'image/png': checkPng,
  'image/gif': checkGif,
  'image/webp': checkWebp,
  'image/tiff': checkTiff,
  'image/bmp': checkBmp,
  'image/heic': picture,
  'image/heif': picture,
  'image/avif': picture,
  'image/svg+xml': checkXml('drawing'),
  'video/mp4': film,
  'video/quicktime': checkIsoMedia('film', ['moov']),
  'video/3gpp': film,
  'audio/mp4': checkIsoMedia('sound', ['ftyp', 'moov']),
  'video/webm': checkMatroska,
  'video/matroska': checkMatroska,
  'video/x-msvideo': checkRiff('film', ['LIST']),
  'audio/mpeg': checkMp3,
  'audio/wav': checkRiff('sound', ['fmt ', 'data']),
  'audio/flac': checkFlac,
  'audio/ogg': checkOgg,
  'video/ogg': checkOgg,
  'application/ogg': checkOgg,
  'application/pdf': checkPdf,
  'application/rtf': checkRtf,
  'application/msword': checkOle,
  'application/vnd.ms-excel': checkOle,
  'application/vnd.ms-powerpoint': checkOle,
  'application/vnd.ms-outlook': checkOle,
  'application/x-ole-storage': checkOle,
  'application/json': checkJson,
  'application/geo+json': checkJson,
  'application/xml': checkXml('XML'),
  'application/zip': checkZip('archive'),
  'application/java-archive': checkZip('archive'),
  'application/vnd.android.package-archive': checkZip('archive'),
  'application/gzip': checkGzip,
  'application/x-tar': checkTar,
  'application/x-7z-compressed': check7z,
  'application/x-xz': checkXz,
  'application/vnd.apache.parquet': checkParquet,
  'application/vnd.sqlite3': checkSqlite,
}

const families: readonly (readonly [string, StructureCheck])[] = [
  ['application/vnd.openxmlformats-officedocument.', office],
  ['application/vnd.oasis.opendocument.', openDocument],
  ['application/epub+zip', openDocument],
  ['text/', checkText],
]

export const structureCheckOf = (contentType: string): StructureCheck | undefined =>
  checks[contentType] ?? families.find(([start]) => contentType.startsWith(start))?.[1]
