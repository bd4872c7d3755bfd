// What a file is, by three independent witnesses: our own signatures, which the rest of the product goes by; file-type;
// and libmagic in WebAssembly. And what its name promises.

import { fileTypeFromBuffer } from 'file-type'
import { WASMagic } from 'wasmagic'
import { sniffContentType } from '../formats/sniff.ts'

/** As much of a file as the witnesses are shown. */
export const witnessedBytes = 64 * 1024

export interface Opinions {
  own: string
  file_type: string | null
  libmagic: string | null
}

/** Other names of the same types. */
const aliases: Record<string, string> = {
  'application/x-zip-compressed': 'application/zip',
  'application/x-gzip': 'application/gzip',
  'application/x-cfb': 'application/x-ole-storage',
  'application/cdfv2': 'application/x-ole-storage',
  'application/x-parquet': 'application/vnd.apache.parquet',
  'application/x-sqlite3': 'application/vnd.sqlite3',
  'application/x-rar-compressed': 'application/vnd.rar',
  'application/x-rar': 'application/vnd.rar',
  'application/x-bzip': 'application/x-bzip2',
  'application/x-ndjson': 'application/jsonl',
  'application/x-ndjson-stream': 'application/jsonl',
  'application/x-dosexec': 'application/vnd.microsoft.portable-executable',
  'application/x-msdownload': 'application/vnd.microsoft.portable-executable',
  'application/x-executable': 'application/x-elf',
  'application/x-pie-executable': 'application/x-elf',
  'application/x-sharedlib': 'application/x-elf',
  'audio/x-wav': 'audio/wav',
  'audio/vnd.wave': 'audio/wav',
  'audio/x-flac': 'audio/flac',
  'audio/x-m4a': 'audio/mp4',
  'image/jpg': 'image/jpeg',
  'image/x-ms-bmp': 'image/bmp',
  'image/x-icon': 'image/vnd.microsoft.icon',
  'text/json': 'application/json',
  'text/rtf': 'application/rtf',
  'text/x-csv': 'text/csv',
  'text/xml': 'application/xml',
  'video/avi': 'video/x-msvideo',
  'video/vnd.avi': 'video/x-msvideo',
  'video/x-m4v': 'video/mp4',
  'video/x-matroska': 'video/matroska',
}

/** One name per type, without parameters. */
function canonicalType(type: string): string {
  const bare = type.split(';')[0]?.trim().toLowerCase() ?? ''
  return aliases[bare] ?? bare
}

/** One instance for the life of the process; loading its rules takes longer than a hundred answers. */
let magic: Promise<WASMagic> | undefined

/** `head` are the first witnessedBytes of the file. Nobody's opinion fails the file. */
export async function opinionsOn(head: Buffer, name: string): Promise<Opinions> {
  magic ??= WASMagic.create({ stdio: () => {} })
  const [fileType, witness] = await Promise.all([
    fileTypeFromBuffer(head).then(
      (found) => (found === undefined ? null : canonicalType(found.mime)),
      () => null,
    ),
    magic,
  ])
  const told = canonicalType(witness.detect(head))
  return {
    own: sniffContentType(head, name),
    file_type: fileType,
    libmagic: /^[a-z]+\/[\w.+-]+$/.test(told) ? told : null,
  }
}

const containers = new Set([
  'application/octet-stream',
  'application/zip',
  'application/x-ole-storage',
  'application/ogg',
  'application/xml',
])
const unsure = new Set(['application/octet-stream', 'text/plain', 'inode/x-empty', 'application/x-empty'])

/**
 * Our own answer, unless it only names a container and another witness knows what is packed in it, or it has none and
 * another has.
 */
export function agreedType({ own, file_type: fileType, libmagic }: Opinions): string {
  if (!containers.has(own)) return own
  if (fileType !== null && !containers.has(fileType)) return fileType
  if (own !== 'application/octet-stream') return own
  return fileType ?? (libmagic === null || unsure.has(libmagic) ? own : libmagic)
}

/** Endings by the types that they promise; `text/` stands for any kind of text. */
const endings: Record<string, string> = {
  'image/jpeg': 'jpg jpeg jfif jpe',
  'image/png': 'png apng',
  'image/gif': 'gif',
  'image/webp': 'webp',
  'image/tiff': 'tif tiff dng nef cr2 arw',
  'image/bmp': 'bmp dib',
  'image/heic image/heif': 'heic heif hif',
  'image/avif': 'avif',
  'image/svg+xml': 'svg',
  'image/jxl': 'jxl',
  'image/jp2': 'jp2 j2k',
  'image/vnd.microsoft.icon': 'ico',
  'image/vnd.adobe.photoshop': 'psd',
  'application/pdf': 'pdf',
  'application/rtf text/': 'rtf',
  'application/msword application/x-ole-storage application/rtf': 'doc dot',
  'application/vnd.ms-excel application/x-ole-storage': 'xls xlt',
  'application/vnd.ms-powerpoint application/x-ole-storage': 'ppt pps',
  'application/vnd.ms-outlook application/x-ole-storage': 'msg',
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'docx',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': 'xlsx',
  'application/vnd.openxmlformats-officedocument.presentationml.presentation': 'pptx',
  'application/vnd.oasis.opendocument.text': 'odt',
  'application/vnd.oasis.opendocument.spreadsheet': 'ods',
  'application/vnd.oasis.opendocument.presentation': 'odp',
  'application/epub+zip': 'epub',
  'application/zip': 'zip',
  'application/java-archive application/zip': 'jar war',
  'application/vnd.android.package-archive application/java-archive application/zip': 'apk',
  'application/gzip': 'gz tgz',
  'application/x-tar': 'tar',
  'application/x-7z-compressed': '7z',
  'application/vnd.rar': 'rar',
  'application/x-xz': 'xz txz',
  'application/x-bzip2': 'bz2 tbz2',
  'application/zstd': 'zst',
  'audio/mpeg': 'mp3',
  'audio/wav': 'wav',
  'audio/flac': 'flac',
  'audio/ogg video/ogg application/ogg audio/opus': 'ogg oga ogv opus',
  'audio/mp4 video/mp4': 'm4a m4b',
  'video/mp4 audio/mp4': 'mp4 m4v',
  'video/quicktime video/mp4': 'mov',
  'video/x-msvideo': 'avi',
  'video/matroska video/webm': 'mkv',
  'video/webm video/matroska': 'webm',
  'application/vnd.apache.parquet': 'parquet',
  'application/vnd.sqlite3': 'sqlite sqlite3 db',
  'application/json application/geo+json text/': 'json geojson',
  'application/jsonl application/json text/': 'jsonl ndjson',
  'application/xml image/svg+xml text/plain': 'xml',
  'text/html application/xhtml+xml': 'html htm xhtml',
  'text/csv text/plain': 'csv',
  'text/tab-separated-values text/plain': 'tsv tab',
  'text/plain': 'txt log',
  'text/markdown text/plain': 'md markdown',
  'application/vnd.microsoft.portable-executable': 'exe dll',
}
const promises = new Map(
  Object.entries(endings).flatMap(([types, names]) =>
    names.split(' ').map((name) => [name, types.split(' ')] as const),
  ),
)

/** Whether the ending of `name` is one of `type`; unknown when nothing is known about the ending. */
export function endingAgreement(name: string, type: string): 'agrees' | 'differs' | 'unknown' {
  const ending = /\.([a-z0-9]{1,10})$/i.exec(name)?.[1]?.toLowerCase() ?? ''
  const promised = promises.get(ending)
  if (promised === undefined) return 'unknown'
  return isOneOf(promised, type) ? 'agrees' : 'differs'
}

/**
 * Whether what somebody says that a file is fits what it is; unknown when he says nothing, or names a type of which
 * nothing is known here. Types that one ending stands for go together, as XML and SVG do.
 */
export function declaredAgreement(declared: string | undefined, type: string): 'agrees' | 'differs' | 'unknown' {
  const said = canonicalType(declared ?? '')
  // Whoever knows no better calls every text a plain one.
  if (said === type || (said === 'text/plain' && isText(type))) return 'agrees'
  const meant = Object.keys(endings).filter((types) => types.split(' ')[0] === said)
  if (meant.length === 0) return 'unknown'
  return meant.some((types) => isOneOf(types.split(' '), type)) ? 'agrees' : 'differs'
}

const isText = (type: string): boolean => /^text\/|[/+](?:json|jsonl|xml|rtf)$/.test(type)

const isOneOf = (promised: readonly string[], type: string): boolean =>
  promised.some((one) => (one.endsWith('/') ? type.startsWith(one) : one === type))
