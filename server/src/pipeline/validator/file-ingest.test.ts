import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { tarOf, zipEnd, zipOf } from '../testing/archives.ts'
import { noise, truncations } from '../testing/damage.ts'
import { docx, encryptedOfficeFile } from '../testing/office-files.ts'
import { pdf } from '../testing/pdf-file.ts'
import { isoBox, mp3Of, mp4Of, oggPage, wavOf } from '../testing/media.ts'
import { claimedPng, manyFramesGif, testPicture } from '../testing/pictures.ts'
import { runProcessor } from '../testing/run-processor.ts'
import { run } from './file-ingest.run.ts'

async function ingest(bytes: Buffer | string, name: string, parameters: Record<string, unknown> = {}) {
  await using ran = await runProcessor(run, [{ name, contentType: 'application/octet-stream', bytes }], { parameters })
  return ran.outcome
}

async function found(bytes: Buffer | string, name: string, parameters: Record<string, unknown> = {}) {
  const outcome = await ingest(bytes, name, { strictness: 'report', ...parameters })
  if (outcome.kind !== 'done') throw new Error(JSON.stringify(outcome))
  return outcome.result as Record<string, unknown> & { flags: string[] }
}

const refusal = async (bytes: Buffer | string, name: string, parameters: Record<string, unknown> = {}) => {
  const outcome = await ingest(bytes, name, parameters)
  return outcome.kind === 'reject' ? outcome.code : outcome.kind
}

const picture = testPicture({ width: 200, height: 150 })
const jpeg = await picture.clone().jpeg().toBuffer()
const png = await picture.clone().png().toBuffer()
const words = 'A line of text that is long enough to be cut.\n'.repeat(20)
const members = [
  { name: 'a.txt', content: words },
  { name: 'b/c.txt', content: noise(900) },
]
const ogg = Buffer.concat([
  oggPage(Buffer.concat([Buffer.from('OpusHead'), Buffer.alloc(11, 1)]), 2),
  oggPage(noise(700), 0),
  oggPage(noise(300), 4),
])

/** Whole files by name, with the type that each has to be told. */
const whole: [name: string, bytes: Buffer, type: string][] = [
  ['a.jpg', jpeg, 'image/jpeg'],
  ['progressive.jpeg', await picture.clone().jpeg({ progressive: true }).toBuffer(), 'image/jpeg'],
  ['a.png', png, 'image/png'],
  ['a.gif', manyFramesGif(20), 'image/gif'],
  ['real.gif', await picture.clone().gif().toBuffer(), 'image/gif'],
  ['a.webp', await picture.clone().webp().toBuffer(), 'image/webp'],
  ['lossless.webp', await picture.clone().webp({ lossless: true }).toBuffer(), 'image/webp'],
  ['a.avif', await picture.clone().avif({ effort: 0 }).toBuffer(), 'image/avif'],
  ['a.tif', await picture.clone().tiff({ compression: 'lzw' }).toBuffer(), 'image/tiff'],
  [
    'a.svg',
    Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg"><g>${'<path d="M0 0"/>'.repeat(9)}</g></svg>`),
    'image/svg+xml',
  ],
  ['a.pdf', pdf([{ lines: ['Hello'] }]), 'application/pdf'],
  [
    'a.docx',
    docx({ paragraphs: ['Hello'] }),
    'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  ],
  ['a.zip', zipOf(members), 'application/zip'],
  ['a.tar', tarOf([{ name: 'a.txt', content: noise(30_000) }]), 'application/x-tar'],
  ['a.tgz', gzipSync(tarOf([{ name: 'a.txt', content: noise(2000) }])), 'application/gzip'],
  ['a.wav', wavOf(), 'audio/wav'],
  ['a.mp3', mp3Of(), 'audio/mpeg'],
  ['a.mp4', mp4Of(), 'video/mp4'],
  ['a.ogg', ogg, 'audio/ogg'],
  ['a.json', Buffer.from(JSON.stringify({ words: [words] })), 'application/json'],
  ['a.xml', Buffer.from(`<?xml version="1.0"?><a>${'<b>x</b>'.repeat(20)}</a>`), 'application/xml'],
  ['a.rtf', Buffer.from(`{\\rtf1 ${words}}`), 'application/rtf'],
]

describe('a whole file', () => {
  it.each(whole)('%s is told with its type and let through, even strictly', async (name, bytes, type) => {
    expect(await ingest(bytes, name, { strictness: 'strict' })).toMatchObject({
      kind: 'done',
      outputs: [],
      result: { content_type: type, ending: 'agrees', is_whole: true, fault: null, flags: [] },
    })
  })

  it('is told with dimensions, counts and checksums', async () => {
    expect(await found(png, 'a.png', { checksums: ['crc32', 'md5', 'sha1'] })).toMatchObject({
      structure: { width: 200, height: 150 },
      checksums: { crc32: expect.stringMatching(/^[\da-f]{8}$/), md5: expect.stringMatching(/^[\da-f]{32}$/) },
    })
    expect(await found('123456789', 'a.txt')).toMatchObject({
      content_type: 'text/plain',
      structure: { encoding: 'utf-8' },
      checksums: { crc32: 'cbf43926' },
    })
    expect(await found(manyFramesGif(10_000), 'a.gif')).toMatchObject({ structure: { frames_count: 10_000 } })
  })

  it('of JSON may be one of lines', async () => {
    expect(await refusal('{"a":1}\n{"a":2}\n', 'a.json')).toBe('done')
    expect(await refusal('{"a":1}\n{"a":2', 'a.json')).toBe('file_unreadable')
  })

  it('of a kind that nobody knows is let through', async () => {
    expect(await ingest(noise(5000), 'a.bin')).toMatchObject({ kind: 'done', result: { is_whole: true } })
  })

  it('of text is one in any encoding', async () => {
    expect(await found(Buffer.from('gr\xfc\xdfe;1\n', 'latin1'), 'a.csv')).toMatchObject({
      content_type: 'text/csv',
      structure: { encoding: 'windows-1252' },
    })
    expect(await found(Buffer.from('\ufeffa;b\n', 'utf16le'), 'a.csv')).toMatchObject({
      structure: { encoding: 'utf-16le' },
    })
  })
})

describe('what a file is sent as', () => {
  const sentAs = async (declaredType: string | undefined, bytes: Buffer, name: string, strictness = 'normal') => {
    const file = { name, contentType: 'x/y', sizeBytes: 1, sha256: '', metadata: {}, depth: 0 }
    await using ran = await runProcessor(run, [{ name, contentType: 'x/y', bytes }], {
      parameters: { strictness },
      file: { ...file, ...(declaredType !== undefined && { declaredType }) },
    })
    return ran.outcome
  }

  it.each([
    [undefined, 'unknown', []],
    ['application/octet-stream', 'unknown', []],
    ['application/x-nobody-knows', 'unknown', []],
    ['image/png', 'agrees', []],
    ['application/pdf', 'differs', ['The file was sent as application/pdf, but its content is image/png.']],
    ['text/plain', 'differs', ['The file was sent as text/plain, but its content is image/png.']],
  ])('%s is compared with a PNG: %s', async (declaredType, declared, disagreements) => {
    expect(await sentAs(declaredType, png, 'a.png')).toMatchObject({
      kind: 'done',
      result: { declared_type: declaredType ?? null, declared, disagreements },
    })
    const strictly = await sentAs(declaredType, png, 'a.png', 'strict')
    const [detail] = disagreements
    expect(strictly).toMatchObject(detail === undefined ? { kind: 'done' } : { kind: 'reject', detail })
  })

  it.each([
    ['text/plain', 'a.csv', 'a;b\n1;2\n', 'agrees'],
    ['text/csv', 'a.csv', 'a;b\n1;2\n', 'agrees'],
    ['text/markdown', 'a.md', '# words\n', 'agrees'],
    ['text/plain', 'a.json', '{"a":1}', 'agrees'],
    ['image/jpg', 'a.csv', 'a;b\n', 'differs'],
  ])('%s fits %s', async (declaredType, name, text, declared) => {
    expect(await sentAs(declaredType, Buffer.from(text), name)).toMatchObject({ result: { declared } })
  })

  it('stands beside what its name says', async () => {
    const outcome = await sentAs('application/zip', png, 'a.pdf')
    expect(outcome).toMatchObject({
      result: {
        disagreements: [
          'The name of the file ends in .pdf, but its content is image/png.',
          'The file was sent as application/zip, but its content is image/png.',
        ],
      },
    })
  })
})

describe('a damaged file', () => {
  it.each(whole)('%s is refused wherever it is cut', async (name, bytes) => {
    for (const [place, cut] of truncations(bytes).entries()) {
      // What is cut before its signature ends is of no kind, and cannot be known to be damaged.
      const report = await found(cut, name)
      if (report['content_type'] === 'application/octet-stream' || report['content_type'] === 'text/plain') continue
      expect([place, await refusal(cut, name)]).toEqual([place, 'file_unreadable'])
    }
  })

  it('is refused with words for its owner', async () => {
    expect(await ingest(jpeg.subarray(0, jpeg.length / 2), 'a.jpg')).toMatchObject({
      code: 'file_unreadable',
      detail: 'The picture is cut off: its end is missing.',
    })
    const changed = Buffer.from(png)
    changed[png.length - 30] = (changed[png.length - 30] ?? 0) ^ 1
    expect(await ingest(changed, 'a.png')).toMatchObject({
      detail: 'The picture is damaged: a checksum does not match.',
    })
  })

  it('is refused when a part that is packed in it is damaged', async () => {
    const bytes = zipOf([
      { name: 'a', content: noise(5000), method: 'stored' },
      { name: 'b', content: words },
    ])
    for (const at of [600, 5090]) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] ?? 0) ^ 0xff
      expect(await refusal(changed, 'a.zip')).toBe('file_unreadable')
    }
  })

  it('is told and let through when only a report is wanted', async () => {
    expect(await found(jpeg.subarray(0, jpeg.length / 2), 'a.jpg')).toMatchObject({
      is_whole: false,
      fault: { code: 'file_unreadable' },
    })
  })

  it('without a byte is refused', async () => {
    expect(await refusal('', 'a.jpg')).toBe('file_empty')
  })

  it('gets an answer whatever its bytes are, and never a crash', async () => {
    for (const [name, bytes] of whole)
      for (let seed = 1; seed <= 8; seed += 1) {
        const changed = Buffer.from(bytes)
        changed.set(noise(Math.min(24, bytes.length - 12), seed), 8 + ((seed * 97) % Math.max(1, bytes.length - 32)))
        expect(['done', 'file_unreadable', 'file_encrypted']).toContain(await refusal(changed, name))
      }
  })
})

describe('a protected file', () => {
  it('is refused as such', async () => {
    expect(await refusal(encryptedOfficeFile(), 'a.docx')).toBe('file_encrypted')
    expect(await refusal(zipOf([{ name: 'a', content: 'x', flags: 1 }]), 'a.zip')).toBe('file_encrypted')
    const foreign = '<< /Filter /Adobe.PubSec /V 4 >>'
    expect(await refusal(pdf([{ lines: ['Hello'] }], { encryption: foreign }), 'a.pdf')).toBe('file_encrypted')
    const asks = `<< /Filter /Standard /V 1 /R 2 /P -4 /O <${'00'.repeat(32)}> /U <${'11'.repeat(32)}> >>`
    expect(await refusal(pdf([{ lines: ['Hello'] }], { encryption: asks }), 'a.pdf')).toBe('file_encrypted')
  })
})

describe('a PDF that is protected against changes only', () => {
  const strong = '/CF << /StdCF << /AuthEvent /DocOpen /CFM /AESV3 /Length 32 >> >> /Length 256 /P -4'
  // Dictionaries and ids as qpdf 11 wrote them; the first of each pair has no user password.
  const pairs: [string, [dictionary: string, id: string], [dictionary: string, id: string]][] = [
    [
      '2',
      [
        '/V 1 /R 2 /Length 40 /P -4 /O <c92422687facee686e373f10b5c7d04738053152f7e2ee30e11c69ec442576ab> /U <a9f36f058edc27034902ff3a683b772a148f9eae9cbe6b2d91b1d1c23282888a>',
        '02192f2a77d539da1c76d4a808b12c94',
      ],
      [
        '/V 1 /R 2 /Length 40 /P -4 /O <92fe0f4454ad4c9644693f33c07cb54f587dce1e2682fe9ecea6107a1ef630dd> /U <507f9330cbcc2492fdbd29ffa699d471dda5d4338ebadaf28d8f08004bf7a843>',
        '52425085929483951e63ad0d93ccf354',
      ],
    ],
    [
      '3',
      [
        '/V 2 /R 3 /Length 128 /P -4 /O <566fa873ee33c797cd3b904fdadf814afa34df9a38f6ed41b984e2c6da2aa6f5> /U <d29ef02ab1b0e63e770c1862f5d637600122456a91bae5134273a6db134c87c4>',
        '9babe380956cd25661cda4f762fd5060',
      ],
      [
        '/V 2 /R 3 /Length 128 /P -4 /O <0db5855fc5326569e765906caf64e4429a4c20d6e996fdef963e9b5080f9e083> /U <766c70a9904ed5e2a1e5c40d9b335d290122456a91bae5134273a6db134c87c4>',
        '41266dbf7708c75f3120bf1b07f951e3',
      ],
    ],
    [
      '4',
      [
        '/CF << /StdCF << /AuthEvent /DocOpen /CFM /AESV2 /Length 16 >> >> /EncryptMetadata false /V 4 /R 4 /Length 128 /P -4 /O <566fa873ee33c797cd3b904fdadf814afa34df9a38f6ed41b984e2c6da2aa6f5> /U <e2e124d3245456a37f6d13089bb85e260122456a91bae5134273a6db134c87c4>',
        '7deda7a7a11561cbccb67555d28d957a',
      ],
      [
        '/CF << /StdCF << /AuthEvent /DocOpen /CFM /AESV2 /Length 16 >> >> /V 4 /R 4 /Length 128 /P -4 /O <566fa873ee33c797cd3b904fdadf814afa34df9a38f6ed41b984e2c6da2aa6f5> /U <e2e124d3245456a37f6d13089bb85e260122456a91bae5134273a6db134c87c4>',
        '00',
      ],
    ],
    [
      '6',
      [
        `${strong} /V 5 /R 6 /O <00> /U <9917ae5643409672c687ea3a32adda0ca16729052d55ef88c8c984a4e1b97feba2eb09f89d4c4125b3dfa8308f7c0cb8>`,
        '9b',
      ],
      [
        `${strong} /V 5 /R 6 /O <00> /U <a9d59824cd361af0de12cb0ab4fcaf4a0bdee6c7bde08547699d23284f9bfeb5684eb0bac0bb4f9f92dbe403acef7850>`,
        'fb',
      ],
    ],
    [
      '5',
      [
        `${strong} /V 5 /R 5 /O <00> /U <d784905bd06887887de9c460c6982b165267b11c08ab2efa9889328e1934a39c3bbbaf7323c90733660ad637d252eca1>`,
        'a9',
      ],
      [
        `${strong} /V 5 /R 5 /O <00> /U <a9d59824cd361af0de12cb0ab4fcaf4a0bdee6c7bde08547699d23284f9bfeb5684eb0bac0bb4f9f92dbe403acef7850>`,
        'fb',
      ],
    ],
  ]
  it.each(pairs)('by revision %s opens, and does not when a password is asked for', async (_, open, closed) => {
    const outcomes = [open, closed].map(([dictionary, id]) =>
      refusal(pdf([{ lines: ['Hello'] }], { encryption: `<< /Filter /Standard ${dictionary} >>`, id }), 'a.pdf'),
    )
    expect(await Promise.all(outcomes)).toEqual(['done', 'file_encrypted'])
  })
})

describe('a wrong name', () => {
  it('is told, and refused only strictly', async () => {
    expect(await found(png, 'photo.jpg')).toMatchObject({ content_type: 'image/png', ending: 'differs', fault: null })
    expect(await refusal(png, 'photo.jpg')).toBe('done')
    expect(await ingest(png, 'photo.jpg', { strictness: 'strict' })).toMatchObject({
      code: 'file_unreadable',
      detail: 'The name of the file ends in .jpg, but its content is image/png.',
    })
    expect(await found('MZ\x90\0\x03\0\0\0', 'invoice.pdf')).toMatchObject({ ending: 'differs' })
    expect(await found(jpeg, 'photo')).toMatchObject({ ending: 'unknown' })
  })

  it('of any shape harms nothing', async () => {
    for (const name of ['../../etc/passwd', 'a\n"b\'.png', '💩.png', 'x'.repeat(4000), '\u202egpj.exe', 'CON', '.'])
      expect(await refusal(png, name)).toBe('done')
  })
})

describe('a file that is two things', () => {
  const page = Buffer.from('<?php system($_GET[0]); ?>')
  const shelf = zipOf([{ name: 'a.class', content: 'x' }])
  const cases: [string, Buffer, string, string][] = [
    ['a picture and a zip', Buffer.concat([manyFramesGif(2), shelf]), 'a.gif', 'polyglot_zip'],
    ['a PDF and a zip', Buffer.concat([pdf([{ lines: ['Hello'] }]), shelf]), 'a.pdf', 'polyglot_zip'],
    [
      'a picture and a PDF',
      Buffer.concat([
        jpeg.subarray(0, 2),
        Buffer.from('fffe0010', 'hex'),
        Buffer.from('%PDF-1.4\n%abcd'),
        jpeg.subarray(2),
      ]),
      'a.jpg',
      'polyglot_pdf',
    ],
    ['a picture and a program of a web server', Buffer.concat([png, page]), 'a.png', 'polyglot_script'],
    [
      'a picture and a program behind it',
      Buffer.concat([png, Buffer.from('\x7fELF\x02\x01\x01\0', 'latin1')]),
      'a.png',
      'polyglot_trailing',
    ],
  ]
  it.each(cases)('%s is told, and refused strictly', async (_, bytes, name, flag) => {
    expect((await found(bytes, name)).flags).toContain(flag)
    expect(await refusal(bytes, name)).toBe('done')
    expect(await refusal(bytes, name, { strictness: 'strict' })).toBe('file_unreadable')
  })

  it('is not one by the film that a telephone appends to a photo', async () => {
    expect(await found(Buffer.concat([jpeg, mp4Of()]), 'a.jpg')).toMatchObject({
      flags: ['trailing_data'],
      trailing: { content_type: 'video/mp4', at: jpeg.length },
    })
  })

  it('is told when it would act in a browser or a reader', async () => {
    const drawing = '<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>'
    expect((await found(drawing, 'a.svg')).flags).toEqual(['active_content'])
    const acting = Buffer.from(
      pdf([{ lines: ['Hello'] }])
        .toString('latin1')
        .replace('/Catalog ', '/Catalog /OpenAction 9 0 R '),
      'latin1',
    )
    expect((await found(acting, 'a.pdf')).flags).toContain('active_content')
  })
})

describe('what may be let in', () => {
  it('is a list of types', async () => {
    const allow = ['image/*', 'application/pdf']
    expect(await refusal(png, 'a.png', { allow })).toBe('done')
    expect(await refusal(pdf([{ lines: ['Hello'] }]), 'a.pdf', { allow })).toBe('done')
    expect(await ingest(zipOf(members), 'photo.png', { allow })).toMatchObject({
      code: 'file_type_unsupported',
      detail: 'Files of type application/zip are not allowed here.',
    })
  })
})

describe('bombs cost nothing here', () => {
  it('of pixels, zeros, entries, boxes and circles', async () => {
    expect(await found(claimedPng(50_000, 50_000), 'a.png')).toMatchObject({ structure: { width: 50_000 } })
    expect(await found(gzipSync(Buffer.alloc(64 * 1024 ** 2)), 'a.gz')).toMatchObject({
      structure: { unpacked_bytes: 64 * 1024 ** 2 },
    })
    const many = Buffer.concat([Buffer.alloc(100), zipEnd(60_000, 40, 30)])
    many.write('PK\x03\x04', 'latin1')
    expect(await refusal(many, 'a.zip')).toBe('file_unreadable')
    const boxes = Buffer.concat([mp4Of(), ...Array.from({ length: 50_000 }, () => isoBox('free'))])
    expect(await refusal(boxes, 'a.mp4')).toBe('done')
    const circle = Buffer.from('II*\0\x08\0\0\0\0\0\x08\0\0\0', 'latin1')
    expect(await ingest(circle, 'a.tif')).toMatchObject({
      code: 'file_unreadable',
      detail: expect.stringMatching(/circle/),
    })
  })
})
