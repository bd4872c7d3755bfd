import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ContentCutter } from './content-cutter.ts'

const never = new AbortController().signal

async function* from(pieces: readonly Uint8Array[], error?: Error): AsyncGenerator<Uint8Array> {
  yield* pieces
  if (error !== undefined) throw error
}

async function gather(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const held: Uint8Array[] = []
  for await (const piece of pieces) held.push(piece)
  return Buffer.concat(held)
}

test('stretches of any length are together the whole content, each as long as was asked for', async () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1, max: 50 }), async (pieces, lengthBytes) => {
      const cutter = new ContentCutter(from(pieces), never)
      const stretches: Buffer[] = []
      while (await cutter.hasMore()) stretches.push(await gather(cutter.take(lengthBytes)))
      expect(Buffer.concat(stretches).equals(Buffer.concat(pieces))).toBe(true)
      for (const stretch of stretches.slice(0, -1)) expect(stretch).toHaveLength(lengthBytes)
      expect(cutter.end).toBe('whole')
    }),
  )
})

test('a connection that breaks ends the stretch with what came', async () => {
  const error = new Error('reset')
  const cutter = new ContentCutter(from([Buffer.from('abc')], error), never)
  expect(String(await gather(cutter.take(10)))).toBe('abc')
  expect(cutter.end).toEqual({ cut: error })
  expect(await cutter.hasMore()).toBe(false)
})

test('whoever is stopped while nothing comes ends at once', async () => {
  const stop = new AbortController()
  async function* stuck(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('abc')
    await new Promise(() => {})
  }
  const cutter = new ContentCutter(stuck(), stop.signal)
  const taken = gather(cutter.take(10))
  setImmediate(() => stop.abort())
  expect(String(await taken)).toBe('abc')
  expect(cutter.end).toBe('stopped')
})
