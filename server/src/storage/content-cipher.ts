// Content of any length to stored bytes and back, as streams. Memory does not grow with the length.

import { createHash, timingSafeEqual, type Hash, type KeyObject } from 'node:crypto'
import {
  chunkOffsetOf,
  chunkSizeBytes,
  chunksCountOf,
  deriveMessageKeys,
  headOf,
  headSizeBytes,
  newSalt,
  openChunk,
  sealChunk,
  storedChunkSizeBytes,
  storedSizeOf,
  tagSizeBytes,
  type MessageKeys,
} from './encryption.ts'
import { releaseBytes } from '../platform/owned-bytes.ts'
import { invariant } from '../platform/problem.ts'
import { damaged, partContext, partKeysOf, type Manifest, type ManifestPart, type Place } from './manifest.ts'
import type { ByteRange } from './object-store.ts'

/** Pieces handed to a store; large enough to make the calls per piece cheap: half the size costs a write 4 to 9 % more. */
const slabBytes = 512 * 1024
const slabsCount = 3

/** Plaintext of a part when content is written in one stream; the format takes parts of any length. */
export const partSizeBytesDefault = 64 * 1024 * 1024

/** What the encryption has found once its stream has ended. */
export interface EncryptedContent {
  sizeBytes: number
  storedBytes: number
  /** Lower-case hex. */
  sha256: string
  parts: ManifestPart[]
}

export interface EncryptOptions {
  content: AsyncIterable<Uint8Array>
  objectKey: KeyObject
  place: Place
  version: number
  partSizeBytes: number
  /** Where the content is one part of an object: its number, and its salt, which nobody has used before. */
  firstPart?: { number: number; salt: Buffer }
  /** Left out: a fresh one. It stays usable, and what is found is the digest of all that it has seen. */
  hash?: Hash
  slabs: SlabRing
  /** Called with the length so far before anything of a piece is used; throws to refuse it. */
  onSize?: (sizeBytes: number) => void
  /** Called at the end, before the last bytes are handed on; throws to refuse the whole. */
  onEnd: (found: EncryptedContent) => void
}

/**
 * Memory for stored bytes on their way into a store. Three slabs take turns: ObjectStore.put may still be writing the last
 * while the next is full and runs over into the third.
 */
export class SlabRing {
  readonly #slabs: Buffer[] = []

  next(): Buffer {
    const oldest = this.#slabs.length === slabsCount ? this.#slabs.shift() : undefined
    const slab = oldest ?? Buffer.allocUnsafeSlow(slabBytes)
    this.#slabs.push(slab)
    return slab
  }

  /** Gives the memory back, when the store has answered that it has kept the object. */
  release(): void {
    for (const slab of this.#slabs) releaseBytes(slab)
  }
}

/** Hashes and encrypts in one pass; yields the stored bytes of the parts, one after the other. */
export async function* encryptContent(options: EncryptOptions): AsyncGenerator<Buffer, void, undefined> {
  const hash = options.hash ?? createHash('sha256')
  const parts = new PartWriter(options)
  try {
    let sizeBytes = 0
    for await (const piece of options.content) {
      sizeBytes += piece.length
      options.onSize?.(sizeBytes)
      hash.update(piece)
      for (let offset = 0; offset < piece.length;) {
        offset += parts.add(piece, offset)
        const full = parts.takeFull()
        if (full !== undefined) yield full
      }
    }
    parts.end()
    const full = parts.takeFull()
    if (full !== undefined) yield full
    options.onEnd({ sizeBytes, storedBytes: parts.storedBytes, sha256: hash.copy().digest('hex'), parts: parts.done })
    const rest = parts.takeRest()
    if (rest.length > 0) yield rest
  } finally {
    parts.release()
  }
}

export interface EncryptWhole extends Pick<EncryptOptions, 'objectKey' | 'place' | 'version' | 'hash'> {
  content: Uint8Array
  /** As in EncryptOptions; left out: the first, with a fresh salt. */
  part?: { number: number; salt: Buffer }
}

/** The same for content that is in memory as a whole and makes one part: its stored bytes in one piece. */
export function encryptWhole(options: EncryptWhole): { stored: Buffer; found: EncryptedContent } {
  const { content, objectKey, place, version, hash = createHash('sha256') } = options
  const { number, salt } = options.part ?? { number: 1, salt: newSalt() }
  const keys = deriveMessageKeys(objectKey, salt, partContext(place, version, number))
  const stored = Buffer.allocUnsafeSlow(storedSizeOf(content.length))
  let used = headOf(keys).copy(stored)
  hash.update(content)
  for (let index = 0; index < chunksCountOf(content.length); index++) {
    const chunk = content.subarray(index * chunkSizeBytes, (index + 1) * chunkSizeBytes)
    const usedAfter = used + chunk.length + tagSizeBytes
    sealChunk(keys, index, chunk, stored.subarray(used, usedAfter))
    used = usedAfter
  }
  invariant(used === stored.length, 'a message has the length that follows from its content')
  const part = {
    size_bytes: content.length,
    salt: salt.toString('hex'),
    commitment: keys.commitment.toString('hex'),
  }
  const sha256 = hash.copy().digest('hex')
  return { stored, found: { sizeBytes: content.length, storedBytes: used, sha256, parts: [part] } }
}

/** A chunk that does not fit into what is left of a slab is sealed here, and on its way at once. */
const sealedAcross = Buffer.allocUnsafeSlow(storedChunkSizeBytes)

/** The part and chunk that are open, and the stored bytes not yet handed on. */
class PartWriter {
  readonly done: ManifestPart[] = []
  storedBytes = 0
  readonly #options: EncryptOptions
  #keys: MessageKeys
  #partBytes = 0
  #chunkIndex = 0
  /** The beginning of a chunk whose rest has not come; memory for it is made when pieces are first cut so. */
  #begun: Buffer | undefined
  #begunBytes = 0
  #slab: Buffer
  #used = 0
  #full: Buffer | undefined

  constructor(options: EncryptOptions) {
    this.#options = options
    this.#slab = options.slabs.next()
    this.#keys = this.#newPart()
  }

  /** Takes what lies between the offset and the end of the piece or of the chunk; returns how many bytes that were. */
  add(piece: Uint8Array, offset: number): number {
    if (this.#partBytes === this.#options.partSizeBytes) {
      this.end()
      this.#keys = this.#newPart()
    }
    const room = Math.min(chunkSizeBytes - this.#begunBytes, this.#options.partSizeBytes - this.#partBytes)
    const taken = piece.subarray(offset, offset + room)
    this.#partBytes += taken.length
    if (taken.length === chunkSizeBytes) {
      this.#seal(taken)
    } else {
      this.#begun ??= Buffer.allocUnsafeSlow(chunkSizeBytes)
      this.#begun.set(taken, this.#begunBytes)
      this.#begunBytes += taken.length
      if (this.#begunBytes === chunkSizeBytes) this.#sealBegun()
    }
    return taken.length
  }

  /** Ends the open part with its short last chunk. */
  end(): void {
    this.#sealBegun()
    this.done.push({
      size_bytes: this.#partBytes,
      salt: this.#keys.salt.toString('hex'),
      commitment: this.#keys.commitment.toString('hex'),
    })
  }

  /** A slab that has become full since the last call. */
  takeFull(): Buffer | undefined {
    const full = this.#full
    this.#full = undefined
    return full
  }

  /** What is in the open slab. */
  takeRest(): Buffer {
    return this.#slab.subarray(0, this.#used)
  }

  release(): void {
    if (this.#begun !== undefined) releaseBytes(this.#begun)
  }

  #newPart(): MessageKeys {
    const { objectKey, place, version, firstPart } = this.#options
    const salt = (this.done.length === 0 ? firstPart?.salt : undefined) ?? newSalt()
    const number = (firstPart?.number ?? 1) + this.done.length
    const keys = deriveMessageKeys(objectKey, salt, partContext(place, version, number))
    this.#partBytes = 0
    this.#chunkIndex = 0
    this.#append(headOf(keys))
    return keys
  }

  #sealBegun(): void {
    this.#seal(this.#begun?.subarray(0, this.#begunBytes) ?? new Uint8Array(0))
    this.#begunBytes = 0
  }

  #seal(chunk: Uint8Array): void {
    const sealedBytes = chunk.length + tagSizeBytes
    const fits = this.#used + sealedBytes < this.#slab.length
    const target = fits
      ? this.#slab.subarray(this.#used, this.#used + sealedBytes)
      : sealedAcross.subarray(0, sealedBytes)
    sealChunk(this.#keys, this.#chunkIndex++, chunk, target)
    if (!fits) return this.#append(target)
    this.storedBytes += sealedBytes
    this.#used += sealedBytes
  }

  #append(bytes: Buffer): void {
    this.storedBytes += bytes.length
    for (let offset = 0; offset < bytes.length;) {
      const copied = bytes.copy(this.#slab, this.#used, offset)
      offset += copied
      this.#used += copied
      if (this.#used < this.#slab.length) continue
      invariant(this.#full === undefined, 'at most one slab waits to be taken')
      this.#full = this.#slab
      this.#slab = this.#options.slabs.next()
      this.#used = 0
    }
  }
}

/** A stretch of one part that a read touches: whole chunks, with the head when it begins at the part's first byte. */
export interface PartStretch {
  /** From 0. */
  partIndex: number
  firstChunk: number
  lastChunk: number
  /** Stored bytes of the stretch, counted from the beginning of the part. */
  stored: ByteRange
  /** Of the content of the first and last chunk, what was asked for. */
  skipBytes: number
  takeBytes: number
}

/** Which stored bytes hold the range of the content, in order. Nothing but these is read. */
export function stretchesOf(manifest: Manifest, range: ByteRange): PartStretch[] {
  const stretches: PartStretch[] = []
  let partStart = 0
  for (const [partIndex, { size_bytes: sizeBytes }] of manifest.parts.entries()) {
    const start = Math.max(range.start - partStart, 0)
    const end = Math.min(range.end - partStart, sizeBytes - 1)
    // An empty object has one empty part; reading it still verifies its only chunk.
    if (start <= end || (sizeBytes === 0 && manifest.parts.length === 1))
      stretches.push(stretchOf(partIndex, sizeBytes, start, Math.max(end, 0)))
    partStart += sizeBytes
  }
  return stretches
}

function stretchOf(partIndex: number, sizeBytes: number, start: number, end: number): PartStretch {
  const firstChunk = Math.floor(start / chunkSizeBytes)
  // Whoever reads to the end also reads the last chunk when it is empty: it is what says that this is the end.
  const lastChunk = end === sizeBytes - 1 ? chunksCountOf(sizeBytes) - 1 : Math.floor(end / chunkSizeBytes)
  const storedEnd = Math.min(chunkOffsetOf(lastChunk + 1), storedSizeOf(sizeBytes)) - 1
  return {
    partIndex,
    firstChunk,
    lastChunk,
    stored: { start: firstChunk === 0 ? 0 : chunkOffsetOf(firstChunk), end: storedEnd },
    skipBytes: start - firstChunk * chunkSizeBytes,
    takeBytes: Math.min(end + 1, sizeBytes) - start,
  }
}

export interface DecryptOptions {
  objectKey: KeyObject
  place: Place
  manifest: Manifest
}

/**
 * Decrypts one stretch from its stored bytes, into as large pieces as it can make without waiting. Throws
 * Problem('object_damaged') before it hands on a byte that is not as written.
 */
export async function* decryptStretch(
  stored: ExactReader,
  stretch: PartStretch,
  options: DecryptOptions,
): AsyncGenerator<Buffer, void, undefined> {
  const keys = partKeysOf(options.objectKey, options.place, options.manifest, stretch.partIndex)
  // The manifest holds a part for each index of a stretch.
  const sizeBytes = options.manifest.parts[stretch.partIndex]!.size_bytes
  if (stretch.firstChunk === 0 && !timingSafeEqual(await stored.read(headSizeBytes), headOf(keys)))
    throw damaged('The stored bytes are of another part')
  const lastOfPart = chunksCountOf(sizeBytes) - 1
  const contentBytesOf = (index: number): number => (index === lastOfPart ? sizeBytes % chunkSizeBytes : chunkSizeBytes)
  /** How much content is in so many stored bytes from the chunk on, whole chunks only. */
  const contentBytesIn = (storedBytes: number, from: number): number => {
    let bytes = 0
    for (let index = from, left = storedBytes; index <= stretch.lastChunk; index++) {
      left -= contentBytesOf(index) + tagSizeBytes
      if (left < 0) break
      bytes += contentBytesOf(index)
    }
    return bytes
  }
  let skip = stretch.skipBytes
  let leftBytes = stretch.takeBytes
  for (let index = stretch.firstChunk; index <= stretch.lastChunk;) {
    // One chunk is waited for; those that have come with it are taken along. They go on before the next wait.
    let chunk: Uint8Array | undefined = await stored.read(contentBytesOf(index) + tagSizeBytes)
    const roomBytes = contentBytesIn(chunk.length + stored.bytesInHand, index) - skip
    const piece = Buffer.allocUnsafeSlow(Math.min(leftBytes, roomBytes))
    let filledBytes = 0
    while (chunk !== undefined) {
      const contentBytes = chunk.length - tagSizeBytes
      // Of the first and last chunk of a range, only a part is wanted.
      const whole = skip === 0 && filledBytes + contentBytes <= piece.length
      const content = whole
        ? piece.subarray(filledBytes, filledBytes + contentBytes)
        : Buffer.allocUnsafeSlow(contentBytes)
      if (!openChunk(keys, index, chunk, content)) {
        // Good chunks are not lost to a bad one that follows.
        if (filledBytes > 0) yield piece.subarray(0, filledBytes)
        throw damaged('The stored bytes have been changed')
      }
      filledBytes += whole ? contentBytes : content.copy(piece, filledBytes, skip)
      if (!whole) releaseBytes(content)
      skip = 0
      index++
      chunk = index <= stretch.lastChunk ? stored.take(contentBytesOf(index) + tagSizeBytes) : undefined
    }
    leftBytes -= filledBytes
    if (filledBytes > 0) yield piece
  }
}

/** Takes exact lengths out of a stream whose pieces are cut anywhere. What it answers is valid until the next call. */
export class ExactReader {
  readonly #source: AsyncIterator<Uint8Array>
  #piece: Uint8Array = new Uint8Array(0)
  #offset = 0
  /** For what lies in more than one piece; the same each time, as the collector hardly sees such garbage. */
  #gathered = Buffer.alloc(0)

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** How many bytes can be taken without a wait. */
  get bytesInHand(): number {
    return this.#piece.length - this.#offset
  }

  /** The next bytes without a wait or a copy, when they lie in the piece at hand. */
  take(sizeBytes: number): Uint8Array | undefined {
    return this.bytesInHand >= sizeBytes ? this.#take(sizeBytes) : undefined
  }

  /** The next bytes. Throws Problem('object_damaged') when the stream ends before. */
  async read(sizeBytes: number): Promise<Uint8Array> {
    const inHand = this.take(sizeBytes)
    if (inHand !== undefined) return inHand
    if (this.#gathered.length < sizeBytes) this.#gathered = Buffer.allocUnsafeSlow(sizeBytes)
    for (let filled = 0; filled < sizeBytes;) {
      if (this.bytesInHand === 0) await this.#next()
      const taken = this.#take(Math.min(sizeBytes - filled, this.bytesInHand))
      this.#gathered.set(taken, filled)
      filled += taken.length
    }
    return this.#gathered.subarray(0, sizeBytes)
  }

  async close(): Promise<void> {
    releaseBytes(this.#piece)
    releaseBytes(this.#gathered)
    await this.#source.return?.()
  }

  #take(sizeBytes: number): Uint8Array {
    const taken = this.#piece.subarray(this.#offset, this.#offset + sizeBytes)
    this.#offset += sizeBytes
    return taken
  }

  async #next(): Promise<void> {
    releaseBytes(this.#piece)
    this.#piece = new Uint8Array(0)
    this.#offset = 0
    const step = await this.#source.next()
    if (step.done === true) throw damaged('The stored bytes end too early')
    this.#piece = step.value
  }
}
