import { randomBytes } from 'node:crypto'
import { utils, write } from '@e965/xlsx'
import { expect, test } from 'vitest'
import { deepMail, mail } from '../testing/mail-file.ts'
import { docx, epub, openDocument, pptx } from '../testing/office-files.ts'
import { encryptedPdf, pdf, pdfOfObjects } from '../testing/pdf-file.ts'
import { runProcessor, type TestFile } from '../testing/run-processor.ts'
import { zipOf } from '../testing/archives.ts'
import { run } from './document-text.run.ts'

const office = 'application/vnd.openxmlformats-officedocument'
const types: Record<string, string> = {
  pdf: 'application/pdf',
  docx: `${office}.wordprocessingml.document`,
  pptx: `${office}.presentationml.presentation`,
  xlsx: `${office}.spreadsheetml.sheet`,
  odt: 'application/vnd.oasis.opendocument.text',
  ods: 'application/vnd.oasis.opendocument.spreadsheet',
  odp: 'application/vnd.oasis.opendocument.presentation',
  epub: 'application/epub+zip',
  rtf: 'application/rtf',
  html: 'text/html',
  eml: 'message/rfc822',
  md: 'text/markdown',
  txt: 'text/plain',
  zip: 'application/zip',
}

const fileOf = (name: string, bytes: Uint8Array | string): TestFile => ({
  name,
  contentType: types[name.split('.').at(-1) ?? ''] ?? 'application/octet-stream',
  bytes,
})

interface Taken {
  result: Record<string, unknown>
  pages: { number: number; title: string | null; text: string }[]
  text: string
  foundText: string | undefined
  recordsCount: number | undefined
  names: string[]
}

async function taken(file: TestFile, parameters: Record<string, unknown> = {}): Promise<Taken> {
  await using ran = await runProcessor(run, [file], { parameters })
  const { outcome, outputs } = ran
  if (outcome.kind !== 'done') throw new Error(JSON.stringify(outcome))
  const bytesOf = (contentType: string): string =>
    outputs.find((output) => output.contentType === contentType)?.bytes.toString() ?? ''
  const { foundText, recordsCount } = outcome
  return {
    // What document.text promises to give.
    result: outcome.result as Record<string, unknown>,
    pages: JSON.parse(bytesOf('application/json') || '[]') as Taken['pages'],
    text: bytesOf('text/plain'),
    foundText,
    recordsCount,
    names: outputs.map(({ name }) => name),
  }
}

async function refused(file: TestFile, parameters: Record<string, unknown> = {}): Promise<string> {
  await using ran = await runProcessor(run, [file], { parameters })
  if (ran.outcome.kind !== 'reject') throw new Error(`not rejected: ${JSON.stringify(ran.outcome).slice(0, 500)}`)
  expect(ran.outcome.detail).toMatch(/^[A-Z/].*\.$/u)
  return ran.outcome.code
}

test('a PDF gives its text page by page, with its title', async () => {
  const bytes = pdf([{ lines: ['Hello (world)', 'second line'] }, { lines: ['Page two \\ end'] }], { title: 'A title' })
  const { result, pages, text, foundText, recordsCount, names } = await taken(fileOf('report.v1.pdf', bytes))
  expect(names).toEqual(['report.v1.pages.json', 'report.v1.txt'])
  expect(text).toBe('Hello (world)\nsecond line\n\nPage two \\ end\n')
  expect(foundText).toBe(text.trim())
  expect(pages).toMatchObject([
    { number: 1, words_count: 4 },
    { number: 2, text: 'Page two \\ end' },
  ])
  expect(recordsCount).toBe(2)
  expect(result).toMatchObject({
    kind: 'document-text',
    format: 'pdf',
    title: 'A title',
    author: 'Ada Writer',
    pages_count: 2,
    words_count: 7,
    truncated: false,
    needs_ocr: false,
  })
})

test('pages of a PDF that hold an image and no text need OCR', async () => {
  const { result, names } = await taken(fileOf('scan.pdf', pdf([{ image: true }, { image: true }])))
  expect(result).toMatchObject({ needs_ocr: true, pages_for_ocr: [1, 2], characters_count: 0 })
  expect(names).toEqual([])
  const mixed = await taken(
    fileOf('mixed.pdf', pdf([{ lines: ['A whole line of text'], image: true }, { image: true }, {}])),
  )
  expect(mixed.result).toMatchObject({ needs_ocr: true, pages_for_ocr: [2], pages_count: 3 })
})

test('the pages and the characters wished for are taken, and what was left out is said', async () => {
  const bytes = pdf(Array.from({ length: 9 }, (_, index) => ({ lines: [`page ${index + 1}`] })))
  const some = await taken(fileOf('a.pdf', bytes), { pages: '2-3,8-' })
  expect(some.pages.map(({ number }) => number)).toEqual([2, 3, 8, 9])
  expect(some.result).toMatchObject({ pages_count: 9, pages_read_count: 4, truncated: false })
  const short = await taken(fileOf('a.pdf', bytes), { characters: 10 })
  expect(short.result).toMatchObject({ characters_count: 10, truncated: true })
  expect(await refused(fileOf('a.pdf', bytes), { pages: '10-' })).toBe('parameters_invalid')
  expect(await refused(fileOf('a.pdf', bytes), { pages: 'all' })).toBe('parameters_invalid')
})

test('Word documents give paragraphs, tables and notes, and the title', async () => {
  const bytes = docx({
    paragraphs: ['First <b> & “quoted”', 'Second'],
    table: [
      ['a', 'b'],
      ['c', 'd'],
    ],
    title: 'Minutes',
    more: [
      {
        name: 'word/footnotes.xml',
        content: '<w:footnotes xmlns:w="w"><w:p><w:r><w:t>a note</w:t></w:r></w:p></w:footnotes>',
      },
    ],
  })
  const { text, result } = await taken(fileOf('minutes.docx', bytes))
  expect(text).toBe('First <b> & “quoted”\nSecond\na\tb\nc\td\n\na note\n')
  expect(result).toMatchObject({ format: 'docx', title: 'Minutes', author: 'Ada Writer', pages_count: 1 })
})

test('presentations give a page per slide with its notes', async () => {
  const { pages } = await taken(
    fileOf('talk.pptx', pptx([{ text: 'Hello\nworld', notes: 'say hello' }, { text: 'End' }])),
  )
  expect(pages.map(({ text }) => text)).toEqual(['Hello\nworld\n\nsay hello', 'End'])
})

test('workbooks give a page per sheet, with dates as people read them', async () => {
  const book = { SheetNames: ['People', 'Empty'], Sheets: { People: {}, Empty: utils.aoa_to_sheet([]) } }
  book.Sheets.People = utils.aoa_to_sheet([
    ['name', 'born'],
    ['Ada', new Date(Date.UTC(1815, 11, 10) + 100 * 365.25 * 86_400_000)],
    [undefined, 12.5],
  ])
  // What the package declares as any is the file.
  const bytes = write(book, { type: 'buffer', bookType: 'xlsx' }) as Buffer
  const { pages } = await taken(fileOf('people.xlsx', bytes))
  expect(pages.map(({ title }) => title)).toEqual(['People', 'Empty'])
  expect(pages[0]?.text).toMatch(/^name\tborn\nAda\t1915-12-\d\d.*\n\t12\.5$/u)
})

test('OpenDocument files give text, sheets and slides', async () => {
  const p = (text: string): string => `<text:p>${text}</text:p>`
  const odt = await taken(
    fileOf(
      'a.odt',
      openDocument(
        'odt',
        `<text:tracked-changes>${p('deleted')}</text:tracked-changes><text:h>Head</text:h>${p('one<text:s text:c="2"/>two<text:tab/>three<text:line-break/>four')}`,
        { title: 'Letter' },
      ),
    ),
  )
  expect(odt.text).toBe('Head\none  two\tthree\nfour\n')
  expect(odt.result).toMatchObject({ format: 'odt', title: 'Letter' })
  const cell = (text: string): string => `<table:table-cell>${p(text)}</table:table-cell>`
  const ods = await taken(
    fileOf(
      'a.ods',
      openDocument(
        'ods',
        `<table:table table:name="T1"><table:table-row>${cell('1')}${cell('2')}</table:table-row></table:table>`,
      ),
    ),
  )
  expect(ods.pages).toMatchObject([{ title: 'T1', text: '1\t2' }])
  const odp = await taken(
    fileOf(
      'a.odp',
      openDocument('odp', `<draw:page draw:name="S1">${p('x')}</draw:page><draw:page>${p('y')}</draw:page>`),
    ),
  )
  expect(odp.pages).toMatchObject([
    { title: 'S1', text: 'x' },
    { title: null, text: 'y' },
  ])
})

test('an EPUB gives its chapters in reading order, and nothing from outside of it', async () => {
  const { pages, result } = await taken(
    fileOf(
      'book.epub',
      epub([
        { title: 'One', html: '<h1>One</h1><p>It was a <i>dark</i>\n night.</p>' },
        { title: 'Two', html: '<p>lost</p>', href: '../../../../etc/passwd' },
        { title: 'Three', html: '<p>The end.</p>' },
      ]),
    ),
  )
  expect(pages).toMatchObject([
    { title: 'One', text: 'One\n\nIt was a dark night.' },
    { title: 'Three', text: 'The end.' },
  ])
  expect(result).toMatchObject({ title: 'The Book', author: 'Ada Writer' })
  const locked = { name: 'META-INF/encryption.xml', content: '<e><CipherReference URI="OEBPS/chapter1.xhtml"/></e>' }
  expect(await refused(fileOf('a.epub', epub([{ title: '', html: 'x' }], { more: [locked] })))).toBe('file_encrypted')
})

test('HTML gives what a reader sees, in its declared encoding', async () => {
  const html =
    '<html><head><title>T &amp; U</title><style>p{}</style></head><body><script>alert(1)</script><h1>Head</h1><p>a\n  b<br>c</p><pre>x\n  y</pre><ul><li>1<li>2</ul><table><tr><td>l<td>r</table></body>'
  const { text, result } = await taken(fileOf('a.html', html))
  expect(text).toBe('Head\n\na b\nc\n\nx\n  y\n\n1\n2\n\nl\tr\n')
  expect(result).toMatchObject({ format: 'html', title: 'T & U' })
  const cyrillic = Buffer.concat([
    Buffer.from('<meta charset="koi8-r"><p>'),
    Buffer.from([0xf0, 0xd2, 0xc9, 0xd7, 0xc5, 0xd4]),
  ])
  expect((await taken(fileOf('a.html', cyrillic))).text).toBe('Привет\n')
})

test('RTF gives its text in all its encodings and survives groups without balance', async () => {
  const rtf = String.raw`{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}}{\*\generator x;}{\info{\title no}}\f0 Caf\'e9 \{ok\}\par{\f1 \'cf\'f0\'e8}\tab\u8364?\u-10179?\u-8704?\line{\pict\bin4 }}}}}abc}end\emdash\par`
  expect((await taken(fileOf('a.rtf', rtf))).text).toBe('Café {ok}\nПри\t€😀\nabcend—\n')
  expect((await taken(fileOf('a.rtf', `{\\rtf1 ${'{'.repeat(200_000)}deep`))).text).toBe('deep\n')
  expect((await taken(fileOf('a.rtf', `{\\rtf1 ${'}'.repeat(200_000)}flat`))).text).toBe('flat\n')
  // A control word that is cut by the border between two chunks of the file.
  const long = `{\\rtf1 ${'ab\\par '.repeat(60_000)}}`
  expect((await taken(fileOf('a.rtf', long))).text).toBe('ab\n'.repeat(60_000))
})

test('a mail gives its headers, body and the names of its attachments', async () => {
  const bytes = mail({
    subject: 'Grüße 😀',
    parts: [
      { type: 'text/plain; charset=utf-8', body: 'Hello Bob,\nsee below.' },
      { type: 'application/pdf', body: '%PDF-1.7 not read', fileName: 'invoice.pdf' },
    ],
  })
  const { text, result } = await taken(fileOf('a.eml', bytes))
  expect(text).toContain('Grüße 😀\n')
  expect(text).toContain('Hello Bob,\nsee below.\ninvoice.pdf')
  expect(result).toMatchObject({
    title: 'Grüße 😀',
    mail: {
      to: ['Bob Reader bob@example.org'],
      date: '2026-11-24T10:00:00.000Z',
      attachments: [{ name: 'invoice.pdf', content_type: 'application/pdf', size_bytes: 17 }],
    },
  })
  const html = mail({ subject: 'h', parts: [{ type: 'text/html', body: '<p>only <b>HTML</b></p>' }] })
  expect((await taken(fileOf('a.eml', html))).text).toContain('only HTML')
})

test('plain text of any encoding is read as it is, without what a database cannot hold', async () => {
  expect((await taken(fileOf('a.md', '# Head\r\n\r\ntext\0 \u0007end'))).text).toBe('# Head\n\ntext   end\n')
  const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('żółw', 'utf16le')])
  expect(await taken(fileOf('a.txt', utf16))).toMatchObject({ text: 'żółw\n', result: { encoding: 'utf-16le' } })
})

test('text for the index is bounded and whole', async () => {
  const { foundText } = await taken(fileOf('a.txt', '😀'.repeat(600_000)))
  expect(foundText?.length).toBe(1_000_000)
  expect(foundText?.isWellFormed()).toBe(true)
})

test('protected documents are refused as such', async () => {
  expect(await refused(fileOf('a.pdf', encryptedPdf()))).toBe('file_encrypted')
  const ole = Buffer.concat([
    Buffer.from('d0cf11e0a1b11ae1', 'hex'),
    Buffer.alloc(500),
    Buffer.from('EncryptedPackage', 'utf16le'),
  ])
  expect(await refused(fileOf('a.docx', ole))).toBe('file_encrypted')
  const manifest = '<manifest><file-entry><encryption-data/></file-entry></manifest>'
  expect(await refused(fileOf('a.odt', openDocument('odt', '', { manifest })))).toBe('file_encrypted')
})

test('files that are not what they are called are refused', async () => {
  for (const name of ['a.pdf', 'a.docx', 'a.pptx', 'a.xlsx', 'a.odt', 'a.epub', 'a.rtf', 'a.eml', 'a.txt'])
    expect([name, await refused(fileOf(name, randomBytes(20_000)))]).toEqual([name, 'file_unreadable'])
  expect(await refused(fileOf('a.pdf', Buffer.alloc(0)))).toBe('file_empty')
  expect(await refused(fileOf('a.docx', zipOf([{ name: 'x', content: 'y' }])))).toBe('file_unreadable')
  expect(await refused(fileOf('a.zip', zipOf([{ name: 'x', content: 'y' }])))).toBe('file_type_unsupported')
  // Content decides, not the name.
  expect((await taken(fileOf('a.docx', pdf([{ lines: ['really a PDF'] }])))).text).toBe('really a PDF\n')
})

const whole: [string, Buffer][] = [
  ['a.pdf', pdf([{ lines: ['text'] }, { image: true }])],
  ['a.docx', docx({ paragraphs: ['text', 'more'] })],
  ['a.pptx', pptx([{ text: 'text' }])],
  ['a.odt', openDocument('odt', '<text:p>text</text:p>')],
  ['a.epub', epub([{ title: 'x', html: '<p>text</p>' }])],
  ['a.rtf', Buffer.from("{\\rtf1\\ansi {\\b text} \\u8364? \\'e9}")],
  ['a.html', Buffer.from('<html><body><p>text</p></body></html>')],
  [
    'a.eml',
    mail({
      subject: 'x',
      parts: [
        { type: 'text/plain', body: 'text' },
        { type: 'text/html', body: '<p>x' },
      ],
    }),
  ],
]
test.each(whole)('%s cut anywhere still has an outcome', async (name, bytes) => {
  for (let part = 1; part <= 10; part += 1) {
    await using ran = await runProcessor(run, [fileOf(name, bytes.subarray(0, Math.floor((bytes.length * part) / 11)))])
    if (ran.outcome.kind === 'reject')
      expect(['file_unreadable', 'file_type_unsupported', 'file_empty']).toContain(ran.outcome.code)
    else expect(ran.outcome.kind).toBe('done')
  }
})

test('a PDF whose page tree or content runs in a circle has an outcome', async () => {
  const circle = pdfOfObjects([
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Count 3 /Kids [2 0 R 3 0 R 2 0 R] /Parent 2 0 R >>',
    '<< /Type /Pages /Count 1 /Kids [2 0 R] /Parent 2 0 R >>',
  ])
  await using tree = await runProcessor(run, [fileOf('a.pdf', circle)])
  expect(['done', 'reject']).toContain(tree.outcome.kind)
  const form = pdfOfObjects([
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Count 1 /Kids [3 0 R] >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 100 100] /Contents 4 0 R /Resources << /XObject << /X 5 0 R >> >> >>',
    '<< /Length 5 >>\nstream\n/X Do\nendstream',
    '<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Length 5 /Resources << /XObject << /X 5 0 R >> >> >>\nstream\n/X Do\nendstream',
  ])
  expect((await taken(fileOf('a.pdf', form))).result).toMatchObject({ pages_count: 1, characters_count: 0 })
  const many = pdfOfObjects(['<< /Type /Catalog /Pages 2 0 R >>', '<< /Type /Pages /Count 2000000000 /Kids [] >>'])
  const flood = pdfOfObjects([
    '<< /Type /Catalog /Pages 2 0 R >>',
    `<< /Type /Pages /Count 12000 /Kids [${'3 0 R '.repeat(12_000)}] >>`,
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] >>',
  ])
  expect((await taken(fileOf('a.pdf', flood))).result).toMatchObject({
    pages_count: 12_000,
    pages_read_count: 10_000,
    truncated: true,
  })
  await using claimed = await runProcessor(run, [fileOf('a.pdf', many)])
  expect(['done', 'reject']).toContain(claimed.outcome.kind)
})

test('a document that unpacks to far more than it is, or claims to, is refused', async () => {
  const bomb = docx({
    paragraphs: [],
    documentXml: `<w:document xmlns:w="w"><w:body>${'<w:p><w:r><w:t>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa</w:t></w:r></w:p>'.repeat(400_000)}`,
  })
  expect((await taken(fileOf('a.docx', bomb), { characters: 1000 })).result).toMatchObject({ truncated: true })
  const liar = zipOf([
    { name: '[Content_Types].xml', content: '' },
    { name: 'word/document.xml', content: '<w:t>x</w:t>', claimed: { sizeBytes: 2 ** 31 } },
  ])
  expect(await refused(fileOf('a.docx', liar))).toBe('file_too_complex')
})

test('entities are neither expanded nor fetched', async () => {
  const laughs = Array.from({ length: 9 }, (_, n) => `<!ENTITY l${n + 1} "${`&l${n};`.repeat(10)}">`).join('')
  const documentXml = `<?xml version="1.0"?><!DOCTYPE d [<!ENTITY l0 "ha">${laughs}<!ENTITY x SYSTEM "file:///etc/passwd">]><w:document xmlns:w="w"><w:body><w:p><w:r><w:t>[&l9;&x;]</w:t></w:r></w:p></w:body></w:document>`
  const { text } = await taken(fileOf('a.docx', docx({ paragraphs: [], documentXml })))
  expect(text.length).toBeLessThan(20)
  expect(text).not.toContain('root:')
})

test('nesting without measure is refused or read flat', async () => {
  expect(await refused(fileOf('a.html', '<div>'.repeat(100_000)))).toBe('file_too_complex')
  expect(['file_too_complex']).toContain(await refused(fileOf('a.eml', deepMail(1_100))))
  expect((await taken(fileOf('a.eml', deepMail(900)))).text).toContain('deep')
})
