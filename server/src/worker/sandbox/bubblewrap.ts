// Children inside bubblewrap: namespaces of their own for users, processes, network, mounts, hosts and IPC, no
// capability, a system call filter, resource limits. They see /usr, our code and their own cell.
// https://github.com/containers/bubblewrap

import { execFile, spawn } from 'node:child_process'
import { closeSync, existsSync, lstatSync, openSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { arch } from 'node:os'
import path from 'node:path'
import { execPath, kill } from 'node:process'
import type { Duplex, Readable } from 'node:stream'
import { promisify } from 'node:util'
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
import { noUsage, treeUsage } from './process-usage.ts'
import { childProgram, projectPaths } from './project-files.ts'
import { deniedCallsCount, filterArchs, seccompFilter } from './seccomp.ts'

export interface BubblewrapOptions {
  /** Holds the filter file. */
  scratchFolder: string
  runsFile: string
  limits: ChildLimits
}

const temporaryBytesMax = 64 * 1024 ** 2

// Descriptors of the child.
const lineFd = 3
const infoFd = 4
const filterFd = 5

/** Read-only, where they are: what dynamic linking, fonts and Debian's alternatives need, and nothing that names people. */
const systemPaths = [
  '/etc/ld.so.cache',
  '/etc/alternatives',
  '/etc/fonts',
  '/etc/libreoffice',
  '/var/cache/fontconfig',
  '/var/lib/clamav',
]

/** Throws an Error in plain words when bubblewrap cannot be used here. */
export async function createBubblewrapLauncher(options: BubblewrapOptions): Promise<Launcher> {
  const filterArch = filterArchs.find((known) => known === arch())
  if (filterArch === undefined) throw new Error(`there is no system call filter for ${arch()}`)
  const version = await bwrapVersion()
  const filterFile = path.join(options.scratchFolder, 'seccomp.bpf')
  writeFileSync(filterFile, seccompFilter(filterArch), { mode: 0o400 })
  const hasPrlimit = existsSync('/usr/bin/prlimit')
  return {
    level: 'bubblewrap',
    description:
      `bubblewrap ${version}: no network, no other files, no other processes, no capabilities, ` +
      `${deniedCallsCount} system calls refused, memory and time watched` +
      (hasPrlimit ? ', resource limits' : '; no resource limits, because prlimit is missing'),
    launch: (launch) => launchChild({ ...options, ...launch, filterFile, hasPrlimit }),
  }
}

async function bwrapVersion(): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('bwrap', ['--version'], { timeout: 5_000 })
    return stdout.trim().replace(/^bubblewrap /, '')
  } catch {
    throw new Error('the program bwrap is not installed')
  }
}

type Launch = BubblewrapOptions & LaunchOptions & { filterFile: string; hasPrlimit: boolean }

function launchChild(launch: Launch): LaunchedChild {
  const filter = openSync(launch.filterFile, 'r')
  const child = spawn('bwrap', bwrapArguments(launch), {
    // A group of its own: Ctrl-C in a terminal is for the supervisor, which ends its children in order.
    detached: true,
    cwd: '/',
    env: { PATH: '/usr/bin:/bin:/usr/local/bin' },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe', filter],
  })
  closeSync(filter)
  const ended = endOf(child)
  const init = readInitPid(child.stdio[infoFd] as Readable)
  let rootPid: number | undefined
  void init.then((pid) => (rootPid = pid))
  return {
    line: child.stdio[lineFd] as Duplex,
    // Whoever loses its parent becomes a child of the first process, so its tree is all there is.
    usage: async () => (rootPid === undefined ? noUsage : treeUsage(rootPid)),
    ended,
    lastWords: listenToStderr(child),
    async kill() {
      // With the first process of the namespace the kernel ends all others, and bwrap ends after them, never before.
      const pid = await Promise.race([init, ended.then(() => undefined)])
      if (pid === undefined) child.kill('SIGKILL')
      else if (child.exitCode === null && child.signalCode === null) signal(pid)
      await ended
    },
  }
}

/** Process id of the namespace's first process as seen from here; undefined when bwrap ended before it had one. */
function readInitPid(info: Readable): Promise<number | undefined> {
  return new Promise((resolve) => {
    let text = ''
    info.setEncoding('utf8')
    info.on('data', (piece: string) => (text += piece))
    info.on('error', () => resolve(undefined))
    info.on('close', () => {
      const pid = Number(/"child-pid": (\d+)/.exec(text)?.[1])
      resolve(pid > 1 ? pid : undefined)
    })
  })
}

function signal(pid: number): void {
  try {
    kill(pid, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}

function bwrapArguments({ folders, runsFile, limits, hasPrlimit }: Launch): string[] {
  const environment = Object.entries(childEnvironment('/tmp')).flatMap(([name, value]) => ['--setenv', name, value])
  const readOnly = [...projectPaths(), path.dirname(runsFile), ...(execPath.startsWith('/usr/') ? [] : [execPath])]
  return [
    ['--unshare-all', '--unshare-user', '--disable-userns', '--uid', '65534', '--gid', '65534'],
    ['--cap-drop', 'ALL', '--die-with-parent', '--new-session', '--hostname', 'sandbox', '--clearenv'],
    environment,
    systemArguments(),
    // Owned by root as the kernel counts, /proc/sys and others would be open for writing when the worker is root.
    ['--proc', '/proc', '--remount-ro', '/proc', '--dev', '/dev'],
    ['--size', String(temporaryBytesMax), '--tmpfs', '/dev/shm', '--remount-ro', '/dev'],
    ['--size', String(temporaryBytesMax), '--tmpfs', '/tmp'],
    // After /tmp, because the project may lie in it.
    readOnly.flatMap((file) => ['--ro-bind', file, file]),
    ['--ro-bind', folders.inputFolder, folders.inputFolder],
    ['--bind', folders.outputFolder, folders.outputFolder],
    ['--bind', folders.scratchFolder, folders.scratchFolder],
    ['--remount-ro', '/', '--chdir', folders.scratchFolder],
    ['--seccomp', String(filterFd), '--info-fd', String(infoFd), '--'],
    hasPrlimit ? ['/usr/bin/prlimit', ...rlimitArguments(limits, { countsOwnProcessesOnly: true })] : [],
    [execPath, ...nodeFlags(limits), childProgram, runsFile],
  ].flat()
}

/** /usr, and the folders that are links into it on merged systems and real ones elsewhere. */
function systemArguments(): string[] {
  const folders = ['/bin', '/sbin', '/lib', '/lib32', '/lib64'].flatMap((folder) => {
    if (!existsSync(folder)) return []
    return lstatSync(folder).isSymbolicLink()
      ? ['--symlink', readlinkSync(folder), folder]
      : ['--ro-bind', folder, folder]
  })
  return ['--ro-bind', '/usr', '/usr', ...folders, ...systemPaths.flatMap((file) => ['--ro-bind-try', file, file])]
}

const namespaces = ['user', 'pid', 'net', 'mnt', 'ipc', 'uts']

/** Looks from outside at a running child and throws in plain words for the first wall that does not stand. */
export function checkConfinement(pid: number): void {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? 'unknown'
  if (field('Seccomp') !== '2') throw new Error('the system call filter does not hold')
  if (field('NoNewPrivs') !== '1') throw new Error('the process could gain privileges')
  if (!/^0+$/.test(field('CapEff')) || !/^0+$/.test(field('CapBnd'))) throw new Error('capabilities are left')
  for (const name of namespaces) {
    if (readlinkSync(`/proc/${pid}/ns/${name}`) === readlinkSync(`/proc/self/ns/${name}`))
      throw new Error(`the ${name} namespace is the machine's own`)
  }
}
