// Zips and links through the handlers that the composition root makes.

import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { operations, type ResponseOf } from '@millrace/contract'
import { Compile } from 'typebox/compile'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RequestContext, StreamAnswer } from '../platform/routes.ts'
import { openFeaturesHouse, type FeaturesHouse } from './testing/features-house.ts'
import { codeOf } from '../testing/problem-code.ts'

let house: FeaturesHouse
beforeAll(async () => {
  house = await openFeaturesHouse()
})
afterAll(() => house.close())
beforeEach(() => house.newTenant())

const none = { params: undefined, query: undefined, body: undefined } as const
const routes = () => house.features.apiRoutes
const audits = async (): Promise<string[]> => {
  const { rows } = await house.database.query<{ action: string }>(
    `select action from audit_event where tenant_id = $1 and action like 'link.%' order by id`,
    [house.tenantId()],
  )
  return rows.map(({ action }) => action)
}

describe('a zip', () => {
  const zipFiles = async (file_ids: string[]) =>
    (await routes().createFilesZip({ ...none, body: { file_ids } }, house.contextOf())) as StreamAnswer

  it('of files has the length that it tells, and each of them once', async () => {
    const [a, b] = [await house.addFile({ name: 'a.csv' }), await house.addFile({ name: 'a.csv', content: 'other' })]
    const answer = await zipFiles([a.file_id, b.file_id, a.file_id])
    const zip = await buffer(answer.body!)
    expect(answer.headers).toMatchObject({ 'content-type': 'application/zip', 'content-length': String(zip.length) })
    expect([...zip.toString('latin1').matchAll(/a(?: \(2\))?\.csv/g)].map(([name]) => name)).toEqual([
      'a.csv',
      'a (2).csv',
      'a.csv',
      'a (2).csv',
    ])
  })

  it('is given whole or not at all', async () => {
    const clear = await house.addFile()
    const apart = await house.addFile({ state: 'infected' })
    expect(await codeOf(zipFiles([clear.file_id, apart.file_id]))).toBe('file_infected')
    await house.database.query('update file set deleted_at = now() where id = $1', [apart.fileId])
    expect(await codeOf(zipFiles([clear.file_id, apart.file_id]))).toBe('not_found')
    await house.newTenant()
    expect(await codeOf(zipFiles([clear.file_id]))).toBe('not_found')
  })

  it('of a job holds its outputs, and is empty for one that has none', async () => {
    const { fileId } = await house.addFile({ name: 'scan.pdf' })
    const pixels = randomBytes(100_000)
    const outputs = [
      { name: 'page-1.png', content: pixels },
      { name: 'text.txt', content: 'hello' },
    ]
    const { job_id } = await house.addJob({ fileId, outputs })
    const answer = (await routes().getJobZip({ ...none, params: { job_id } }, house.contextOf())) as StreamAnswer
    expect(answer.headers['content-disposition']).toContain('scan.pdf.outputs.zip')
    expect((await buffer(answer.body!)).includes(pixels.subarray(0, 1_000))).toBe(true)
    const bare = await house.addJob({ fileId })
    const empty = (await routes().getJobZip(
      { ...none, params: { job_id: bare.job_id } },
      house.contextOf(),
    )) as StreamAnswer
    expect((await buffer(empty.body!)).length).toBe(22)
  })

  it('breaks off, and says so in the log, when a later member is damaged; a damaged first one is a problem', async () => {
    const [good, bad] = [await house.addFile(), await house.addFile({ content: randomBytes(100_000) })]
    await house.vault.remove(bad.object)
    expect(await codeOf(zipFiles([bad.file_id, good.file_id]))).toBe('object_damaged')
    const logged: string[] = []
    const context = house.contextOf()
    const log = { ...context.log, warn: (event: string) => void logged.push(event) }
    const answer = (await routes().createFilesZip(
      { ...none, body: { file_ids: [good.file_id, bad.file_id] } },
      { ...context, log },
    )) as StreamAnswer
    await expect(buffer(answer.body!)).rejects.toMatchObject({ code: 'object_damaged' })
    expect(logged).toEqual(['zip.broken_off'])
  })
})

describe('content that is damaged', () => {
  /** A file whose bytes have been verified, and of which one flips since. */
  async function addDamaged(at: number) {
    const file = await house.addFile({ content: randomBytes(3_000_000) })
    const { objectStore } = house.parts
    const stored = await buffer(await objectStore.get(file.object.storeKey))
    stored.writeUInt8(stored.readUInt8(at) ^ 1, at)
    await objectStore.put(file.object.storeKey, Readable.from([stored]))
    await house.database.query('update object set last_verified_at = now() where id = $1', [file.object.objectId])
    return file
  }
  const isDue = async (objectId: string): Promise<boolean> => {
    const { rows } = await house.database.query<{ due: boolean }>(
      'select last_verified_at is null as due from object where id = $1',
      [objectId],
    )
    return rows[0]!.due
  }
  const logging = () => {
    const logged: string[] = []
    const context = house.contextOf()
    const log = {
      ...context.log,
      warn: (event: string) => void logged.push(event),
      error: (event: string) => void logged.push(event),
    }
    return { logged, context: { ...context, log } }
  }
  const read = async (file_id: string, context: RequestContext) => {
    const answer = (await routes().getFileContent({ ...none, params: { file_id }, query: {} }, context)) as StreamAnswer
    return buffer(answer.body!)
  }

  it('at its end is cut off, logged, and read next by the scrub', async () => {
    const { file_id, object } = await addDamaged(2_990_000)
    const { logged, context } = logging()
    expect(await codeOf(read(file_id, context))).toBe('object_damaged')
    await expect.poll(() => isDue(object.objectId)).toBe(true)
    expect(logged).toEqual(['content.broken_off', 'content.damaged'])
  })

  it('at its beginning is refused before anything is answered, and so in a zip', async () => {
    for (const ask of [
      (file_id: string, context: RequestContext) => read(file_id, context),
      (file_id: string, context: RequestContext) =>
        routes().createFilesZip({ ...none, body: { file_ids: [file_id] } }, context) as Promise<unknown>,
    ]) {
      const { file_id, object } = await addDamaged(100)
      const { logged, context } = logging()
      expect(await codeOf(ask(file_id, context))).toBe('object_damaged')
      expect(logged).toEqual(['content.damaged'])
      expect(await isDue(object.objectId)).toBe(true)
    }
  })
})

describe('a link', () => {
  type Link = ResponseOf<'createFileLink'>
  const linkTo = async (file_id: string, body: { expires_in?: number; single_use?: boolean; version?: number } = {}) =>
    (await routes().createFileLink({ ...none, params: { file_id }, body }, house.contextOf())) as Link
  const tokenOf = ({ url }: Link) => url.split('/').at(-2)!
  const open = (token: string, headers = {}, method = 'GET', query = {}) =>
    routes().openLink(
      { ...none, params: { token }, query },
      house.contextOf(headers, method, -1),
    ) as Promise<StreamAnswer>
  const textOf = async (opening: Promise<StreamAnswer>) => String(await buffer((await opening).body!))

  it('gives its file to whoever has it, with range and name, and is told in the audit', async () => {
    const { file_id } = await house.addFile({ name: 'minutes.csv', content: '0123456789' })
    const link = await linkTo(file_id)
    expect(Compile(operations.createFileLink.response).Check(link)).toBe(true)
    expect(new URL(link.url, `http://x/millrace/api/v1/files/${file_id}/links`).pathname).toMatch(
      /^\/millrace\/api\/v1\/links\/[^/]+\/content$/,
    )
    const answer = await open(tokenOf(link), { range: 'bytes=2-3' })
    expect(answer).toMatchObject({
      status: 206,
      headers: { 'content-disposition': 'attachment; filename="minutes.csv"' },
    })
    expect(String(await buffer(answer.body!))).toBe('23')
    await open(tokenOf(link), {}, 'HEAD')
    expect(await audits()).toEqual(['link.create', 'link.use'])
    const { items } = (await routes().listLinks({ ...none, query: {} }, house.contextOf())) as ResponseOf<'listLinks'>
    expect(items).toMatchObject([{ link_id: link.link_id, file_id, file_version: 1, uses_count: 1 }])
    expect(Compile(operations.listLinks.response).Check({ items, next_cursor: null })).toBe(true)
    expect(JSON.stringify(items)).not.toContain(tokenOf(link).split('.')[1])
  })

  it('is made once however often it is asked for under one Idempotency-Key, and its token is kept by nobody', async () => {
    const { fileId, file_id } = await house.addFile()
    const job = await house.addJob({ fileId, outputs: [{ name: 't.txt', content: 'text' }] })
    const params = { job_id: job.job_id, output_id: job.outputs[0]!.output_id }
    const asks = [
      (key: string) =>
        routes().createFileLink(
          { ...none, params: { file_id }, body: {} },
          house.contextOf({ 'idempotency-key': key }),
        ),
      (key: string) =>
        routes().createOutputLink({ ...none, params, body: {} }, house.contextOf({ 'idempotency-key': key })),
    ] as ((key: string) => Promise<Link>)[]
    for (const [index, ask] of asks.entries()) {
      const first = await ask(`key-${index}`)
      expect(await ask(`key-${index}`)).toEqual(first)
      expect((await ask(`other-${index}`)).link_id).not.toBe(first.link_id)
      const { rows } = await house.database.query('select from idempotency_key where strpos(response::text, $1) > 0', [
        tokenOf(first).split('.')[1],
      ])
      expect(rows).toEqual([])
    }
  })

  it('gives an output', async () => {
    const { fileId } = await house.addFile()
    const job = await house.addJob({
      fileId,
      outputs: [{ name: 't.png', content: 'pixels', contentType: 'image/png', processor: 'image.thumbnail' }],
    })
    const params = { job_id: job.job_id, output_id: job.outputs[0]!.output_id }
    const link = (await routes().createOutputLink({ ...none, params, body: {} }, house.contextOf())) as Link
    const answer = await open(tokenOf(link))
    expect(answer.headers['content-disposition']).toBe('inline; filename="t.png"')
    expect(String(await buffer(answer.body!))).toBe('pixels')
  })

  it('shows a PDF, and nothing else, in a frame of our own pages, sandboxed', async () => {
    const { fileId } = await house.addFile()
    const outputs = [
      { name: 'r.pdf', content: '%PDF-', contentType: 'application/pdf', processor: 'report.pdf' },
      { name: 'r.html', content: '<script>', contentType: 'text/html', processor: 'report.pdf' },
    ]
    const job = await house.addJob({ fileId, outputs })
    const headersOf = async (index: number, query: object) => {
      const params = { job_id: job.job_id, output_id: job.outputs[index]!.output_id }
      const link = (await routes().createOutputLink({ ...none, params, body: {} }, house.contextOf())) as Link
      const { headers, body } = await open(tokenOf(link), {}, 'GET', query)
      await buffer(body!)
      return headers
    }
    expect(await headersOf(0, { frame: true })).toMatchObject({
      'content-type': 'application/pdf',
      'content-disposition': 'inline; filename="r.pdf"',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'SAMEORIGIN',
      'content-security-policy': "default-src 'none'; frame-ancestors 'self'; sandbox",
    })
    for (const [index, query] of [
      [0, {}],
      [1, { frame: true }],
    ] as const) {
      const headers = await headersOf(index, query)
      expect(headers['content-disposition']).toMatch(/^attachment/)
      expect(headers['content-security-policy']).toBe("default-src 'none'; frame-ancestors 'none'; sandbox")
      expect(headers).not.toHaveProperty('x-frame-options')
    }
  })

  it('that is good once is good once, however many ask at the same time', async () => {
    const { file_id } = await house.addFile()
    const token = tokenOf(await linkTo(file_id, { single_use: true }))
    const codes = await Promise.all(
      Array.from({ length: 8 }, () => codeOf(open(token).then(({ body }) => buffer(body!)))),
    )
    expect(codes.toSorted()).toEqual([...Array.from({ length: 7 }, () => 'link_expired'), 'none'])
    expect(await codeOf(open(token, {}, 'HEAD'))).toBe('link_expired')
  })

  it('that is good once is not lost to bytes that cannot be read', async () => {
    const { file_id, object } = await house.addFile()
    const token = tokenOf(await linkTo(file_id, { single_use: true }))
    const kept = await buffer(await house.parts.objectStore.get(object.storeKey))
    await house.vault.remove(object)
    expect(await codeOf(open(token))).toBe('object_damaged')
    await house.parts.objectStore.put(
      object.storeKey,
      (async function* () {
        yield kept
      })(),
    )
    expect(await textOf(open(token))).toBe('a,b\n1,2\n')
  })

  it('ends with its time, and at once when it is deleted', async () => {
    const { file_id } = await house.addFile()
    const [over, ended] = [await linkTo(file_id), await linkTo(file_id)]
    await house.database.query(
      `update download_link set expires_at = date_trunc('milliseconds', now()) - interval '1 s'`,
    )
    // The time is signed, too: whoever can write rows but has not the secret makes no link longer.
    expect(await codeOf(open(tokenOf(over)))).toBe('not_found')
    await routes().deleteLink({ ...none, params: { link_id: ended.link_id } }, house.contextOf())
    expect(await codeOf(open(tokenOf(ended)))).toBe('not_found')
    const short = await linkTo(file_id, { expires_in: 1 })
    const expired = async () => (await codeOf(open(tokenOf(short), {}, 'HEAD'))) === 'link_expired'
    await expect.poll(expired).toBe(true)
    expect(await audits()).toEqual(['link.create', 'link.create', 'link.delete', 'link.create'])
  })

  it('cannot be guessed, changed, or bent to another thing', async () => {
    const { file_id } = await house.addFile()
    const other = await linkTo((await house.addFile({ content: 'other' })).file_id)
    const token = tokenOf(await linkTo(file_id))
    const [id, mac = ''] = token.split('.')
    for (const forged of [
      `${other.link_id}.${mac}`,
      `${id}.${mac.slice(0, -2)}AA`,
      `${id}.`,
      `${id}`,
      '',
      `${token}.${mac}`,
      `${id}.${mac}=`,
      'link_0000000000000.x',
    ])
      expect(await codeOf(open(forged))).toBe('not_found')
  })

  it('is never better than its file', async () => {
    const { fileId, file_id } = await house.addFile()
    const token = tokenOf(await linkTo(file_id))
    await house.database.query(`update file set state = 'infected' where id = $1`, [fileId])
    expect(await codeOf(open(token))).toBe('file_infected')
    expect(await codeOf(linkTo(file_id))).toBe('file_infected')
    await house.database.query(`update file set state = 'available', deleted_at = now() where id = $1`, [fileId])
    expect(await codeOf(open(token))).toBe('not_found')
    await house.database.query(`update file set deleted_at = null where id = $1`, [fileId])
    await house.database.query(`update tenant set state = 'suspended' where id = $1`, [house.tenantId()])
    expect(await codeOf(open(token))).toBe('not_found')
  })
})
