// Every way to spoil stored bytes and the rows that describe them, drawn from a seed, against the vault. A spoilt object
// must be refused, and what was handed on before the refusal must be a beginning of what was written.

import { randomBytes } from 'node:crypto'
import { Problem } from '../../platform/problem.ts'
import { systemIds } from '../../platform/ids.ts'
import { silentLog } from '../../platform/log.ts'
import { createVault, partKeyOf } from '../encrypted-vault.ts'
import { chunkOffsetOf, chunkSizeBytes, storedSizeOf, tagSizeBytes } from '../encryption.ts'
import type { Manifest } from '../manifest.ts'
import type { SealedObject, StoredPart, Vault } from '../vault.ts'
import { createMemoryKeyRing } from './memory-key-ring.ts'
import { createMemoryStore } from './memory-store.ts'

const partSizeBytes = 40_000
const sizes = [1, 16_383, 16_384, 16_385, 39_999, 40_000, 40_001, 65_000, 90_000, 120_001]

/** Good for tests, and the same on every machine (Steele, Lea and Flood: SplitMix, 32 bits). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let x = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
    return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32
  }
}

interface Specimen {
  object: SealedObject
  content: Buffer
  /** Stored bytes that once were at these keys, or were a whole attempt at the same part. */
  stale: Map<string, Buffer>
}

interface World {
  vault: Vault
  objects: Map<string, Buffer>
  specimens: Specimen[]
  below: (count: number) => number
}

export interface CorruptionReport {
  count: number
  detected: number
  /** By kind, how many were drawn. */
  kinds: Record<string, number>
  /** What must stay empty. */
  faults: string[]
}

async function createWorld(seed: number): Promise<World> {
  const store = createMemoryStore()
  const vault = createVault({ store, keyRing: createMemoryKeyRing(), ids: systemIds, log: silentLog, partSizeBytes })
  const random = seededRandom(seed)
  const specimens: Specimen[] = []
  const piecesOf = async function* (content: Buffer) {
    yield content
  }
  for (const tenantId of [1, 2]) {
    for (const sizeBytes of sizes) {
      const content = randomBytes(sizeBytes)
      const write = { tenantId, content: piecesOf(content), folder: 'files', sizeBytesMax: 1e6 }
      specimens.push({ object: await vault.write(write), content, stale: new Map() })
    }
    // Part by part, with an earlier attempt at each part that the object does not consist of.
    const draft = await vault.createDraft({ tenantId, folder: 'files' })
    const content = randomBytes(70_000)
    const parts: StoredPart[] = []
    const stale = new Map<string, Buffer>()
    for (const [index, piece] of [content.subarray(0, 35_000), content.subarray(35_000)].entries()) {
      const attempt = (bytes: Buffer) =>
        vault.writePart(draft, { number: index + 1, content: piecesOf(bytes), sizeBytesMax: 1e6 })
      const earlier = await attempt(randomBytes(piece.length))
      const part = await attempt(piece)
      const keyOf = ({ salt }: StoredPart) => partKeyOf(draft.storeKey, index, salt)
      // A store that has lost the newer attempt and shows the older one in its place.
      stale.set(keyOf(part), store.objects.get(keyOf(earlier)) ?? Buffer.alloc(0))
      await vault.removePart(draft, earlier)
      parts.push(part)
    }
    specimens.push({ object: await vault.assemble(draft, parts), content, stale })
  }
  return { vault, objects: store.objects, specimens, below: (count) => Math.floor(random() * count) }
}

/** The object as it is then described; undefined where the kind does not fit this specimen. */
type Corrupt = (world: World, specimen: Specimen, key: string) => SealedObject | undefined

const keysOf = ({ object }: Specimen): string[] =>
  object.storeKey.endsWith('/')
    ? (object.manifest as Manifest).parts.map(({ salt }, index) => partKeyOf(object.storeKey, index, salt))
    : [object.storeKey]

const pick = <Item>({ below }: World, items: readonly Item[]): Item => items[below(items.length)]!

/** Spoils the stored bytes at the key. */
const bytes =
  (spoil: (world: World, stored: Buffer, specimen: Specimen, key: string) => Buffer | undefined): Corrupt =>
  (world, specimen, key) => {
    const stored = world.objects.get(key)!
    const spoilt = spoil(world, Buffer.from(stored), specimen, key)
    if (spoilt === undefined || spoilt.equals(stored)) return undefined
    world.objects.set(key, spoilt)
    return specimen.object
  }

/** Spoils the row. */
const row =
  (spoil: (world: World, object: SealedObject, manifest: Manifest) => Partial<SealedObject> | undefined): Corrupt =>
  (world, { object }) => {
    const manifest = structuredClone(object.manifest) as Manifest
    const spoilt = spoil(world, object, manifest)
    return spoilt && { ...object, manifest, ...spoilt }
  }

const flipHex = ({ below }: World, hex: string): string => {
  const at = below(hex.length)
  const digit = (Number.parseInt(hex[at]!, 16) ^ (1 << below(4))).toString(16)
  return hex.slice(0, at) + digit + hex.slice(at + 1)
}

const corruptions: Record<string, Corrupt> = {
  'a bit flipped': bytes((world, stored) => {
    stored[world.below(stored.length)]! ^= 1 << world.below(8)
    return stored
  }),
  'several bytes overwritten': bytes((world, stored) => {
    const at = world.below(stored.length)
    return stored.fill(randomBytes(8), at, Math.min(stored.length, at + 1 + world.below(64)))
  }),
  'cut anywhere': bytes((world, stored) => stored.subarray(0, world.below(stored.length))),
  'cut between chunks': bytes((world, stored) => {
    const chunk = world.below(Math.ceil(stored.length / chunkSizeBytes))
    return stored.subarray(0, Math.min(chunkOffsetOf(chunk), stored.length - 1))
  }),
  'cut by its last chunk’s tag': bytes((_, stored) => stored.subarray(0, stored.length - tagSizeBytes)),
  'two chunks swapped': bytes((_, stored) => {
    if (stored.length < chunkOffsetOf(2)) return undefined
    const [one, two] = [chunkOffsetOf(0), chunkOffsetOf(1)]
    const sizeBytes = two - one
    return Buffer.concat([
      stored.subarray(0, one),
      stored.subarray(two, two + sizeBytes),
      stored.subarray(one, two),
      stored.subarray(two + sizeBytes),
    ])
  }),
  'a chunk left out': bytes((_, stored) =>
    stored.length < chunkOffsetOf(2)
      ? undefined
      : Buffer.concat([stored.subarray(0, chunkOffsetOf(0)), stored.subarray(chunkOffsetOf(1))]),
  ),
  'a chunk doubled': bytes((_, stored) =>
    stored.length < chunkOffsetOf(1)
      ? undefined
      : Buffer.concat([stored.subarray(0, chunkOffsetOf(1)), stored.subarray(chunkOffsetOf(0))]),
  ),
  'parts in another order': bytes((_, stored, { object }) => {
    const [first, second] = (object.manifest as Manifest).parts
    if (second === undefined || first === undefined || object.storeKey.endsWith('/')) return undefined
    const one = storedSizeOf(first.size_bytes)
    const two = one + storedSizeOf(second.size_bytes)
    return Buffer.concat([stored.subarray(one, two), stored.subarray(0, one), stored.subarray(two)])
  }),
  'an older attempt at the part': bytes((_, __, specimen, key) => specimen.stale.get(key)),
  'the bytes of another object': bytes((world, _, specimen) => {
    const other = pick(world, world.specimens)
    return other === specimen ? undefined : world.objects.get(keysOf(other)[0]!)
  }),
  'gone from the store': (world, { object }, key) => {
    world.objects.delete(key)
    return object
  },
  'said to be of another tenant': row((_, object) => ({ tenantId: object.tenantId + 1 })),
  'said to be another object': row((world, object) => ({ objectId: flipHex(world, object.objectId) })),
  'said to lie where another lies': row((world, object) => {
    const { storeKey } = pick(world, world.specimens).object
    return storeKey === object.storeKey ? undefined : { storeKey }
  }),
  'another length told': row((world, object) => ({ sizeBytes: object.sizeBytes + 1 + world.below(9) })),
  'another checksum told': row((world, object) => ({ sha256: flipHex(world, object.sha256) })),
  'another version told': row((_, __, manifest) => {
    manifest.version++
    return {}
  }),
  'its parts told in another order': row((_, __, manifest) => {
    if (manifest.parts.length < 2) return undefined
    manifest.parts.reverse()
    return {}
  }),
  'a part left out of the row': row((_, object, manifest) => {
    const last = manifest.parts.length > 1 ? manifest.parts.pop() : undefined
    return last && { sizeBytes: object.sizeBytes - last.size_bytes }
  }),
  'a salt changed': row((world, _, manifest) => {
    const part = pick(world, manifest.parts)
    part.salt = flipHex(world, part.salt)
    return {}
  }),
  'a commitment changed': row((world, _, manifest) => {
    const part = pick(world, manifest.parts)
    part.commitment = flipHex(world, part.commitment)
    return {}
  }),
  'the manifest of another object': row((world, object) => {
    const other = pick(world, world.specimens).object
    return other.objectId === object.objectId ? undefined : { manifest: other.manifest }
  }),
  'the key of another object': row((world, object) => {
    const other = pick(world, world.specimens).object
    return other.objectId === object.objectId ? undefined : { wrappedKey: other.wrappedKey }
  }),
  'its key changed': row((world, object) => {
    const wrappedKey = Buffer.from(object.wrappedKey)
    wrappedKey[world.below(wrappedKey.length)]! ^= 1 << world.below(8)
    return { wrappedKey }
  }),
}

/** What was handed on, and what ended it. */
async function readOut(
  vault: Vault,
  object: SealedObject,
  range?: { start: number; end: number },
): Promise<{ released: Buffer; error: unknown }> {
  const pieces: Buffer[] = []
  try {
    // A stream of bytes gives buffers.
    for await (const piece of await vault.read(object, range && { range })) pieces.push(piece as Buffer)
    return { released: Buffer.concat(pieces), error: undefined }
  } catch (error) {
    return { released: Buffer.concat(pieces), error }
  }
}

/** So many corruptions, one after the other, each of an object that is whole otherwise. */
export async function runCorruptions(options: { count: number; seed: number }): Promise<CorruptionReport> {
  const world = await createWorld(options.seed)
  const report: CorruptionReport = { count: 0, detected: 0, kinds: {}, faults: [] }
  const kinds = Object.entries(corruptions)
  while (report.count < options.count) {
    const [kind, corrupt] = pick(world, kinds)
    const specimen = pick(world, world.specimens)
    const key = pick(world, keysOf(specimen))
    const kept = world.objects.get(key)!
    const spoilt = corrupt(world, specimen, key)
    if (spoilt !== undefined) {
      report.count++
      report.kinds[kind] = (report.kinds[kind] ?? 0) + 1
      const fault = await judge(world, specimen, spoilt)
      if (fault === undefined) report.detected++
      else report.faults.push(`${kind}, ${specimen.content.length} bytes: ${fault}`)
    }
    world.objects.set(key, kept)
  }
  return report
}

async function judge(world: World, { content }: Specimen, spoilt: SealedObject): Promise<string | undefined> {
  const whole = await readOut(world.vault, spoilt)
  if (!(whole.error instanceof Problem)) return `was not refused but ${String(whole.error)}`
  if (!content.subarray(0, whole.released.length).equals(whole.released)) return 'wrong bytes were released'
  // A range may lie where nothing was spoilt; then it is right, and whole.
  const start = world.below(content.length)
  const end = start + world.below(content.length - start)
  const part = await readOut(world.vault, spoilt, { start, end })
  const right = content.subarray(start, end + 1)
  if (!right.subarray(0, part.released.length).equals(part.released)) return 'wrong bytes of a range were released'
  if (part.error === undefined && part.released.length < right.length) return 'a range ended early without a word'
  return undefined
}
