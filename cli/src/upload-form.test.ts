import { appendFile, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createApi } from './api.ts'
import { uploadByForm } from './upload-form.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'millrace-cli-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const world = {
  random: () => 0,
  sleep: async () => undefined,
  randomId: () => 'id',
  signal: new AbortController().signal,
}

/** Uploads to whatever takes the body. */
async function uploadTo(name: string, take: (body: ReadableStream<Uint8Array>) => Promise<Response>) {
  const fetch = (_: unknown, init?: RequestInit) => take(init?.body as ReadableStream<Uint8Array>)
  const api = createApi({ url: 'http://server', key: 'key' }, { ...world, fetch })
  const file = { path: path.join(folder, name), label: name, sizeBytes: 0 }
  let sentBytes = 0
  const watch = { sent: (bytes: number) => (sentBytes = bytes), resumed: () => {} }
  const result = await uploadByForm({ ...world, api }, file, {}, watch).catch((error: unknown) => error)
  return { result, sentBytes }
}

describe('an upload by form', () => {
  it('reads no further ahead than the line takes it, however large the file is', async () => {
    await writeFile(path.join(folder, 'large'), '')
    await truncate(path.join(folder, 'large'), 3_000_000_000)
    let takenBytes = 0
    const { sentBytes } = await uploadTo('large', async (body) => {
      const reader = body.getReader()
      while (takenBytes < 2_000_000) takenBytes += (await reader.read()).value?.length ?? 0
      for (let turn = 0; turn < 50; turn++) await nextTurn()
      await reader.cancel()
      return new Response('{"code":"conflict","title":"t","remedy":"r","status":409}', { status: 409 })
    })
    expect(sentBytes - takenBytes).toBeLessThan(1_000_000)
  })

  it.each([
    ['grows', (file: string) => appendFile(file, 'more')],
    ['shrinks', (file: string) => truncate(file, 10)],
  ])('fails when the file %s while it is sent', async (_, change) => {
    const file = path.join(folder, 'a')
    await writeFile(file, Buffer.alloc(1_000_000))
    const { result } = await uploadTo('a', async (body) => {
      const reader = body.getReader()
      await reader.read()
      await change(file)
      while (!(await reader.read()).done);
      return new Response('{}', { status: 202 })
    })
    expect(result).toMatchObject({ told: { title: 'The file changed while it was being sent.' } })
  })

  it('fails when the server received other bytes than were sent', async () => {
    await writeFile(path.join(folder, 'a'), 'content')
    const { result } = await uploadTo('a', async (body) => {
      for await (const _ of body);
      return Response.json({ sha256: 'f'.repeat(64) }, { status: 202 })
    })
    expect(result).toMatchObject({ exitCode: 1 })
  })
})
