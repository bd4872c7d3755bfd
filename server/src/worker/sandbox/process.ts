// Children as plain processes under Node's permission model: what runs everywhere. JavaScript in them reaches no file
// but its cell and our code, no network and, unless it is a processor made of programs, no program. Native libraries
// (images, tables) are not held by it, and neither are the programs: for files of strangers there is bubblewrap.
// https://nodejs.org/api/permissions.html

import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { platform } from 'node:os'
import path from 'node:path'
import { execPath, kill } from 'node:process'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import {
  childEnvironment,
  endOf,
  listenToStderr,
  nodeFlags,
  rlimitArguments,
  type ChildLimits,
  type LaunchedChild,
  type Launcher,
  type LaunchOptions,
} from './launcher.ts'
import { canWatchMemory, groupUsage, noUsage, usageOf, type ProcessUsage } from './process-usage.ts'
import { childProgram, projectPaths } from './project-files.ts'

export interface ProcessOptions {
  runsFile: string
  limits: ChildLimits
}

const isWindows = platform() === 'win32'
const isLinux = platform() === 'linux'
const prlimitFile = '/usr/bin/prlimit'
const cellVariable = 'MILLRACE_CELL'

export function createProcessLauncher(options: ProcessOptions): Launcher {
  const hasPrlimit = isLinux && existsSync(prlimitFile)
  return {
    level: 'process',
    description:
      "a process under Node's permission model: no files but the task's, no network, no programs but for steps made of them; " +
      'native libraries are not confined, so install bubblewrap for files of strangers' +
      (canWatchMemory ? '' : '; memory is not watched on this system'),
    launch: (launch) => launchChild({ ...options, ...launch, hasPrlimit }),
  }
}

type Launch = ProcessOptions & LaunchOptions & { hasPrlimit: boolean }

function launchChild(launch: Launch): LaunchedChild {
  const { folders, limits, hasPrlimit, startsPrograms } = launch
  const node = [execPath, ...nodeFlags(limits), ...permissions(launch), childProgram, launch.runsFile]
  const limited = hasPrlimit
    ? [prlimitFile, ...rlimitArguments(limits, { countsOwnProcessesOnly: false }), ...node]
    : node
  const [program = execPath, ...programArguments] = limited
  const child = spawn(program, programArguments, {
    detached: !isWindows, // A group of its own, which can be ended as a whole.
    windowsHide: true,
    cwd: folders.scratchFolder,
    env: { ...childEnvironment(folders.scratchFolder), [cellVariable]: folders.folder },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  })
  const ended = endOf(child)
  return {
    line: child.stdio[3] as Duplex,
    usage: () => usageOfChild(child.pid, startsPrograms ? folders.folder : undefined),
    ended,
    lastWords: listenToStderr(child),
    kill: () => killChild(child, { ended, cell: startsPrograms ? folders.folder : undefined }),
  }
}

function permissions({ folders, runsFile, startsPrograms }: Launch): string[] {
  const readable = [...projectPaths(), path.dirname(runsFile), folders.folder]
  const writable = [folders.outputFolder, folders.scratchFolder]
  return [
    '--permission',
    '--allow-addons',
    ...readable.map((file) => `--allow-fs-read=${file}`),
    ...writable.map((file) => `--allow-fs-write=${file}`),
    // A program that is started is bound by nothing of this.
    ...(startsPrograms ? ['--allow-child-process', '--allow-fs-read=/usr'] : []),
  ]
}

/** `cell` is given for a child that may have started programs. */
async function usageOfChild(pid: number | undefined, cell: string | undefined): Promise<ProcessUsage> {
  if (pid === undefined || !canWatchMemory) return noUsage
  if (!isLinux) return await groupUsage(pid)
  return usageOf(cell === undefined ? [pid] : processesOf(pid, cell))
}

const goneWithinMs = 5_000

async function killChild(
  child: ChildProcess,
  options: { ended: Promise<unknown>; cell: string | undefined },
): Promise<void> {
  const { pid } = child
  if (pid === undefined) return
  if (isWindows) {
    await new Promise((resolve) => execFile('taskkill', ['/pid', String(pid), '/T', '/F'], resolve))
    await options.ended
    return
  }
  signal(-pid)
  await options.ended
  if (options.cell === undefined || !isLinux) return
  // Those that left the group and lost their parents; again and again, because one may just have been starting another.
  for (let waitedMs = 0; waitedMs < goneWithinMs; waitedMs += 10) {
    const strays = processesOf(pid, options.cell)
    if (strays.length === 0) return
    for (const stray of strays) signal(stray)
    await delay(10)
  }
}

/** Linux: everything in the child's session or with its cell in the environment, which only another program drops. */
function processesOf(session: number, cell: string): number[] {
  const mark = `${cellVariable}=${cell}`
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        if (fields[0] === 'Z') return false // Dead already; whoever adopted it has yet to notice.
        return (
          Number(fields[3]) === session || readFileSync(`/proc/${name}/environ`, 'latin1').split('\0').includes(mark)
        )
      } catch {
        return false // Not ours to look at, or gone.
      }
    })
    .map(Number)
}

function signal(pid: number): void {
  try {
    kill(pid, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}
