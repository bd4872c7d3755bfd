import { describe, expect, it } from 'vitest'
import { sniffContentType } from './sniff.ts'

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

/** A local header of a zip file with an entry of that name and these stored bytes. */
function zipEntry(name: string, content = ''): Buffer {
  const header = Buffer.alloc(30)
  header.writeUInt32LE(0x04034b50, 0)
  header.writeUInt32LE(content.length, 18)
  header.writeUInt16LE(name.length, 26)
  return Buffer.concat([header, bytes(name + content)])
}

const tar = Buffer.alloc(512)
tar.write('a.txt')
tar.write('ustar', 257)

const cases: [string, Buffer, string][] = [
  ['photo.jpg', bytes('\xff\xd8\xff\xe0\0\x10JFIF'), 'image/jpeg'],
  ['photo.jpg', bytes('\x89PNG\r\n\x1a\n\0\0\0\rIHDR'), 'image/png'],
  ['a.webp', bytes('RIFF\x10\0\0\0WEBPVP8 '), 'image/webp'],
  ['a.wav', bytes('RIFF\x10\0\0\0WAVEfmt '), 'audio/wav'],
  ['a.mp4', bytes('\0\0\0\x20ftypisom\0\0\x02\0'), 'video/mp4'],
  ['a.heic', bytes('\0\0\0\x20ftypheic\0\0\0\0'), 'image/heic'],
  ['a.mov', bytes('\0\0\0\x14ftypqt  \0\0\0\0'), 'video/quicktime'],
  ['a.webm', bytes('\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm'), 'video/webm'],
  ['a.mp3', bytes('\xff\xfb\x90\x64\0\0\0\0'), 'audio/mpeg'],
  ['a.bmp', Buffer.concat([bytes('BM'), Buffer.alloc(40)]), 'image/bmp'],
  ['letter.pdf', bytes('%PDF-1.7\n%\xe2\xe3\xcf\xd3'), 'application/pdf'],
  ['invoice.pdf', bytes('MZ\x90\0\x03\0\0\0'), 'application/vnd.microsoft.portable-executable'],
  ['a.parquet', bytes('PAR1\x15\x04'), 'application/vnd.apache.parquet'],
  ['a.tar', tar, 'application/x-tar'],
  ['a.tgz', bytes('\x1f\x8b\x08\0'), 'application/gzip'],
  ['a.zip', zipEntry('readme.txt', 'hello'), 'application/zip'],
  ['empty.zip', bytes('PK\x05\x06' + '\0'.repeat(18)), 'application/zip'],
  [
    'renamed.zip',
    Buffer.concat([zipEntry('[Content_Types].xml', '<Types/>'), zipEntry('xl/workbook.xml')]),
    'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  ],
  [
    'a.docx',
    zipEntry('[Content_Types].xml', 'x'.repeat(9_000)),
    'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  ],
  ['book.epub', Buffer.concat([zipEntry('mimetype', 'application/epub+zip'), zipEntry('a')]), 'application/epub+zip'],
  ['old.xls', bytes('\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0'), 'application/vnd.ms-excel'],
  ['data.csv', bytes('a,b\n1,2\n'), 'text/csv'],
  ['DATA.TSV', bytes('a\tb\n'), 'text/tab-separated-values'],
  ['data.json', bytes('{"a":1}'), 'application/json'],
  ['data.jsonl', bytes('{"a":1}\n{"a":2}\n'), 'application/jsonl'],
  ['data', bytes('plain words'), 'text/plain'],
  ['BMW.txt', bytes('BMW and Audi are makers of cars, among many others'), 'text/plain'],
  ['MZ.txt', bytes('MZansi is a name of South Africa'), 'text/plain'],
  ['odd.epub', Buffer.concat([zipEntry('mimetype', 'text/html; evil'), zipEntry('a')]), 'application/zip'],
  ['latin1.csv', bytes('stra\xdfe;gr\xf6\xdfe\n'), 'text/csv'],
  ['utf16.csv', Buffer.from('\ufeffa;b\n', 'utf16le'), 'text/csv'],
  ['page.txt', bytes('  <!DOCTYPE html><p>hi'), 'text/html'],
  ['data.csv', bytes('<script>alert(1)</script>'), 'text/html'],
  ['a.txt', bytes('<?xml version="1.0"?><!-- x --><svg xmlns="…">'), 'image/svg+xml'],
  ['feed', bytes('<?xml version="1.0"?><rss/>'), 'application/xml'],
  ['photo.png', bytes('\0\x01\x02\x03 nothing known'), 'application/octet-stream'],
  ['data.csv', bytes('a,b\0\x01'), 'application/octet-stream'],
  ['x', bytes(''), 'text/plain'],
  ['x', bytes('P'), 'text/plain'],
]

describe('the type of a file', () => {
  it.each(cases)('%s', (name, content, type) => {
    expect(sniffContentType(content, name)).toBe(type)
  })

  it('is found for every beginning of every kind of file without failing', () => {
    for (const [name, content] of cases)
      for (let length = 0; length <= Math.min(content.length, 600); length++)
        expect(sniffContentType(content.subarray(0, length), name)).toMatch(/^[a-z]+\/[\w.+-]+$/)
  })
})
