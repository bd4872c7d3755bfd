// Words that stand nowhere else are sent in through the front door, in contents and in names, and looked for afterwards
// wherever bytes lie beside the database: in the object store, in scratch folders and in logs. What the database keeps
// readable, and why, says docs/decisions/0014-readable-in-the-database.md. MILLRACE_TEST_CANARIES sets how many there
// are; the suite takes a thousand, the whole proof ten thousand.

import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openHouse, type House } from './house.ts'
import { forEachAtOnce, runFile } from './jobs.ts'

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

/** Files below the folder, but for the embedded database. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => !path.relative(folder, file).split(path.sep).includes('database'))
}

test('no word of a content or a name lies in clear beside the database', { timeout: 900_000 }, async () => {
  const canaries = Array.from({ length: canariesCount }, (_, index) => canaryOf(index))
  const files = Array.from({ length: canariesCount / perFile }, (_, index) =>
    makeFile(canaries.slice(index * perFile, (index + 1) * perFile), index),
  )
  await forEachAtOnce(files, 4, async (file) => {
    const job = await runFile(house.client, file)
    expect([job.file_name, job.status]).toEqual([file.name, 'completed'])
  })
  // They came in and can be found, so that there was something to be looked for.
  for (const canary of [canaries[0] ?? '', canaries[1] ?? '']) {
    const { items } = await house.client.call('search', { query: { q: canary } })
    expect(items).toHaveLength(1)
  }
  const pattern = new RegExp(canaries.join('|'))
  const found: string[] = []
  const places = await filesBelow(path.dirname(house.dataFolder))
  expect(places.some((place) => place.includes('objects')) || house.environment['OBJECT_STORE'] !== undefined).toBe(
    true,
  )
  for (const place of places) {
    const text = (await readFile(place).catch(() => Buffer.alloc(0))).toString('latin1')
    if (pattern.test(text)) found.push(place)
  }
  if (pattern.test(await house.logs())) found.push('the log')
  expect(found).toEqual([])
})
