// Folders, buckets and SFTP servers that are looked through: every file once, whatever dies when; and nothing that the
// guard forbids.

import { generateKeyPairSync, randomBytes, createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import ssh2 from 'ssh2'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { ImportSourceResource } from '@millrace/contract'
import { decodeId } from '../../platform/ids.ts'
import { parseS3Url } from '../../storage/s3-url.ts'
import { newBucketUrl, removeBucket, s3Servers } from '../../storage/testing/s3-servers.ts'
import { createTestDatabase, type TestDatabase } from '../../testing/database.ts'
import { codeOf } from '../../testing/problem-code.ts'
import { contextOf, createUploadHouse, newTenant, type UploadHouseOptions } from '../testing/upload-house.ts'
import { createAddressRules } from './address-rules.ts'

let test: TestDatabase
let root: string
beforeAll(async () => {
  test = await createTestDatabase()
  root = await mkdtemp(path.join(tmpdir(), 'millrace-import-'))
})
beforeEach(async () => {
  await test.database.query(`update import_source set state = 'paused'`)
})
afterAll(async () => {
  await test.drop()
  await rm(root, { recursive: true, force: true })
})

type Body = Parameters<ReturnType<typeof createUploadHouse>['routes']['createImportSource']>[0]['body']

async function newClient(options: Partial<UploadHouseOptions> = {}) {
  const place = createUploadHouse({ database: test.database, folderRoots: [root], ...options })
  const tenantId = await newTenant(test.database)
  const context = (operator = true) => {
    const made = contextOf(tenantId, Buffer.alloc(0), {})
    return { ...made, principal: { ...made.principal, operator } }
  }
  const client = {
    place,
    tenantId,
    create: async (body: Omit<Body, 'name'>, operator = true) =>
      (await place.routes.createImportSource(
        { params: undefined, query: undefined, body: { name: 'source', ...body } },
        context(operator),
      )) as ImportSourceResource,
    get: async (id: string) =>
      (await place.routes.getImportSource(
        { params: { import_source_id: id }, query: undefined, body: undefined },
        context(),
      )) as ImportSourceResource,
    /** One look, and all that it finds. */
    async run(id: string): Promise<ImportSourceResource> {
      await test.database.query('update import_source set next_run_at = now(), lease_until = null where id = $1', [
        decodeId('import_source', id),
      ])
      await place.looks.runDue()
      while ((await place.importer.runDue()) > 0);
      return client.get(id)
    },
    async files() {
      const { rows } = await test.database.query<{ name: string; sha256: string }>(
        'select name, sha256 from file where tenant_id = $1 order by name',
        [tenantId],
      )
      return rows
    },
  }
  return client
}

const sha256Of = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex')

/** A file that nobody has touched for a minute. */
async function put(file: string, content: string | Buffer): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(`${file}.part`, content)
  const past = new Date(Date.now() - 60_000)
  await utimes(`${file}.part`, past, past)
  await rename(`${file}.part`, file)
}

describe('a folder', () => {
  it('gives each of its files once, those that change again, and nothing behind a link or still being written', async () => {
    const folder = path.join(root, 'inbox')
    await put(path.join(folder, 'a.txt'), 'one')
    await put(path.join(folder, 'deep/er/b.txt'), 'two')
    await put(path.join(folder, 'empty.txt'), '')
    await put(path.join(root, 'secret.txt'), 'canary')
    await symlink(path.join(root, 'secret.txt'), path.join(folder, 'link.txt'))
    const soon = new Date(Date.now() + 60_000)
    await writeFile(path.join(folder, 'fresh.txt'), 'half')
    await utimes(path.join(folder, 'fresh.txt'), soon, soon)
    const client = await newClient()
    const source = await client.create({ folder, interval_seconds: 60 })
    expect(source).toMatchObject({ kind: 'folder', state: 'active', place: folder, found_count: 0 })
    expect(await client.run(source.import_source_id)).toMatchObject({ found_count: 2, problem: null })
    expect(await client.files()).toEqual([
      { name: 'a.txt', sha256: sha256Of('one') },
      { name: 'b.txt', sha256: sha256Of('two') },
    ])
    expect(await client.run(source.import_source_id)).toMatchObject({ found_count: 2 })
    await put(path.join(folder, 'a.txt'), 'changed')
    const last = await client.run(source.import_source_id)
    expect(last.found_count).toBe(3)
    expect(Date.parse(last.next_run_at!)).toBeGreaterThan(Date.now() + 30_000)
    expect((await client.files()).map(({ name }) => name)).toEqual(['a.txt', 'a.txt', 'b.txt'])
  })

  it('gives what can be read beside what cannot, and says how much that is', async () => {
    const folder = path.join(root, 'mixed')
    await put(path.join(folder, 'a.txt'), 'one')
    await put(path.join(folder, 'z/z.txt'), 'two')
    // Deeper than a look goes, and, where such a name can be, one that is no UTF-8; root may read everything else.
    await put(path.join(folder, 'd/'.repeat(20), 'deep.txt'), 'three')
    const latin = Buffer.concat([Buffer.from(`${folder}/gr`), Buffer.from([0xfc]), Buffer.from('n.txt')])
    const skipped_count = await writeFile(latin, 'four').then(
      () => 2,
      () => 1,
    )
    const client = await newClient()
    const source = await client.create({ folder })
    const looked = await client.run(source.import_source_id)
    expect(looked).toMatchObject({ found_count: 2, skipped_count, problem: null })
    expect((await client.files()).map(({ name }) => name)).toEqual(['a.txt', 'z.txt'])
    expect(await client.run(source.import_source_id)).toMatchObject({ found_count: 2, skipped_count })
  })

  it('is looked through by two processes at once without giving a file twice', async () => {
    const folder = path.join(root, 'busy')
    for (let i = 0; i < 30; i++) await put(path.join(folder, `${i}.txt`), `file ${i}`)
    const client = await newClient()
    const source = await client.create({ folder })
    const id = decodeId('import_source', source.import_source_id)
    const other = createUploadHouse({ database: test.database, folderRoots: [root] })
    const first = client.place.looks.runDue()
    // The other takes it over in the middle.
    await expect
      .poll(async () => (await client.get(source.import_source_id)).found_count, { interval: 1 })
      .toBeGreaterThan(0)
    await test.database.query('update import_source set lease_until = null where id = $1', [id])
    await Promise.all([first, other.looks.runDue()])
    await client.run(source.import_source_id)
    const { rows } = await test.database.query('select count(*)::int as n from upload_session where tenant_id = $1', [
      client.tenantId,
    ])
    expect(rows[0]).toEqual({ n: 30 })
    expect((await client.get(source.import_source_id)).found_count).toBe(30)
  })

  it('must lie below one that the operator has opened, and is the operator’s to name', async () => {
    const client = await newClient()
    await symlink('/etc', path.join(root, 'way-out'))
    for (const folder of ['/etc', `${root}/../`, `${root}/way-out`, `${root}/none`, 'relative', ''])
      expect([folder, await codeOf(client.create({ folder }))]).toEqual([folder, 'import_url_forbidden'])
    expect(await codeOf(client.create({ folder: root }, false))).toBe('forbidden')
    expect(await codeOf(client.create({}))).toBe('invalid_request')
  })
})

interface Listing {
  key: string
  content: Buffer
}

/** As much of S3 as lists and hands out objects. */
async function serveBucket(objects: Listing[], answers: { listsCount: number } = { listsCount: 0 }): Promise<string> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://x')
    if (!request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 Credential=AKID/'))
      return void response.writeHead(403).end('<Error><Code>InvalidAccessKeyId</Code></Error>')
    const tagOf = ({ content }: Listing): string => `"${sha256Of(content).slice(0, 32)}"`
    if (url.searchParams.get('list-type') === '2') {
      answers.listsCount++
      const after = url.searchParams.get('start-after') ?? ''
      const prefix = url.searchParams.get('prefix') ?? ''
      const page = objects.filter(({ key }) => key > after && key.startsWith(prefix)).slice(0, 3)
      const rest = objects.filter(({ key }) => key > (page.at(-1)?.key ?? '~') && key.startsWith(prefix))
      const items = page.map(
        (object) =>
          `<Contents><Key>${object.key}</Key><ETag>${tagOf(object)}</ETag><Size>${object.content.length}</Size></Contents>`,
      )
      response.end(
        `<ListBucketResult><IsTruncated>${rest.length > 0}</IsTruncated>${items.join('')}</ListBucketResult>`,
      )
      return
    }
    const object = objects.find(({ key }) => url.pathname === `/bucket/${key}`)
    if (object === undefined) return void response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>')
    response.writeHead(200, { etag: tagOf(object), 'content-length': object.content.length }).end(object.content)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const credentials = { access_key_id: 'AKID', secret_access_key: 'canary-of-secret' }

describe('a bucket', () => {
  it('gives what lies below its prefix, page by page, each object once', async () => {
    const objects = Array.from({ length: 8 }, (_, i) => ({ key: `in/${i}.txt`, content: Buffer.from(`object ${i}`) }))
    const answers = { listsCount: 0 }
    const endpoint = await serveBucket(
      [...objects, { key: 'in/folder/', content: Buffer.alloc(0) }, { key: 'out/x.txt', content: Buffer.from('x') }],
      answers,
    )
    const client = await newClient()
    const source = await client.create({ s3: { endpoint, bucket: 'bucket', prefix: 'in/', ...credentials } })
    expect(source.place).toBe('s3://bucket/in/')
    expect(await client.run(source.import_source_id)).toMatchObject({
      found_count: 8,
      problem: null,
      next_run_at: null,
    })
    expect(answers.listsCount).toBeGreaterThan(2)
    await client.run(source.import_source_id)
    expect(await client.files()).toEqual(
      objects.map(({ key, content }) => ({ name: key.slice(3), sha256: sha256Of(content) })),
    )
    const { rows } = await test.database.query(
      `select to_jsonb(s) as row from import_source s union all select to_jsonb(u) from upload_session u`,
    )
    expect(JSON.stringify(rows)).not.toContain('canary-of-secret')
  })

  it('says why it gives nothing, and is never connected to where it must not lie', async () => {
    const endpoint = await serveBucket([])
    const client = await newClient()
    const wrong = await client.create({
      s3: { endpoint, bucket: 'bucket', access_key_id: 'OTHER', secret_access_key: 'x' },
    })
    expect(await client.run(wrong.import_source_id)).toMatchObject({ problem: { code: 'import_refused' } })
    const strict = await newClient({
      rules: createAddressRules({ allowPrivate: false }),
      resolve: async () => ['10.0.0.1'],
    })
    const s3 = { bucket: 'bucket', ...credentials }
    for (const bad of [endpoint, 'http://[::1]/', 'ftp://example.com'])
      expect(await codeOf(strict.create({ s3: { ...s3, endpoint: bad } }))).toBe('import_url_forbidden')
    expect(await codeOf(strict.create({ s3: { ...s3, endpoint: 'nonsense' } }))).toBe('invalid_request')
    const named = await strict.create({ s3: { ...s3, endpoint: 'http://intranet.example.com' } })
    expect(await strict.run(named.import_source_id)).toMatchObject({ problem: { code: 'import_url_forbidden' } })
  })
})

describe('an SFTP server', () => {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2_048,
    publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  })
  const parsed = ssh2.utils.parseKey(privateKey)
  if (parsed instanceof Error) throw parsed
  const hostKey = `SHA256:${createHash('sha256').update(parsed.getPublicSSH()).digest('base64').replace(/=$/, '')}`

  /** A server with these files in one folder, beside one that nobody may read. */
  async function serveSftp(files: Record<string, Buffer>): Promise<number> {
    const { STATUS_CODE } = ssh2.utils.sftp
    const mtime = Math.floor(Date.now() / 1_000) - 60
    const attributes = (mode: number, size: number) => ({ mode, uid: 0, gid: 0, size, atime: mtime, mtime })
    const server = new ssh2.Server({ hostKeys: [privateKey] }, (connection) => {
      connection.on('error', () => {})
      connection.on('authentication', (context) =>
        context.method === 'password' && context.username === 'ann' && context.password === 'right'
          ? context.accept()
          : context.reject(['password']),
      )
      connection.on('ready', () =>
        connection.on('session', (accept) =>
          accept().on('sftp', (acceptSftp) => {
            const sftp = acceptSftp()
            const handles = new Map<number, { file: Buffer } | { listed: boolean }>()
            const handleOf = (value: object): Buffer => {
              handles.set(handles.size, value as { listed: boolean })
              const handle = Buffer.alloc(4)
              handle.writeUInt32BE(handles.size - 1)
              return handle
            }
            const fileAt = (name: string): Buffer | undefined => files[path.posix.basename(name)]
            sftp.on('OPENDIR', (id, name) =>
              name.endsWith('/closed')
                ? sftp.status(id, STATUS_CODE.PERMISSION_DENIED)
                : sftp.handle(id, handleOf({ listed: false })),
            )
            sftp.on('READDIR', (id, handle) => {
              const state = handles.get(handle.readUInt32BE()) as { listed: boolean }
              if (state.listed) return sftp.status(id, STATUS_CODE.EOF)
              state.listed = true
              const entry = (filename: string, mode: number, length: number) => ({
                filename,
                longname: filename,
                attrs: attributes(mode, length),
              })
              sftp.name(id, [
                entry('closed', 0o40700, 4_096),
                ...Object.entries(files).map(([filename, { length }]) => entry(filename, 0o100644, length)),
              ])
            })
            const stat = (id: number, name: string): void => {
              const file = fileAt(name)
              if (file === undefined) sftp.status(id, STATUS_CODE.NO_SUCH_FILE)
              else sftp.attrs(id, attributes(0o100644, file.length))
            }
            sftp.on('STAT', stat)
            sftp.on('OPEN', (id, name) => sftp.handle(id, handleOf({ file: fileAt(name) ?? Buffer.alloc(0) })))
            sftp.on('FSTAT', (id, handle) => {
              const { file } = handles.get(handle.readUInt32BE()) as { file: Buffer }
              sftp.attrs(id, attributes(0o100644, file.length))
            })
            sftp.on('READ', (id, handle, offset, length) => {
              const { file } = handles.get(handle.readUInt32BE()) as { file: Buffer }
              if (offset >= file.length) return sftp.status(id, STATUS_CODE.EOF)
              sftp.data(id, file.subarray(offset, offset + length))
            })
            sftp.on('CLOSE', (id) => sftp.status(id, STATUS_CODE.OK))
          }),
        ),
      )
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    return (server.address() as AddressInfo).port
  }

  it('gives each of its files once, to who knows its key', async () => {
    const large = randomBytes(700_000)
    const port = await serveSftp({ 'a.txt': Buffer.from('one'), 'large.bin': large })
    const client = await newClient()
    const place = { host: '127.0.0.1', port, user: 'ann', password: 'right', host_key: hostKey, folder: '/in' }
    const source = await client.create({ sftp: place })
    expect(source.place).toBe(`sftp://127.0.0.1:${port}/in`)
    const looked = await client.run(source.import_source_id)
    expect(looked).toMatchObject({ found_count: 2, skipped_count: 1, problem: null })
    await client.run(source.import_source_id)
    expect(await client.files()).toEqual([
      { name: 'a.txt', sha256: sha256Of('one') },
      { name: 'large.bin', sha256: sha256Of(large) },
    ])
    for (const [bent, detail] of [
      [{ password: 'wrong' }, /credentials/],
      [{ host_key: `SHA256:${'A'.repeat(43)}` }, /another key/],
    ] as const) {
      const { import_source_id: id } = await client.create({ sftp: { ...place, ...bent } })
      const { problem } = await client.run(id)
      expect(problem).toMatchObject({ code: 'import_refused', detail: expect.stringMatching(detail) })
    }
  })

  it('is refused without its key, with two kinds of credentials, and where it must not lie', async () => {
    const client = await newClient({ rules: createAddressRules({ allowPrivate: false }), resolve: async () => ['::1'] })
    const sftp = { host: 'files.example.com', user: 'ann', password: 'x', host_key: hostKey }
    expect(await codeOf(client.create({ sftp: { ...sftp, host_key: 'MD5:x' } }))).toBe('invalid_request')
    expect(await codeOf(client.create({ sftp: { ...sftp, private_key: 'x' } }))).toBe('invalid_request')
    expect(await codeOf(client.create({ sftp: { ...sftp, port: 25 } }))).toBe('import_url_forbidden')
    const { import_source_id: id } = await client.create({ sftp })
    expect(await client.run(id)).toMatchObject({ problem: { code: 'import_url_forbidden' } })
  })
})

for (const server of s3Servers())
  describe(`a bucket of ${server.name}`, () => {
    /** Objects beside the product, as a tenant's own tools put them. */
    async function fillBucket(objects: readonly Listing[]) {
      const url = newBucketUrl(server)
      const { bucket, endpoint = '', region, credentials } = parseS3Url(url)
      const client = new S3Client({ region, endpoint, forcePathStyle: true, ...(credentials && { credentials }) })
      const put = ({ key: Key, content: Body }: Listing) =>
        client.send(new PutObjectCommand({ Bucket: bucket, Key, Body }))
      await client.send(new CreateBucketCommand({ Bucket: bucket }))
      for (const object of objects) await put(object)
      onTestFinished(async () => {
        client.destroy()
        await removeBucket(url)
      })
      const place = {
        endpoint,
        bucket,
        region,
        access_key_id: credentials?.accessKeyId ?? '',
        secret_access_key: credentials?.secretAccessKey ?? '',
      }
      return { put, place }
    }

    it('gives every object below the prefix once, whatever its key, page by page, and those that change again', async () => {
      const odd = [
        'with space.txt',
        'plus+and&.txt',
        'ünïcode-文.txt',
        "quote'(1).txt",
        'percent%20.txt',
        'deep/er/x.txt',
      ]
      const objects = [
        ...odd.map((name) => ({ key: `in/${name}`, content: Buffer.from(`content of ${name}`) })),
        { key: 'in/large.bin', content: randomBytes(12_000_000) },
        { key: 'out/of/it.txt', content: Buffer.from('not asked for') },
        { key: 'in/empty.txt', content: Buffer.alloc(0) },
      ]
      const { place, put } = await fillBucket(objects)
      const client = await newClient()
      const source = await client.create({ s3: { ...place, prefix: 'in/' } })
      const wanted = objects.filter(({ key, content }) => key.startsWith('in/') && content.length > 0)
      const expected = (list: readonly Listing[]) =>
        list.map(({ key, content }) => ({ name: key.split('/').at(-1), sha256: sha256Of(content) })).toSorted(byName)
      expect(await client.run(source.import_source_id)).toMatchObject({ found_count: wanted.length, problem: null })
      expect((await client.files()).toSorted(byName)).toEqual(expected(wanted))
      expect(await client.run(source.import_source_id)).toMatchObject({ found_count: wanted.length })

      const changed = { key: wanted[0]!.key, content: Buffer.from('changed since') }
      await put(changed)
      expect(await client.run(source.import_source_id)).toMatchObject({ found_count: wanted.length + 1 })
      expect((await client.files()).toSorted(byName)).toEqual(expected([...wanted, changed]))
    })

    it('gives what its inventory tells below the prefix, goes on where it broke off, and counts what it cannot read', async () => {
      const names = ['a b.txt', 'plus+.txt', 'ünï.txt', 'later.txt']
      const objects = names.map((name) => ({ key: `in/${name}`, content: Buffer.from(`content of ${name}`) }))
      const { place, put } = await fillBucket([...objects, { key: 'out/x.txt', content: Buffer.from('x') }])
      const line = (key: string, etag: string): string =>
        `"${place.bucket}","${encodeURIComponent(key).replaceAll('%20', '+')}","19","2026-01-01T00:00:00Z","${etag}"\n`
      const lines = objects.map(({ key, content }) => line(key, createHash('md5').update(content).digest('hex')))
      const inventory = async (key: string, text: string) => put({ key, content: gzipSync(text) })
      const manifest = {
        sourceBucket: place.bucket,
        fileFormat: 'CSV',
        fileSchema: 'Bucket, Key, Size, LastModifiedDate, ETag',
        files: [{ key: 'inventory/1.csv.gz' }, { key: 'inventory/2.csv.gz' }],
      }
      await put({ key: 'inventory/manifest.json', content: Buffer.from(JSON.stringify(manifest)) })
      await inventory('inventory/1.csv.gz', `${lines[0]}nonsense\n${lines[1]}${line('out/x.txt', 'e')}`)
      const client = await newClient()
      const source = await client.create({ s3: { ...place, prefix: 'in/', inventory: 'inventory/manifest.json' } })
      const broken = await client.run(source.import_source_id)
      expect(broken).toMatchObject({ found_count: 2, skipped_count: 1, problem: { code: 'import_refused' } })

      await inventory('inventory/2.csv.gz', `"too","few"\n${lines[2]}${lines[3]}`)
      const whole = await client.run(source.import_source_id)
      expect(whole).toMatchObject({ found_count: 4, skipped_count: 2, problem: null })
      const wanted = objects.map(({ key, content }) => ({ name: key.slice(3), sha256: sha256Of(content) }))
      expect((await client.files()).toSorted(byName)).toEqual(wanted.toSorted(byName))
      // Once more from its beginning: everything is known, and the bad lines are counted anew.
      expect(await client.run(source.import_source_id)).toMatchObject({ found_count: 4, skipped_count: 2 })

      for (const [day, text] of [
        ['02', JSON.stringify(manifest)],
        ['01', 'of yesterday'],
      ] as const)
        await put({ key: `daily/2026-01-${day}T00-00Z/manifest.json`, content: Buffer.from(text) })
      await put({ key: 'daily/data/x.csv.gz', content: Buffer.from('x') })
      const daily = await client.create({ s3: { ...place, prefix: 'in/', inventory: 'daily/' } })
      expect(await client.run(daily.import_source_id)).toMatchObject({ found_count: 4, problem: null })
      const none = await client.create({ s3: { ...place, inventory: 'daily/data/' } })
      expect(await client.run(none.import_source_id)).toMatchObject({ problem: { code: 'import_refused' } })

      const gone = await client.create({ s3: { ...place, inventory: 'inventory/none.json' } })
      expect(await client.run(gone.import_source_id)).toMatchObject({ problem: { code: 'import_refused' } })
    })

    it('says with which status a wrong secret and a missing bucket are refused', async () => {
      const { place } = await fillBucket([{ key: 'a.txt', content: Buffer.from('a') }])
      const client = await newClient()
      for (const wrong of [{ secret_access_key: 'wrong' }, { bucket: 'no-such-bucket-of-ours' }]) {
        const source = await client.create({ s3: { ...place, ...wrong } })
        expect(await client.run(source.import_source_id)).toMatchObject({
          found_count: 0,
          problem: { code: 'import_refused', detail: expect.stringMatching(/status 40[34]/) },
        })
      }
      expect(await client.files()).toEqual([])
    })
  })

const byName = (
  a: { name: string | undefined; sha256: string },
  b: { name: string | undefined; sha256: string },
): number => (`${a.name} ${a.sha256}` < `${b.name} ${b.sha256}` ? -1 : 1)
