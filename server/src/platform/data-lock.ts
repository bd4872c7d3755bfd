// One process owns a data folder. Its lock is a file that names the process, with a generation in its name: whoever
// finds that the newest owner is gone (kill -9, power cut) links the next generation, which only one of several
// newcomers can do. A stale lock is never renamed or rewritten, so no living one can be taken for it.

import { link, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { kill } from 'node:process'
import { randomBytes } from 'node:crypto'
import { Problem } from './problem.ts'

interface Owner {
  pid: number
  /** When the process began, as the system counts it; tells a reused pid apart. Undefined where it cannot be learned. */
  began?: string | undefined
}

export interface DataLock {
  release(): Promise<void>
}

const attemptsMax = 10

/** Throws Problem('setting_invalid') when another living process holds the folder. */
export async function lockDataFolder(folder: string, pid: number): Promise<DataLock> {
  const owner: Owner = { pid, began: processBegan(pid) }
  const own = path.join(folder, `own-${pid}-${randomBytes(4).toString('hex')}.lock`)
  await writeFile(own, JSON.stringify(owner), { mode: 0o600 })
  try {
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      const newest = (await generations(folder)).at(-1) ?? 0
      const holder = newest === 0 ? undefined : await readOwner(lockFile(folder, newest))
      if (holder && isAlive(holder)) throw inUse(folder, holder)
      const file = lockFile(folder, newest + 1)
      if (!(await linked(own, file))) continue // Another newcomer was faster; look at it.
      const all = await generations(folder)
      if (all.at(-1) === newest + 1) {
        for (const old of all.slice(0, -1)) await rm(lockFile(folder, old), { force: true })
        return { release: () => rm(file, { force: true }) }
      }
      await rm(file, { force: true }) // What we saw was outdated.
    }
    throw new Problem('setting_invalid', { detail: `The data folder ${folder} could not be locked.` })
  } finally {
    await rm(own, { force: true })
  }
}

const lockFile = (folder: string, generation: number): string => path.join(folder, `server-${generation}.lock`)

async function generations(folder: string): Promise<number[]> {
  const numbers = (await readdir(folder)).map((name) => Number(/^server-(\d+)\.lock$/.exec(name)?.[1] ?? 0))
  return numbers.filter((number) => number > 0).toSorted((a, b) => a - b)
}

const inUse = (folder: string, holder: Owner): Problem =>
  new Problem('setting_invalid', {
    detail: `The data folder ${folder} is in use by another Millrace (process ${holder.pid}). Stop that one, or choose another folder with --data.`,
  })

/** A hard link appears whole or not at all, unlike a file that is created and then written. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

async function readOwner(file: string): Promise<Owner | undefined> {
  try {
    // Written by us above; a file that is not JSON was damaged and counts as stale.
    return JSON.parse(await readFile(file, 'utf8')) as Owner
  } catch {
    return undefined
  }
}

function isAlive(owner: Owner): boolean {
  try {
    kill(owner.pid, 0)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false
  }
  return owner.began === undefined || owner.began === processBegan(owner.pid)
}

/** Start time from /proc on Linux; elsewhere a living pid has to do. */
function processBegan(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? 'ended' : fields[19]
  } catch {
    return undefined
  }
}
