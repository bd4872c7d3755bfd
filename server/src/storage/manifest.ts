// What the row of an object says about its stored bytes. The manifest is authenticated under the object's own key
// together with tenant, object id, length and checksum, so whoever can change rows or bytes, but has no key, can do
// nothing that is not seen.

import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto'
import { Problem } from '../platform/problem.ts'
import {
  commitmentSizeBytes,
  contextOf,
  deriveMessageKeys,
  hkdfExpand,
  saltSizeBytes,
  storedSizeOf,
  uint32,
  uint64,
  type MessageKeys,
} from './encryption.ts'
import type { SealedObject } from './vault.ts'

/** One part: an encrypted message of its own. */
export interface ManifestPart {
  size_bytes: number
  /** Lower-case hex. */
  salt: string
  /** Lower-case hex. */
  commitment: string
}

/** As stored, JSON. */
export interface Manifest {
  format: 1
  /** Of the content under this object id, from 1; a content that is encrypted anew under the same id gets the next. */
  version: number
  parts: ManifestPart[]
  /** HMAC-SHA-256 over all of it, lower-case hex. */
  mac: string
}

export interface Place {
  tenantId: number
  /** 32 hex digits. */
  objectId: string
}

export const partsCountMax = 100_000
const macSizeBytes = 32
const macInfo = Buffer.from('millrace/object-manifest@v1', 'ascii')

/** Context of a part's message: a part cannot be moved to another tenant, object, version or position. Parts count from 1. */
export const partContext = (place: Place, version: number, partNumber: number): Buffer =>
  contextOf('part', uint64(place.tenantId), Buffer.from(place.objectId, 'hex'), uint32(version), uint32(partNumber))

type Described = Place & { sizeBytes: number; sha256: string }

/** Writes the manifest of an object whose parts are stored. */
export function sealManifest(
  objectKey: KeyObject,
  object: Described,
  version: number,
  parts: ManifestPart[],
): Manifest {
  const manifest: Manifest = { format: 1, version, parts, mac: '' }
  return { ...manifest, mac: macOf(objectKey, object, manifest).toString('hex') }
}

/** Reads the manifest of a row; throws Problem('object_damaged') when any of it is not as it was written. */
export function openManifest(objectKey: KeyObject, object: SealedObject): Manifest {
  const manifest = parseManifest(object.manifest)
  if (manifest === undefined) throw damaged('The manifest is not readable')
  const mac = macOf(objectKey, object, manifest)
  if (!timingSafeEqual(mac, Buffer.from(manifest.mac, 'hex'))) throw damaged('The manifest has been changed')
  let sizeBytes = 0
  let storedBytes = 0
  for (const part of manifest.parts) {
    sizeBytes += part.size_bytes
    storedBytes += storedSizeOf(part.size_bytes)
  }
  if (sizeBytes !== object.sizeBytes || storedBytes !== object.storedBytes) throw damaged('The lengths do not add up')
  return manifest
}

/** Keys of a part; the manifest's commitment must be the one that they give. */
export function partKeysOf(objectKey: KeyObject, place: Place, manifest: Manifest, index: number): MessageKeys {
  const part = manifest.parts[index]
  if (part === undefined) throw damaged('A part is missing')
  const context = partContext(place, manifest.version, index + 1)
  const keys = deriveMessageKeys(objectKey, Buffer.from(part.salt, 'hex'), context)
  if (!timingSafeEqual(keys.commitment, Buffer.from(part.commitment, 'hex')))
    throw damaged('A part is of another object')
  return keys
}

export const damaged = (detail: string, cause?: unknown): Problem => new Problem('object_damaged', { detail, cause })

function macOf(objectKey: KeyObject, object: Described, manifest: Manifest): Buffer {
  const macKey = createSecretKey(hkdfExpand(objectKey, macInfo, macSizeBytes))
  const mac = createHmac('sha256', macKey)
  mac.update(
    contextOf(
      'object-manifest',
      uint64(object.tenantId),
      Buffer.from(object.objectId, 'hex'),
      uint32(manifest.version),
      uint64(object.sizeBytes),
      Buffer.from(object.sha256, 'hex'),
      uint32(manifest.parts.length),
    ),
  )
  for (const part of manifest.parts) {
    mac.update(uint64(part.size_bytes))
    mac.update(Buffer.from(part.salt + part.commitment, 'hex'))
  }
  return mac.digest()
}

// Rows are parsed by hand: this runs at every read, and what it lets through must have exactly one byte form.

function parseManifest(value: unknown): Manifest | undefined {
  if (!isRecord(value)) return undefined
  const { format, version, parts, mac } = value
  if (format !== 1 || !isCount(version, 2 ** 32 - 1) || !isHex(mac, macSizeBytes) || !Array.isArray(parts))
    return undefined
  if (parts.length === 0 || parts.length > partsCountMax || !parts.every(isPart)) return undefined
  return { format, version, parts, mac }
}

const isPart = (value: unknown): value is ManifestPart =>
  isRecord(value) &&
  isCount(value['size_bytes'], Number.MAX_SAFE_INTEGER) &&
  isHex(value['salt'], saltSizeBytes) &&
  isHex(value['commitment'], commitmentSizeBytes)

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isCount = (value: unknown, max: number): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max

const isHex = (value: unknown, sizeBytes: number): value is string =>
  typeof value === 'string' && value.length === sizeBytes * 2 && /^[0-9a-f]+$/.test(value)
