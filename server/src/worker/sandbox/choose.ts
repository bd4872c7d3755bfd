// Chooses the strongest sandbox that holds on this machine, after having seen it hold.

import path from 'node:path'
import { platform } from 'node:os'
import type { Clock } from '../../platform/clock.ts'
import type { Ids } from '../../platform/ids.ts'
import type { Log } from '../../platform/log.ts'
import { Problem } from '../../platform/problem.ts'
import { checkConfinement, createBubblewrapLauncher } from './bubblewrap.ts'
import { closeCell, openCell, type Cell } from './cell.ts'
import { createCells } from './cells.ts'
import type { ChildLimits, Launcher } from './launcher.ts'
import { createProcessLauncher } from './process.ts'
import { defaultRunsFile } from './project-files.ts'
import type { Sandbox } from './sandbox.ts'
import { openScratch } from './scratch.ts'

export interface SandboxOptions {
  /** auto: bubblewrap where it holds, else process. */
  level: 'auto' | 'bubblewrap' | 'process'
  /** Files of running tasks lie below it in clear; it should not be backed up. */
  scratchFolder: string
  /** Tasks at a time; as many warm children are kept. */
  slotsCount: number
  clock: Clock
  ids: Ids
  log: Log
  /** Module with the work of the processors; those of pipeline/ when left out. */
  runsFile?: string
  /** The most that any task may use; what a task may use is told with it. */
  limits?: Partial<ChildLimits>
}

const limitsDefault: ChildLimits = { memoryBytesMax: 4 * 1024 ** 3, fileBytesMax: 16 * 1024 ** 3 }

/** Throws Problem('setting_invalid') when the level that was asked for does not hold here. */
export async function createSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { log, clock } = options
  const scratch = await openScratch(options.scratchFolder, { log, nonce: options.ids.randomHex(4) })
  const common = {
    runsFile: options.runsFile ?? defaultRunsFile,
    limits: { ...limitsDefault, ...options.limits },
    scratchFolder: scratch.folder,
  }
  try {
    const { launcher, blank } = await chooseLauncher(options.level, common, log)
    log.info('sandbox.chosen', { sandbox: launcher.level, description: launcher.description })
    return createCells({
      launcher,
      blank,
      folder: scratch.folder,
      idleCellsMax: options.slotsCount,
      clock,
      log,
      onClose: () => scratch.remove(),
    })
  } catch (error) {
    await scratch.remove()
    throw error
  }
}

interface Common {
  runsFile: string
  limits: ChildLimits
  scratchFolder: string
}

interface Proven {
  launcher: Launcher
  /** The child that proved it, which has served nobody. */
  blank: Cell
}

async function chooseLauncher(level: SandboxOptions['level'], common: Common, log: Log): Promise<Proven> {
  if (level === 'process') return await prove(createProcessLauncher(common), common)
  try {
    if (platform() !== 'linux') throw new Error('bubblewrap is for Linux')
    return await prove(await createBubblewrapLauncher(common), common)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    if (level === 'bubblewrap')
      throw new Problem('setting_invalid', {
        detail: `MILLRACE_SANDBOX is "bubblewrap", which does not hold here: ${reason}.`,
        cause: error,
      })
    log.warn('sandbox.weaker', { sandbox: 'process', reason })
    return await prove(createProcessLauncher(common), common)
  }
}

const provedWithinMs = 20_000

/** Starts a child and looks at what holds it. Throws in plain words. */
async function prove(launcher: Launcher, { scratchFolder }: Common): Promise<Proven> {
  const blank = await openCell({
    launcher,
    folder: path.join(scratchFolder, `blank-${launcher.level}`),
    startsPrograms: false,
  })
  try {
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(new Error('a first child did not answer')), provedWithinMs)
    const failed = blank.line.broken.then(() => {
      throw new Error(`a first child did not start: ${blank.child.lastWords().trim().slice(-300)}`)
    })
    await Promise.race([blank.line.ready, late, failed]).finally(() => clearTimeout(timer))
    if (launcher.level === 'bubblewrap') await checkTree(blank)
    return { launcher, blank }
  } catch (error) {
    await closeCell(blank)
    throw error
  }
}

/** The namespace's first process is bubblewrap itself, waiting; the one that works is its child. */
async function checkTree({ child }: Cell): Promise<void> {
  const { pids } = await child.usage()
  const worker = pids.at(-1)
  if (worker === undefined || pids.length < 2) throw new Error('the processes of a first child cannot be seen')
  checkConfinement(worker)
}
