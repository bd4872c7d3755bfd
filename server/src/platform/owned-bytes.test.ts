import { expect, test } from 'vitest'
import { releaseBytes } from './owned-bytes.ts'

test('memory of its own is given back, once', () => {
  const bytes = Buffer.allocUnsafeSlow(100)
  releaseBytes(bytes)
  expect(bytes.length).toBe(0)
  releaseBytes(bytes)
})

test('a part of something larger is left alone: of a pool, of another buffer, of shared memory', () => {
  const pooled = Buffer.from('pooled')
  const slab = Buffer.alloc(100, 1)
  const shared = Buffer.from(new SharedArrayBuffer(10))
  for (const bytes of [pooled, slab.subarray(0, 99), slab.subarray(1), shared]) releaseBytes(bytes)
  expect(pooled.toString()).toBe('pooled')
  expect(slab).toEqual(Buffer.alloc(100, 1))
  expect(shared).toHaveLength(10)
})
