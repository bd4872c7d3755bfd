// Objects of somebody's bucket, below a prefix, as a listing or an inventory of the bucket tells them. Every connection goes
// through the guard: an endpoint is as good a way to lead a server astray as a URL.

import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { invariant, Problem } from '../../platform/problem.ts'
import { createGuardedAgents, type GuardOptions } from './guarded-connect.ts'
import { pacedBody } from './guarded-fetch.ts'
import type { FileOpener, FoundFile, PlaceLister } from './import-origin.ts'
import { readInventory, type InventoryObject } from './s3-inventory.ts'

export const S3Place = Type.Object({
  /** Left out: AWS. */
  endpoint: Type.Optional(Type.String()),
  region: Type.String(),
  bucket: Type.String(),
  prefix: Type.String(),
  /** Key of the manifest of an inventory, to be read instead of a listing; or the folder that inventories come to, with /. */
  inventory: Type.Optional(Type.String()),
  /** Where that lies, when not in the bucket itself. */
  inventory_bucket: Type.Optional(Type.String()),
  access_key_id: Type.String(),
  secret_access_key: Type.String(),
})
export type S3Place = Static<typeof S3Place>
const s3Place = Compile(S3Place)
const s3File = Compile(Type.Object({ place: S3Place, key: Type.String() }))

const pageLimit = 500
/** Of folders of an inventory, a thousand each; daily ones for longer than there has been S3. */
const inventoryPagesMax = 20
const answerTimeoutMs = 30_000

export function createS3Origin(guard: GuardOptions): { open: FileOpener; list: PlaceLister } {
  const clientOf = ({ endpoint, region, access_key_id, secret_access_key }: S3Place): S3Client =>
    new S3Client({
      region,
      forcePathStyle: true,
      maxAttempts: 2,
      ...(endpoint !== undefined && { endpoint }),
      credentials: { accessKeyId: access_key_id, secretAccessKey: secret_access_key },
      // Of its own: a client that is destroyed takes its agents' connections with it.
      requestHandler: { ...createGuardedAgents(guard), requestTimeout: answerTimeoutMs },
      responseChecksumValidation: 'WHEN_REQUIRED',
    })

  const fetchObject = async (client: S3Client, object: { bucket: string; key: string; signal: AbortSignal }) => {
    const command = new GetObjectCommand({ Bucket: object.bucket, Key: object.key })
    const { Body, ETag = '' } = await told(() => client.send(command, { abortSignal: object.signal }))
    // In Node the client's body is the response of node:http.
    return { etag: ETag, content: readWhole(pacedBody(Body as IncomingMessage, guard.clock)) }
  }

  return {
    open: async ({ secret, offsetBytes, validator, signal }) => {
      invariant(s3File.Check(secret), 'the secret of an import from a bucket names its object')
      const client = clientOf(secret.place)
      const get = (from: number, ifMatch: string | undefined) =>
        told(() =>
          client.send(
            new GetObjectCommand({
              Bucket: secret.place.bucket,
              Key: secret.key,
              ...(from > 0 && { Range: `bytes=${from}-` }),
              ...(ifMatch !== undefined && { IfMatch: ifMatch }),
            }),
            { abortSignal: signal },
          ),
        )
      const isContinued = offsetBytes > 0 && validator !== undefined
      const continued = isContinued ? await get(offsetBytes, validator).catch(changedSince) : undefined
      const answer = continued ?? (await get(0, undefined))
      const start = continued === undefined ? 0 : offsetBytes
      return {
        offsetBytes: start,
        sizeBytes: answer.ContentLength === undefined ? undefined : start + answer.ContentLength,
        name: undefined,
        validator: answer.ETag,
        // In Node the client's body is the response of node:http.
        content: answer.Body as Readable,
        dispose() {
          ;(answer.Body as Readable | undefined)?.destroy()
          client.destroy()
        },
      }
    },

    async *list({ place, after, signal }) {
      invariant(s3Place.Check(place), 'the secret of a bucket is a place')
      const client = clientOf(place)
      try {
        if (place.inventory !== undefined) {
          const { bucket, inventory, inventory_bucket: holder = bucket } = place
          const fetch = (key: string) => fetchObject(client, { bucket: holder, key, signal })
          const manifestKey = inventory.endsWith('/')
            ? await findNewestManifest(client, { bucket: holder, folder: inventory, signal })
            : inventory
          for await (const page of readInventory({ bucket, manifestKey, after, fetch })) {
            const { objects, skippedCount, cursor } = page
            yield { files: objects.flatMap((object) => listedFile(place, object)), skippedCount, cursor }
          }
          return
        }
        for (let last = after; ;) {
          const command = new ListObjectsV2Command({
            Bucket: place.bucket,
            Prefix: place.prefix,
            MaxKeys: pageLimit,
            ...(last !== undefined && { StartAfter: last }),
          })
          const { Contents = [], IsTruncated } = await told(() => client.send(command, { abortSignal: signal }))
          last = Contents.at(-1)?.Key ?? last
          yield { files: Contents.flatMap((object) => foundFile(place, object)), cursor: last }
          if (IsTruncated !== true || Contents.length === 0) return
        }
      } finally {
        client.destroy()
      }
    },
  }
}

/** A line that breaks off is tried again later. */
async function* readWhole(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* content
  } catch (error) {
    throw error instanceof Problem ? error : new Problem('import_source_unavailable', { cause: error })
  }
}

/** Each inventory has a folder that is named for its time. */
async function findNewestManifest(
  client: S3Client,
  { bucket, folder, signal }: { bucket: string; folder: string; signal: AbortSignal },
): Promise<string> {
  let newest = ''
  let after: string | undefined
  for (let pages = 0; pages < inventoryPagesMax; pages++) {
    const command = new ListObjectsV2Command({
      Bucket: bucket,
      Prefix: folder,
      Delimiter: '/',
      ...(after !== undefined && { ContinuationToken: after }),
    })
    const { CommonPrefixes = [], NextContinuationToken } = await told(() =>
      client.send(command, { abortSignal: signal }),
    )
    for (const { Prefix: each = '' } of CommonPrefixes)
      if (/\/\d{4}-\d\d-\d\dT\d\d-\d\dZ\/$/.test(each) && each > newest) newest = each
    if (NextContinuationToken === undefined || NextContinuationToken === after) break
    after = NextContinuationToken
  }
  if (newest === '')
    throw new Problem('import_refused', { detail: `There is no inventory in s3://${bucket}/${folder}` })
  return `${newest}manifest.json`
}

/** As a listing would have told it, so that a file is the same by both. */
function listedFile(place: S3Place, { key, etag, modifiedAt, sizeBytes }: InventoryObject): FoundFile[] {
  if (!key.startsWith(place.prefix)) return []
  // Nobody has said that it is empty.
  return foundFile(place, { Key: key, ETag: etag ?? modifiedAt, Size: sizeBytes ?? Number.MAX_SAFE_INTEGER })
}

/** What stands for a folder, and what is empty, is no file. */
function foundFile(place: S3Place, { Key: key, ETag: etag = '', Size: size = 0 }: BucketObject): FoundFile[] {
  if (key === undefined || key.endsWith('/') || size === 0) return []
  const name = key.split('/').at(-1) ?? key
  return [{ key, fingerprint: `${etag} ${size}`, name, shown: `s3://${place.bucket}/${key}`, secret: { place, key } }]
}

interface BucketObject {
  Key?: string | undefined
  ETag?: string | undefined
  Size?: number | undefined
}

/** 412: it is another object now. 416: nothing is left of it, which a look from its beginning will tell. */
function changedSince(error: unknown): undefined {
  if (error instanceof Problem && [412, 416].includes(statusOf(error.cause))) return undefined
  throw error
}

const statusOf = (error: unknown): number => {
  const metadata = error instanceof Error && '$metadata' in error ? error.$metadata : undefined
  const status =
    typeof metadata === 'object' && metadata !== null && 'httpStatusCode' in metadata ? metadata.httpStatusCode : 0
  return typeof status === 'number' ? status : 0
}

async function told<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof Problem) throw error
    const status = statusOf(error)
    const isRefused = status >= 400 && status < 500 && status !== 408 && status !== 429
    throw new Problem(isRefused ? 'import_refused' : 'import_source_unavailable', {
      cause: error,
      ...(isRefused && {
        detail: `The bucket answered with status ${status} (${error instanceof Error ? error.name : 'unknown'}).`,
      }),
    })
  }
}
