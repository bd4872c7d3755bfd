// Opens the object store that a setting names: a folder, a bucket, or a file that spreads objects over several of these.
//
//   {
//     "stores": { "one": "/srv/one", "two": "s3://KEY:SECRET@bucket?endpoint=http://host:8333" },
//     "maps": [["one"], ["one", "two"]]
//   }
//
// The last map is in force; the older ones say where objects may still lie until `rebalance` has ended. The number of
// maps is the version of the last one: a map is never changed, a new one is added.

import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Log } from '../platform/log.ts'
import { Problem } from '../platform/problem.ts'
import { openDiskStore } from './disk.ts'
import type { ObjectStore } from './object-store.ts'
import { openS3Store } from './s3.ts'
import { createShardedStore, type ShardedStore } from './sharded.ts'
import { createVerifyingStore } from './verifying.ts'

/** What a setting names. */
export type StorePlace =
  | { kind: 'disk'; folder: string }
  | { kind: 's3'; url: string }
  /** Path of the file. */
  | { kind: 'sharded'; file: string }

const ShardName = Type.String({ pattern: '^[a-z0-9-]{1,40}$' })
const ShardFile = Type.Object(
  {
    stores: Type.Record(ShardName, Type.String({ minLength: 1 })),
    maps: Type.Array(Type.Array(ShardName, { minItems: 1, maxItems: 100 }), { minItems: 1, maxItems: 100 }),
  },
  { additionalProperties: false },
)
const shardFile = Compile(ShardFile)

export interface OpenOptions {
  log: Log
  /** Each object is read back once it is put, on each shard by itself, so that what is moved between them is, too. */
  verify: boolean
}

/** Throws Problem setting_invalid or storage_unavailable. */
export async function openStore(place: StorePlace, options: OpenOptions): Promise<ObjectStore | ShardedStore> {
  const verified = <Store extends ObjectStore>(store: Store): Store =>
    options.verify ? createVerifyingStore(store) : store
  switch (place.kind) {
    case 'disk':
      return verified(await openDiskStore({ directory: place.folder, log: options.log }))
    case 's3':
      return verified(await openS3Store({ url: place.url, log: options.log }))
    case 'sharded':
      return openSharded(place.file, options)
  }
}

async function openSharded(file: string, options: OpenOptions): Promise<ShardedStore> {
  const { stores, maps } = await readShardFile(file)
  const shards = new Map<string, ObjectStore>()
  try {
    for (const name of new Set(maps.flat())) {
      const value = stores[name]
      if (value === undefined) throw wrong(file, `the map names "${name}", which is not among the stores`)
      shards.set(name, await openStore(placeOf(file, value), options))
    }
    return createShardedStore({ shards, maps })
  } catch (error) {
    for (const store of shards.values()) await store.close()
    throw error
  }
}

async function readShardFile(file: string): Promise<{ stores: Record<string, string>; maps: string[][] }> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw wrong(file, 'it cannot be read', cause)
  })
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch (cause) {
    throw wrong(file, 'it is not JSON', cause)
  }
  if (shardFile.Check(content)) return content
  const [error] = shardFile.Errors(content)
  throw wrong(file, `${error?.instancePath || '/'} ${error?.message}`)
}

/** A store of the file; values are not repeated in messages, they may hold secrets. */
function placeOf(file: string, value: string): StorePlace {
  if (value.startsWith('s3://')) return { kind: 's3', url: value }
  if (path.isAbsolute(value)) return { kind: 'disk', folder: value }
  throw wrong(file, 'a store is an absolute folder or an s3:// URL')
}

const wrong = (file: string, what: string, cause?: unknown): Problem =>
  new Problem('setting_invalid', { detail: `The shard file ${file}: ${what}.`, cause })
