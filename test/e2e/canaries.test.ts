// Words that stand nowhere else are sent in through the front door, in contents and in names, and looked for afterwards
// wherever bytes lie: in the object store, in scratch folders, in logs, in what goes to Redis and in its dump, and in the
// tables of the database but for those that docs/decisions/0014-readable-in-the-database.md names with the reason.
// MILLRACE_TEST_CANARIES sets how many there are; the suite takes a thousand, the whole proof ten thousand.

import { createHash } from 'node:crypto'
import path from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createCanaries, filesBelow, findInFiles, findInTables, watchRedis } from './canary-places.ts'
import { openHouse, type House } from './house.ts'
import { forEachAtOnce, runFile } from './jobs.ts'
import { listStoredObjects, readStoredObjects } from './stored-objects.ts'

const canariesCount = Number(process.env['MILLRACE_TEST_CANARIES'] ?? 1_000)
const perFile = 100
let house: House

beforeAll(async () => {
  house = await openHouse({ environment: { LOG_LEVEL: 'debug' } })
}, 120_000)
afterAll(() => house?.close())

/** 20 letters, the same in each run. */
const canaryOf = (index: number): string =>
  createHash('sha256')
    .update(`canary ${index}`)
    .digest('hex')
    .slice(0, 20)
    .replaceAll(/\d/g, (digit) => 'ghijklmnop'[Number(digit)] ?? digit)

/** Of all kinds that steps open: text, a table, JSON, and Markdown. */
function makeFile(canaries: readonly string[], index: number): { name: string; bytes: Uint8Array } {
  const [inName = '', ...inContent] = canaries
  const kinds = [
    { ending: 'txt', text: inContent.join('\n') },
    { ending: 'csv', text: `name,value\n${inContent.map((canary, row) => `${canary},${row}`).join('\n')}\n` },
    { ending: 'json', text: JSON.stringify(inContent.map((canary) => ({ canary }))) },
    { ending: 'md', text: `# ${inContent[0]}\n\n${inContent.map((canary) => `- ${canary}`).join('\n')}\n` },
  ]
  const { ending, text } = kinds[index % kinds.length] ?? { ending: 'txt', text: '' }
  return { name: `${inName}.${ending}`, bytes: Buffer.from(text) }
}

/** Where names, metadata, findings and texts are searched, sorted and filtered. */
const readableTables = [
  'batch',
  'batch_item',
  'file',
  'idempotency_key',
  'output',
  'search_entry',
  'task',
  'task_result',
  'upload_session',
]

test('no word of a content or a name lies in clear beside the database', { timeout: 900_000 }, async () => {
  const canaries = Array.from({ length: canariesCount }, (_, index) => canaryOf(index))
  const files = Array.from({ length: canariesCount / perFile }, (_, index) =>
    makeFile(canaries.slice(index * perFile, (index + 1) * perFile), index),
  )
  const known = createCanaries(canaries)
  const { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl } = house.environment
  const redis = redisUrl === undefined ? undefined : await watchRedis(redisUrl, known)
  onTestFinished(async () => void (await redis?.end().catch(() => {})))
  await forEachAtOnce(files, 4, async (file) => {
    const job = await runFile(house.client, file)
    expect([job.file_name, job.status]).toEqual([file.name, 'completed'])
  })
  // They came in and can be found, so that there was something to be looked for.
  for (const canary of [canaries[0] ?? '', canaries[1] ?? '']) {
    const { items } = await house.client.call('search', { query: { q: canary } })
    expect(items).toHaveLength(1)
  }
  const places = await filesBelow(path.dirname(house.dataFolder))
  expect(await findInFiles(places, known)).toEqual([])
  expect(known.findIn(await house.logs())).toBeUndefined()
  const keys = await listStoredObjects(house)
  expect(keys.length).toBeGreaterThan(files.length)
  for await (const { key, bytes } of readStoredObjects(house, keys))
    expect([key, known.findIn(key) ?? known.findIn(bytes.toString('latin1'))]).toEqual([key, undefined])
  if (databaseUrl !== undefined) {
    const tables = await findInTables(databaseUrl, known)
    // The names stand there, so that a look that sees nothing at all is seen.
    expect(tables).toContain('file')
    expect(tables.filter((table) => !readableTables.includes(table))).toEqual([])
  }
  const watched = await redis?.end()
  if (watched === undefined) return
  expect(watched.found).toEqual([])
  expect(watched.commandsBytes).toBeGreaterThan(10_000)
  expect(watched.dumpsCount).toBeGreaterThan(1)
})
