// Whether a file is two things at once: a picture that is a zip as well, a PDF that begins inside something else, a
// picture that a browser would run. What lies behind the end of a file is told as well, and what it seems to be.

import { sniffBytes, sniffContentType } from '../formats/sniff.ts'
import type { FileBytes, Structure } from './structure/structure.ts'

export type Flag =
  | 'trailing_data'
  | 'polyglot_zip'
  | 'polyglot_pdf'
  | 'polyglot_script'
  | 'polyglot_trailing'
  | 'active_content'

export interface SecondNature {
  flags: Flag[]
  /** What lies behind the end of the file. */
  trailing?: { at: number; size_bytes: number; content_type: string }
}

/** A zip is found by its end, which may be followed by a comment of this length. */
const zipEndBytes = 22 + 65_535
const zipEnd = Buffer.from('PK\x05\x06', 'latin1')
/** At either end of the file: where metadata stand, and what was appended. */
const lookedAtBytes = zipEndBytes

/** Kinds of files that carry a zip rightly. */
const isZipKind = (type: string): boolean =>
  /zip|java-archive|android|openxmlformats|opendocument|portable-executable|x-elf/.test(type)

const scriptInside = /<\?php|<script[\s>]/i
const scriptInDrawing = /<script[\s>]|<foreignObject[\s>]|\son[a-z]{3,20}\s*=|javascript:|<!ENTITY/i
const activePdf = /\/(?:JavaScript|JS|Launch|OpenAction|EmbeddedFile)\b/

export async function secondNatureOf(bytes: FileBytes, type: string, { endsAt }: Structure): Promise<SecondNature> {
  const flags = new Set<Flag>()
  const head = Buffer.from(await bytes.read(0, lookedAtBytes))
  const tail = await bytes.read(Math.max(0, bytes.sizeBytes - lookedAtBytes), lookedAtBytes)
  if (!isZipKind(type) && hasZipEnd(tail)) flags.add('polyglot_zip')
  if (type !== 'application/pdf' && !type.startsWith('text/') && head.subarray(0, 1024).includes('%PDF-'))
    flags.add('polyglot_pdf')
  const isDrawing = type === 'image/svg+xml' || type === 'text/html'
  if (/^(?:image|audio|video)\//.test(type) && !isDrawing && hasScript(head, tail)) flags.add('polyglot_script')
  if (isDrawing && scriptInDrawing.test(head.toString('latin1'))) flags.add('active_content')
  if (type === 'application/pdf' && [head, tail].some((part) => activePdf.test(part.toString('latin1'))))
    flags.add('active_content')
  if (endsAt === undefined || endsAt >= bytes.sizeBytes) return { flags: [...flags] }
  const rest = await bytes.read(endsAt, sniffBytes)
  // Zeros fill the last block of some recorders and tapes.
  if (rest.every((byte) => byte === 0)) return { flags: [...flags] }
  flags.add('trailing_data')
  const trailing = sniffContentType(rest, '')
  if (!harmlessTrailer(type, trailing)) flags.add('polyglot_trailing')
  return { flags: [...flags], trailing: { at: endsAt, size_bytes: bytes.sizeBytes - endsAt, content_type: trailing } }
}

function hasZipEnd(tail: Buffer): boolean {
  for (let at = tail.lastIndexOf(zipEnd); at >= 0; at = at === 0 ? -1 : tail.lastIndexOf(zipEnd, at - 1))
    // The length of its comment reaches the end of the file, or it is there by chance.
    if (at + 22 <= tail.length && at + 22 + tail.readUInt16LE(at + 20) === tail.length) return true
  return false
}

function hasScript(head: Buffer, tail: Buffer): boolean {
  // GIF89a/* … */ = … is a picture for a browser's <img> and a program for its <script>.
  const start = head.toString('latin1', 0, 10)
  if (/^(?:GIF8[79]a|BM)(?:\/\*|=)/.test(start)) return true
  return [head, tail].some((part) => scriptInside.test(part.toString('latin1')))
}

/** Telephones append a film or further pictures to a photo, and unknown bytes are no second nature. */
const harmlessTrailer = (type: string, trailing: string): boolean =>
  trailing === 'application/octet-stream' ||
  trailing === 'text/plain' ||
  (type === 'image/jpeg' && /^(?:image\/jpeg|video\/mp4)$/.test(trailing)) ||
  trailing === type
