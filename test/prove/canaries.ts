// Words that stand nowhere else are sent in through the front door, in contents and in names, and looked for afterwards
// wherever bytes lie: in the object store, in scratch folders, in logs, in what goes to Redis and in its dump, and in the
// tables of the database but for those that docs/decisions/0014-readable-in-the-database.md names with the reason.

import { createHash } from 'node:crypto'
import path from 'node:path'
import { openHouse, type House, type HouseOptions } from '../e2e/house.ts'
import { forEachAtOnce, runFile } from '../e2e/jobs.ts'
import { listStoredObjects, readStoredObjects } from '../e2e/stored-objects.ts'
import {
  createCanaries,
  filesBelow,
  findInFiles,
  findInTables,
  watchRedis,
  type Canaries,
  type RedisWatch,
} from './canary-places.ts'

export interface CanariesReport {
  canaries: number
  files: number
  storedObjects: number
  filesLookedThrough: number
  /** On servers: where words may be readable, and stand. */
  readableIn: string[] | undefined
  redis: Awaited<ReturnType<RedisWatch['end']>> | undefined
  /** Where a word was found that may not be there, and what shows that nothing was looked for. */
  faults: string[]
}

const perFile = 100
const filesAtOnce = 4
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

export async function proveCanaries({ count, house }: { count: number; house: HouseOptions }): Promise<CanariesReport> {
  const canaries = createCanaries(Array.from({ length: count }, (_, index) => canaryOf(index)))
  const opened = await openHouse({ ...house, environment: { LOG_LEVEL: 'debug', ...house.environment } })
  try {
    const { REDIS_URL: redisUrl } = opened.environment
    const watch = redisUrl === undefined ? undefined : await watchRedis(redisUrl, canaries)
    try {
      const faults: string[] = []
      const files = await sendAll(opened, canaries, faults)
      return await lookEverywhere({ house: opened, canaries, files, watch, faults })
    } finally {
      await watch?.end()
    }
  } finally {
    await opened.close()
  }
}

async function sendAll(house: House, { words }: Canaries, faults: string[]): Promise<number> {
  const files = Array.from({ length: words.length / perFile }, (_, index) =>
    makeFile(words.slice(index * perFile, (index + 1) * perFile), index),
  )
  await forEachAtOnce(files, filesAtOnce, async (file) => {
    const { status, file_name: name } = await runFile(house.client, file)
    if (status !== 'completed' || name !== file.name) faults.push(`the job over ${file.name} is ${status}`)
  })
  // They came in and can be found, so that there is something to be looked for.
  for (const q of words.slice(0, 2)) {
    const { items } = await house.client.call('search', { query: { q } })
    if (items.length !== 1) faults.push(`the search finds ${q} ${items.length} times`)
  }
  return files.length
}

async function lookEverywhere(given: {
  house: House
  canaries: Canaries
  files: number
  watch: RedisWatch | undefined
  faults: string[]
}): Promise<CanariesReport> {
  const { house, canaries, files, watch, faults } = given
  const places = await filesBelow(path.dirname(house.dataFolder))
  faults.push(...(await findInFiles(places, canaries)))
  if (canaries.findIn(await house.logs()) !== undefined) faults.push('the log')
  const keys = await listStoredObjects(house)
  if (keys.length < files) faults.push(`only ${keys.length} objects are stored`)
  for await (const { key, bytes } of readStoredObjects(house, keys))
    if (canaries.findIn(key + bytes.toString('latin1')) !== undefined) faults.push(`the object ${key}`)
  const { DATABASE_URL: databaseUrl } = house.environment
  const tables = databaseUrl === undefined ? undefined : await findInTables(databaseUrl, canaries)
  // Names stand there, so that a look that sees nothing at all is seen.
  if (tables?.includes('file') === false) faults.push('the look at tables sees nothing')
  for (const table of tables ?? []) if (!readableTables.includes(table)) faults.push(`the table ${table}`)
  const redis = await watch?.end()
  faults.push(...(redis?.found ?? []))
  if (redis !== undefined && redis.commandsBytes < 10_000) faults.push('Redis was not heard')
  return {
    canaries: canaries.words.length,
    files,
    storedObjects: keys.length,
    filesLookedThrough: places.length,
    readableIn: tables,
    redis,
    faults,
  }
}
