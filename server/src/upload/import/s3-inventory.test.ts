import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { readInventory, type InventoryPage } from './s3-inventory.ts'

const fileSchema = 'Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag'
const manifest = (files: string[], changes: object = {}) =>
  JSON.stringify({ sourceBucket: 'b', fileFormat: 'CSV', fileSchema, files: files.map((key) => ({ key })), ...changes })
const line = (key: string, { size = '5', etag = 'e1', latest = 'true', marker = 'false', bucket = 'b' } = {}): string =>
  [bucket, key, 'v', latest, marker, size, '2026-01-01T00:00:00Z', etag].map((cell) => `"${cell}"`).join(',') + '\n'

function reader(objects: Record<string, string | Buffer>, etag = 'm1') {
  const fetched: string[] = []
  const fetch = async (key: string) => {
    fetched.push(key)
    const found = objects[key]
    if (found === undefined) throw new Error(`no ${key}`)
    async function* content() {
      const bytes = Buffer.from(found as string)
      for (let at = 0; at < bytes.length; at += 1_000) yield bytes.subarray(at, at + 1_000)
    }
    return { etag, content: content() }
  }
  const read = (after?: string): Promise<InventoryPage[]> =>
    Array.fromAsync(readInventory({ bucket: 'b', manifestKey: 'manifest.json', after, fetch }))
  return { read, fetched }
}
const keysOf = (pages: InventoryPage[]): string[] => pages.flatMap(({ objects }) => objects.map(({ key }) => key))

it('reads the lines of all files, with keys as they are', async () => {
  const { read } = reader({
    'manifest.json': manifest(['1.csv.gz', '2.csv']),
    '1.csv.gz': gzipSync(line('in/a+b.txt') + line('in/100%25.txt') + line('in/%C3%BC%2B.txt', { size: '0' })),
    '2.csv': line('last', { etag: '' }),
  })
  const pages = await read()
  expect(keysOf(pages)).toEqual(['in/a b.txt', 'in/100%.txt', 'in/ü+.txt', 'last'])
  expect(pages[0]?.objects[0]).toEqual({
    key: 'in/a b.txt',
    etag: '"e1"',
    modifiedAt: '2026-01-01T00:00:00Z',
    sizeBytes: 5,
  })
  expect(pages[1]?.objects[0]).toMatchObject({ etag: undefined })
})

it('passes over older versions and marks of deletions, and counts lines that it does not understand', async () => {
  const { read } = reader({
    'manifest.json': manifest(['1.csv']),
    '1.csv':
      line('old', { latest: 'false' }) +
      line('gone', { marker: 'true' }) +
      line('bad%2') +
      line('bad', { size: 'many' }) +
      line('bad', { bucket: 'other' }) +
      '"b","too few"\n' +
      '"b","open\n' +
      `${'x'.repeat(100_000)}\n` +
      line('%00') +
      line('x'.repeat(2_000)) +
      line('') +
      '\n' +
      line('good'),
  })
  const [page] = await read()
  expect(keysOf([page!])).toEqual(['good'])
  expect(page?.skippedCount).toBe(9)
})

it('goes on after any page, and begins anew when the manifest is another', async () => {
  const lines = Array.from({ length: 1_250 }, (_, n) => line(`k${n}`) + (n % 100 === 0 ? 'bad\n' : ''))
  const objects = {
    'manifest.json': manifest(['1.csv.gz', '2.csv.gz']),
    '1.csv.gz': gzipSync(lines.slice(0, 1_000).join('')),
    '2.csv.gz': gzipSync(lines.slice(1_000).join('')),
  }
  const all = await reader(objects).read()
  expect(keysOf(all)).toEqual(Array.from({ length: 1_250 }, (_, n) => `k${n}`))
  const skipped = (pages: InventoryPage[]) => pages.reduce((sum, { skippedCount }) => sum + skippedCount, 0)
  expect(skipped(all)).toBe(13)
  expect(all.length).toBeGreaterThan(3)
  for (const [index, { cursor }] of all.entries()) {
    const rest = await reader(objects).read(cursor)
    expect(keysOf(rest)).toEqual(keysOf(all.slice(index + 1)))
    expect(skipped(rest)).toBe(skipped(all.slice(index + 1)))
  }
  for (const after of [all[1]!.cursor, 'k7', '{"file":-1}', '{'])
    expect(keysOf(await reader(objects, 'm2').read(after))).toHaveLength(1_250)
})

it('reports how far it is where there is nothing to take', async () => {
  const nothing = gzipSync('\n'.repeat(50_000))
  const pages = await reader({ 'manifest.json': manifest(['1.csv.gz']), '1.csv.gz': nothing }).read()
  expect(pages.length).toBeGreaterThan(2)
})

it('says why it cannot be used', async () => {
  for (const [text, reason] of [
    ['{', /none of S3 Inventory/],
    ['{}', /none of S3 Inventory/],
    [manifest([], { fileFormat: 'Parquet' }), /only CSV/],
    [manifest([], { sourceBucket: 'c' }), /bucket c/],
    [manifest([], { fileSchema: 'Bucket, Key' }), /columns/],
    ['x'.repeat(17 * 1024 ** 2), /16 MiB/],
  ] as const)
    await expect(reader({ 'manifest.json': text }).read()).rejects.toMatchObject({
      code: 'import_refused',
      detail: expect.stringMatching(reason) as string,
    })
  const whole = gzipSync(line('a'))
  for (const damaged of [whole.subarray(0, -6), Buffer.from('no gzip')])
    await expect(reader({ 'manifest.json': manifest(['1.csv.gz']), '1.csv.gz': damaged }).read()).rejects.toMatchObject(
      { code: 'import_refused', detail: expect.stringContaining('1.csv.gz') as string },
    )
})
