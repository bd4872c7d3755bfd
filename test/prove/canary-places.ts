// Where bytes may lie beside what the tests ask the product for: folders, the tables of the database, and what goes to
// Redis. Each is looked through for words of which none may be there.

import { once } from 'node:events'
import type { Dirent } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'

export interface Canaries {
  readonly words: readonly string[]
  /** The first of the words that stand in the text. */
  findIn(text: string): string | undefined
}

export const canaryLength = 20

/** Words of 20 letters from a to p, however many: a text is looked through once for all of them. */
export function createCanaries(words: readonly string[]): Canaries {
  const known = new Set(words)
  return {
    words,
    findIn(text) {
      for (const [letters] of text.matchAll(/[a-p]{20,}/g))
        for (let at = 0; at + canaryLength <= letters.length; at++) {
          const word = letters.slice(at, at + canaryLength)
          if (known.has(word)) return word
        }
      return undefined
    },
  }
}

/** Files below the folder, but for the embedded database. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries: Dirent[] = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => !path.relative(folder, file).split(path.sep).includes('database'))
}

export async function findInFiles(files: readonly string[], canaries: Canaries): Promise<string[]> {
  const found: string[] = []
  for (const file of files) {
    // Written and removed all the time.
    const text = (await readFile(file).catch(() => Buffer.alloc(0))).toString('latin1')
    if (canaries.findIn(text) !== undefined) found.push(file)
  }
  return found
}

const rowsAtOnce = 500

/** Names of the tables in which a word stands in any row. */
export async function findInTables(databaseUrl: string, canaries: Canaries): Promise<string[]> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const { rows: tables } = await client.query<{ name: string }>(
      `select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition order by 1`,
    )
    const found: string[] = []
    for (const { name } of tables) if (await isInTable(client, name, canaries)) found.push(name)
    return found
  } finally {
    await client.end()
  }
}

async function isInTable(client: pg.Client, table: string, canaries: Canaries): Promise<boolean> {
  // A snapshot and a cursor: no table is whole in memory, and none is looked through twice.
  await client.query('begin transaction isolation level repeatable read read only')
  try {
    await client.query(`declare looking cursor for select t::text as row from ${client.escapeIdentifier(table)} t`)
    for (;;) {
      const { rows } = await client.query<{ row: string }>(`fetch ${rowsAtOnce} from looking`)
      if (rows.some(({ row }) => canaries.findIn(row) !== undefined)) return true
      if (rows.length < rowsAtOnce) return false
    }
  } finally {
    await client.query('rollback')
  }
}

export interface RedisWatch {
  /** Stops listening, however often it is called; answers where a word was seen, and how much was looked through. */
  end(): Promise<{ found: string[]; commandsBytes: number; dumpsCount: number; dumpsBytes: number }>
}

const dumpEveryMs = 2_000

/** Hears every command that the server is sent from now on, and looks through its dump every two seconds and at the end. */
export async function watchRedis(redisUrl: string, canaries: Canaries): Promise<RedisWatch> {
  const { hostname, port } = new URL(redisUrl)
  const found = new Set<string>()
  const seen = { commandsBytes: 0, dumpsCount: 0, dumpsBytes: 0 }
  const listening = net.connect(Number(port), hostname)
  let kept = ''
  listening.setEncoding('latin1').on('data', (text: string) => {
    seen.commandsBytes += text.length
    if (canaries.findIn(kept + text) !== undefined) found.add('a command to Redis')
    kept = text.slice(-canaryLength)
  })
  listening.write('MONITOR\r\n')

  const { ask, close } = await openRedis(hostname, Number(port))
  // Compressed strings would hide what is looked for.
  await ask('CONFIG', 'SET', 'rdbcompression', 'no')
  const folder = (await ask('CONFIG', 'GET', 'dir')).at(-1) ?? ''
  const name = (await ask('CONFIG', 'GET', 'dbfilename')).at(-1) ?? ''
  const dump = async (): Promise<void> => {
    await ask('SAVE')
    const content = await readFile(path.join(folder, name))
    seen.dumpsCount++
    seen.dumpsBytes += content.length
    if (canaries.findIn(content.toString('latin1')) !== undefined) found.add('the dump of Redis')
  }
  const ended = new AbortController()
  const dumping = (async () => {
    while (!ended.signal.aborted) {
      await dump()
      await delay(dumpEveryMs, undefined, { signal: ended.signal }).catch(() => {})
    }
    await dump()
  })()
  dumping.catch(() => {}) // Told by end.
  let ending: ReturnType<RedisWatch['end']> | undefined
  const end: RedisWatch['end'] = async () => {
    ended.abort()
    try {
      await dumping
    } finally {
      listening.destroy()
      close()
    }
    return { found: [...found], ...seen }
  }
  return { end: () => (ending ??= end()) }
}

interface RedisLine {
  /** One command after the other; answers the words of its reply. */
  ask: (...words: string[]) => Promise<string[]>
  close: () => void
}

async function openRedis(host: string, port: number): Promise<RedisLine> {
  const socket = net.connect(port, host)
  await once(socket, 'connect')
  socket.setEncoding('latin1')
  return {
    close: () => socket.destroy(),
    async ask(...words) {
      socket.write(`*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`)
      for (let reply = ''; ;) {
        const [text] = (await once(socket, 'data')) as [string]
        reply += text
        const lines = reply.split('\r\n')
        // A list has two lines for each of its words.
        const linesCount = reply.startsWith('*') ? 2 * Number(lines[0]?.slice(1)) + 1 : 1
        if (lines.length <= linesCount) continue
        if (reply.startsWith('-')) throw new Error(`Redis refuses ${words.join(' ')}: ${lines[0]}`)
        return lines.slice(1).filter((line) => line !== '' && !/^[*$]/.test(line))
      }
    },
  }
}
