// Processor time of some processes and everything they start. A control group counts exactly, also what was killed; only
// where none can be made, /proc is walked, which loses the time of those that nobody waited for.

import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'

export interface ProcessorTime {
  /** Where the figure comes from, for a note below the table. */
  readonly source: string
  seconds(): number
  close(): void
}

/** Begins to count; what the processes used before may or may not be in the figure: take differences. */
export function countProcessorTime(roots: readonly number[]): ProcessorTime {
  return (
    openGroup(roots) ?? { source: '/proc, without children that were killed', seconds: () => walk(roots), close() {} }
  )
}

const kinds = [
  { parent: '/sys/fs/cgroup/cpuacct', file: 'cpuacct.usage', secondsOf: (text: string) => Number(text) / 1e9 },
  {
    parent: '/sys/fs/cgroup',
    file: 'cpu.stat',
    secondsOf: (text: string) => Number(/^usage_usec (\d+)$/m.exec(text)?.[1]) / 1e6,
  },
]

function openGroup(roots: readonly number[]): ProcessorTime | undefined {
  for (const { parent, file, secondsOf } of kinds) {
    const folder = path.join(parent, `millrace-bench-${process.pid}-${roots.join('-')}`)
    try {
      mkdirSync(folder)
      for (const { pid } of listTree(roots)) writeFileSync(path.join(folder, 'cgroup.procs'), String(pid))
      const seconds = (): number => secondsOf(readFileSync(path.join(folder, file), 'utf8'))
      if (Number.isNaN(seconds())) throw new Error(`${file} tells no time`)
      return { source: 'control group', seconds, close: () => remove(folder) }
    } catch {
      remove(folder)
    }
  }
  return undefined
}

/** Only a group without processes can be removed: those that still run go back to the group above. */
function remove(folder: string): void {
  try {
    for (const pid of readFileSync(path.join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean)) {
      writeFileSync(path.join(path.dirname(folder), 'cgroup.procs'), pid)
    }
    rmdirSync(folder)
  } catch {
    // It was never made, or a process ended in between: an empty group costs nothing.
  }
}

const ticksPerSecond = 100 // USER_HZ of every Linux there is.

const walk = (roots: readonly number[]): number =>
  listTree(roots).reduce((sum, { ticks }) => sum + ticks, 0) / ticksPerSecond

/** The processes and their children of all degrees, each with its own time and that of the children it waited for. */
function listTree(roots: readonly number[]): { pid: number; ticks: number }[] {
  const processes = new Map<number, { parent: number; ticks: number }>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const text = readFileSync(`/proc/${name}/stat`, 'utf8')
      // The command, which may contain anything, ends with the last parenthesis.
      const fields = text
        .slice(text.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number)
      const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + (fields[index] ?? 0), 0)
      processes.set(Number(name), { parent: fields[1] ?? 0, ticks })
    } catch {
      // It ended while it was being looked at; its parent has its time.
    }
  }
  const belongs = (pid: number): boolean => {
    for (let at = pid; at > 1; at = processes.get(at)?.parent ?? 0) if (roots.includes(at)) return true
    return false
  }
  return [...processes].filter(([pid]) => belongs(pid)).map(([pid, { ticks }]) => ({ pid, ticks }))
}
