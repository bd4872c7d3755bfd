// One process owns a data folder. The lock is a file that names the owner's process; a lock whose process is gone
// (kill -9, power cut) is taken over.

import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
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

const takeoverAttemptsMax = 5

/** Throws Problem('setting_invalid') when another living process holds the folder. */
export async function lockDataFolder(folder: string, pid: number): Promise<DataLock> {
  const file = path.join(folder, 'server.lock')
  const own = path.join(folder, `server.lock.${pid}-${randomBytes(4).toString('hex')}`)
  const owner: Owner = { pid, began: processBegan(pid) }
  await writeFile(own, JSON.stringify(owner), { mode: 0o600 })
  try {
    for (let attempt = 1; attempt <= takeoverAttemptsMax; attempt++) {
      if (await linked(own, file)) return { release: () => rm(file, { force: true }) }
      const other = await readOwner(file)
      if (other && isAlive(other)) {
        throw new Problem('setting_invalid', {
          detail: `The data folder ${folder} is in use by another Millrace (process ${other.pid}). Stop that one, or choose another folder with --data.`,
        })
      }
      await moveAway(file, `${own}.stale`)
    }
    throw new Problem('setting_invalid', { detail: `The data folder ${folder} could not be locked.` })
  } finally {
    await rm(own, { force: true })
  }
}

/** Moves a stale lock out of the way; one that a newcomer made in between is put back. */
async function moveAway(file: string, aside: string): Promise<void> {
  if (
    !(await rename(file, aside).then(
      () => true,
      () => false,
    ))
  )
    return
  const owner = await readOwner(aside)
  if (owner && isAlive(owner)) await linked(aside, file)
  await rm(aside, { force: true })
}

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
