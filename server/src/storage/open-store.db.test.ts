import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLog } from '../platform/log.ts'
import { bodyOf } from './object-store.contract.ts'
import { openStore } from './open-store.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-open-store-'))
})
afterEach(() => rm(folder, { recursive: true }))

async function openSharded(content: string) {
  const file = join(folder, 'shards.json')
  await writeFile(file, content)
  return openStore({ kind: 'sharded', file }, { log: silentLog, verify: false })
}

test('a shard file names stores and maps; the last map is in force', async () => {
  const stores = { one: join(folder, 'one'), two: join(folder, 'two') }
  const first = await openSharded(JSON.stringify({ stores, maps: [['one']] }))
  await first.put('files/a', bodyOf(Buffer.from('a')))
  const second = await openSharded(JSON.stringify({ stores, maps: [['one'], ['two']] }))
  expect(await second.head('files/a')).toEqual({ key: 'files/a', sizeBytes: 1 })
  expect(second.kind).toBe('sharded')
})

test.each([
  ['{', 'is not JSON'],
  ['{"stores":{},"maps":[]}', '/maps'],
  ['{"stores":{},"maps":[["one"]]}', 'which is not among the stores'],
  ['{"stores":{"one":"relative"},"maps":[["one"]]}', 'absolute folder or an s3:// URL'],
])('a shard file that is %s is refused with what is wrong', async (content, detail) => {
  await expect(openSharded(content)).rejects.toMatchObject({
    code: 'setting_invalid',
    detail: expect.stringContaining(detail) as string,
  })
})
