import { expect, test } from 'vitest'
import { ExactReader } from './content-cipher.ts'

test('what lies in two pieces is read right, and gathered in the same memory each time', async () => {
  // Larger than what Buffer.allocUnsafe takes from its pool, where all would be of the same memory anyway.
  const sizeBytes = 64 * 1024
  async function* pieces() {
    for (let i = 0; i < 10; i++) yield Buffer.alloc(sizeBytes, i)
  }
  const reader = new ExactReader(pieces())
  await reader.read(sizeBytes / 2)
  const memory = new Set<ArrayBufferLike>()
  for (let i = 0; i < 9; i++) {
    const bytes = await reader.read(sizeBytes)
    expect(bytes).toEqual(Buffer.concat([Buffer.alloc(sizeBytes / 2, i), Buffer.alloc(sizeBytes / 2, i + 1)]))
    memory.add(bytes.buffer)
  }
  expect(memory.size).toBe(1)
  await reader.close()
})
