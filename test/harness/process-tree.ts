// A process and all that came from it, as Linux tells of them in /proc. Elsewhere only the process itself is known.

import { readdirSync, readFileSync } from 'node:fs'

/** Ids of the process and its descendants, the process first; without those that have ended. */
export function processTree(pid: number): number[] {
  const children = new Map<number, number[]>()
  for (const [id, parent] of listProcesses()) children.set(parent, [...(children.get(parent) ?? []), id])
  const tree = [pid]
  // Grows while it is walked.
  for (const id of tree) tree.push(...(children.get(id) ?? []))
  return tree
}

/** Sends a signal to all of them; those that have ended meanwhile do not mind. */
export function signalTree(pid: number, signal: NodeJS.Signals): void {
  for (const id of processTree(pid)) sendSignal(id, signal)
}

export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** Id and parent of every process that runs. */
function listProcesses(): [number, number][] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc').flatMap((name): [number, number][] => {
    if (!/^\d+$/.test(name)) return []
    try {
      // "id (name) state parent …", where the name may hold anything.
      const [state, parent] = readFileSync(`/proc/${name}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')
      return state === 'Z' ? [] : [[Number(name), Number(parent)]]
    } catch {
      return [] // It has ended while the folder was read.
    }
  })
}
