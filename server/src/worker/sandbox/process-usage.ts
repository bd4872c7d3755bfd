// How much memory a process takes with all that it started, and how many these are. From /proc on Linux, from ps on
// other Unixes; on Windows it is not known, which the sandbox says in its description.

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { platform } from 'node:os'
import { promisify } from 'node:util'

export interface ProcessUsage {
  memoryBytes: number
  pids: number[]
}

export const canWatchMemory = platform() !== 'win32'

/** Nothing is known, or nothing is there. */
export const noUsage: ProcessUsage = { memoryBytes: 0, pids: [] }

// Enough to see a fork bomb for what it is; nobody counts further then.
const processesCountedMax = 1_000

/** Linux: the process and its descendants. */
export function treeUsage(rootPid: number): ProcessUsage {
  const usage: ProcessUsage = { memoryBytes: 0, pids: [] }
  const open = [rootPid]
  while (open.length > 0 && usage.pids.length < processesCountedMax) {
    const pid = open.pop() ?? 0
    if (add(usage, pid)) open.push(...childrenOf(pid))
  }
  return usage
}

/** Linux: usage of these processes. */
export function usageOf(pids: readonly number[]): ProcessUsage {
  const usage: ProcessUsage = { memoryBytes: 0, pids: [] }
  for (const pid of pids.slice(0, processesCountedMax)) add(usage, pid)
  return usage
}

/** Adds a process unless it is gone. Read without waiting: /proc is memory, and the numbers belong to one moment. */
function add(usage: ProcessUsage, pid: number): boolean {
  try {
    const residentKib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    usage.memoryBytes += Number(residentKib ?? 0) * 1024
    usage.pids.push(pid)
    return true
  } catch {
    return false
  }
}

/** Children are listed per thread that started them. */
function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
      const list = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim()
      return list === '' ? [] : list.split(' ').map(Number)
    })
  } catch {
    return []
  }
}

/** Any Unix: usage of a process group, which a process that wants to can leave. */
export async function groupUsage(groupId: number): Promise<ProcessUsage> {
  const { stdout } = await promisify(execFile)('ps', ['-axo', 'pid=,pgid=,rss='], { timeout: 5_000 })
  const members = stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number, number])
    .filter(([, group]) => group === groupId)
  return {
    memoryBytes: members.reduce((sum, [, , residentKib]) => sum + residentKib * 1024, 0),
    pids: members.map(([pid]) => pid),
  }
}
