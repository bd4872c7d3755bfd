// What every adapter promises; each runs this suite against its real store.

import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WholeContent } from '../platform/whole-content.ts'
import type { ObjectStore } from './object-store.ts'

export interface StoreUnderTest {
  store: ObjectStore
  /** Removes what the suite has left. */
  remove(): Promise<void>
}

/** A body of the pieces. */
export async function* bodyOf(...pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces
}

/** A body that gives some bytes and then fails. */
async function* failingBody(sizeBytes: number, error: Error): AsyncGenerator<Uint8Array> {
  yield randomBytes(sizeBytes)
  throw error
}

/** A body that gives some bytes and then nothing, for ever. */
async function* silentBody(sizeBytes: number): AsyncGenerator<Uint8Array> {
  yield randomBytes(sizeBytes)
  await new Promise(() => {})
}

/** Larger than what an adapter sends in one request. */
const largeBytes = 18 * 1024 * 1024 + 5

export function describeObjectStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name} as an object store`, () => {
    let store: ObjectStore
    let remove: () => Promise<void>
    let keysMade = 0
    const newKey = (): string => `contract/${++keysMade}`
    const bytesOf = async (key: string): Promise<Buffer> => buffer(await store.get(key))

    beforeAll(async () => {
      const opened = await open()
      store = opened.store
      remove = () => opened.remove()
    })
    afterAll(() => remove())

    test('takes a body that is in memory as a whole', async () => {
      for (const sizeBytes of [0, 1, 100_000]) {
        const key = newKey()
        const content = randomBytes(sizeBytes)
        expect(await store.put(key, new WholeContent(content), { sizeBytes })).toEqual({ key, sizeBytes })
        expect((await bytesOf(key)).equals(content)).toBe(true)
      }
      const refused = newKey()
      const whole = new WholeContent(randomBytes(10))
      await expect(store.put(refused, whole, { sizeBytes: 11 })).rejects.toMatchObject({ code: 'upload_incomplete' })
      await expect(store.put(refused, whole, { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow()
      expect(await store.head(refused)).toBeUndefined()
    })

    test('gives back the bytes that were put', async () => {
      const key = newKey()
      const content = randomBytes(70_000)
      expect(await store.put(key, bodyOf(content.subarray(0, 10), content.subarray(10)))).toEqual({
        key,
        sizeBytes: content.length,
      })
      expect((await bytesOf(key)).equals(content)).toBe(true)
      expect(await store.head(key)).toEqual({ key, sizeBytes: content.length })
    })

    test('keeps an empty object', async () => {
      const key = newKey()
      await store.put(key, bodyOf())
      expect(await store.head(key)).toEqual({ key, sizeBytes: 0 })
      expect(await bytesOf(key)).toHaveLength(0)
    })

    test('takes a large body of unknown length in pieces of any size', async () => {
      const key = newKey()
      const content = randomBytes(largeBytes)
      const pieces = async function* (): AsyncGenerator<Uint8Array> {
        for (let offset = 0; offset < content.length; offset += 700_001)
          yield content.subarray(offset, offset + 700_001)
      }
      expect((await store.put(key, pieces())).sizeBytes).toBe(largeBytes)
      expect((await bytesOf(key)).equals(content)).toBe(true)
      const range = { start: 9_000_000, end: 9_000_099 }
      expect((await buffer(await store.get(key, { range }))).equals(content.subarray(9_000_000, 9_000_100))).toBe(true)
    })

    test('has done with the memory of a piece when it asks for the second one after it', async () => {
      const key = newKey()
      const slabs = [Buffer.alloc(300_000), Buffer.alloc(300_000)]
      const body = async function* (): AsyncGenerator<Uint8Array> {
        for (let i = 0; i < 80; i++) yield slabs[i % 2]!.fill(i)
      }
      await store.put(key, body())
      const content = await bytesOf(key)
      for (let i = 0; i < 80; i++)
        expect(content.subarray(i * 300_000, (i + 1) * 300_000).every((byte) => byte === i)).toBe(true)
    })

    test('replaces an object as a whole', async () => {
      const key = newKey()
      await store.put(key, bodyOf(Buffer.from('the first, longer one')))
      await store.put(key, bodyOf(Buffer.from('second')))
      expect(String(await bytesOf(key))).toBe('second')
    })

    test('reads ranges with both ends included, cut at the end of the object', async () => {
      const key = newKey()
      await store.put(key, bodyOf(Buffer.from('0123456789')))
      const read = async (start: number, end: number): Promise<string> =>
        String(await buffer(await store.get(key, { range: { start, end } })))
      expect(await read(0, 0)).toBe('0')
      expect(await read(3, 5)).toBe('345')
      expect(await read(8, 100)).toBe('89')
      await expect(read(10, 12)).rejects.toMatchObject({ code: 'range_not_satisfiable' })
    })

    test('says not_found for what is not there, and takes its deletion', async () => {
      const key = newKey()
      await expect(store.get(key)).rejects.toMatchObject({ code: 'not_found' })
      expect(await store.head(key)).toBeUndefined()
      await store.delete(key)
      await store.put(key, bodyOf(Buffer.from('x')))
      await store.delete(key)
      expect(await store.head(key)).toBeUndefined()
      await expect(store.get(key)).rejects.toMatchObject({ code: 'not_found' })
    })

    test.each([10, largeBytes])(
      'keeps nothing of a body that fails after %d bytes, and passes its error on',
      async (size) => {
        const key = newKey()
        const error = Object.assign(new Error('The client is gone'), { code: 'ECONNRESET', errno: -104 })
        await expect(store.put(key, failingBody(size, error))).rejects.toBe(error)
        expect(await store.head(key)).toBeUndefined()
      },
    )

    test('leaves the object as it was when its replacement fails', async () => {
      const key = newKey()
      await store.put(key, bodyOf(Buffer.from('kept')))
      await expect(store.put(key, failingBody(100, new Error('broken')))).rejects.toThrow('broken')
      expect(String(await bytesOf(key))).toBe('kept')
    })

    test('refuses a body that is shorter or longer than stated', async () => {
      const key = newKey()
      for (const sizeBytes of [5, 15])
        await expect(store.put(key, bodyOf(Buffer.alloc(10)), { sizeBytes })).rejects.toMatchObject({
          code: 'upload_incomplete',
        })
      expect(await store.head(key)).toBeUndefined()
      expect((await store.put(key, bodyOf(Buffer.alloc(10)), { sizeBytes: 10 })).sizeBytes).toBe(10)
    })

    test('stops waiting for a silent body when the signal aborts', async () => {
      const key = newKey()
      const controller = new AbortController()
      const reason = new Error('enough')
      const put = store.put(key, silentBody(10), { signal: controller.signal })
      controller.abort(reason)
      await expect(put).rejects.toBe(reason)
      expect(await store.head(key)).toBeUndefined()
    })

    test('bears an abort before its body is read, and then gives nothing of it', async () => {
      const key = newKey()
      await store.put(key, bodyOf(randomBytes(100_000)))
      const controller = new AbortController()
      const body = await store.get(key, { signal: controller.signal })
      controller.abort()
      // The turn of the loop in which an error that nobody hears would end the process.
      await setImmediate()
      await expect(buffer(body)).rejects.toMatchObject({ name: 'AbortError' })
    })

    test('puts only where nothing is, when it says that it can', async () => {
      if (!store.capabilities.conditionalPut) return
      const key = newKey()
      const puts = await Promise.allSettled(
        ['a', 'b', 'c', 'd'].map((text) => store.put(key, bodyOf(Buffer.from(text)), { ifAbsent: true })),
      )
      expect(puts.filter((put) => put.status === 'fulfilled').length).toBeGreaterThanOrEqual(1)
      for (const put of puts) if (put.status === 'rejected') expect(put.reason).toMatchObject({ code: 'conflict' })
      await expect(store.put(key, bodyOf(Buffer.from('late')), { ifAbsent: true })).rejects.toMatchObject({
        code: 'conflict',
      })
      const large = async function* (): AsyncGenerator<Uint8Array> {
        yield randomBytes(largeBytes)
      }
      await expect(store.put(key, large(), { ifAbsent: true })).rejects.toMatchObject({ code: 'conflict' })
      expect(await bytesOf(key)).toHaveLength(1)
    })

    test('copies an object', async () => {
      const [from, to] = [newKey(), newKey()]
      await store.put(from, bodyOf(Buffer.from('copy me')))
      expect(await store.copy(from, to)).toEqual({ key: to, sizeBytes: 7 })
      expect(String(await bytesOf(to))).toBe('copy me')
      await expect(store.copy(newKey(), newKey())).rejects.toMatchObject({ code: 'not_found' })
    })

    test('lists pages in byte order of the keys', async () => {
      const keys = ['b', 'a/2', 'a/10', 'a0', 'aa', 'a/b/c', 'a/b_c', 'a_'].map((key) => `list/${key}`)
      for (const key of keys) await store.put(key, bodyOf(Buffer.from(key)))
      const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      const listed: string[] = []
      for (let after: string | undefined; ; after = listed.at(-1)) {
        const page = await store.list({ prefix: 'list/', limit: 3, ...(after === undefined ? {} : { after }) })
        listed.push(...page.map((info) => info.key))
        for (const info of page) expect(info.sizeBytes).toBe(info.key.length)
        if (page.length < 3) break
      }
      expect(listed).toEqual(sorted)
      const below = await store.list({ prefix: 'list/a/', limit: 100 })
      expect(below.map((info) => info.key)).toEqual(sorted.filter((key) => key.startsWith('list/a/')))
      expect(await store.list({ prefix: 'list/a/b', limit: 100 })).toHaveLength(2)
      for (const { modifiedAt } of below)
        expect(Math.abs(Date.now() - (modifiedAt?.getTime() ?? 0))).toBeLessThan(60_000)
      expect(await store.list({ prefix: 'nothing/here', limit: 100 })).toEqual([])
    })

    test.each(['', '/a', 'a/', 'a//b', '../a', 'a/../b', 'a b', 'ä', 'A', 'a'.repeat(201), 'a\0', 'a\\b', 'a-b', '.'])(
      'never lets the key %j near the store',
      async (key) => {
        const calls = [
          () => store.put(key, bodyOf()),
          () => store.get(key),
          () => store.head(key),
          () => store.delete(key),
          () => store.copy(key, 'contract/x'),
        ]
        for (const call of calls) await expect(call()).rejects.toThrow('Invariant broken')
      },
    )

    test('bears puts, reads and deletes of neighbouring keys at the same time', async () => {
      const key = (i: number): string => `busy/${i % 3}/${i % 7}/${i}`
      await Promise.all(
        Array.from({ length: 60 }, async (_, i) => {
          await store.put(key(i), bodyOf(Buffer.from(String(i))))
          expect(String(await bytesOf(key(i)))).toBe(String(i))
          await store.delete(key(i))
        }),
      )
      expect(await store.list({ prefix: 'busy/', limit: 10 })).toEqual([])
    })
  })
}
