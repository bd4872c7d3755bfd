// The vault over any object store. An object is written once, under an id and a key of its own; its stored bytes are
// its encrypted parts, one after the other, or, where the store key ends in "/", one stored object per part below it,
// named by its number ("…/000001").

import { Readable } from 'node:stream'
import type { Ids } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import { Problem } from '../platform/problem.ts'
import {
  decryptStretch,
  encryptContent,
  ExactReader,
  partSizeBytesDefault,
  stretchesOf,
  type EncryptedContent,
  type PartStretch,
} from './content-cipher.ts'
import { storedSizeOf } from './encryption.ts'
import type { KeyRing } from './key-ring.ts'
import { damaged, openManifest, sealManifest, type Manifest } from './manifest.ts'
import type { ByteRange, ObjectStore } from './object-store.ts'
import type { SealedObject, Vault, WriteOptions } from './vault.ts'

export interface VaultOptions {
  store: ObjectStore
  keyRing: KeyRing
  ids: Ids
  log: Log
  /** Plaintext bytes of one part; for tests. */
  partSizeBytes?: number
}

const objectVersion = 1
const readableHighWaterBytes = 512 * 1024
const removeTimeoutMs = 30_000
const partsPageLimit = 1_000

export function createVault(options: VaultOptions): Vault {
  const { store, keyRing, log } = options

  const remove = async (storeKey: string): Promise<void> => {
    if (!storeKey.endsWith('/')) return store.delete(storeKey)
    for (;;) {
      const parts = await store.list({ prefix: storeKey, limit: partsPageLimit })
      for (const { key } of parts) await store.delete(key)
      if (parts.length < partsPageLimit) return
    }
  }

  /** After a failed write the store may hold the object all the same, when only its answer was lost. */
  const removeAfterFailure = async (storeKey: string): Promise<void> => {
    try {
      await store.delete(storeKey, { signal: AbortSignal.timeout(removeTimeoutMs) })
    } catch (error) {
      log.warn('storage.cleanup_failed', { storeKey, error: String(error) })
    }
  }

  return {
    async write(write) {
      const objectId = options.ids.randomHex(16)
      const place = { tenantId: write.tenantId, objectId }
      const { objectKey, ...wrapped } = await keyRing.createObjectKey(place)
      const storeKey = storeKeyOf(write.folder, objectId)
      let found: EncryptedContent | undefined
      const stored = encryptContent({
        content: write.content,
        objectKey,
        place,
        version: objectVersion,
        partSizeBytes: options.partSizeBytes ?? partSizeBytesDefault,
        onSize: (sizeBytes) => checkSize(sizeBytes, write),
        onEnd: (content) => {
          checkSha256(content, write)
          found = content
        },
      })
      try {
        const info = await store.put(storeKey, stored, write.signal === undefined ? {} : { signal: write.signal })
        if (found === undefined || info.sizeBytes !== found.storedBytes)
          throw new Problem('storage_unavailable', { detail: 'The store kept another length than it was given' })
        const object = { ...place, sizeBytes: found.sizeBytes, sha256: found.sha256 }
        const manifest = sealManifest(objectKey, object, objectVersion, found.parts)
        return { ...object, storeKey, storedBytes: found.storedBytes, manifest, ...wrapped }
      } catch (error) {
        await removeAfterFailure(storeKey)
        throw error
      }
    },

    async read(object, { range, signal } = {}) {
      const objectKey = await keyRing.openObjectKey(object)
      const manifest = openManifest(objectKey, object)
      const wanted = clip(object, range)
      const abandoned = new AbortController()
      const stop = signal === undefined ? abandoned.signal : AbortSignal.any([signal, abandoned.signal])
      const content = decryptObject({ store, object, manifest, objectKey, wanted, signal: stop })
      // The first bytes are verified before anything is answered: a damaged object is then an error, not a cut stream.
      return readableOf(await content.next(), content, () => abandoned.abort())
    },

    remove: (object) => remove(object.storeKey),
  }
}

/** A folder that everybody shares is split by the id, so that no listing of a disk grows without bound. */
const storeKeyOf = (folder: string, objectId: string): string =>
  folder.includes('/') ? `${folder}/${objectId}` : `${folder}/${objectId.slice(0, 2)}/${objectId}`

function checkSize(sizeBytes: number, { sizeBytesMax }: WriteOptions): void {
  if (sizeBytes > sizeBytesMax)
    throw new Problem('file_too_large', { detail: `At most ${sizeBytesMax} bytes are allowed` })
}

function checkSha256(content: EncryptedContent, { sha256 }: WriteOptions): void {
  if (sha256 !== undefined && sha256.toLowerCase() !== content.sha256)
    throw new Problem('checksum_mismatch', { detail: `The SHA-256 of the received bytes is ${content.sha256}` })
}

function clip(object: SealedObject, range: ByteRange | undefined): ByteRange {
  const last = object.sizeBytes - 1
  if (range === undefined) return { start: 0, end: last }
  if (range.start < 0 || range.start > last || range.end < range.start)
    throw new Problem('range_not_satisfiable', { detail: `The content has ${object.sizeBytes} bytes` })
  return { start: range.start, end: Math.min(range.end, last) }
}

/** A stream that lets go of the store when it is given up, even before it was read from. */
function readableOf(
  first: IteratorResult<Buffer[], void>,
  rest: AsyncGenerator<Buffer[], void>,
  abandon: () => void,
): Readable {
  let started = false
  return new Readable({
    highWaterMark: readableHighWaterBytes,
    read() {
      const step = started ? rest.next() : Promise.resolve(first)
      started = true
      step.then(
        ({ done, value }) => {
          if (done === true) this.push(null)
          else for (const piece of value) this.push(piece)
        },
        (error: Error) => this.destroy(error),
      )
    },
    destroy(error, callback) {
      abandon()
      rest.return().then(
        () => callback(error),
        () => callback(error),
      )
    },
  })
}

interface DecryptObject {
  store: ObjectStore
  object: SealedObject
  manifest: Manifest
  objectKey: Parameters<typeof openManifest>[0]
  wanted: ByteRange
  signal: AbortSignal
}

async function* decryptObject(read: DecryptObject): AsyncGenerator<Buffer[], void, undefined> {
  const { object, manifest, objectKey } = read
  const options = { objectKey, place: object, manifest }
  for (const { key, range, stretches } of readsOf(object, manifest, stretchesOf(manifest, read.wanted))) {
    const stored = new ExactReader(await openStored(read, key, range))
    try {
      for (const stretch of stretches) yield* decryptStretch(stored, stretch, options)
    } finally {
      await stored.close()
    }
  }
}

interface StoredRead {
  key: string
  range: ByteRange
  stretches: PartStretch[]
}

/** The requests to the store: one over all parts that lie in one stored object, or one for each that has its own. */
function readsOf(object: SealedObject, manifest: Manifest, stretches: PartStretch[]): StoredRead[] {
  const [first] = stretches
  const last = stretches.at(-1)
  if (first === undefined || last === undefined) return []
  if (object.storeKey.endsWith('/'))
    return stretches.map((stretch) => ({
      key: partKeyOf(object.storeKey, stretch.partIndex),
      range: stretch.stored,
      stretches: [stretch],
    }))
  const offsetOf = (partIndex: number): number =>
    manifest.parts.slice(0, partIndex).reduce((sum, part) => sum + storedSizeOf(part.size_bytes), 0)
  const range = {
    start: offsetOf(first.partIndex) + first.stored.start,
    end: offsetOf(last.partIndex) + last.stored.end,
  }
  return [{ key: object.storeKey, range, stretches }]
}

/** Where a part lies that is stored by itself. Parts count from 1. */
export const partKeyOf = (storeKey: string, partIndex: number): string =>
  storeKey + String(partIndex + 1).padStart(6, '0')

async function openStored({ store, signal }: DecryptObject, key: string, range: ByteRange): Promise<Readable> {
  try {
    return await store.get(key, { range, signal })
  } catch (error) {
    if (error instanceof Problem && (error.code === 'not_found' || error.code === 'range_not_satisfiable'))
      throw damaged('The stored bytes are missing or cut', error)
    throw error
  }
}
