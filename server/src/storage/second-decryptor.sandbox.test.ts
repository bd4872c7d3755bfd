// The stored format is what docs/reference/encryption.md says: a decryptor that shares no code with ours reads what we
// write, and refuses what was changed.

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import { systemIds } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { createTenants } from '../tenants/tenant.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { openDiskStore } from './disk.ts'
import { createVault } from './encrypted-vault.ts'
import { createKeyRing } from './key-ring.ts'
import { loadOrCreateMasterKey } from './master-key-file.ts'
import type { SealedObject } from './vault.ts'

const go = process.env['MILLRACE_TEST_GO']
const program = fileURLToPath(new URL('../../../test/decryptor/decrypt.go', import.meta.url))
const objectsCount = 1_000

let folder: string
let testDatabase: TestDatabase
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-decryptor-'))
  testDatabase = await createTestDatabase()
})
afterAll(async () => {
  await testDatabase.drop()
  await rm(folder, { recursive: true })
})

test.skipIf(go === undefined)(
  'a second decryptor reads 1,000 objects, and sees each of 5 kinds of change',
  async () => {
    const { vault, tenantIds, lineOf } = await openHouse()
    const objects: SealedObject[] = []
    for (let i = 0; i < objectsCount; i++) {
      const content = randomBytes(sizeOf(i))
      // One of three.
      const tenantId = tenantIds[i % tenantIds.length]!
      objects.push(await vault.write({ tenantId, content: piecesOf(content), folder: 'files', sizeBytesMax: 1e9 }))
    }
    const lines = await Promise.all(objects.map(lineOf))
    const verdicts = await decrypt(lines)
    expect(verdicts.filter((verdict) => verdict !== 'ok')).toEqual([])
    expect(verdicts).toHaveLength(objectsCount)

    // The last object has several parts.
    const line = lines.at(-1)!
    const bytes = await readFile(line.file)
    const flipped = join(folder, 'flipped')
    const cut = join(folder, 'cut')
    bytes[100] = bytes.readUInt8(100) ^ 1
    await writeFile(flipped, bytes)
    await writeFile(cut, bytes.subarray(0, -1))
    const changed = await decrypt([
      { ...line, file: flipped },
      { ...line, file: cut },
      { ...line, file: lines[5]!.file },
      { ...line, size_bytes: line.size_bytes + 1 },
      { ...line, wrapped_key: lines[5]!.wrapped_key },
    ])
    expect(changed.filter((verdict) => verdict === 'ok')).toEqual([])
    expect(changed).toHaveLength(5)
  },
)

async function* piecesOf(content: Buffer): AsyncGenerator<Buffer> {
  yield content
}

/** Around the borders of chunks and parts, then anything. */
const sizeOf = (i: number): number =>
  [0, 1, 16_383, 16_384, 16_385, 32_768, 39_999, 40_000, 40_001, 80_000][i] ?? (i * 7919) % 150_000

async function openHouse() {
  const { database } = testDatabase
  const masterKeyFile = join(folder, 'master.key')
  const masterKey = await loadOrCreateMasterKey(masterKeyFile)
  const store = await openDiskStore({ directory: join(folder, 'store'), log: silentLog })
  const keyRing = createKeyRing({ database, masterKey, clock: systemClock })
  const vault = createVault({ store, keyRing, ids: systemIds, log: silentLog, partSizeBytes: 40_000 })
  const tenants = createTenants({ database, hashPassword: async () => 'unused' })
  const tenantIds: number[] = []
  for (const name of ['a', 'b', 'c'])
    tenantIds.push((await tenants.create({ name, admin: { email: `${name}@example.com`, password: '' } })).tenantRowId)
  const lineOf = async (object: SealedObject) => {
    const { rows } = await database.query<{ wrapped: Uint8Array }>(
      'select wrapped from tenant_key where tenant_id = $1 and version = $2',
      [object.tenantId, object.tenantKeyVersion],
    )
    return {
      object_id: object.objectId,
      tenant_id: object.tenantId,
      size_bytes: object.sizeBytes,
      sha256: object.sha256,
      manifest: object.manifest,
      wrapped_key: hex(object.wrappedKey),
      // The vault has wrapped a key under it.
      tenant_key: hex(rows[0]!.wrapped),
      tenant_key_version: object.tenantKeyVersion,
      file: join(folder, 'store', 'objects', ...object.storeKey.split('/')),
    }
  }
  return { vault, tenantIds, lineOf }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** One verdict per line. */
function decrypt(lines: readonly object[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const environment = { ...process.env, GOFLAGS: '-buildvcs=false' }
    const args = ['run', program, join(folder, 'master.key')]
    const child = execFile(go ?? '', args, { env: environment, maxBuffer: 1e8 }, (error, stdout, stderr) => {
      if (error) reject(new Error(stderr))
      else
        resolve(
          stdout
            .trimEnd()
            .split('\n')
            .map((line) => line.slice(line.indexOf(' ') + 1)),
        )
    })
    child.stdin?.end(lines.map((line) => JSON.stringify(line)).join('\n'))
  })
}
