// What lies in the object store of a house, looked at behind the product's back.

import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { s3Client } from '../harness/servers/s3.ts'
import type { House } from './house.ts'

const ignored = /^probe\//

/** Keys of everything that is stored, in order; half-written files of a disk store are listed too. */
export async function listStoredObjects(house: House): Promise<string[]> {
  const store = storeOf(house)
  const keys = store.startsWith('s3://') ? await listBucket(store) : await listFolder(store)
  return keys.filter((key) => !ignored.test(key)).sort()
}

const storeOf = (house: House): string => house.environment['OBJECT_STORE'] ?? path.join(house.dataFolder, 'objects')

/** The stored bytes under each of the keys. */
export async function* readStoredObjects(
  house: House,
  keys: readonly string[],
): AsyncGenerator<{ key: string; bytes: Buffer }> {
  const store = storeOf(house)
  const client = store.startsWith('s3://') ? s3Client(store) : undefined
  try {
    for (const key of keys) {
      if (client === undefined) {
        yield { key, bytes: await readFile(path.join(store, key)) }
        continue
      }
      const { Body } = await client.send(new GetObjectCommand({ Bucket: new URL(store).hostname, Key: key }))
      yield { key, bytes: Buffer.from((await Body?.transformToByteArray()) ?? []) }
    }
  } finally {
    client?.destroy()
  }
}

async function listFolder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
}

async function listBucket(url: string): Promise<string[]> {
  const client = s3Client(url)
  try {
    const keys: string[] = []
    for (let token: string | undefined; ;) {
      const page = await client.send(
        new ListObjectsV2Command({
          Bucket: new URL(url).hostname,
          ...(token !== undefined && { ContinuationToken: token }),
        }),
      )
      keys.push(...(page.Contents ?? []).flatMap(({ Key }) => Key ?? []))
      token = page.NextContinuationToken
      if (token === undefined) return keys
    }
  } finally {
    client.destroy()
  }
}
