import { expect, test } from 'vitest'
import { ExactReader } from './content-cipher.ts'

test('bytes that lie in two pieces are gathered in the same memory each time, and are right', async () => {
  async function* pieces() {
    for (const piece of ['abcd', 'efgh', 'ijkl']) yield Buffer.from(piece)
  }
  const reader = new ExactReader(pieces())
  expect(Buffer.from(await reader.read(3)).toString()).toBe('abc')
  const overFirstEnd = await reader.read(3)
  expect(Buffer.from(overFirstEnd).toString()).toBe('def')
  const overSecondEnd = await reader.read(4)
  expect(Buffer.from(overSecondEnd).toString()).toBe('ghij')
  const shorter = await reader.read(2)
  expect(Buffer.from(shorter).toString()).toBe('kl')
  await reader.close()
})

test('memory for them is taken once while a stream goes through', async () => {
  async function* pieces() {
    for (let i = 0; i < 100; i++) yield Buffer.alloc(10, i)
  }
  const reader = new ExactReader(pieces())
  await reader.read(5)
  const { buffer } = await reader.read(10)
  for (let i = 2; i < 99; i++) expect((await reader.read(10)).buffer).toBe(buffer)
  await reader.close()
})
