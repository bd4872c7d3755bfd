// An object store without room: the upload is refused with a reason, nothing is half stored, and the rest goes on.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRandom } from '../fixtures/random.ts'
import { utf8 } from '../fixtures/texts.ts'
import { openHouse, type House } from './house.ts'
import { refusalOf, runFile, upload } from './jobs.ts'
import { proveHealthy } from './proof.ts'
import { listStoredObjects } from './stored-objects.ts'

/** A file system that is soon full can be made by root on Linux only. */
const canMount = process.platform === 'linux' && process.getuid?.() === 0
const roomBytes = 24 * 1024 * 1024

describe.runIf(canMount)('a full store', () => {
  let house: House
  let folder: string

  beforeAll(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'millrace-full-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${roomBytes},mode=0700`, 'tmpfs', folder])
    house = await openHouse({ environment: { OBJECT_STORE: folder } })
  }, 120_000)
  afterAll(async () => {
    await house?.close()
    execFileSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  })

  test('refuses what does not fit, keeps nothing of it, and takes the next file', async () => {
    await runFile(house.client, { name: 'before.txt', bytes: utf8('Before.\n') })
    const before = await listStoredObjects(house)
    const bytes = Buffer.concat(Array<Buffer>(40).fill(createRandom(1).bytes(1024 * 1024)))
    for (let attempt = 0; attempt < 3; attempt++) {
      const problem = await refusalOf(upload(house.client, { name: 'too-much.bin', bytes }))
      expect(problem).toMatchObject({ code: 'storage_full', status: 507, remedy: expect.any(String) })
      expect(await listStoredObjects(house)).toEqual(before)
    }
    expect(await runFile(house.client, { name: 'after.txt', bytes: utf8('After.\n') })).toMatchObject({
      status: 'completed',
    })
    await proveHealthy(house.client)
  })
})
