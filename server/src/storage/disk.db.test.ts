import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLog } from '../platform/log.ts'
import { openDiskStore } from './disk.ts'
import { bodyOf, describeObjectStore } from './object-store.contract.ts'
import { createVerifyingStore } from './verifying.ts'

describeObjectStore('The disk', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-disk-'))
  return {
    store: await openDiskStore({ directory, log: silentLog }),
    remove: () => rm(directory, { recursive: true }),
  }
})

describeObjectStore('A disk whose objects are read back', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-disk-'))
  return {
    store: createVerifyingStore(await openDiskStore({ directory, log: silentLog })),
    remove: () => rm(directory, { recursive: true }),
  }
})

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-disk-'))
})
afterEach(() => rm(directory, { recursive: true }))

const openStore = () => openDiskStore({ directory, log: silentLog })
const temps = (): Promise<string[]> => readdir(join(directory, 'temp'))

test('a process killed in the middle of its puts leaves whole objects and nothing else', async () => {
  const script = fileURLToPath(new URL('testing/put-forever.ts', import.meta.url))
  const child = spawn(process.execPath, [script, directory], { stdio: ['ignore', 'pipe', 'inherit'] })
  const acknowledged: string[] = []
  for await (const key of createInterface({ input: child.stdout })) {
    acknowledged.push(key)
    if (acknowledged.length === 20) child.kill('SIGKILL')
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  expect(acknowledged.length).toBeGreaterThanOrEqual(20)

  const store = await openStore()
  expect(await temps()).toEqual([])
  const stored = await store.list({ prefix: 'kill/', limit: 10_000 })
  for (const { sizeBytes } of stored) expect(sizeBytes).toBe(1_000_000)
  const keys = new Set(stored.map((info) => info.key))
  expect(acknowledged.filter((key) => !keys.has(key))).toEqual([])
})

test('of puts that race for one key, exactly one finds it absent', async () => {
  const store = await openStore()
  const race = Array.from({ length: 20 }, (_, i) =>
    store.put('race/one', bodyOf(Buffer.from(String(i))), { ifAbsent: true }),
  )
  const puts = await Promise.allSettled(race)
  expect(puts.filter((put) => put.status === 'fulfilled')).toHaveLength(1)
})

test('opening the store leaves the temporary files of living writers alone', async () => {
  const first = await openStore()
  let release = (): void => {}
  const released = new Promise<void>((resolve) => (release = resolve))
  let started = (): void => {}
  const begun = new Promise<void>((resolve) => (started = resolve))
  const put = first.put(
    'slow/one',
    (async function* () {
      yield Buffer.from('first half, ')
      started()
      await released
      yield Buffer.from('second half')
    })(),
  )
  await begun
  const foreign = join(directory, 'temp', '00000000-1-0123456789abcdef')
  await writeFile(foreign, 'of another machine, still written')
  await openStore()
  expect(await temps()).toHaveLength(2)
  release()
  await put
  expect(String(await buffer(await first.get('slow/one')))).toBe('first half, second half')

  await utimes(foreign, 0, 0)
  await openStore()
  expect(await temps()).toEqual([])
})

test.each(['ENOSPC', 'EDQUOT'])('a full disk (%s) is told as storage_full and leaves nothing behind', async (code) => {
  const store = await openDiskStore({
    directory,
    log: silentLog,
    openFile: async (...args) => {
      const handle = await open(...args)
      let writesLeft = 2
      const write = handle.write.bind(handle) as (...args: unknown[]) => Promise<{ bytesWritten: number }>
      const full = Object.assign(new Error('no space left on device'), { code, errno: -28 })
      Object.assign(handle, {
        write: (...args: unknown[]) => (writesLeft-- > 0 ? write(...args) : Promise.reject(full)),
      })
      return handle
    },
  })
  const body = bodyOf(...Array.from({ length: 10 }, () => Buffer.alloc(1000)))
  await expect(store.put('full/one', body)).rejects.toMatchObject({ code: 'storage_full' })
  expect(await store.head('full/one')).toBeUndefined()
  expect(await temps()).toEqual([])
  await store.put('full/two', bodyOf(Buffer.from('small')))
  expect(String(await buffer(await store.get('full/two')))).toBe('small')
})

test('deleting the last object below a folder removes the folder', async () => {
  const store = await openStore()
  await store.put('results/1/2/x', bodyOf(Buffer.from('x')))
  await store.put('results/1/y', bodyOf(Buffer.from('y')))
  await store.delete('results/1/2/x')
  expect(await readdir(join(directory, 'objects', 'results', '1'))).toEqual(['y'])
  await store.delete('results/1/y')
  expect(await readdir(join(directory, 'objects'))).toEqual([])
})

test('a folder that cannot be made is told as storage_unavailable', async () => {
  await writeFile(join(directory, 'file'), '')
  await expect(openDiskStore({ directory: join(directory, 'file', 'below'), log: silentLog })).rejects.toMatchObject({
    code: 'storage_unavailable',
  })
})
