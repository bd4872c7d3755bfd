// The vault over any object store. An object is written once, under an id and a key of its own; its stored bytes are
// its encrypted parts, one after the other, or, where the store key ends in "/", one stored object per part below it,
// named by its number and the beginning of its salt ("…/000001_9f3a5c0d7e1b2468"). Every attempt at a part has a salt of
// its own and so a key of its own: a late attempt can never take the place of the one that counts.

import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Ids } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import { releaseBytes } from '../platform/owned-bytes.ts'
import { invariant, Problem } from '../platform/problem.ts'
import {
  decryptStretch,
  ExactReader,
  partSizeBytesDefault,
  stretchesOf,
  type EncryptedContent,
  type PartStretch,
} from './content-cipher.ts'
import { createEncryptedPut } from './encrypted-put.ts'
import { newSalt, storedSizeOf } from './encryption.ts'
import type { KeyRing } from './key-ring.ts'
import {
  damaged,
  openManifest,
  partsCountMax,
  sealManifest,
  type Manifest,
  type ManifestPart,
  type Place,
} from './manifest.ts'
import type { ByteRange, ObjectStore } from './object-store.ts'
import type { ObjectDraft, PartSeal, SealedObject, Vault, WriteOptions, WritePartOptions } from './vault.ts'

export interface VaultOptions {
  store: ObjectStore
  keyRing: KeyRing
  ids: Ids
  log: Log
  /** Plaintext bytes of one part; for tests. */
  partSizeBytes?: number
}

const objectVersion = 1
/** Less than a piece is long, so that one waits and no two are ever joined. */
const readableHighWaterBytes = 256 * 1024
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

  const putEncrypted = createEncryptedPut({ store, log })

  async function* readParts(
    draft: ObjectDraft,
    parts: readonly PartSeal[],
    { signal = new AbortController().signal }: { signal?: AbortSignal } = {},
  ): AsyncGenerator<Buffer, void, undefined> {
    const manifest = { format: 1 as const, version: objectVersion, parts: toManifestParts(parts), mac: '' }
    const objectKey = await keyRing.openObjectKey(draft)
    const wanted = { start: 0, end: sumOf(manifest.parts, (part) => part.size_bytes) - 1 }
    yield* decryptObject({ store, object: draft, manifest, objectKey, wanted, signal })
  }

  return {
    readParts,

    async write(write) {
      const objectId = options.ids.randomHex(16)
      const place = { tenantId: write.tenantId, objectId }
      const { objectKey, ...wrapped } = await keyRing.createObjectKey(place)
      const storeKey = storeKeyOf(write.folder, objectId)
      const encrypt = {
        content: write.content,
        objectKey,
        place,
        version: objectVersion,
        partSizeBytes: options.partSizeBytes ?? partSizeBytesDefault,
        onSize: (sizeBytes: number) => checkSize(sizeBytes, write),
        check: (content: EncryptedContent) => checkSha256(content, write),
      }
      const found = await putEncrypted(storeKey, encrypt, write.signal)
      const object = { ...place, sizeBytes: found.sizeBytes, sha256: found.sha256 }
      const manifest = sealManifest(objectKey, object, objectVersion, found.parts)
      return { ...object, storeKey, storedBytes: found.storedBytes, manifest, ...wrapped }
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

    requireKey: async (object) => void (await keyRing.openObjectKey(object)),

    remove: (object) => remove(object.storeKey),

    async createDraft({ tenantId, folder }) {
      const objectId = options.ids.randomHex(16)
      const place = { tenantId, objectId }
      const { objectKey: _, ...wrapped } = await keyRing.createObjectKey(place)
      return { ...place, storeKey: `${storeKeyOf(folder, objectId)}/`, ...wrapped }
    },

    async writePart(draft, part) {
      invariant(part.number >= 1 && part.number <= partsCountMax, 'parts count from 1')
      const objectKey = await keyRing.openObjectKey(draft)
      const salt = newSalt()
      const encrypt = {
        content: part.content,
        objectKey,
        place: placeOf(draft),
        version: objectVersion,
        partSizeBytes: Number.MAX_SAFE_INTEGER,
        firstPart: { number: part.number, salt },
        ...(part.hash !== undefined && { hash: part.hash }),
        onSize: (sizeBytes: number) => checkSize(sizeBytes, part),
      }
      const key = partKeyOf(draft.storeKey, part.number - 1, salt.toString('hex'))
      const found = await putEncrypted(key, encrypt, part.signal)
      // Content of any length is one part here.
      const { commitment } = found.parts[0]!
      return {
        number: part.number,
        sizeBytes: found.sizeBytes,
        salt: salt.toString('hex'),
        commitment,
        sha256: found.sha256,
      }
    },

    removePart: ({ storeKey }, { number, salt }) => store.delete(partKeyOf(storeKey, number - 1, salt)),

    async assemble(draft, parts, assembly = {}) {
      const manifestParts = toManifestParts(parts)
      const sizeBytes = sumOf(manifestParts, (part) => part.size_bytes)
      const objectKey = await keyRing.openObjectKey(draft)
      const sha256 = assembly.sha256 ?? (await hashContent(readParts(draft, parts, assembly), assembly.onBytes))
      const object = { ...placeOf(draft), sizeBytes, sha256 }
      return {
        ...object,
        storeKey: draft.storeKey,
        storedBytes: sumOf(manifestParts, (part) => storedSizeOf(part.size_bytes)),
        manifest: sealManifest(objectKey, object, objectVersion, manifestParts),
        wrappedKey: draft.wrappedKey,
        tenantKeyVersion: draft.tenantKeyVersion,
      }
    },

    async removeStrayParts({ storeKey }, parts) {
      const kept = new Set(parts.map(({ number, salt }) => partKeyOf(storeKey, number - 1, salt)))
      let removedCount = 0
      for (let after: string | undefined; ;) {
        const page = await store.list({
          prefix: storeKey,
          ...(after !== undefined && { after }),
          limit: partsPageLimit,
        })
        for (const { key } of page) {
          after = key
          if (kept.has(key)) continue
          await store.delete(key)
          removedCount++
        }
        if (page.length < partsPageLimit) return removedCount
      }
    },
  }
}

const placeOf = ({ tenantId, objectId }: ObjectDraft): Place => ({ tenantId, objectId })

/** Throws when a part is missing, out of order or empty between others: the caller has checked what it was sent. */
function toManifestParts(parts: readonly PartSeal[]): ManifestPart[] {
  invariant(parts.length >= 1, 'an object has a part')
  return parts.map(({ number, sizeBytes, salt, commitment }, index) => {
    invariant(number === index + 1, 'the parts of an object are numbered without a gap')
    invariant(sizeBytes > 0 || parts.length === 1, 'only an empty object has an empty part')
    return { size_bytes: sizeBytes, salt, commitment }
  })
}

const sumOf = (parts: readonly ManifestPart[], bytesOf: (part: ManifestPart) => number): number =>
  parts.reduce((sum, part) => sum + bytesOf(part), 0)

async function hashContent(
  content: AsyncIterable<Buffer>,
  onBytes: ((sizeBytes: number) => Promise<void> | undefined) | undefined,
): Promise<string> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  for await (const piece of content) {
    hash.update(piece)
    sizeBytes += piece.length
    releaseBytes(piece)
    await onBytes?.(sizeBytes)
  }
  return hash.digest('hex')
}

/** A folder that everybody shares is split by the id, so that no listing of a disk grows without bound. */
const storeKeyOf = (folder: string, objectId: string): string =>
  folder.includes('/') ? `${folder}/${objectId}` : `${folder}/${objectId.slice(0, 2)}/${objectId}`

function checkSize(sizeBytes: number, { sizeBytesMax }: WriteOptions | WritePartOptions): void {
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
  first: IteratorResult<Buffer, void>,
  rest: AsyncGenerator<Buffer, void>,
  abandon: () => void,
): Readable {
  let started = false
  return new Readable({
    highWaterMark: readableHighWaterBytes,
    read() {
      const step = started ? rest.next() : Promise.resolve(first)
      started = true
      step.then(
        ({ done, value }) => this.push(done === true ? null : value),
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
  object: Place & { storeKey: string }
  manifest: Manifest
  objectKey: Parameters<typeof openManifest>[0]
  wanted: ByteRange
  signal: AbortSignal
}

async function* decryptObject(read: DecryptObject): AsyncGenerator<Buffer, void, undefined> {
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
function readsOf(object: { storeKey: string }, manifest: Manifest, stretches: PartStretch[]): StoredRead[] {
  const [first] = stretches
  const last = stretches.at(-1)
  if (first === undefined || last === undefined) return []
  if (object.storeKey.endsWith('/'))
    return stretches.map((stretch) => ({
      // Stretches are made from the manifest, so it has a part for each.
      key: partKeyOf(object.storeKey, stretch.partIndex, manifest.parts[stretch.partIndex]!.salt),
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

/** Where a part lies that is stored by itself. Parts count from 1; the salt is lower-case hex. */
export const partKeyOf = (storeKey: string, partIndex: number, salt: string): string =>
  `${storeKey}${String(partIndex + 1).padStart(6, '0')}_${salt.slice(0, partSaltDigits)}`

/** 64 bits tell the attempts at one part apart. */
const partSaltDigits = 16

async function openStored({ store, signal }: DecryptObject, key: string, range: ByteRange): Promise<Readable> {
  try {
    return await store.get(key, { range, signal })
  } catch (error) {
    if (error instanceof Problem && (error.code === 'not_found' || error.code === 'range_not_satisfiable'))
      throw damaged('The stored bytes are missing or cut', error)
    throw error
  }
}
