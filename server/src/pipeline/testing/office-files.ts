// Writes small documents of the office formats for tests: as little as their readers, ours and others, need.

import { zipOf, type ZipMember } from './archives.ts'

export const xml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

const head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
const relationships = (entries: { type: string; target: string }[]): string =>
  `${head}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">${entries
    .map(
      ({ type, target }, index) =>
        `<Relationship Id="rId${index + 1}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/${type}" Target="${target}"/>`,
    )
    .join('')}</Relationships>`
const contentTypes = (overrides: Record<string, string>): string =>
  `${head}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>${Object.entries(
    overrides,
  )
    .map(([name, type]) => `<Override PartName="/${name}" ContentType="${type}"/>`)
    .join('')}</Types>`
const coreProperties = (title: string): string =>
  `${head}<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>${xml(title)}</dc:title><dc:creator>Ada Writer</dc:creator></cp:coreProperties>`

const wordTypes = 'application/vnd.openxmlformats-officedocument.wordprocessingml'

/** A Word document: paragraphs, and a table where one is given. */
export function docx(options: {
  paragraphs: string[]
  table?: string[][]
  title?: string
  /** Replaces the text part. */
  documentXml?: string
  more?: ZipMember[]
}): Buffer {
  const paragraph = (text: string): string => `<w:p><w:r><w:t xml:space="preserve">${xml(text)}</w:t></w:r></w:p>`
  const row = (cells: string[]): string =>
    `<w:tr>${cells.map((cell) => `<w:tc>${paragraph(cell)}</w:tc>`).join('')}</w:tr>`
  const table = options.table === undefined ? '' : `<w:tbl>${options.table.map(row).join('')}</w:tbl>`
  const body = options.paragraphs.map(paragraph).join('') + table
  return zipOf([
    { name: '[Content_Types].xml', content: contentTypes({ 'word/document.xml': `${wordTypes}.document.main+xml` }) },
    { name: '_rels/.rels', content: relationships([{ type: 'officeDocument', target: 'word/document.xml' }]) },
    {
      name: 'word/document.xml',
      content:
        options.documentXml ??
        `${head}<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>${body}</w:body></w:document>`,
    },
    { name: 'docProps/core.xml', content: coreProperties(options.title ?? '') },
    ...(options.more ?? []),
  ])
}

/** A presentation with one text box per slide. */
export function pptx(slides: { text: string; notes?: string }[]): Buffer {
  const drawing = (text: string, root: string): string =>
    `${head}<p:${root} xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><p:cSld><p:spTree><p:sp><p:txBody>${text
      .split('\n')
      .map((line) => `<a:p><a:r><a:t>${xml(line)}</a:t></a:r></a:p>`)
      .join('')}</p:txBody></p:sp></p:spTree></p:cSld></p:${root}>`
  const parts = slides.flatMap(({ text, notes }, index): ZipMember[] => [
    { name: `ppt/slides/slide${index + 1}.xml`, content: drawing(text, 'sld') },
    ...(notes === undefined
      ? []
      : [
          {
            name: `ppt/slides/_rels/slide${index + 1}.xml.rels`,
            content: relationships([{ type: 'notesSlide', target: `../notesSlides/notesSlide${index + 1}.xml` }]),
          },
          { name: `ppt/notesSlides/notesSlide${index + 1}.xml`, content: drawing(notes, 'notes') },
        ]),
  ])
  const ids = slides.map((_, index) => `<p:sldId id="${256 + index}" r:id="rId${index + 1}"/>`).join('')
  return zipOf([
    { name: '[Content_Types].xml', content: contentTypes({}) },
    { name: '_rels/.rels', content: relationships([{ type: 'officeDocument', target: 'ppt/presentation.xml' }]) },
    {
      name: 'ppt/presentation.xml',
      content: `${head}<p:presentation xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><p:sldIdLst>${ids}</p:sldIdLst></p:presentation>`,
    },
    {
      name: 'ppt/_rels/presentation.xml.rels',
      content: relationships(slides.map((_, index) => ({ type: 'slide', target: `slides/slide${index + 1}.xml` }))),
    },
    ...parts,
  ])
}

const openDocumentTypes = { odt: 'text', ods: 'spreadsheet', odp: 'presentation' } as const

/** An OpenDocument file around the inner XML of its body. */
export function openDocument(
  kind: keyof typeof openDocumentTypes,
  body: string,
  options: { title?: string; manifest?: string } = {},
): Buffer {
  const type = openDocumentTypes[kind]
  const names = ['office', 'text', 'table', 'draw']
    .map((name) => `xmlns:${name}="urn:oasis:names:tc:opendocument:xmlns:${name === 'draw' ? 'drawing' : name}:1.0"`)
    .join(' ')
  return zipOf([
    { name: 'mimetype', content: `application/vnd.oasis.opendocument.${type}`, method: 'stored' },
    {
      name: 'content.xml',
      content: `${head}<office:document-content ${names} office:version="1.3"><office:body><office:${type}>${body}</office:${type}></office:body></office:document-content>`,
    },
    {
      name: 'meta.xml',
      content: `${head}<office:document-meta ${names} xmlns:dc="http://purl.org/dc/elements/1.1/"><office:meta><dc:title>${xml(options.title ?? '')}</dc:title></office:meta></office:document-meta>`,
    },
    {
      name: 'META-INF/manifest.xml',
      content:
        options.manifest ??
        `${head}<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>`,
    },
  ])
}

/** A book of chapters in XHTML; `href` may claim any place for a chapter. */
export function epub(
  chapters: { title: string; html: string; href?: string }[],
  options: { more?: ZipMember[] } = {},
): Buffer {
  const name = (index: number): string => `chapter${index + 1}.xhtml`
  return zipOf([
    { name: 'mimetype', content: 'application/epub+zip', method: 'stored' },
    {
      name: 'META-INF/container.xml',
      content: `${head}<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>`,
    },
    {
      name: 'OEBPS/content.opf',
      content: `${head}<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The Book</dc:title><dc:creator>Ada Writer</dc:creator></metadata><manifest>${chapters
        .map(
          ({ href }, index) =>
            `<item id="c${index}" href="${xml(href ?? name(index))}" media-type="application/xhtml+xml"/>`,
        )
        .join(
          '',
        )}</manifest><spine>${chapters.map((_, index) => `<itemref idref="c${index}"/>`).join('')}</spine></package>`,
    },
    ...chapters.map(({ title, html }, index) => ({
      name: `OEBPS/${name(index)}`,
      content: `${head}<html xmlns="http://www.w3.org/1999/xhtml"><head><title>${xml(title)}</title></head><body>${html}</body></html>`,
    })),
    ...(options.more ?? []),
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
