// What a file is, from its first bytes: signatures, and for text, which has none, its ending. It is a first answer, good
// enough to choose a pipeline by and made without any decoder; the validator looks closer, in its sandbox.

/** As far as the signatures here lie from the start. */
export const sniffBytes = 4_096

interface Signature {
  type: string
  at?: number
  /** Latin-1 text that stands there. */
  text: string
}

// The more specific ones first.
const signatures: readonly Signature[] = [
  { type: 'application/pdf', text: '%PDF-' },
  { type: 'image/png', text: '\x89PNG\r\n\x1a\n' },
  { type: 'image/jpeg', text: '\xff\xd8\xff' },
  { type: 'image/gif', text: 'GIF87a' },
  { type: 'image/gif', text: 'GIF89a' },
  { type: 'image/tiff', text: 'II*\0' },
  { type: 'image/tiff', text: 'MM\0*' },
  { type: 'image/jxl', text: '\xff\x0a' },
  { type: 'image/jxl', text: '\0\0\0\x0cJXL \r\n\x87\n' },
  { type: 'image/jp2', text: '\0\0\0\x0cjP  \r\n\x87\n' },
  { type: 'image/vnd.adobe.photoshop', text: '8BPS' },
  { type: 'image/vnd.microsoft.icon', text: '\0\0\x01\0' },
  { type: 'application/vnd.apache.parquet', text: 'PAR1' },
  { type: 'application/vnd.apache.arrow.file', text: 'ARROW1\0\0' },
  { type: 'application/avro', text: 'Obj\x01' },
  { type: 'application/vnd.apache.orc', text: 'ORC' },
  { type: 'application/vnd.sqlite3', text: 'SQLite format 3\0' },
  { type: 'application/x-hdf5', text: '\x89HDF\r\n\x1a\n' },
  { type: 'application/gzip', text: '\x1f\x8b\x08' },
  { type: 'application/zstd', text: '\x28\xb5\x2f\xfd' },
  { type: 'application/x-xz', text: '\xfd7zXZ\0' },
  { type: 'application/x-bzip2', text: 'BZh' },
  { type: 'application/x-lz4', text: '\x04\x22\x4d\x18' },
  { type: 'application/x-7z-compressed', text: '7z\xbc\xaf\x27\x1c' },
  { type: 'application/vnd.rar', text: 'Rar!\x1a\x07' },
  { type: 'application/x-tar', at: 257, text: 'ustar' },
  { type: 'application/rtf', text: '{\\rtf' },
  { type: 'application/x-ole-storage', text: '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1' },
  { type: 'audio/flac', text: 'fLaC' },
  { type: 'audio/mpeg', text: 'ID3' },
  { type: 'audio/midi', text: 'MThd' },
  { type: 'audio/amr', text: '#!AMR' },
  { type: 'audio/ogg', at: 28, text: 'OpusHead' },
  { type: 'audio/ogg', at: 29, text: 'vorbis' },
  { type: 'video/ogg', at: 29, text: 'theora' },
  { type: 'application/ogg', text: 'OggS' },
  { type: 'video/x-flv', text: 'FLV\x01' },
  { type: 'video/mpeg', text: '\0\0\x01\xba' },
  { type: 'video/mpeg', text: '\0\0\x01\xb3' },
  { type: 'video/x-ms-asf', text: '\x30\x26\xb2\x75\x8e\x66\xcf\x11' },
  { type: 'font/woff', text: 'wOFF' },
  { type: 'font/woff2', text: 'wOF2' },
  { type: 'font/otf', text: 'OTTO' },
  { type: 'application/wasm', text: '\0asm' },
  { type: 'application/x-elf', text: '\x7fELF' },
  { type: 'application/vnd.microsoft.portable-executable', text: 'MZ' },
  { type: 'application/java-vm', text: '\xca\xfe\xba\xbe' },
  { type: 'application/x-mach-binary', text: '\xcf\xfa\xed\xfe' },
]

/** Formats inside RIFF, by their form type. */
const riffTypes: Record<string, string> = {
  WAVE: 'audio/wav',
  WEBP: 'image/webp',
  'AVI ': 'video/x-msvideo',
}

/** ISO media files, by their major brand. */
const brandTypes: readonly (readonly [RegExp, string])[] = [
  [/^avi[fs]/, 'image/avif'],
  [/^(?:heic|heix|hevc|hevx|heim|heis)/, 'image/heic'],
  [/^(?:mif1|msf1)/, 'image/heif'],
  [/^qt /, 'video/quicktime'],
  [/^M4[ABP] /, 'audio/mp4'],
  [/^3g/, 'video/3gpp'],
  [/^crx /, 'image/x-canon-cr3'],
]

/** Packages that are zip files, by the ending under which everybody knows them; their inside decides first. */
const zipTypes: Record<string, string> = {
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  pptx: 'application/vnd.openxmlformats-officedocument.presentationml.presentation',
  jar: 'application/java-archive',
  apk: 'application/vnd.android.package-archive',
}
const zipFolders: readonly (readonly [string, string | undefined])[] = [
  ['word/', zipTypes['docx']],
  ['xl/', zipTypes['xlsx']],
  ['ppt/', zipTypes['pptx']],
]

const openPackage = /^PK.{28}mimetype(application\/(?:epub\+zip|vnd\.oasis\.opendocument\.[a-z.-]{1,40}?))(?=PK)/s

const oleTypes: Record<string, string> = {
  doc: 'application/msword',
  xls: 'application/vnd.ms-excel',
  ppt: 'application/vnd.ms-powerpoint',
  msg: 'application/vnd.ms-outlook',
}

/** Kinds of text, which nothing but the ending tells apart. */
const textTypes: Record<string, string> = {
  csv: 'text/csv',
  tsv: 'text/tab-separated-values',
  tab: 'text/tab-separated-values',
  json: 'application/json',
  geojson: 'application/geo+json',
  jsonl: 'application/jsonl',
  ndjson: 'application/jsonl',
  xml: 'application/xml',
  html: 'text/html',
  htm: 'text/html',
  xhtml: 'application/xhtml+xml',
  svg: 'image/svg+xml',
  md: 'text/markdown',
  markdown: 'text/markdown',
  yaml: 'application/yaml',
  yml: 'application/yaml',
  eml: 'message/rfc822',
  ics: 'text/calendar',
  vcf: 'text/vcard',
  css: 'text/css',
  js: 'text/javascript',
  mjs: 'text/javascript',
  vtt: 'text/vtt',
  srt: 'application/x-subrip',
  tex: 'application/x-tex',
  sql: 'application/sql',
}

/** Text that runs or is drawn in a browser says so itself, whatever it is called. */
const activeText: readonly (readonly [RegExp, string])[] = [
  [/^\s*(?:<\?xml[^>]*>\s*)?(?:<!--[^]*?-->\s*)*(?:<!doctype\s+svg[^>]*>\s*)?<svg[\s>]/i, 'image/svg+xml'],
  [/^\s*(?:<!--[^]*?-->\s*)*<(?:!doctype\s+html|html|head|body|script|iframe)[\s>]/i, 'text/html'],
]
const xmlStart = /^\s*<\?xml\s/

/** The content type of a file with this name that begins so. At most the first sniffBytes bytes are looked at. */
export function sniffContentType(head: Uint8Array, name: string): string {
  const bytes = Buffer.from(head.buffer, head.byteOffset, Math.min(head.byteLength, sniffBytes))
  const ending = /\.([a-z0-9]{1,10})$/i.exec(name)?.[1]?.toLowerCase() ?? ''
  return binaryType(bytes, ending) ?? textType(bytes, ending) ?? 'application/octet-stream'
}

function binaryType(bytes: Buffer, ending: string): string | undefined {
  const start = bytes.toString('latin1', 0, 4)
  if (start === 'PK\x03\x04') return zipType(bytes, ending)
  if (start === 'PK\x05\x06') return 'application/zip'
  if (start === 'RIFF') return riffTypes[bytes.toString('latin1', 8, 12)]
  if (start === '\x1aE\xdf\xa3') return bytes.includes('webm') ? 'video/webm' : 'video/matroska'
  if (bytes.toString('latin1', 4, 8) === 'ftyp') return brandType(bytes.toString('latin1', 8, 12))
  const found = signatures.find(({ at = 0, text }) => bytes.toString('latin1', at, at + text.length) === text)
  if (found === undefined) return weakBinaryType(bytes)
  if (isWord.test(found.text) && isText(bytes)) return undefined
  return found.type === 'application/x-ole-storage' ? (oleTypes[ending] ?? found.type) : found.type
}

/** Signatures that a text may well begin with. */
const isWord = /^[\x20-\x7e]{1,4}$/

/** Signatures so short that they are believed only in what is not text. */
function weakBinaryType(bytes: Buffer): string | undefined {
  if (isText(bytes)) return undefined
  if (bytes.toString('latin1', 0, 2) === 'BM' && bytes.length > 26) return 'image/bmp'
  const isFrame = bytes.length > 2 && bytes[0] === 0xff && (bytes[1]! & 0xe6) === 0xe2 // layer III of any version
  return isFrame ? 'audio/mpeg' : undefined
}

const brandType = (brand: string): string => brandTypes.find(([pattern]) => pattern.test(brand))?.[1] ?? 'video/mp4'

function zipType(bytes: Buffer, ending: string): string {
  // OpenDocument and EPUB store their type in clear as the first entry.
  const mimetype = openPackage.exec(bytes.toString('latin1', 0, 300))?.[1]
  if (mimetype !== undefined) return mimetype
  const names = entryNames(bytes)
  const isOffice = names.some((name) => name === '[Content_Types].xml' || name === '_rels/.rels')
  const folder = zipFolders.find(([folder]) => names.some((name) => name.startsWith(folder)))
  if (folder?.[1] !== undefined && isOffice) return folder[1]
  if (isOffice) return zipTypes[ending] ?? 'application/zip'
  if (names.some((name) => name === 'META-INF/MANIFEST.MF')) return zipTypes[ending] ?? 'application/java-archive'
  return 'application/zip'
}

/** Names of the entries whose local headers can be seen. */
function entryNames(bytes: Buffer): string[] {
  const names: string[] = []
  for (let at = bytes.indexOf('PK\x03\x04', 0, 'latin1'); at >= 0; at = bytes.indexOf('PK\x03\x04', at + 4, 'latin1')) {
    if (at + 30 > bytes.length) break
    names.push(bytes.toString('latin1', at + 30, at + 30 + bytes.readUInt16LE(at + 26)))
  }
  return names
}

function textType(bytes: Buffer, ending: string): string | undefined {
  if (!isText(bytes)) return undefined
  const text = decodeStart(bytes)
  const active = activeText.find(([pattern]) => pattern.test(text))
  if (active !== undefined) return active[1]
  return textTypes[ending] ?? (xmlStart.test(text) ? 'application/xml' : 'text/plain')
}

const utf16Decoders = { le: 'utf-16le', be: 'utf-16be' } as const

function utf16Of(bytes: Buffer): 'le' | 'be' | undefined {
  const mark = bytes.toString('latin1', 0, 2)
  return mark === '\xff\xfe' ? 'le' : mark === '\xfe\xff' ? 'be' : undefined
}

/** Text of any encoding: a mark of UTF-16, or no control characters but those that texts have. */
function isText(bytes: Buffer): boolean {
  if (utf16Of(bytes) !== undefined) return true
  return !bytes.some(
    (byte) => byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d && byte !== 0x0c && byte !== 0x1b,
  )
}

function decodeStart(bytes: Buffer): string {
  const utf16 = utf16Of(bytes)
  return new TextDecoder(utf16 === undefined ? 'utf-8' : utf16Decoders[utf16]).decode(bytes)
}
