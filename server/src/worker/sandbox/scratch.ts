// The folder in which this process keeps the files of running tasks in clear, and the removal of what others left
// behind when they were killed.

import { mkdir, readdir, stat, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import path from 'node:path'
import { kill, pid } from 'node:process'
import type { Log } from '../../platform/log.ts'
import { clearFolder } from './beneath.ts'

export interface Scratch {
  readonly folder: string
  remove(): Promise<void>
}

const touchEveryMs = 10 * 60_000
/** Of another machine's process nothing is known but that a living one touches its folder. */
const abandonedAfterMs = 60 * 60_000

/** Makes an empty folder for this process below `parent` and sweeps those of processes that are gone. */
export async function openScratch(parent: string, options: { log: Log; nonce: string }): Promise<Scratch> {
  await mkdir(parent, { recursive: true, mode: 0o700 })
  const host = hostname().replaceAll(/[^a-zA-Z0-9-]/g, '-')
  await sweep(parent, host, options.log)
  const folder = path.join(parent, `${host}.${pid}.${options.nonce}`)
  await mkdir(folder, { mode: 0o700 })
  const touch = setInterval(() => void utimes(folder, new Date(), new Date()).catch(() => {}), touchEveryMs).unref()
  return {
    folder,
    async remove() {
      clearInterval(touch)
      await clearFolder(folder, { self: true })
    },
  }
}

async function sweep(parent: string, host: string, log: Log): Promise<void> {
  for (const name of await readdir(parent)) {
    const [owner, ownerPid] = name.split('.')
    const folder = path.join(parent, name)
    const age = Date.now() - (await stat(folder)).mtimeMs
    const isGone = owner === host && !isAlive(Number(ownerPid))
    if (!isGone && age < abandonedAfterMs) continue
    log.info('sandbox.scratch_swept', { ageSeconds: Math.round(age / 1000) })
    await clearFolder(folder, { self: true }).catch((error: unknown) =>
      log.warn('sandbox.sweep_failed', { error: String(error) }),
    )
  }
}

function isAlive(ownerPid: number): boolean {
  try {
    kill(ownerPid, 0)
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}
