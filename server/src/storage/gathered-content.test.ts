import { createHash, randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import { encryptContent, encryptWhole, SlabRing, type EncryptedContent } from './content-cipher.ts'
import { newKey, newSalt } from './encryption.ts'
import { gather } from './gathered-content.ts'
import { WholeContent } from '../platform/whole-content.ts'

/** Pieces that are overwritten as soon as the next one is asked for. */
async function* piecesOf(content: Buffer, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += pieceBytes) {
    const piece = Buffer.from(content.subarray(at, at + pieceBytes))
    yield piece
    piece.fill(0)
  }
}

const free = { bytesMax: 1_000, onSize: () => {}, signal: undefined }

it.each([0, 1, 999, 1_000])('gathers content of %d bytes as a whole', async (sizeBytes) => {
  const content = randomBytes(sizeBytes)
  const gathered = await gather(piecesOf(content, 300), free)
  expect('whole' in gathered && gathered.whole.equals(content)).toBe(true)
})

it('takes content that is there as a whole as it is', async () => {
  const content = randomBytes(1_000)
  const sizes: number[] = []
  const gathered = await gather(new WholeContent(content), { ...free, onSize: (size) => sizes.push(size) })
  expect('whole' in gathered && gathered.whole).toBe(content)
  expect(sizes).toEqual([1_000])
  expect('pieces' in (await gather(new WholeContent(randomBytes(1_001)), free))).toBe(true)
})

it.each([1_001, 5_000])('hands on content of %d bytes, from its first', async (sizeBytes) => {
  const content = randomBytes(sizeBytes)
  const gathered = await gather(piecesOf(content, 300), free)
  if ('whole' in gathered) throw new Error('it is longer than that')
  const seen: Buffer[] = []
  for await (const piece of gathered.pieces) seen.push(Buffer.from(piece))
  expect(Buffer.concat(seen).equals(content)).toBe(true)
})

it('closes content that is refused or fails, and passes its error', async () => {
  let closed = 0
  async function* failing(): AsyncGenerator<Uint8Array> {
    try {
      yield Buffer.alloc(10)
      throw new Error('gone')
    } finally {
      closed++
    }
  }
  await expect(gather(failing(), free)).rejects.toThrow('gone')
  const refuse = (): void => {
    throw new Error('too long')
  }
  await expect(gather(failing(), { ...free, onSize: refuse })).rejects.toThrow('too long')
  expect(closed).toBe(2)
})

it('closes content of which nobody has read a piece', async () => {
  const closed = Promise.withResolvers<void>()
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield Buffer.alloc(600)
    } finally {
      closed.resolve()
    }
  }
  const gathered = await gather(endless(), free)
  if ('whole' in gathered) throw new Error('it has no end')
  gathered.close()
  await closed.promise
})

it('stops waiting for silent content when it is told to', async () => {
  async function* silent(): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(10)
    await new Promise(() => {})
  }
  const stopping = new AbortController()
  const gathering = gather(silent(), { ...free, signal: stopping.signal })
  stopping.abort(new Error('enough'))
  await expect(gathering).rejects.toThrow('enough')
})

it.each([0, 1, 16_383, 16_384, 16_385, 32_768, 100_000, 262_144])(
  'content of %d bytes is stored the same whether it is encrypted as a whole or as a stream',
  async (sizeBytes) => {
    const content = randomBytes(sizeBytes)
    const part = { number: 3, salt: newSalt() }
    const common = { objectKey: newKey(), place: { tenantId: 7, objectId: '0f'.repeat(16) }, version: 1 }
    const whole = encryptWhole({ ...common, content, part })
    const found: EncryptedContent[] = []
    const stored: Buffer[] = []
    const stream = encryptContent({
      ...common,
      content: piecesOf(content, 7_001),
      firstPart: part,
      partSizeBytes: 2 ** 30,
      slabs: new SlabRing(),
      onEnd: (content) => found.push(content),
    })
    for await (const piece of stream) stored.push(Buffer.from(piece))
    expect(whole.stored.equals(Buffer.concat(stored))).toBe(true)
    expect([whole.found]).toEqual(found)
    expect(whole.found.sha256).toBe(createHash('sha256').update(content).digest('hex'))
  },
)
