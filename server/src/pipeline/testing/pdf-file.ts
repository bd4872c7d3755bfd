// Writes small PDFs for tests: pages of text in Helvetica, or of a grey image as a scanner makes it.

export interface PdfPageContent {
  /** Lines of Latin text; the backslash and parentheses are escaped. */
  lines?: string[]
  /** A grey image over the whole page. */
  image?: boolean
  widthPoints?: number
  heightPoints?: number
  /** Replaces the page's content stream. */
  content?: string
}

/** Objects numbered from 1 with their cross-reference table; the first one is the catalogue. */
export function pdfOfObjects(objects: readonly (string | Buffer)[], trailer = ''): Buffer {
  const pieces: Buffer[] = [Buffer.from('%PDF-1.7\n%\xe2\xe3\xcf\xd3\n', 'latin1')]
  const offsets: number[] = []
  let length = pieces[0]?.length ?? 0
  const add = (piece: Buffer): void => {
    pieces.push(piece)
    length += piece.length
  }
  objects.forEach((object, index) => {
    offsets.push(length)
    add(
      Buffer.concat([
        Buffer.from(`${index + 1} 0 obj\n`),
        typeof object === 'string' ? Buffer.from(object, 'latin1') : object,
        Buffer.from('\nendobj\n'),
      ]),
    )
  })
  const table = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('')
  const start = length
  const entries = `/Size ${objects.length + 1} /Root 1 0 R ${trailer}`
  add(
    Buffer.from(
      `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}trailer\n<< ${entries} >>\nstartxref\n${start}\n%%EOF\n`,
    ),
  )
  return Buffer.concat(pieces)
}

const stream = (content: string | Buffer, entries = ''): Buffer => {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'latin1') : content
  return Buffer.concat([
    Buffer.from(`<< /Length ${bytes.length} ${entries} >>\nstream\n`),
    bytes,
    Buffer.from('\nendstream'),
  ])
}

const escape = (text: string): string => text.replaceAll(/[\\()]/gu, '\\$&')

function contentOf({
  lines = [],
  image = false,
  widthPoints = 595,
  heightPoints = 842,
  content,
}: PdfPageContent): string {
  if (content !== undefined) return content
  const drawn = image ? `q ${widthPoints} 0 0 ${heightPoints} 0 0 cm /I Do Q\n` : ''
  const text = lines.map((line) => `(${escape(line)}) Tj T*`).join(' ')
  return lines.length === 0 ? drawn : `${drawn}BT /F 12 Tf 14 TL 50 ${heightPoints - 60} Td ${text} ET`
}

export interface PdfOptions {
  title?: string
  /** Dictionary of an encryption, as it is written; nothing is encrypted by it. */
  encryption?: string
  /** In hexadecimal, as an encryption needs it. */
  id?: string
}

/** Objects 1 to 5 are catalogue, page tree, font, image and properties; pages follow with their contents. */
export function pdf(pages: readonly PdfPageContent[], options: PdfOptions = {}): Buffer {
  const { title = '', encryption, id = '00112233' } = options
  const firstPage = 6
  const kids = pages.map((_, index) => `${firstPage + index * 2} 0 R`).join(' ')
  const grey = Buffer.alloc(8 * 8, 0x80)
  return pdfOfObjects(
    [
      '<< /Type /Catalog /Pages 2 0 R >>',
      `<< /Type /Pages /Count ${pages.length} /Kids [${kids}] >>`,
      '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>',
      stream(grey, '/Type /XObject /Subtype /Image /Width 8 /Height 8 /ColorSpace /DeviceGray /BitsPerComponent 8'),
      `<< /Title (${escape(title)}) /Author (Ada Writer) >>`,
      ...pages.flatMap((page, index) => [
        `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${page.widthPoints ?? 595} ${page.heightPoints ?? 842}] /Contents ${firstPage + index * 2 + 1} 0 R /Resources << /Font << /F 3 0 R >> /XObject << /I 4 0 R >> >> >>`,
        stream(contentOf(page)),
      ]),
    ],
    encryption === undefined ? '/Info 5 0 R' : `/Info 5 0 R /ID [<${id}> <${id}>] /Encrypt ${encryption}`,
  )
}

/** A PDF that says of itself that a password is needed (standard handler, revision 3, keys of no password known). */
export function encryptedPdf(): Buffer {
  const key = 'ab'.repeat(32)
  const encryption = `<< /Filter /Standard /V 2 /R 3 /Length 128 /P -44 /O <${key}> /U <${key}> >>`
  return pdf([], { encryption, id: '00112233445566778899aabbccddeeff' })
}
