import { deflateRawSync, gzipSync, zstdCompressSync, crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { tarMember, tarOf, zipEnd, zipOf, type TarMember, type ZipMember } from '../testing/archives.ts'
import { noise, truncations } from '../testing/damage.ts'
import { docx } from '../testing/office-files.ts'
import { testPicture } from '../testing/pictures.ts'
import { runProcessor } from '../testing/run-processor.ts'
import { run } from './archive-extract.run.ts'

interface Wishes {
  parameters?: Record<string, unknown>
  depth?: number
}

async function extract(bytes: Buffer, name = 'a.zip', { parameters = {}, depth = 0 }: Wishes = {}) {
  const contentType = 'application/zip'
  const file = { name, contentType, sizeBytes: bytes.length, sha256: '', metadata: {}, depth }
  await using ran = await runProcessor(run, [{ name, contentType, bytes }], { parameters, file })
  return { outcome: ran.outcome, outputs: ran.outputs }
}

async function members(bytes: Buffer, name?: string, wishes?: Wishes) {
  const { outcome, outputs } = await extract(bytes, name, wishes)
  if (outcome.kind !== 'done') throw new Error(JSON.stringify(outcome))
  return { result: outcome.result, outputs, names: outputs.map(({ name }) => name) }
}

async function refusal(bytes: Buffer, name?: string, wishes?: Wishes) {
  const { outcome } = await extract(bytes, name, wishes)
  return outcome.kind === 'reject' ? outcome.code : outcome.kind
}

const photo = await testPicture({ width: 30, height: 20 }).jpeg().toBuffer()
const contents: ZipMember[] = [
  { name: 'data.csv', content: 'a,b\n1,2\n' },
  { name: 'folder/' },
  { name: 'folder/photo.jpg', content: photo, method: 'stored' },
  { name: 'folder/letter.docx', content: docx({ paragraphs: ['Hello'] }) },
  { name: '__MACOSX/._data.csv', content: 'x' },
]
const asTar = tarOf([
  { name: './', type: '5' },
  { name: './data.csv', content: 'a,b\n1,2\n' },
  { name: 'folder/photo.jpg', content: photo },
])

describe('members', () => {
  it('of a zip become files, with their paths and the types of their content', async () => {
    const { outputs, result } = await members(zipOf(contents))
    expect(outputs.map(({ name, contentType, as, bytes }) => [name, contentType, as, bytes.length])).toEqual([
      ['data.csv', 'text/csv', 'file', 8],
      ['folder/photo.jpg', 'image/jpeg', 'file', photo.length],
      [
        'folder/letter.docx',
        'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
        'file',
        docx({ paragraphs: ['Hello'] }).length,
      ],
    ])
    expect(outputs[1]?.bytes.equals(photo)).toBe(true)
    expect(result).toMatchObject({
      kind: 'archive',
      format: 'zip',
      members_count: 3,
      folders_count: 1,
      skipped_count: 0,
    })
  })

  it.each([
    ['a.tar', asTar, 'tar'],
    ['a.tar.gz', gzipSync(asTar), 'gzip'],
    ['a.tar.zst', zstdCompressSync(asTar), 'zstd'],
  ])('of %s become files', async (name, bytes, format) => {
    const { outputs, result } = await members(bytes, name)
    expect(outputs.map(({ name, contentType }) => [name, contentType])).toEqual([
      ['data.csv', 'text/csv'],
      ['folder/photo.jpg', 'image/jpeg'],
    ])
    expect(outputs[1]?.bytes.equals(photo)).toBe(true)
    expect(result).toMatchObject({ format, members_count: 2, folders_count: 1 })
  })

  it('of a single packed file is named after it', async () => {
    const { outputs, names } = await members(gzipSync('a,b\n1,2\n'), 'reports/data.csv.gz')
    expect(names).toEqual(['data.csv'])
    expect(outputs[0]).toMatchObject({ contentType: 'text/csv', as: 'file' })
    expect((await members(gzipSync(photo), '..gz')).names).toEqual(['unpacked'])
  })

  it('may be none', async () => {
    expect((await members(zipOf([]))).names).toEqual([])
  })

  it('keep their names in UTF-8, in the code page of old PCs and with backslashes', async () => {
    const { names } = await members(
      zipOf([
        { name: 'grüße 💩.txt', content: 'x' },
        { name: Buffer.from('na\xefve.txt', 'utf8'), flags: 0, content: 'x' },
        { name: Buffer.from('gr\x81\xe1e.txt', 'latin1'), flags: 0, content: 'x' },
        { name: 'folder\\a.txt', content: 'x' },
        { name: 'a "b"\n\u202ec.txt', content: 'x' },
      ]),
    )
    expect(names).toEqual(['grüße 💩.txt', 'naïve.txt', 'grüße.txt', 'folder/a.txt', 'a "b"\n\u202ec.txt'])
    const long = `${'folder/'.repeat(40)}a.txt`
    const record = `${` path=${long}\n`.length + 3} path=${long}\n`
    expect(
      (
        await members(
          tarOf([
            { name: 'pax', type: 'x', content: record },
            { name: 'short', content: 'x' },
          ]),
          'a.tar',
        )
      ).names,
    ).toEqual([long])
  })
})

describe('an archive that is not safe is refused', () => {
  const zipped = (member: ZipMember): [string, Buffer] => ['a.zip', zipOf([{ content: 'x', ...member }])]
  const tarred = (member: TarMember): [string, Buffer] => ['a.tar', tarOf([member])]
  it.each<[string, [string, Buffer]]>([
    ['leads out', zipped({ name: '../evil' })],
    ['leads out further in', zipped({ name: 'a/../../evil' })],
    ['leads out with backslashes', zipped({ name: '..\\evil' })],
    ['is absolute', zipped({ name: '/etc/passwd' })],
    ['names a drive', zipped({ name: 'C:\\evil' })],
    ['names a server', zipped({ name: '\\\\server\\share' })],
    ['has a NUL', zipped({ name: 'a\0.txt' })],
    ['has no name', zipped({ name: '' })],
    ['is called like a device', zipped({ name: 'folder/NUL.txt' })],
    ['is a symbolic link', zipped({ name: 'link', content: '/etc/passwd', mode: 0o120777 })],
    ['is a device', zipped({ name: 'dev', mode: 0o020666 })],
    ['leads out of a tar', tarred({ name: '../evil', content: 'x' })],
    ['is absolute in a tar', tarred({ name: '/etc/passwd', content: 'x' })],
    ['is a hard link', tarred({ name: 'a', type: '1', linkName: '/etc/passwd' })],
    ['is a symbolic link in a tar', tarred({ name: 'a', type: '2', linkName: '/etc/passwd' })],
    ['is a device in a tar', tarred({ name: 'a', type: '3' })],
    ['is a pipe', tarred({ name: 'a', type: '6' })],
  ])('when a member %s', async (_, [name, bytes]) => {
    expect(await refusal(bytes, name)).toBe('archive_unsafe')
  })

  it('when two members have one name, for any system', async () => {
    for (const [left, right] of [
      ['a.txt', 'a.txt'],
      ['a.txt', 'A.TXT'],
      ['\u00e9', 'e\u0301'],
      ['a/b', './a//b'],
    ] as const)
      expect(
        await refusal(
          zipOf([
            { name: left, content: 'x' },
            { name: right, content: 'y' },
          ]),
        ),
      ).toBe('archive_unsafe')
  })

  it('unless what is unsafe is to be skipped, and told', async () => {
    const bytes = zipOf([
      { name: '../evil', content: 'x' },
      { name: 'good.txt', content: 'y' },
      { name: 'GOOD.txt', content: 'z' },
    ])
    const { names, result } = await members(bytes, 'a.zip', { parameters: { unsafe: 'skip' } })
    expect(names).toEqual(['good.txt'])
    expect(result).toMatchObject({
      skipped_count: 2,
      skipped: [
        { path: '../evil', reason: 'its path leads out of the archive' },
        { path: 'GOOD.txt', reason: 'another member has the same name' },
      ],
    })
  })

  it('when members lie in the same place', async () => {
    const kernel = deflateRawSync(Buffer.alloc(1000))
    const first = zipOf([{ name: 'a', content: Buffer.alloc(1000) }])
    const twice = zipOf([
      { name: 'a', content: Buffer.alloc(1000) },
      { name: 'b', content: Buffer.alloc(1000), claimed: { offset: 0 } },
    ])
    expect(await refusal(twice)).toBe('archive_unsafe')
    expect(await refusal(first)).toBe('done')
    expect(kernel.length).toBeLessThan(100)
  })

  it('when it unpacks to far more than it is', async () => {
    const zeros = Buffer.alloc(30 * 1024 ** 2)
    expect(await refusal(zipOf([{ name: 'zeros', content: zeros }]))).toBe('archive_unsafe')
    expect(await refusal(gzipSync(zeros), 'zeros.gz')).toBe('archive_unsafe')
    expect(await refusal(gzipSync(tarOf([{ name: 'zeros', content: zeros }])), 'a.tgz')).toBe('archive_unsafe')
    const spread = Array.from({ length: 30 }, (_, n) => ({ name: `z${n}`, content: zeros.subarray(0, 1024 ** 2) }))
    expect(await refusal(zipOf(spread))).toBe('archive_unsafe')
    // Gigabytes of zeros, of which no more are unpacked than the ratio allows.
    const part = gzipSync(zeros)
    expect(await refusal(Buffer.concat(Array.from({ length: 40 }, () => part)), 'zeros.gz')).toBe('archive_unsafe')
    expect(
      await refusal(zipOf([{ name: 'zeros', content: zeros }]), 'a.zip', { parameters: { ratio_max: 2000 } }),
    ).toBe('done')
  })
})

describe('an archive beyond its limits is refused', () => {
  it('for the number of its members', async () => {
    const many = Array.from({ length: 60_000 }, (_, n) => ({ name: `m${n}`, method: 'stored' as const }))
    expect(await refusal(zipOf(many))).toBe('file_too_complex')
    const header = tarMember({ name: 'same' })
    const tar = gzipSync(Buffer.concat(Array.from({ length: 1100 }, () => header)))
    expect(await refusal(tar, 'a.tgz', { parameters: { members_max: 1000, unsafe: 'skip' } })).toBe('file_too_complex')
  })

  it('for the bytes that it unpacks to, whatever it claims', async () => {
    const bytes = noise(20_000)
    const honest = { parameters: { bytes_max: 10_000 } }
    expect(await refusal(zipOf([{ name: 'a', content: bytes }]), 'a.zip', honest)).toBe('file_too_complex')
    expect(await refusal(gzipSync(bytes), 'a.gz', honest)).toBe('file_too_complex')
    expect(await refusal(zipOf([{ name: 'a', content: bytes, claimed: { sizeBytes: 5 } }]))).toBe('file_unreadable')
  })

  it('for its depth', async () => {
    expect(await refusal(zipOf(contents), 'a.zip', { depth: 2 })).toBe('done')
    expect(await refusal(zipOf(contents), 'a.zip', { depth: 3 })).toBe('file_too_complex')
    expect(await refusal(zipOf(contents), 'a.zip', { depth: 3, parameters: { depth_max: 5 } })).toBe('done')
  })
})

describe('an archive that cannot be read is refused', () => {
  const packed: [string, Buffer][] = [
    ['a.zip', zipOf([...contents, { name: 'noise', content: noise(9000) }])],
    ['a.tar', tarOf([{ name: 'noise', content: noise(30_000) }])],
    ['a.tgz', gzipSync(tarOf([{ name: 'noise', content: noise(30_000) }]))],
    ['a.gz', gzipSync(noise(9000))],
    ['a.zst', zstdCompressSync(noise(9000))],
  ]
  it.each(packed)('%s, wherever it is cut', async (name, bytes) => {
    for (const cut of truncations(bytes)) expect(await refusal(cut, name)).toBe('file_unreadable')
  })

  it.each(packed)('%s, or answered in another way, whatever is changed in it', async (name, bytes) => {
    for (let seed = 1; seed <= 30; seed += 1) {
      const changed = Buffer.from(bytes)
      changed.set(noise(6, seed), (seed * 331) % (bytes.length - 6))
      expect(await refusal(changed, name)).toMatch(/^(?:done|file_|archive_unsafe)/)
    }
  })

  it('for checksums, passwords, unknown methods and foreign formats', async () => {
    expect(await refusal(zipOf([{ name: 'a', content: 'x', claimed: { crc: crc32('y') } }]))).toBe('file_unreadable')
    expect(await refusal(zipOf([{ name: 'a', content: 'x', flags: 1 }]))).toBe('file_encrypted')
    const method = zipOf([{ name: 'a', content: 'x' }])
    method.writeUInt16LE(9, 8)
    method.writeUInt16LE(9, method.indexOf('PK\x01\x02') + 10)
    expect(await refusal(method)).toBe('file_type_unsupported')
    expect(await refusal(Buffer.from('7z\xbc\xaf\x27\x1c......', 'latin1'), 'a.7z')).toBe('file_type_unsupported')
    expect(await refusal(noise(500), 'a.zip')).toBe('file_unreadable')
    expect(await refusal(Buffer.alloc(0))).toBe('file_empty')
    expect(await refusal(Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), zipEnd(1000, 40, 4)]))).toBe(
      'file_unreadable',
    )
  })
})
