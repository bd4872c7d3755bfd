// Temporary files of the disk store: named so that whoever opens the store next can tell those that nobody is
// writing any more from those of another living process on the same folder.

import { createHash, randomBytes } from 'node:crypto'
import { readdir, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { kill, pid, uptime } from 'node:process'

/** Another machine's file may still be growing; it is given this long since its last write. */
const foreignAgeMsMax = 24 * 3_600_000

let tag: string | undefined
const hostTag = (): string => (tag ??= createHash('sha256').update(hostname()).digest('hex').slice(0, 8))

export const newTempName = (): string => `${hostTag()}-${pid}-${randomBytes(8).toString('hex')}`

/** Removes what died with its process; returns how many files that were. */
export async function removeStaleTemps(folder: string, nowMs: number): Promise<number> {
  let removedCount = 0
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    if (!(await isStale(name, path, nowMs))) continue
    await rm(path, { force: true, recursive: true })
    removedCount++
  }
  return removedCount
}

async function isStale(name: string, path: string, nowMs: number): Promise<boolean> {
  const [host, pidText] = name.split('-')
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) return false
  if (host !== hostTag()) return nowMs - found.mtimeMs > foreignAgeMsMax
  const writer = Number(pidText)
  // In a container the process has the same number after each restart: its own older files are those from before it.
  if (writer === pid) return found.mtimeMs < nowMs - uptime() * 1000
  return !isAlive(writer)
}

function isAlive(writer: number): boolean {
  try {
    kill(writer, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
