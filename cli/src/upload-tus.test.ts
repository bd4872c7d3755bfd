import { createHash, randomBytes } from 'node:crypto'
import { appendFile, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { problems, type ProblemCode, type UploadResource } from '@millrace/contract'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createApi } from './api.ts'
import { createUploadMemory, stateFolderOf } from './upload-memory.ts'
import { uploadByTus } from './upload-tus.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'millrace-cli-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const problemAnswer = (code: ProblemCode): Response => {
  const { status, title, remedy } = problems[code]
  return Response.json({ code, status, title, remedy }, { status })
}

/** As much of tus as the command speaks, in memory. */
function createFakeTus(sizeBytes: number) {
  const uploads = new Map<string, { content: Buffer; state: UploadResource['state'] }>()
  const server = {
    uploads,
    /** How many bytes the next requests let through before the line breaks. */
    cuts: [] as number[],
    /** Answers a PATCH in place of taking it. */
    refuse: undefined as ProblemCode | undefined,
    /** Told as a request begins. */
    onPatch: async () => {},
    metadata: '',
    sentBytes: 0,
    async fetch(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
      // The client calls with a string.
      const id = (input as string).split('/').at(-1) ?? ''
      const headers = new Headers(init.headers)
      if (init.method === 'POST') {
        const made = `upload_${uploads.size + 1}`
        uploads.set(made, { content: Buffer.alloc(0), state: 'receiving' })
        server.metadata = headers.get('upload-metadata') ?? ''
        return new Response(null, { status: 201, headers: { location: `uploads/${made}` } })
      }
      const upload = uploads.get(id)
      if (!upload) return problemAnswer('not_found')
      if (init.method === 'HEAD')
        return new Response(null, { headers: { 'upload-offset': String(upload.content.length) } })
      if (init.method === 'DELETE') {
        upload.state = 'aborted'
        return new Response(null, { status: 204 })
      }
      if (init.method !== 'PATCH') return Response.json(toResource(id, upload))
      await server.onPatch()
      if (server.refuse) return problemAnswer(server.refuse)
      if (Number(headers.get('upload-offset')) !== upload.content.length) return problemAnswer('upload_offset_mismatch')
      let leftBytes = server.cuts.shift() ?? Number.POSITIVE_INFINITY
      for await (const piece of init.body as ReadableStream<Uint8Array>) {
        const passed = piece.subarray(0, leftBytes)
        upload.content = Buffer.concat([upload.content, passed])
        server.sentBytes += passed.length
        leftBytes -= passed.length
        if (leftBytes === 0) throw new TypeError('fetch failed')
      }
      if (upload.content.length === sizeBytes) upload.state = 'sealed'
      return new Response(null, { status: 204 })
    },
  }
  function toResource(id: string, { content, state }: { content: Buffer; state: UploadResource['state'] }) {
    const sha256 = createHash('sha256').update(content).digest('hex')
    return {
      upload_id: id,
      state,
      size_bytes: sizeBytes,
      received_bytes: content.length,
      result: state === 'sealed' ? { file_id: 'file_1', job_id: 'job_1', sha256 } : null,
      problem: null,
      ended_at: state === 'receiving' ? null : new Date(0).toISOString(),
    }
  }
  return server
}

type FakeTus = ReturnType<typeof createFakeTus>

const content = randomBytes(1_000_000)
const file = () => ({ path: path.join(folder, 'größe.bin'), label: 'größe.bin', sizeBytes: content.length })

/** One command: a memory of its own over the same state folder. */
async function upload(server: FakeTus, { signal = new AbortController().signal, account = 'a' } = {}) {
  const patience = { random: () => 0, sleep: async () => undefined }
  const api = createApi(
    { url: 'http://server', key: 'key' },
    { ...patience, signal, fetch: (input, init) => server.fetch(input, init) },
  )
  let unwritable = ''
  const memory = createUploadMemory({
    stateFolder: path.join(folder, 'state'),
    account,
    now: Date.now,
    onUnwritable: (at) => (unwritable = at),
  })
  const resumed: number[] = []
  const watch = { sent: () => {}, resumed: (bytes: number) => void resumed.push(bytes) }
  const deps = { ...patience, signal, api, memory, randomId: () => 'id' }
  const result = await uploadByTus(deps, file(), { metadata: '{"ä":1}' }, watch).catch((error: unknown) => error)
  return { result, resumed, keptCount: memory.keptCount, unwritable }
}

const remembered = () => readdir(path.join(folder, 'state', 'uploads'))

describe('an upload by tus', () => {
  beforeEach(() => writeFile(file().path, content))

  it('goes on where the line broke, as often as it breaks, and sends no byte twice', async () => {
    const server = createFakeTus(content.length)
    server.cuts = Array.from({ length: 40 }, (_, index) => 1 + index * 100)
    const { result, keptCount } = await upload(server)
    expect(result).toMatchObject({ job_id: 'job_1' })
    expect(server.uploads.get('upload_1')?.content.equals(content)).toBe(true)
    expect(server.sentBytes).toBe(content.length)
    expect(server.metadata).toContain(`filename ${Buffer.from('größe.bin').toString('base64')}`)
    expect([keptCount, await remembered()]).toEqual([0, []])
  })

  it('gives up a line that never brings anything, and the next command goes on', async () => {
    const server = createFakeTus(content.length)
    server.cuts = [400_000]
    server.onPatch = async () => {
      if (server.sentBytes > 0) throw new TypeError('fetch failed')
    }
    const first = await upload(server)
    expect(first).toMatchObject({ result: { exitCode: 3 }, keptCount: 1 })
    server.onPatch = async () => {}
    const second = await upload(server)
    expect(second).toMatchObject({ result: { file_id: 'file_1' }, resumed: [400_000] })
    expect([server.uploads.size, server.sentBytes]).toEqual([1, content.length])
  })

  it('is gone on with after Ctrl-C, also when all of it had arrived', async () => {
    const server = createFakeTus(content.length)
    const interrupt = new AbortController()
    server.onPatch = async () => {
      server.uploads.get('upload_1')!.content = content
      server.uploads.get('upload_1')!.state = 'sealed'
      interrupt.abort(new Error('Ctrl-C'))
      interrupt.signal.throwIfAborted()
    }
    expect(await upload(server, interrupt)).toMatchObject({ result: { message: 'Ctrl-C' }, keptCount: 1 })
    expect(await upload(server)).toMatchObject({ result: { job_id: 'job_1' }, keptCount: 0 })
    expect([server.uploads.size, server.sentBytes]).toEqual([1, 0])
  })

  it.each([
    ['has expired', (server: FakeTus) => void (server.uploads.get('upload_1')!.state = 'expired')],
    [
      'is gone',
      (server: FakeTus) => void server.uploads.set('upload_0', server.uploads.get('upload_1')!).delete('upload_1'),
    ],
  ])('begins anew where the session %s', async (_, end) => {
    const server = createFakeTus(content.length)
    server.refuse = 'quota_exceeded'
    await upload(server)
    end(server)
    server.refuse = undefined
    const { result, resumed } = await upload(server)
    expect([result, resumed]).toEqual([expect.objectContaining({ job_id: 'job_1' }), []])
  })

  it('begins anew for another account, and for a file that has changed since', async () => {
    const server = createFakeTus(content.length)
    server.refuse = 'quota_exceeded'
    await upload(server)
    await upload(server, { account: 'b' })
    await utimes(file().path, 1_000, 1_000)
    await upload(server)
    expect(server.uploads.size).toBe(3)
  })

  it('aborts what belongs to a file that changed while it was sent', async () => {
    const server = createFakeTus(content.length)
    server.cuts = [100]
    server.onPatch = () => appendFile(file().path, 'more')
    const { result, keptCount } = await upload(server)
    expect(result).toMatchObject({ told: { title: 'The file changed while it was being sent.' } })
    expect([keptCount, server.uploads.get('upload_1')?.state, await remembered()]).toEqual([0, 'aborted', []])
  })

  it('tells of another command that sends the same file', async () => {
    const server = createFakeTus(content.length)
    server.refuse = 'upload_taken_over'
    expect((await upload(server)).result).toMatchObject({ told: { title: 'Another command is sending this file.' } })
  })

  it('works without its memory, and says so', async () => {
    await writeFile(path.join(folder, 'state'), 'in the way')
    const { result, unwritable } = await upload(createFakeTus(content.length))
    expect([result, unwritable]).toEqual([
      expect.objectContaining({ job_id: 'job_1' }),
      path.join(folder, 'state', 'uploads'),
    ])
  })
})

describe('the memory of uploads', () => {
  const options = () => ({ stateFolder: folder, account: 'a', now: Date.now, onUnwritable: () => {} })
  const one = { path: '/a', sizeBytes: 1, modifiedAtMs: 1, options: {} }

  it('is for its user alone, gives one session to one upload, and forgets what is a week old', async () => {
    const memory = createUploadMemory(options())
    await memory.of(one).keep('upload_1')
    expect(await memory.of(one).find()).toBeUndefined()
    expect(await createUploadMemory(options()).of(one).find()).toBe('upload_1')
    const [name = ''] = await readdir(path.join(folder, 'uploads'))
    expect((await stat(path.join(folder, 'uploads', name))).mode & 0o777).toBe(0o600)
    const later = { ...options(), now: () => Date.now() + 8 * 24 * 3_600_000 }
    await createUploadMemory(later)
      .of({ ...one, path: '/b' })
      .keep('upload_2')
    expect(await createUploadMemory(options()).of(one).find()).toBeUndefined()
  })

  it('takes a file that was written half for none', async () => {
    await createUploadMemory(options()).of(one).keep('upload_1')
    const [name = ''] = await readdir(path.join(folder, 'uploads'))
    for (const text of ['', '{"upload', '{"upload_id":"../../x"}', '[]']) {
      await writeFile(path.join(folder, 'uploads', name), text)
      expect(await createUploadMemory(options()).of(one).find()).toBeUndefined()
    }
  })

  it('lies where the system wants it', () => {
    expect(stateFolderOf({}, '/home/a')).toBe('/home/a/.local/state/millrace')
    expect(stateFolderOf({ XDG_STATE_HOME: '/s' }, '/home/a')).toBe('/s/millrace')
  })
})
