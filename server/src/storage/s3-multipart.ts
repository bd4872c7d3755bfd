// A body of unknown length into an S3 store: one request when it fits, else a multipart upload whose parts are held
// in memory only while they are sent. Each request carries a CRC-32 that the store checks.

import { crc32 } from 'node:zlib'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
  type CompletedPart,
  type S3Client,
} from '@aws-sdk/client-s3'
import { Problem } from '../platform/problem.ts'
import { abortable } from './abortable.ts'
import type { PutOptions } from './object-store.ts'

export interface S3Upload {
  client: S3Client
  bucket: string
  /** With the store's prefix. */
  key: string
  partBytes: number
  /** Bounds the cleaning up after a failure, which no signal of the caller may cut. */
  abortTimeoutMs: number
}

/** S3 allows 10,000 parts; they double in size every so many, so that an object may have 5 TiB. */
const partsPerSizeCount = 1_500
const partsInFlightMax = 2
const partMemoryFirstBytes = 256 * 1024

export const checksumOf = (bytes: Uint8Array): string => {
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(bytes))
  return sum.toString('base64')
}

/** Returns the length. Errors of the body pass as they are; those of the store come as the client throws them. */
export async function uploadBody(
  upload: S3Upload,
  body: AsyncIterable<Uint8Array>,
  options: PutOptions,
): Promise<number> {
  const parts = partsOf(abortable(body, options.signal), upload.partBytes, options.sizeBytes)
  try {
    const first = await parts.next()
    // The generator yields at least one part, and says with it whether it is the last.
    if (first.done === true) throw new Error('A body has at least one part')
    if (first.value.last) {
      await putWhole(upload, first.value.bytes, options)
      return first.value.bytes.length
    }
    return await putParts(upload, first.value.bytes, parts, options)
  } finally {
    await parts.return()
  }
}

async function putWhole(upload: S3Upload, bytes: Buffer, options: PutOptions): Promise<void> {
  const command = new PutObjectCommand({
    Bucket: upload.bucket,
    Key: upload.key,
    Body: bytes,
    ContentLength: bytes.length,
    ChecksumCRC32: checksumOf(bytes),
    ...(options.ifAbsent === true ? { IfNoneMatch: '*' } : {}),
  })
  await upload.client.send(command, abortOption(options))
}

async function putParts(
  upload: S3Upload,
  first: Buffer,
  rest: AsyncIterable<{ bytes: Buffer }>,
  options: PutOptions,
): Promise<number> {
  const { client, bucket: Bucket, key: Key } = upload
  const { UploadId } = await client.send(
    new CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm: 'CRC32' }),
    abortOption(options),
  )
  const inFlight = new Set<Promise<unknown>>()
  const done: CompletedPart[] = []
  let sizeBytes = 0
  const send = async (bytes: Buffer): Promise<void> => {
    const part = { PartNumber: done.length + 1, ChecksumCRC32: checksumOf(bytes) }
    sizeBytes += bytes.length
    const completed: CompletedPart = { ...part }
    done.push(completed)
    const command = new UploadPartCommand({
      Bucket,
      Key,
      UploadId,
      ...part,
      Body: bytes,
      ContentLength: bytes.length,
    })
    const sending = client.send(command, abortOption(options)).then(({ ETag }) => {
      if (ETag !== undefined) completed.ETag = ETag
      inFlight.delete(sending)
    })
    inFlight.add(sending)
    sending.catch(() => {}) // Awaited here or at the end; until then it must not count as unhandled.
    if (inFlight.size >= partsInFlightMax) await Promise.race(inFlight)
  }
  try {
    await send(first)
    for await (const { bytes } of rest) await send(bytes)
    await Promise.all(inFlight)
    const command = new CompleteMultipartUploadCommand({
      Bucket,
      Key,
      UploadId,
      MultipartUpload: { Parts: done },
      ...(options.ifAbsent === true ? { IfNoneMatch: '*' } : {}),
    })
    await client.send(command, abortOption(options))
    return sizeBytes
  } catch (error) {
    await Promise.allSettled(inFlight)
    const abort = new AbortMultipartUploadCommand({ Bucket, Key, UploadId })
    // What this cannot remove now, the store's opening removes when it has become old.
    await client.send(abort, { abortSignal: AbortSignal.timeout(upload.abortTimeoutMs) }).catch(() => {})
    throw error
  }
}

interface BodyPart {
  bytes: Buffer
  last: boolean
}

/** Copies the body into parts of equal size but the last, and holds it to its stated length. */
async function* partsOf(
  body: AsyncIterable<Uint8Array>,
  partBytes: number,
  statedBytes: number | undefined,
): AsyncGenerator<BodyPart, void, undefined> {
  let wantedBytes = partBytes
  let partsCount = 0
  let totalBytes = 0
  let gathered = new PartBuffer()
  for await (const piece of body) {
    totalBytes += piece.length
    if (statedBytes !== undefined && totalBytes > statedBytes) break
    for (let offset = 0; offset < piece.length;) {
      // A full part goes out only when a byte follows it, so that the last one is known as such.
      if (gathered.sizeBytes === wantedBytes) {
        yield { bytes: gathered.bytes(), last: false }
        gathered = new PartBuffer()
        if (++partsCount % partsPerSizeCount === 0) wantedBytes *= 2
      }
      offset += gathered.add(piece.subarray(offset), wantedBytes)
    }
  }
  if (statedBytes !== undefined && totalBytes !== statedBytes)
    throw new Problem('upload_incomplete', { detail: `The body does not have the stated ${statedBytes} bytes` })
  yield { bytes: gathered.bytes(), last: true }
}

/** Memory of one part, which grows as it fills: a small object does not take the memory of a large part. */
class PartBuffer {
  sizeBytes = 0
  #memory = Buffer.allocUnsafeSlow(partMemoryFirstBytes)

  /** Copies what fits; returns how much that was. */
  add(piece: Uint8Array, maxBytes: number): number {
    const taken = piece.subarray(0, maxBytes - this.sizeBytes)
    const needed = this.sizeBytes + taken.length
    if (needed > this.#memory.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(maxBytes, Math.max(needed, this.#memory.length * 4)))
      this.#memory.copy(larger, 0, 0, this.sizeBytes)
      this.#memory = larger
    }
    this.#memory.set(taken, this.sizeBytes)
    this.sizeBytes = needed
    return taken.length
  }

  bytes(): Buffer {
    return this.#memory.subarray(0, this.sizeBytes)
  }
}

const abortOption = ({ signal }: PutOptions): { abortSignal?: AbortSignal } =>
  signal === undefined ? {} : { abortSignal: signal }
