// Objects in a bucket of any S3 store. Every call has deadlines for connecting and for silence, and is tried again by
// the client within its retry budget (a token bucket, so that a store in trouble is not flooded). Checksums are sent
// only by our own hand: the SDK's own defaults break presigned and streamed requests on several servers.

import { randomBytes } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3'
import type { Readable } from 'node:stream'
import type { Log } from '../platform/log.ts'
import { invariant, Problem } from '../platform/problem.ts'
import { checkKey, checkPrefix } from './object-key.ts'
import type { ByteRange, ObjectInfo, ObjectStore } from './object-store.ts'
import { resumedBody, type S3Body } from './s3-body.ts'
import { problemOf, told } from './s3-error.ts'
import { checksumOf, uploadBody } from './s3-multipart.ts'
import { parseS3Url, type S3Credentials, type S3Place } from './s3-url.ts'

export interface S3StoreOptions {
  url: string
  log: Log
  /** For a URL without key and secret; without either, the role of the machine. */
  credentials?: S3Credentials
  limits?: Partial<S3Limits>
}

export interface S3Limits {
  connectTimeoutMs: number
  /** The longest silence of a connection. */
  idleTimeoutMs: number
  attemptsMax: number
  /** Of one part of an upload; at least 5 MiB. */
  partBytes: number
  /** An object above this is copied in parts of this size; S3 copies at most 5 GiB at once. */
  copyBytesMax: number
}

const limitsDefault: S3Limits = {
  connectTimeoutMs: 5_000,
  idleTimeoutMs: 30_000,
  attemptsMax: 3,
  partBytes: 8 * 1024 * 1024,
  copyBytesMax: 1024 * 1024 * 1024,
}

export interface S3Store extends ObjectStore {
  /** Whether the store refuses a body that does not have the checksum sent with it. */
  checksChecksums(): Promise<boolean>
  /** Whether a part that is not the last may be below the 5 MiB that S3 asks for. */
  takesSmallParts(): Promise<boolean>
  /** Whether what is deleted stays as an old version. */
  findVersioning(): Promise<BucketVersioning>
}

export type BucketVersioning = 'off' | 'on' | 'suspended' | 'unknown'

/** Uploads that nobody has gone on with for so long are of dead processes. */
const staleUploadAgeMs = 24 * 3_600_000
const stalePageLimit = 1_000

/** Connects and makes the bucket when it is missing. Throws Problem('setting_invalid') or Problem('storage_unavailable'). */
export async function openS3Store(options: S3StoreOptions): Promise<S3Store> {
  const place = parseS3Url(options.url, options.credentials)
  const limits = { ...limitsDefault, ...options.limits }
  const client = createClient(place, limits)
  try {
    await ensureBucket(client, place)
    await removeStaleUploads(client, place, options.log)
    const conditionalPut = await putsConditionally(client, place)
    return createS3Store(client, place, { limits, conditionalPut, log: options.log })
  } catch (error) {
    client.destroy()
    throw error
  }
}

function createS3Store(
  client: S3Client,
  place: S3Place,
  { limits, conditionalPut, log }: { limits: S3Limits; conditionalPut: boolean; log: Log },
): S3Store {
  const { bucket: Bucket, prefix } = place
  const keyOf = (key: string): string => {
    checkKey(key)
    return prefix + key
  }
  const abortOption = (signal: AbortSignal | undefined): { abortSignal?: AbortSignal } =>
    signal === undefined ? {} : { abortSignal: signal }

  const open = (key: string, range: Partial<ByteRange> | undefined, signal?: AbortSignal, etag?: string) =>
    told(async (): Promise<S3Body> => {
      const command = new GetObjectCommand({
        Bucket,
        Key: prefix + key,
        ...(range === undefined ? {} : { Range: `bytes=${range.start ?? 0}-${range.end ?? ''}` }),
        ...(etag === undefined ? {} : { IfMatch: etag }),
      })
      const answer = await client.send(command, abortOption(signal))
      if (answer.Body === undefined || answer.ContentLength === undefined)
        throw new Problem('storage_unavailable', { detail: 'The object store answers without a body' })
      // In Node the client's body is the response of node:http.
      return { stream: answer.Body as Readable, sizeBytes: answer.ContentLength, etag: answer.ETag }
    }, signal)

  const head: ObjectStore['head'] = async (key, { signal } = {}) => {
    const command = new HeadObjectCommand({ Bucket, Key: keyOf(key) })
    try {
      const answer = await told(() => client.send(command, abortOption(signal)), signal)
      return { key, sizeBytes: answer.ContentLength ?? 0 }
    } catch (error) {
      if (error instanceof Problem && error.code === 'not_found') return undefined
      throw error
    }
  }

  return {
    kind: 's3',
    durability: 'as durable as the object store behind it',
    capabilities: { conditionalPut, presign: false },

    async put(key, body, options = {}) {
      const upload = {
        client,
        bucket: Bucket,
        key: keyOf(key),
        partBytes: limits.partBytes,
        abortTimeoutMs: limits.idleTimeoutMs,
      }
      invariant(options.ifAbsent !== true || conditionalPut, 'ifAbsent is for stores that can put conditionally')
      // An error of the body must pass as it is, whatever it looks like.
      let bodyFailure: { error: unknown } | undefined
      const watched = async function* (): AsyncGenerator<Uint8Array> {
        try {
          yield* body
        } catch (error) {
          bodyFailure = { error }
          throw error
        }
      }
      try {
        return { key, sizeBytes: await uploadBody(upload, watched(), options) }
      } catch (error) {
        throw bodyFailure === undefined ? problemOf(error, options.signal) : bodyFailure.error
      }
    },

    async get(key, { range, signal } = {}) {
      checkKey(key)
      const first = await open(key, range, signal)
      const start = range?.start ?? 0
      return resumedBody({
        first,
        resume: (offset, etag) => open(key, { ...range, start: start + offset }, signal, etag),
        idleTimeoutMs: limits.idleTimeoutMs,
        signal,
      })
    },

    head,

    async delete(key, { signal } = {}) {
      const command = new DeleteObjectCommand({ Bucket, Key: keyOf(key) })
      await told(() => client.send(command, abortOption(signal)), signal)
    },

    async copy(from, to, { signal } = {}) {
      const info = await head(from, signal === undefined ? {} : { signal })
      if (info === undefined) throw new Problem('not_found')
      const copy = { client, bucket: Bucket, from: keyOf(from), to: keyOf(to), sizeBytes: info.sizeBytes, signal }
      await told(() => copyObject(copy, limits.copyBytesMax), signal)
      return { key: to, sizeBytes: info.sizeBytes }
    },

    async list({ prefix: below, after, limit, signal }) {
      checkPrefix(below)
      const found: ObjectInfo[] = []
      for (let last = after; found.length < limit; last = found.at(-1)?.key) {
        const command = new ListObjectsV2Command({
          Bucket,
          Prefix: prefix + below,
          MaxKeys: Math.min(limit - found.length, stalePageLimit),
          ...(last === undefined ? {} : { StartAfter: prefix + last }),
        })
        const page = await told(() => client.send(command, abortOption(signal)), signal)
        for (const { Key = '', Size = 0, LastModified } of page.Contents ?? [])
          found.push({
            key: Key.slice(prefix.length),
            sizeBytes: Size,
            ...(LastModified !== undefined && { modifiedAt: LastModified }),
          })
        if (page.IsTruncated !== true || (page.Contents ?? []).length === 0) break
      }
      return found
    },

    removeLeftovers: () => removeStaleUploads(client, place, log),

    async checksChecksums() {
      const Key = probeKey(prefix)
      const command = new PutObjectCommand({
        Bucket,
        Key,
        Body: Buffer.from('one content'),
        ChecksumCRC32: checksumOf(Buffer.from('another content')),
      })
      try {
        await client.send(command)
      } catch {
        return true
      }
      await client.send(new DeleteObjectCommand({ Bucket, Key }))
      return false
    },

    async takesSmallParts() {
      const Key = probeKey(prefix)
      const { UploadId } = await told(() => client.send(new CreateMultipartUploadCommand({ Bucket, Key })))
      try {
        const Parts: CompletedPart[] = []
        for (const PartNumber of [1, 2]) {
          const command = new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body: Buffer.alloc(64 * 1024) })
          Parts.push({ PartNumber, ETag: (await client.send(command)).ETag })
        }
        await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }))
      } catch {
        await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })).catch(() => {})
        return false
      }
      await told(() => client.send(new DeleteObjectCommand({ Bucket, Key })))
      return true
    },

    async findVersioning() {
      try {
        const { Status } = await client.send(new GetBucketVersioningCommand({ Bucket }))
        return Status === 'Enabled' ? 'on' : Status === 'Suspended' ? 'suspended' : 'off'
      } catch {
        // Not every store knows the question, and not every key may ask it.
        return 'unknown'
      }
    },

    close: async () => client.destroy(),
  }
}

function createClient(place: S3Place, limits: S3Limits): S3Client {
  return new S3Client({
    region: place.region,
    ...(place.endpoint === undefined ? {} : { endpoint: place.endpoint, forcePathStyle: true }),
    ...(place.credentials === undefined ? {} : { credentials: place.credentials }),
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestStreamBufferSize: 65_536,
    maxAttempts: limits.attemptsMax,
    retryMode: 'standard',
    requestHandler: { connectionTimeout: limits.connectTimeoutMs, socketTimeout: limits.idleTimeoutMs },
  })
}

async function ensureBucket(client: S3Client, { bucket: Bucket }: S3Place): Promise<void> {
  try {
    await told(() => client.send(new HeadBucketCommand({ Bucket })))
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'not_found') throw error
    try {
      await told(() => client.send(new CreateBucketCommand({ Bucket })))
    } catch (error) {
      // Another process of ours has made it at the same moment.
      if (!(error instanceof Problem) || error.code !== 'conflict') throw error
    }
  }
}

/** A process that was killed in the middle of a multipart upload leaves parts that no list shows and that cost money. */
async function removeStaleUploads(client: S3Client, { bucket: Bucket, prefix }: S3Place, log: Log): Promise<void> {
  try {
    const command = new ListMultipartUploadsCommand({ Bucket, Prefix: prefix, MaxUploads: stalePageLimit })
    const { Uploads = [] } = await client.send(command)
    const stale = Uploads.filter(({ Initiated }) => Initiated && Date.now() - Initiated.getTime() > staleUploadAgeMs)
    for (const { Key, UploadId } of stale) await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }))
    if (stale.length > 0) log.info('storage.stale_uploads_removed', { uploadsCount: stale.length })
  } catch (error) {
    // Not every store lists uploads; nothing but room depends on it.
    log.warn('storage.stale_uploads_unknown', { error: String(error) })
  }
}

/** One for each probe: several processes start, and try the store out, at the same moment. */
const probeKey = (prefix: string): string => `${prefix}probe_${randomBytes(8).toString('hex')}`

/** Two puts of one key, of which a store that understands the condition refuses the second. */
async function putsConditionally(client: S3Client, { bucket: Bucket, prefix }: S3Place): Promise<boolean> {
  const Key = probeKey(prefix)
  const put = () => client.send(new PutObjectCommand({ Bucket, Key, Body: 'probe', IfNoneMatch: '*' }))
  try {
    await put().catch(() => {}) // Of a store that does not know the condition; the second says the same then.
    await put()
    return false
  } catch (error) {
    const problem = problemOf(error)
    return problem instanceof Problem && problem.code === 'conflict'
  } finally {
    await told(() => client.send(new DeleteObjectCommand({ Bucket, Key })))
  }
}

interface CopyOptions {
  client: S3Client
  bucket: string
  from: string
  to: string
  sizeBytes: number
  signal: AbortSignal | undefined
}

async function copyObject(copy: CopyOptions, partBytes: number): Promise<void> {
  const { client, bucket: Bucket, to: Key } = copy
  const options = copy.signal === undefined ? {} : { abortSignal: copy.signal }
  const CopySource = `${Bucket}/${copy.from}` // Keys need no encoding: their alphabet is small.
  if (copy.sizeBytes <= partBytes) {
    await client.send(new CopyObjectCommand({ Bucket, Key, CopySource }), options)
    return
  }
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }), options)
  const Parts: CompletedPart[] = []
  try {
    for (let start = 0; start < copy.sizeBytes; start += partBytes) {
      const end = Math.min(start + partBytes, copy.sizeBytes) - 1
      const PartNumber = Parts.length + 1
      const CopySourceRange = `bytes=${start}-${end}`
      const command = new UploadPartCopyCommand({ Bucket, Key, UploadId, PartNumber, CopySource, CopySourceRange })
      const { CopyPartResult } = await client.send(command, options)
      Parts.push({ PartNumber, ETag: CopyPartResult?.ETag })
    }
    await client.send(
      new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }),
      options,
    )
  } catch (error) {
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })).catch(() => {})
    throw error
  }
}
