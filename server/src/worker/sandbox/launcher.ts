// What differs between the backends: how a child is started inside its walls and how it is ended with all that it
// started. Everything else (cells, limits, the line to the child) is the same and lies in cells.ts and beside it.

import type { ChildProcess } from 'node:child_process'
import type { Duplex } from 'node:stream'
import type { ProcessUsage } from './process-usage.ts'
import type { SandboxLevel } from './sandbox.ts'

/** The folders of one child, the only ones of its machine that it sees beside the programs and our code. */
export interface CellFolders {
  folder: string
  inputFolder: string
  outputFolder: string
  scratchFolder: string
}

export interface LaunchOptions {
  folders: CellFolders
  /** Whether the task may start programs. */
  startsPrograms: boolean
}

export interface LaunchedChild {
  /** The line of protocol.ts. */
  readonly line: Duplex
  /** What the child takes with all that it started. */
  usage(): Promise<ProcessUsage>
  /** How the child ended by itself or by kill; with bubblewrap the code is 128 + signal. Never rejects. */
  readonly ended: Promise<ChildEnd>
  /** Last words on standard error, bounded; for the log. */
  lastWords(): string
  /** Resolves when the child and everything it started is gone. */
  kill(): Promise<void>
}

export interface ChildEnd {
  code: number | null
  signal: string | null
}

export interface Launcher {
  readonly level: SandboxLevel
  readonly description: string
  launch(options: LaunchOptions): LaunchedChild
}

/** Limits that hold for a child's whole life; those of a task are watched from outside and are never wider. */
export interface ChildLimits {
  memoryBytesMax: number
  fileBytesMax: number
}

const descriptorsCountMax = 1_024
const processesCountMax = 512 // Threads count, and a Node with its libraries has thirty.
const cpuSecondsMax = 12 * 3600 // Ends what survived its supervisor where no namespace does; a recycled child is far from it.
const memoryOverheadBytes = 1024 ** 3 // Reserved and never touched: stacks of threads, arenas, code.

/** Arguments of prlimit(1), up to the program that it starts. */
export const rlimitArguments = (limits: ChildLimits, options: { countsOwnProcessesOnly: boolean }): string[] => [
  `--data=${limits.memoryBytesMax + memoryOverheadBytes}`,
  `--fsize=${limits.fileBytesMax}`,
  `--nofile=${descriptorsCountMax}`,
  `--cpu=${cpuSecondsMax}`,
  '--core=0',
  ...(options.countsOwnProcessesOnly ? [`--nproc=${processesCountMax}`] : []),
]

/** Flags of the child's Node, the same at every level. */
export const nodeFlags = (limits: ChildLimits): string[] => [
  '--disable-warning=ExperimentalWarning',
  '--disable-warning=PERM0001',
  `--max-old-space-size=${Math.floor(limits.memoryBytesMax / 1024 ** 2)}`,
]

/** Nothing of the supervisor's environment; what remains is the same for every task. */
export const childEnvironment = (temporaryFolder: string): Record<string, string> => ({
  PATH: '/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin',
  LANG: 'C.UTF-8',
  TZ: 'UTC',
  HOME: temporaryFolder,
  TMPDIR: temporaryFolder,
  MALLOC_ARENA_MAX: '2', // glibc would otherwise keep memory per thread and grow without need.
  // Buffers of pixels come and go by the megabyte: given back to the kernel each time, every page of them is cleared and
  // faulted in anew, thousands in a document. The first is the largest value that glibc takes.
  MALLOC_MMAP_THRESHOLD_: String(32 * 1024 ** 2),
  MALLOC_TRIM_THRESHOLD_: String(64 * 1024 ** 2),
  VIPS_CONCURRENCY: '1',
  OMP_THREAD_LIMIT: '1',
})

const lastWordsBytesMax = 2_000
const spokenBytesMax = 1024 ** 2

/** Keeps the end of what the child says on standard error, and stops listening to one that talks without end. */
export function listenToStderr(child: ChildProcess): () => string {
  let words = ''
  let spokenBytes = 0
  child.stderr?.on('data', (piece: Buffer) => {
    spokenBytes += piece.length
    words = (words + piece.toString('utf8')).slice(-lastWordsBytesMax)
    if (spokenBytes > spokenBytesMax) child.stderr?.destroy()
  })
  child.stderr?.on('error', () => {})
  return () => words
}

export const endOf = (child: ChildProcess): Promise<ChildEnd> =>
  new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.once('error', () => resolve({ code: null, signal: null }))
  })
