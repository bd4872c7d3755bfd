// Waiting for a condition, and looking for processes, in tests.

import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

/** Repeats the check until it passes; its last failure is thrown after ten seconds. */
export async function eventually(check: () => void | Promise<void>, withinMs = 10_000): Promise<void> {
  for (const end = performance.now() + withinMs; ;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > end) throw error
      await delay(20)
    }
  }
}

/** Command lines, as the system tells them, in which the text occurs; those of zombies are empty. */
export async function processesWith(text: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('ps', ['-axo', 'args='], { maxBuffer: 32e6 })
  return stdout.split('\n').filter((line) => line.includes(text))
}

/** Ids of the processes with the text in their command line. */
export async function pidsWith(text: string): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-axo', 'pid=,args='], { maxBuffer: 32e6 })
  return stdout
    .split('\n')
    .filter((line) => line.includes(text))
    .map((line) => Number.parseInt(line, 10))
}
