// Documents for tests: the smallest that their readers take.

import { zipOf } from './archives.ts'

export interface TestPdf {
  /** One page each. */
  pages?: string[]
  /** Dictionary of an encryption, as it is written. */
  encryption?: string
  /** In hexadecimal, as an encryption needs it. */
  id?: string
}

/** A PDF with these lines of text, one page each. */
export function pdfOf({ pages = ['Hello'], encryption, id = '00112233' }: TestPdf = {}): Buffer {
  const font = 3 + pages.length * 2
  const pageObjects = pages.flatMap((text, index) => {
    const content = `BT /F1 24 Tf 40 100 Td (${text.replaceAll(/[\\()]/g, '\\$&')}) Tj ET`
    return [
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents ${4 + index * 2} 0 R /Resources << /Font << /F1 ${font} 0 R >> >> >>`,
      `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
    ]
  })
  const kids = pages.map((_, index) => `${3 + index * 2} 0 R`).join(' ')
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    `<< /Type /Pages /Count ${pages.length} /Kids [${kids}] >>`,
    ...pageObjects,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
    ...(encryption === undefined ? [] : [encryption]),
  ]
  let text = '%PDF-1.7\n%\xe2\xe3\xcf\xd3\n'
  const places = objects.map((object, index) => {
    const at = text.length
    text += `${index + 1} 0 obj\n${object}\nendobj\n`
    return `${String(at).padStart(10, '0')} 00000 n \n`
  })
  const encrypt = encryption === undefined ? '' : `/Encrypt ${objects.length} 0 R /ID [<${id}><${id}>] `
  const listAt = text.length
  text += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${places.join('')}`
  text += `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R ${encrypt}>>\nstartxref\n${listAt}\n%%EOF\n`
  return Buffer.from(text, 'latin1')
}

/** A Word document with these paragraphs. */
export function docxOf(paragraphs: string[] = ['Hello']): Buffer {
  const xml = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
  const main = 'http://schemas.openxmlformats.org/wordprocessingml/2006/main'
  const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  const body = paragraphs.map((text) => `<w:p><w:r><w:t>${escaped(text)}</w:t></w:r></w:p>`).join('')
  return zipOf([
    {
      name: '[Content_Types].xml',
      content: `${xml}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>`,
    },
    {
      name: '_rels/.rels',
      content: `${xml}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>`,
    },
    { name: 'word/document.xml', content: `${xml}<w:document xmlns:w="${main}"><w:body>${body}</w:body></w:document>` },
  ])
}

/** The container that Office wraps a document in when a password protects it. */
export function encryptedOfficeFile(): Buffer {
  const bytes = Buffer.alloc(512 * 4)
  bytes.write('\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1', 'latin1')
  bytes.writeUInt16LE(9, 30)
  bytes.writeUInt32LE(1, 44)
  bytes.writeUInt32LE(1, 48)
  bytes.write('EncryptedPackage', 1024, 'utf16le')
  return bytes
}
