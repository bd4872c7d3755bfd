// The vectors of docs/reference/encryption.md, made again by the code that stores. They are a promise to whoever holds
// stored bytes: when this test fails, the code is wrong and not the file. MILLRACE_WRITE_VECTORS=1 writes the file, for
// a new vector.

import { createHash, createSecretKey, type KeyObject } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { encryptContent, SlabRing, type EncryptedContent } from './content-cipher.ts'
import { contextOf, sealSecret, uint32, uint64 } from './encryption.ts'
import { sealManifest, type ManifestPart } from './manifest.ts'

const file = new URL('../../../docs/reference/encryption-vectors.json', import.meta.url)

const place = { tenantId: 7, objectId: '00112233445566778899aabbccddeeff' }
const version = 1
const bytes = (sizeBytes: number, first: number): Buffer =>
  Buffer.from(Array.from({ length: sizeBytes }, (_, i) => (first + i) & 255))
const keyOf = (first: number): KeyObject => createSecretKey(bytes(32, first))
const saltOf = (number: number): Buffer => bytes(24, 0x80 + number)
const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex')
/** Longer stored bytes are told by their checksum. */
const hexSizeBytesMax = 200

const masterKey = keyOf(0)
const tenantKey = keyOf(32)
const objectKey = keyOf(64)

function wrappedKeys() {
  const tenantContext = contextOf('tenant-key', uint64(place.tenantId), uint32(1))
  const objectContext = contextOf('object-key', uint64(place.tenantId), Buffer.from(place.objectId, 'hex'), uint32(1))
  return {
    tenant_key: {
      context: tenantContext.toString('hex'),
      salt: saltOf(0).toString('hex'),
      wrapped: sealSecret(masterKey, tenantContext, tenantKey.export(), saltOf(0)).toString('hex'),
    },
    object_key: {
      context: objectContext.toString('hex'),
      salt: saltOf(0).toString('hex'),
      wrapped: sealSecret(tenantKey, objectContext, objectKey.export(), saltOf(0)).toString('hex'),
    },
  }
}

async function storePart(content: Buffer, number: number): Promise<{ stored: Buffer; part: ManifestPart }> {
  let found: EncryptedContent | undefined
  const stream = encryptContent({
    content: (async function* () {
      yield content
    })(),
    objectKey,
    place,
    version,
    partSizeBytes: Number.MAX_SAFE_INTEGER,
    firstPart: { number, salt: saltOf(number) },
    slabs: new SlabRing(),
    onEnd: (content) => (found = content),
  })
  const pieces: Buffer[] = []
  // Its buffers take turns, so each piece is copied.
  for await (const piece of stream) pieces.push(Buffer.from(piece))
  const part = found?.parts[0]
  if (!part) throw new Error('A part without an end')
  return { stored: Buffer.concat(pieces), part }
}

async function objectVector(name: string, partSizesBytes: number[]) {
  const sizeBytes = partSizesBytes.reduce((sum, partBytes) => sum + partBytes, 0)
  const content = Buffer.from(Array.from({ length: sizeBytes }, (_, i) => i % 251))
  const parts: Awaited<ReturnType<typeof storePart>>[] = []
  let offset = 0
  for (const [index, partBytes] of partSizesBytes.entries()) {
    parts.push(await storePart(content.subarray(offset, offset + partBytes), index + 1))
    offset += partBytes
  }
  const row = { ...place, sizeBytes, sha256: sha256(content) }
  const manifestParts = parts.map(({ part }) => part)
  return {
    name,
    size_bytes: sizeBytes,
    sha256: row.sha256,
    stored_bytes: parts.reduce((sum, { stored }) => sum + stored.length, 0),
    parts: parts.map(({ stored }) => ({
      stored_bytes: stored.length,
      stored_sha256: sha256(stored),
      ...(stored.length <= hexSizeBytesMax && { stored: stored.toString('hex') }),
    })),
    manifest: sealManifest(objectKey, row, version, manifestParts),
  }
}

const makeVectors = async () => ({
  tenant: place.tenantId,
  object: place.objectId,
  master_key: masterKey.export().toString('hex'),
  tenant_key: tenantKey.export().toString('hex'),
  object_key: objectKey.export().toString('hex'),
  wrapped: wrappedKeys(),
  objects: [
    await objectVector('empty', [0]),
    await objectVector('short', [5]),
    await objectVector('exactly one chunk', [16_384]),
    await objectVector('two parts', [40_000, 20_000]),
  ],
})

test('the stored format is the one that is written down', async () => {
  const vectors = await makeVectors()
  if (process.env['MILLRACE_WRITE_VECTORS']) writeFileSync(file, `${JSON.stringify(vectors, null, 2)}\n`)
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(vectors)
})
