// What kind of thing a content type is, as far as a page treats kinds differently.

export type FileKind = 'image' | 'table' | 'document' | 'text' | 'archive' | 'audio' | 'video' | 'other'

const tables = /csv|tab-separated|parquet|spreadsheet|ms-excel|ndjson|jsonl|jsonlines/
const archives = /zip|x-tar|gzip|x-7z|rar|zstd|bzip/
const documents = /pdf|word|opendocument|presentation|rtf|epub|message\/rfc822/

export function fileKindOf(contentType: string): FileKind {
  const type = contentType.toLowerCase()
  if (type.startsWith('image/')) return 'image'
  if (type.startsWith('audio/')) return 'audio'
  if (type.startsWith('video/')) return 'video'
  if (tables.test(type)) return 'table'
  if (documents.test(type)) return 'document'
  if (archives.test(type)) return 'archive'
  return type.startsWith('text/') || type.includes('json') || type.includes('xml') ? 'text' : 'other'
}

/** Kind by the ending of a name, for things whose content type is not at hand. */
export function fileKindOfName(name: string): FileKind {
  const ending = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? ''
  return endings[ending] ?? 'other'
}

const endings: Record<string, FileKind> = {
  ...Object.fromEntries(
    'jpg jpeg png gif webp avif heic tif tiff bmp svg'.split(' ').map((ending) => [ending, 'image' as const]),
  ),
  ...Object.fromEntries('csv tsv xlsx xls parquet jsonl ods'.split(' ').map((ending) => [ending, 'table' as const])),
  ...Object.fromEntries(
    'pdf doc docx odt rtf epub ppt pptx odp eml'.split(' ').map((ending) => [ending, 'document' as const]),
  ),
  ...Object.fromEntries('txt md log json xml html yaml yml'.split(' ').map((ending) => [ending, 'text' as const])),
  ...Object.fromEntries('zip tar gz tgz 7z rar zst bz2'.split(' ').map((ending) => [ending, 'archive' as const])),
  ...Object.fromEntries('mp3 wav flac ogg m4a opus'.split(' ').map((ending) => [ending, 'audio' as const])),
  ...Object.fromEntries('mp4 mov mkv webm avi'.split(' ').map((ending) => [ending, 'video' as const])),
}

/** How an output may be shown inside the page. Types that could run code in our origin are never opened, only saved. */
export type Preview = 'image' | 'text' | 'pdf' | null

const images = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif', 'image/bmp'])
const texts = /^(?:text\/(?:plain|csv|tab-separated-values|markdown)|application\/(?:json|x-ndjson|jsonl|yaml|xml))$/

export function previewOf(contentType: string): Preview {
  const type = (contentType.split(';')[0] ?? '').trim().toLowerCase()
  if (images.has(type)) return 'image'
  if (type === 'application/pdf') return 'pdf'
  return texts.test(type) || type.endsWith('+json') ? 'text' : null
}
